"""Every file in `examples/` runs, and its docstring says how."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

import wmdd

EXAMPLES = Path(__file__).parents[1] / "examples"
SMALL = "convnet1_w8_bn"
TINY = {
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "data.image_size": 32,
    "squeeze": {"arch": SMALL, "epochs": 1, "batch": 8, "warmup": 0.0},
    "recover": {"iterations": 2},
    "evaluate": {
        "students": (SMALL,),
        "protocols": ("wmdd",),
        "seeds": 1,
        "epochs": 2,
        "labels": "soft",
        "references": ("random",),
    },
}


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two colours, with some noise, as PNG files in train/ and val/."""
    root = tmp_path_factory.mktemp("pictures")
    noise = torch.Generator().manual_seed(0)
    for split, count in (("train", 8), ("val", 3)):
        for channel, name in enumerate(("blue", "red")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = torch.randint(0, 80, (32, 32, 3), dtype=torch.uint8, generator=noise)
                pixels[..., 2 - 2 * channel] += 150
                Image.fromarray(pixels.numpy()).save(folder / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> wmdd.Run:
    """What the example that distils leaves."""
    place = tmp_path_factory.mktemp("run")
    return example("distill_a_folder").main(pictures, place / "mine", store=place / "store", **TINY)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_the_docstring_names_the_command(path: Path) -> None:
    text = path.read_text()
    assert re.search(rf'^""".*?^    python examples/{path.name}\b', text, re.MULTILINE | re.DOTALL)
    assert f"def test_{path.stem}(" in Path(__file__).read_text()


def test_barycenter(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    module = example("barycenter")
    costs = module.main()
    assert max(costs["learned"], costs["exact"]) < costs["uniform"]
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert list(tmp_path.iterdir()) == []
    assert module.main(tmp_path / "first.svg") == module.main(tmp_path / "second.svg") == costs
    picture = (tmp_path / "first.svg").read_bytes()
    assert picture == (tmp_path / "second.svg").read_bytes()
    assert len(picture) < 150_000
    assert picture.count(b"<use") > 3 * len(module.plane())
    module.main(tmp_path / "picture.png")
    with Image.open(tmp_path / "picture.png") as opened:
        assert opened.width > opened.height > 500


def test_distill_a_folder(run: wmdd.Run) -> None:
    assert {score["set"] for score in run.metrics["evaluations"]} == {"wmdd", "random"}
    assert (run.out / "report.html").exists()
    assert wmdd.load(run.out).classes == ("blue", "red")


def test_train_on_a_distilled_set(run: wmdd.Run, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    top1 = example("train_on_a_distilled_set").main(run.out, pictures / "val", epochs=2)
    assert 0 <= top1 <= 100
    assert "trained on 2 images" in capsys.readouterr().out


def test_other_classes_are_refused(run: wmdd.Run, tmp_path: Path) -> None:
    (tmp_path / "green").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "green" / "0.png")
    module = example("train_on_a_distilled_set")
    with pytest.raises(SystemExit, match="other classes"):
        module.accuracy(torch.nn.Identity(), wmdd.load(run.out), tmp_path)
