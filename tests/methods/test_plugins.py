"""Methods of other installed packages: found by metadata, imported when asked for, broken ones are one line."""

import html
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wmdd
from wmdd.cli.main import main
from wmdd.errors import ConfigError
from wmdd.methods.catalogue import builtin_methods, find_method, known_methods
from wmdd.pipeline.bench_recipe import BenchRecipe

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
ARCH = "convnet1_w8_bn"
Install = Callable[..., None]
CHEAP = {
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"arch": ARCH, "epochs": 1},
    "evaluate": {"students": (ARCH,), "epochs": 2, "seeds": 1, "labels": "soft", "references": ("random",)},
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package of one module, as pip would leave it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(*code: str, method: str = "means", module: str = "means", package: str = "wmdd_means") -> None:
        (site / module).mkdir()
        for name, text in zip(("__init__.py", "distill.py"), code, strict=False):
            (site / module / name).write_text(text, encoding="utf-8")
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nSummary: means of real images\n"
        (info / "METADATA").write_text(about, encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[wmdd.methods]\n{method} = {module}:METHOD\n", encoding="utf-8")
        for name in (module, f"{module}.distill"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    return put


def documented() -> list[str]:
    """Return the two files of the page's example: the card, and what the method does."""
    return [part.partition("```")[0] for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]]


def test_the_example_is_short_and_imports_public_names_only() -> None:
    lines = [line for text in documented() for line in text.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith(("import", "from"))]
    assert len(code) <= 40
    assert not [line for line in lines if line.startswith("from wmdd") and re.search(r"\b_\w", line)]


def test_the_documented_method_is_listed_without_being_imported(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(*documented())
    assert main(["list", "methods"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "means means of real images (package wmdd_means)" in out
    assert "means" not in sys.modules
    assert list(known_methods()) == [*builtin_methods(), "means"]


def test_the_documented_method_runs_on_digits_with_its_settings(install: Install, tmp_path: Path) -> None:
    install(*documented())
    place = {"out": tmp_path / "run", "store": tmp_path / "store"}
    run = wmdd.distill("digits", method="means", ipc=2, means={"number": 3}, **place, **CHEAP)
    assert [score["set"] for score in run.metrics["evaluations"]] == ["means", "random"]
    assert "means:\n  number: 3\n" in (run.out / "recipe.yaml").read_text("utf-8")
    first = wmdd.load(run.out).images
    again = wmdd.distill("digits", recipe=run.out / "recipe.yaml", **place)
    assert again.metrics["run"]["results"] == run.metrics["run"]["results"]
    other = wmdd.distill("digits", method="means", ipc=2, means={"number": 1}, **place, **CHEAP)
    assert not wmdd.load(other.out).images.equal(first)


def test_the_documented_method_is_evaluated_again_and_its_loss_is_drawn(install: Install, tmp_path: Path) -> None:
    install(*documented())
    run = wmdd.distill("digits", method="means", ipc=1, out=tmp_path / "run", store=tmp_path / "store", **CHEAP)
    found = wmdd.evaluate(run.out, "digits", students=[ARCH], protocols=["hard"], seeds=1, epochs=1)
    assert [(score.set, score.protocol) for score in found.scores] == [("means", "hard"), ("random", "hard")]
    scores = json.loads((run.out / "metrics.json").read_text("utf-8"))["evaluations"]
    assert {(score["set"], score["protocol"]) for score in scores} == {
        (name, protocol) for name in ("means", "random") for protocol in ("wmdd", "hard")
    }
    page = (run.out / "report.html").read_text("utf-8")
    assert "Means on digits, 1 image a class" in page
    curve = page.partition("Distillation loss")[2].partition("</figure>")[0]
    assert "distance from the class's mean" in html.unescape(curve)


def test_the_documented_method_takes_part_in_a_bench(install: Install, tmp_path: Path) -> None:
    install(*documented())
    base = {**CHEAP, "means.number": 2, "evaluate.references": ()}
    rows = BenchRecipe(base=base, methods=("herding", "means"), ipcs=(1,), distill_seeds=1)
    found = wmdd.bench("digits", recipe=rows, out=tmp_path / "bench", store=tmp_path / "store")
    assert [(cell["row"], cell["state"], len(cell["scores"])) for cell in found.results["cells"]] == [
        (row, "finished", 1) for row in ("random", "herding", "means")
    ]
    assert "Means" in (found.out / "bench.md").read_text("utf-8")


def test_the_settings_of_the_documented_method_are_in_the_help(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(*documented())
    assert main(["distill", "--method", "means", "--help"]) == 0
    flat = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--means.number INT Real images behind each mean. (default: 4)" in flat
    assert "--recover." not in flat


def test_the_same_two_files_are_a_built_in_method_in_the_source_tree(tmp_path: Path) -> None:
    copied = shutil.copytree(Path(wmdd.__file__).parent, tmp_path / "wmdd", ignore=shutil.ignore_patterns("*.pyc"))
    (copied / "methods" / "means").mkdir()
    for name, text in zip(("__init__.py", "distill.py"), documented(), strict=True):
        placed = text.replace("from means import", "from wmdd.methods.means import")
        placed = placed.replace('"means.distill"', '"wmdd.methods.means.distill"')
        (copied / "methods" / "means" / name).write_text(placed, encoding="utf-8")
    code = "from wmdd.cli.main import main; main(['list', 'methods']); main(['distill', '--method', 'means', '--help'])"
    # The copy does not count for the coverage of the original.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    environment["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "means means of a few real images" in " ".join(done.stdout.split())
    assert "--means.number" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "means", "--means.numbr", "3"], "means.numbr: unknown setting; did you mean 'means.number'?"),
        (["--method", "means", "--means.number", "many"], "means.number: not a whole number; got 'many'"),
        (["--method", "wmdd", "--means.number", "3"], "means.number: method wmdd does not read it"),
        (["--method", "means", "--recover.lr", "3"], "method means does not read it; leave it out"),
        (["--method", "meens"], "did you mean 'means'?"),
    ],
)
def test_wrong_settings_are_one_line(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    install(*documented())
    place = ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store"), "--device", "cpu"]
    assert main(["distill", "digits", *words, *place]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_module", "cannot be loaded; got ModuleNotFoundError"),
        ("def (", "cannot be loaded; got SyntaxError"),
        ("pass", "cannot be loaded; got AttributeError"),
        ("METHOD = 3", "got int"),
        ("from wmdd.methods.random import METHOD", "got a method called 'random'"),
    ],
)
def test_a_broken_package_is_one_line_and_disturbs_nobody(install: Install, code: str, message: str) -> None:
    install(code)
    assert "means" in known_methods()
    assert find_method("random").name == "random"
    with pytest.raises(ConfigError) as caught:
        find_method("means")
    assert message in str(caught.value)
    assert "wmdd_means" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_packages_with_one_name_are_told_apart(install: Install) -> None:
    install(*documented(), package="one", module="means_one")
    install(*documented(), package="two", module="means_two")
    with pytest.raises(ConfigError, match="registered twice; got one and two"):
        find_method("means")


def test_a_built_in_method_goes_first(install: Install) -> None:
    install("raise RuntimeError", method="random", module="stranger", package="strange")
    assert list(known_methods()) == list(builtin_methods())
    assert find_method("random").source == "the field's standard baseline"


def test_listing_methods_does_not_wait_for_torch() -> None:
    code = "import sys; from wmdd.cli.main import main; main(['list', 'methods']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60).returncode == 0
