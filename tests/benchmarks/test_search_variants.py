"""Variants in YAML: what is read, and what is refused."""

from pathlib import Path

import pytest
from benchmarks.search.climbing import Search
from benchmarks.search.variants import BASE, FOLDER, read_variants, twins

from wmdd.errors import ConfigError
from wmdd.recipes import choose_recipe

GOOD = "idea: some\n  predicted: {soft: 0, hard: 1.5}\n  settings: {recover.lr: 0.1}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_shipped_variants_fit_the_shipped_base() -> None:
    variants = read_variants()
    base = dict(choose_recipe("cifar10", str(BASE)))
    assert len(variants) >= 40
    assert twins(base, variants) == {
        "lambda-1": "wmdd",
        "steps-400": "wmdd",
        "crop-0.4": "wmdd",
        "mmd-lambda-0.6": "mmd",
    }
    assert len({variant.idea for variant in variants.values()}) == len(variants)


def test_a_variant(tmp_path: Path) -> None:
    variant = read_variants(written(tmp_path, f"mine:\n  {GOOD}"))["mine"]
    assert (variant.idea, variant.predicted.soft, variant.predicted.hard) == ("some", 0, 1.5)
    assert variant.settings == {"recover.lr": 0.1}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mine: 3\n", "mine: needs idea, predicted and settings; got 3"),
        ("mine: {idea: some}\n", "mine: variant.predicted"),
        (f"wmdd:\n  {GOOD}", "a name of its own; got 'wmdd'"),
        (f"mine:\n  {GOOD}  more: 1\n", "variant.more: unknown setting"),
        (f"mine:\n  {GOOD}".replace("recover.lr", "relabel.crop_min"), "same rules; got relabel.crop_min"),
        (f"mine:\n  {GOOD}".replace("recover.lr", "evaluate.epochs"), "same rules; got evaluate.epochs"),
        ("{}\n", "needs variants; got none"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        read_variants(written(tmp_path, text))


def test_two_files_may_not_share_a_name(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"mine:\n  {GOOD}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"two\.yaml: .* got 'mine' again"):
        read_variants(tmp_path)


@pytest.mark.parametrize(
    ("setting", "line"),
    [("recover.nothing", "variants.mine: .*recover.nothing"), ("squeeze.epochs", "all rows share squeeze.epochs")],
)
def test_settings_that_no_variant_can_have(tmp_path: Path, setting: str, line: str) -> None:
    path = written(tmp_path, f"mine:\n  {GOOD}".replace("recover.lr", setting))
    with pytest.raises(ConfigError, match=line):
        Search.of("digits", "digits", files=path, development=0.1)


def test_a_method_s_name_alone_does_not_make_it_that_method(tmp_path: Path) -> None:
    path = written(tmp_path, f"mmd:\n  {GOOD}".replace("0.1", "0.25"))
    assert twins({}, read_variants(path)) == {"mmd": "wmdd"}  # 0.25 is the default


def test_a_search_without_development_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="development images.*got data.development none; give --development 0.1"):
        Search.of("digits", "testbed", files=FOLDER, development=None)
