"""A recipe is one tree of settings: dotted names, YAML, and one line for every mistake."""

import itertools
from pathlib import Path

import pytest
import yaml

from wmdd.errors import ConfigError
from wmdd.methods.catalogue import complete, read_recipe
from wmdd.settings.recipe import dotted, merged, nested, setting_names, write_recipe


def test_dotted_and_nested_settings_are_the_same() -> None:
    flat = complete({"ipc": 1, "recover.lr": 0.1, "recover.bn": "global", "evaluate.seeds": 2})
    tree = complete({"ipc": 1, "recover": {"lr": 0.1, "bn": "global"}, "evaluate": {"seeds": 2}})
    assert flat == tree
    assert (flat.ipc, flat.recover.lr, flat.recover.bn, flat.evaluate.seeds) == (1, 0.1, "global", 2)
    assert flat.recover.iterations == complete({}).recover.iterations
    assert flat.with_settings({}) == flat


def test_yaml_round_trip_writes_every_setting(tmp_path: Path) -> None:
    recipe = complete(
        {
            "seed": 7,
            "squeeze.checkpoint": "weights.pt",
            "evaluate.students": ("resnet18", "resnet50"),
            "data.channels": 1,
        }
    )
    path = tmp_path / "recipe.yaml"
    path.write_text(write_recipe(recipe), encoding="utf-8")
    assert complete(read_recipe(path)) == recipe
    tree = yaml.safe_load(path.read_text("utf-8"))
    written = {f"{a}.{b}" for a, part in tree.items() if isinstance(part, dict) for b in part}
    plain = {name for name, part in tree.items() if not isinstance(part, dict)}
    assert written | plain == set(setting_names(type(recipe)))


def test_setting_names_are_those_that_others_rely_on() -> None:
    agreed = """squeeze.epochs squeeze.arch squeeze.checkpoint squeeze.pretrained statistics.batch barycenter.weights
        barycenter.iterations recover.iterations recover.lr recover.bn_weight recover.form recover.feature_loss
        recover.bn recover.start relabel.store relabel.temperature evaluate.epochs evaluate.students evaluate.protocols
        evaluate.seeds data.image_size data.max_broken ipc method seed device precision"""
    assert set(agreed.split()) <= set(setting_names(type(complete({}))))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recover:\n  learning_rat: 0.1\n", "recover.learning_rat: unknown setting"),
        ("recover:\n  bn_weigth: 0.1\n", "did you mean 'recover.bn_weight'?"),
        ("recovr:\n  lr: 0.1\n", "did you mean 'recover.lr'?"),
        ("ipcs: 3\n", "did you mean 'ipc'?"),
        ("recover:\n  lr: -1\n", "recover.lr"),
        ("recover:\n  lr: fast\n", "got 'fast'"),
        ("squeeze:\n  mean: fast\n", "squeeze.mean: input should be numbers in [0, 1], or auto, data or imagenet"),
        ("squeeze:\n  mean: [0.5, 128]\n", "squeeze.mean: input should be numbers in [0, 1]"),
        ("squeeze:\n  mean: 0.5\n", "mean and std belong together"),
        ("squeeze:\n  mean: data\n  std: imagenet\n", "mean and std belong together"),
        ("squeeze:\n  mean: imagenet\n  std: [0.5]\n", "mean and std belong together"),
        ("squeeze:\n  std: [0.0]\n", "squeeze.std: input should be numbers above 0"),
        ("squeeze:\n  classes: [a]\n", "classes are those of a checkpoint"),
        ("recover: 3\n", "recover"),
        ("ipc: 0\n", "ipc"),
        ("ipc: {a: 1}\n", "ipc.a"),
        ("precision: fp8\n", "precision"),
        ("evaluate:\n  students: []\n", "at least one student"),
        ("- 1\n- 2\n", "a recipe is a mapping of settings; got list"),
        ("", "a recipe is a mapping of settings; got NoneType"),
        ("a: [1,\n", "cannot read recipe"),
        ("1: 2\n", "put it in quotes"),
        ("null: 2\n", "put it in quotes"),
        ("ipc: 1\nipc: 2\n", "'ipc' a second time"),
        ("data:\n  workers: 1\n  workers: 1\n", "'workers' a second time"),
        ("data: &a\n  x: *a\n", "contains itself"),
        ("ipc: &a [*a]\n", "contains itself"),
        ("a: &a [1, 1, 1, 1]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n", "unknown setting"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in itertools.pairwise("abcdefghi")),
            "too many values",
        ),
        ("ipc: " + "[" * 5000, "brackets in brackets"),
        ("{a: " * 3000, "brackets in brackets"),
        ("ipc: !!python/object:os.system {}\n", "a tag"),
        ('ipc: !!int ""\n', "a tag"),
        ("ipc: " + "9" * 5000 + "\n", "cannot read recipe"),
        ("seed: " + "9" * 30 + "\n", "more than 64 bits"),
        ("ipc: 2020-13-45\n", "month must be in 1..12"),
        ("ipc: =\n", "cannot read recipe"),
        ("<<: 5\n", "cannot read recipe"),
        ("ipc: \0\n", "special characters are not allowed"),
        ("base: null\n", "base: unknown setting"),
        ("method: null\n", "method: unknown"),
        ("method: [wmdd]\n", "method: unknown"),
        ("data: 1\ndata.workers: 2\n", "data: unknown setting"),
        ("ipc: 2 # " + "long" * 300_000, "more than 1000000 bytes"),
    ],
)
def test_every_mistake_is_one_line_that_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    for content in (b"ipc: \xff\n", "ipc: 2\n".encode("utf-16")):
        (tmp_path / "mine.yaml").write_bytes(content)
        with pytest.raises(ConfigError, match=r"^cannot read recipe [^\n]*$"):
            read_recipe(tmp_path / "mine.yaml")


def test_anchors_may_repeat_a_value(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("data: {workers: &few 2}\nseed: *few\n")
    assert complete(read_recipe(tmp_path / "mine.yaml")).seed == 2


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="cannot read recipe"):
        read_recipe(path)


def test_trees_are_merged_and_the_last_counts() -> None:
    assert merged({"a.b": 1, "c": 2}, {"a": {"d": 3}}, {"c": 4}) == {"a": {"b": 1, "d": 3}, "c": 4}
    assert nested(dotted({"a": {"b": 1}, "c": 2})) == {"a": {"b": 1}, "c": 2}


def test_a_file_that_names_its_method_holds_what_that_method_reads(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("method: dm\nrecover: {lr: 1.0}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"recover\.lr: method dm does not read it"):
        read_recipe(path)
    path.write_text("dm: {lr: 1.0}\nrecover: {lr: 1.0}\n", encoding="utf-8")
    assert read_recipe(path) == {"dm": {"lr": 1.0}, "recover": {"lr": 1.0}}


def test_a_recipe_keeps_its_method_and_its_settings() -> None:
    with pytest.raises(ConfigError, match="complete for one method"):
        complete({}).with_settings({"method": "dm"})
    with pytest.raises(ConfigError, match=r"dm\.lr: unknown setting of method wmdd"):
        complete({}).with_settings({"dm.lr": 1.0})
