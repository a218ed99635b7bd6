"""Whatever is wrong with the input: one line on stderr, exit code 2, no traceback."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from wmdd.cli.main import main
from wmdd.models.building import build_model, resolve_spec

ARCH = "convnet1_w8_bn"
CHEAP = ["--squeeze.arch", ARCH, "--evaluate.students", ARCH, "--device", "cpu", "--precision", "fp32"]


def pictures(root: Path, *, split: str = "", classes: tuple[str, ...] = ("cat", "dog"), count: int = 4) -> Path:
    """Make class folders with grey pictures."""
    for label, name in enumerate(classes):
        folder = root / split / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("L", (8, 8), 40 * label + 20 * number).save(folder / f"{number}.png")
    return root


def missing_folder(tmp_path: Path) -> list[str]:
    return ["distill", str(tmp_path / "nowhere")]


def empty_class(tmp_path: Path) -> list[str]:
    (pictures(tmp_path / "data") / "empty").mkdir()
    return ["distill", str(tmp_path / "data")]


def unknown_class_in_val(tmp_path: Path) -> list[str]:
    pictures(tmp_path / "data", split="train")
    return ["distill", str(pictures(tmp_path / "data", split="val", classes=("cat", "horse")))]


def corrupt_jpeg(tmp_path: Path) -> list[str]:
    Image.new("RGB", (32, 32), "red").save(pictures(tmp_path / "data") / "cat" / "torn.jpg")
    path = tmp_path / "data" / "cat" / "torn.jpg"
    path.write_bytes(path.read_bytes()[:200])
    return ["distill", str(tmp_path / "data")]


def ipc_larger_than_a_class(tmp_path: Path) -> list[str]:
    return ["distill", str(pictures(tmp_path / "data")), "--ipc", "50", *CHEAP]


def misspelt_recipe_key(tmp_path: Path) -> list[str]:
    (tmp_path / "mine.yaml").write_text("recover:\n  iteration: 5\n", encoding="utf-8")
    return ["distill", "digits", "--recipe", str(tmp_path / "mine.yaml")]


def unreadable_checkpoint(tmp_path: Path) -> list[str]:
    (tmp_path / "weights.pt").write_bytes(b"no weights at all")
    return ["distill", "digits", "--squeeze.checkpoint", str(tmp_path / "weights.pt"), *CHEAP]


def missing_checkpoint(tmp_path: Path) -> list[str]:
    return ["distill", "digits", "--squeeze.checkpoint", str(tmp_path / "weights.pt"), *CHEAP]


def checkpoint_with_other_classes(tmp_path: Path) -> list[str]:
    spec = resolve_spec(ARCH, num_classes=3, channels=1, image_size=8)
    torch.save(build_model(spec).state_dict(), tmp_path / "weights.pt")
    return ["distill", "digits", "--squeeze.checkpoint", str(tmp_path / "weights.pt"), *CHEAP]


def foreign_checkpoint(tmp_path: Path) -> list[str]:
    spec = resolve_spec("convnet2_w8_bn", num_classes=10, channels=1, image_size=8)
    torch.save(build_model(spec).state_dict(), tmp_path / "weights.pt")
    return ["distill", "digits", "--squeeze.checkpoint", str(tmp_path / "weights.pt"), *CHEAP]


def out_is_a_file(tmp_path: Path) -> list[str]:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    return ["distill", "digits", "--out", str(tmp_path / "out"), *CHEAP]


def store_is_a_file(tmp_path: Path) -> list[str]:
    (tmp_path / "store").write_text("mine", encoding="utf-8")
    return ["distill", "digits", "--store", str(tmp_path / "store"), *CHEAP]


def words(text: str) -> Callable[[Path], list[str]]:
    return lambda _: text.split()


WRONG: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    # the ten kinds of the contract
    "missing folder": (missing_folder, "there is no such folder"),
    "empty class": (empty_class, "'empty'"),
    "unknown class in val": (unknown_class_in_val, "horse"),
    "corrupt JPEG": (corrupt_jpeg, "torn.jpg"),
    "IPC larger than a class": (ipc_larger_than_a_class, "lower --ipc"),
    "misspelt flag": (words("distill digits --recover.iteration 5"), "did you mean 'recover.iterations'?"),
    "value out of range": (words("distill digits --ipc 0"), "ipc"),
    "misspelt recipe key": (misspelt_recipe_key, "did you mean 'recover.iterations'?"),
    "unreadable checkpoint": (unreadable_checkpoint, "checkpoint cannot be read"),
    "checkpoint of other classes": (checkpoint_with_other_classes, "has 3 classes, the data have 10"),
    # more of the same
    "missing checkpoint": (missing_checkpoint, "checkpoint not found"),
    "checkpoint of another network": (foreign_checkpoint, "is not a convnet1_w8_bn"),
    "out is a file": (out_is_a_file, "out"),
    "store is a file": (store_is_a_file, "store"),
    "unknown command": (words("distil digits"), "did you mean 'distill'?"),
    "unknown source": (words("distill digit"), "did you mean 'digits'?"),
    "unknown recipe": (words("distill digits --recipe digit"), "did you mean 'digits'?"),
    "unknown method": (words("distill digits --method wmd"), "did you mean 'wmdd'?"),
    "unknown protocol": (words("distill digits --evaluate.protocols wmd"), "did you mean 'wmdd'?"),
    "unknown student": (words("distill digits --evaluate.students resnet81"), "did you mean 'resnet18'?"),
    "unknown teacher": (words("distill digits --squeeze.arch resnet81"), "did you mean 'resnet18'?"),
    "teacher without BatchNorm": (words("distill digits --squeeze.arch vit_tiny"), "needs a teacher with BatchNorm"),
    "misspelt stage": (words("distill digits --until recovr"), "did you mean 'recover'? It has squeeze, statistics"),
    "stage of another method": (
        words("distill digits --method dm --evaluate.references random --until barycenter"),
        "'barycenter'; choose one of evaluate, match_means, random, relabel, squeeze",
    ),
    "stage that only another setting brings": (words("distill digits --until full_data"), "no stage of this run"),
    "teacher that another one replaces": (words("distill digits --method scdd --until squeeze"), "no stage of"),
    "network of a method too deep": (
        words("distill digits --method dm --dm.arch convnet5"),
        "convnet5 halves images 5 times",
    ),
    "unknown device": (words("distill digits --device gpu --squeeze.arch convnet1_w8_bn"), "device"),
    "no whole number": (words("distill digits --ipc ten"), "ipc: not a whole number; got 'ten'; give a whole number"),
    "two values": (words("distill digits --ipc 3 4"), "--ipc needs one value; got 3 4"),
    "no command": (words("--ipc ten"), "the command comes first; got '--ipc'"),
    "switch with a value": (words("distill digits --squeeze.flip False"), "got False; a switch takes no value"),
    "list without values": (words("distill digits --evaluate.students"), "got an empty list; name one"),
    "list of which one is none": (words("distill digits --evaluate.students resnet18 81"), "unknown network"),
    "setting of another method": (words("distill digits --dm.lr 3"), "dm.lr: method wmdd does not read it"),
    "switch of another method": (words("distill digits --scdd.no-flip"), "scdd.flip: method wmdd does not read it"),
    "no number": (words("distill digits --recover.lr fast"), "recover.lr: not a number; got 'fast'; give a number"),
    "negative number": (words("distill digits --recover.lr -1"), "recover.lr"),
    "no such choice": (words("distill digits --recover.bn per_clas"), "'per_clas'; give 'per_class', 'global',"),
    "setting without a value": (words("distill digits --recover.lr"), "recover.lr"),
    "setting before another without a value": (words("distill digits --ipc --seed 3"), "ipc"),
    "flag without a value": (words("distill digits --out"), "--out needs a value"),
    "flag before another without a value": (words("distill digits --out --ipc 3"), "--out needs a value"),
    "short flag": (words("distill digits -ipc 3"), "did you mean --ipc?"),
    "word too many": (words("distill digits cifar10"), "cifar10"),
    "distill what": (words("distill"), "needs its target first"),
    "flag before the target": (words("distill --ipc 1 digits"), "needs its target first"),
    "evaluate what": (words("evaluate"), "needs its target first"),
    "evaluate on what": (words("evaluate nowhere"), "no --data"),
    "evaluate nothing": (words("evaluate nowhere --data digits"), "nowhere"),
    "evaluate with a misspelt flag": (words("evaluate x --data digits --protocl wmdd"), "did you mean 'protocols'?"),
    "evaluate with no seeds": (words("evaluate x --data digits --seeds 0"), "seeds"),
    "report nothing": (words("report nowhere"), "nowhere"),
    "report with a flag": (words("report nowhere --open"), "--open"),
    "status of nothing": (words("status nowhere"), "nowhere"),
    "export nothing": (words("export nowhere --format parquet --to there"), "nowhere"),
    "export without a format": (words("export nowhere --to there"), "--format"),
    "export to nowhere": (words("export nowhere --format parquet"), "--to"),
    "export in an unknown format": (words("export nowhere --format parket --to there"), "did you mean 'parquet'?"),
    "list what": (words("list"), "choose one of"),
    "list too much": (words("list methods recipes"), "unexpected word; got recipes"),
    "flag without dashes": (words("distill digits recover.lr 3"), "did you mean --recover.lr?"),
    "value of an unset variable": (
        lambda _: ["distill", "digits", "--out", ""],
        "out: needs a value; got an empty one",
    ),
    "list of nothing": (words("distill digits --evaluate.students="), "needs a value; got an empty one"),
    "target of an unset variable": (lambda _: ["distill", ""], "needs its target first; got nothing"),
    "no finite number": (words("distill digits --recover.lr inf"), "recover.lr: not a finite number; got 'inf'"),
    "rows of nothing": (words("bench digits --methods"), "methods: too few values; got none; give at least 1"),
    "list an unknown kind": (words("list method"), "did you mean 'methods'?"),
    "doctor with words": (words("doctor now"), "now"),
    "version with words": (words("version now"), "now"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_input_is_one_line_and_exit_code_2(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, expected = WRONG[kind]
    typed = make(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = main(typed)
    printed = capsys.readouterr()
    assert code == 2
    assert printed.out == ""
    assert printed.err.startswith("wmdd: error: ")
    assert printed.err.count("\n") == 1
    assert printed.err.endswith("\n")
    assert expected in printed.err


FOUND_BY_OPENING = {
    *("empty class", "unknown class in val", "corrupt JPEG", "IPC larger than a class", "unreadable checkpoint"),
    *("checkpoint of other classes", "checkpoint of another network", "out is a file", "store is a file"),
    *("teacher without BatchNorm", "network of a method too deep", "unknown device"),
}
"""What only the data, a file's content or the machine can tell."""


def test_the_rest_is_found_without_torch(tmp_path: Path) -> None:
    typed = {}
    for number, kind in enumerate(sorted({*WRONG} - FOUND_BY_OPENING)):
        (tmp_path / str(number)).mkdir()
        typed[kind] = WRONG[kind][0](tmp_path / str(number))
    script = (
        "import json, sys; from wmdd.cli.main import main\n"
        "heavy = lambda: {'torch', 'torchvision', 'timm', 'ot', 'sklearn', 'matplotlib'} & {*sys.modules}\n"
        "found = {kind: [main(words), *heavy()] for kind, words in json.loads(sys.argv[1]).items()}\n"
        "print({kind: answer for kind, answer in found.items() if answer != [2]})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(typed)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == "{}\n"
    assert done.stderr.count("\n") == len(typed)


def test_a_broken_image_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = corrupt_jpeg(tmp_path)
    place = ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store")]
    code = main(
        [*typed, *CHEAP, *place, "--data.max_broken", "1", "--ipc", "1", "--squeeze.epochs", "1", "--until", "squeeze"]
    )
    assert code == 0, capsys.readouterr().err
