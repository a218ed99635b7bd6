"""A run on development images: what it says it was tested on, its own results in the store, no other test beside."""

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_run import TINY

import wmdd
from wmdd.cli.render import show_scores
from wmdd.data.sources.opening import open_data
from wmdd.errors import ConfigError
from wmdd.methods.catalogue import complete
from wmdd.pipeline.bench_recipe import BenchRecipe, cells
from wmdd.pipeline.doubts import seen_development
from wmdd.pipeline.metrics import data_facts
from wmdd.pipeline.watchers import Watcher
from wmdd.settings import DataSettings, SqueezeSettings

SHARE = 0.1
COUNTED = "143 development images, cut from the training images"
RANDOM: dict[str, Any] = {name: TINY[name] for name in TINY if name != "recover"} | {"method": "random"}


class Said(Watcher):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.text = ""

    def note(self, text: str) -> None:
        self.text += f"{text}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on development images, and one without after it, which share a store."""
    place = tmp_path_factory.mktemp("development")
    said = Said()
    for name, more in (("tuned", {"data.development": SHARE}), ("final", {})):
        wmdd.distill("digits", out=place / name, store=place / "store", watcher=said, **RANDOM, **more)
    (place / "said.txt").write_text(said.text, encoding="utf-8")
    return place


def read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def test_the_metrics_name_the_share() -> None:
    facts = data_facts(*open_data("digits", DataSettings(development=SHARE)))
    assert (facts["train"], facts["val"], facts["holdout"], facts["development"]) == (1295, 143, 0.2, SHARE)
    assert data_facts(*open_data("digits", DataSettings()))["development"] is None


def test_the_terminal_says_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = (place / "said.txt").read_text("utf-8")
    assert f"1,295 images of 10 classes at 8 px, tested on {COUNTED}, on cpu" in said
    assert "% of the development images right" in said
    assert "1,438 images of 10 classes at 8 px, on cpu" in said
    assert "% of the validation images right" in said
    for name, counted in {"tuned": COUNTED, "final": "359 test images"}.items():
        show_scores(read(place / name / "metrics.json"))
        out = " ".join(capsys.readouterr().out.split())
        assert f" {counted}: 95 % interval of an accuracy" in out
        assert ("tested on 359 images" if name == "final" else f"tested on {COUNTED} (95 %") in out


def test_report_and_card_say_it(place: Path) -> None:
    page = (place / "tuned/report.html").read_text("utf-8")
    assert f"tested on {COUNTED} (share 0.1 of each class; the test images were not used)" in page
    assert "143 development</dd>" in page
    assert "test images" not in page.replace("the test images were not used", "")
    card = " ".join((place / "tuned/distilled/README.md").read_text("utf-8").split())
    assert "Accuracy on 143 development images, cut from the source's training images" in card
    assert "nothing was chosen on them" not in card
    assert (
        "1,295 training and 143 development images of 10 classes; 20 % of each class held out for the test, 10 % of "
        "each class cut from the rest for development (data.holdout_seed 0)"
    ) in card
    assert "development: 0.1" in card
    final = " ".join((place / "final/distilled/README.md").read_text("utf-8").split())
    assert "Accuracy on 359 of the source's real test images after the last epoch; nothing was chosen on them." in final
    assert "development" not in final
    page = (place / "final/report.html").read_text("utf-8")
    assert "tested on 359 real images" in page
    assert "development images" not in page


def test_no_result_is_shared_with_a_run_that_tests_on_the_test_images(place: Path) -> None:
    tuned, final = (read(place / name / "metrics.json")["run"]["results"] for name in ("tuned", "final"))
    assert sorted(tuned.values()) == sorted(final.values())
    assert not set(tuned) & set(final)
    assert {path.name for path in (place / "store").iterdir() if path.is_dir()} >= set(tuned) | set(final)
    assert len({read(place / name / "metrics.json")["data"]["tested_on"] for name in ("tuned", "final")}) == 2


@pytest.mark.parametrize(
    ("run", "settings", "message"),
    [
        (
            "tuned",
            {"data.development": 0.2},
            "the run was tested on development images, a share 0.1 of the training images (data.holdout_seed 0); "
            "got data.development 0.2; keep data.development 0.1 and that seed, or distil again with it",
        ),
        (
            "tuned",
            {"data.development": None},
            "the run was tested on development images, a share 0.1 of the training images (data.holdout_seed 0); "
            "got no data.development; keep data.development 0.1 and that seed, or distil again with it",
        ),
        (
            "tuned",
            {"data.holdout_seed": 1},
            "the run was tested on development images, a share 0.1 of the training images (data.holdout_seed 0); "
            "got data.holdout_seed 1; keep data.development 0.1 and that seed, or distil again with it",
        ),
        (
            "final",
            {"data.development": 0.1},
            "the run was tested on the test images; got data.development 0.1; leave data.development out, "
            "or distil again with it",
        ),
    ],
)
def test_no_later_students_are_tested_on_other_images(
    place: Path, run: str, settings: dict[str, Any], message: str
) -> None:
    before = read(place / run / "metrics.json")
    with pytest.raises(ConfigError) as caught:
        wmdd.evaluate(place / run, "digits", students=TINY["evaluate"]["students"], seeds=1, **settings)
    assert str(caught.value) == message
    assert read(place / run / "metrics.json") == before


@pytest.mark.parametrize("settings", [{}, {"data.development": SHARE}])
def test_later_students_are_tested_on_the_same_images(place: Path, settings: dict[str, Any]) -> None:
    before = read(place / "tuned/metrics.json")
    students = {"students": TINY["evaluate"]["students"], "seeds": 1}
    scores = wmdd.evaluate(place / "tuned", "digits", **students, **settings)
    assert [score.top1 for score in scores.scores] == [row["top1"] for row in before["evaluations"]]
    assert read(place / "tuned/metrics.json") == before  # no warning of other test images either


def test_a_bench_shares_it_and_says_it(tmp_path: Path) -> None:
    shared = {**TINY, "data.development": SHARE}
    changed = BenchRecipe(base=shared, methods=("random", "less"), variants={"less": {"data.development": 0.3}})
    with pytest.raises(ConfigError, match=r"variants.less: all rows share data.development"):
        cells(changed)
    recipe = BenchRecipe(base=shared, methods=("random",), ipcs=(1,))
    run = wmdd.bench("digits", recipe=recipe, out=tmp_path / "bench", store=tmp_path / "store")
    assert run.results["data"]["development"] == SHARE
    text = (tmp_path / "bench/bench.md").read_text("utf-8")
    assert "1,295 training and 143 development images at 8 px" in text
    assert f", tested on {COUNTED} (95 % interval" in text
    assert f" {COUNTED}: 95 % interval of an accuracy" in text
    assert "The test images were not used." in text
    for name in ("bench.tex", "bench.html"):
        page = (tmp_path / "bench" / name).read_text("utf-8")
        assert "The test images were not used." in page


def test_a_teacher_from_elsewhere_may_have_seen_them() -> None:
    development = open_data("digits", DataSettings(development=SHARE))[1]
    test = open_data("digits", DataSettings())[1]
    for squeeze in (SqueezeSettings(checkpoint="a.pt"), SqueezeSettings(pretrained=True)):
        (warning,) = seen_development(development, squeeze)
        assert "may have been trained on the 143 development images" in warning.text
        assert seen_development(test, squeeze) == []
    assert seen_development(development, SqueezeSettings()) == []


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, "all"])
def test_a_share_is_between_0_and_1(share: Any) -> None:
    with pytest.raises(ConfigError, match=r"data\.development"):
        complete({"method": "random", "data.development": share})
