"""Methods of other installed packages: found by metadata, imported when asked for, broken ones are one line."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import wmdd
from wmdd.cli.main import main
from wmdd.errors import ConfigError
from wmdd.methods._registry import find_method
from wmdd.methods.names import METHODS, known_methods

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
ARCH = "convnet1_w8_bn"
Install = Callable[..., None]
CHEAP = {
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"arch": ARCH, "epochs": 1},
    "evaluate": {"students": (ARCH,), "epochs": 2, "seeds": 1},
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package of one module, as pip would leave it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def put(code: str, *, method: str = "means", module: str = "means", package: str = "wmdd_means") -> None:
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\nSummary: means of real images\n"
        (info / "METADATA").write_text(about, encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[wmdd.methods]\n{method} = {module}:METHOD\n", encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return put


def documented() -> str:
    """Return the example of the page."""
    return PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]


def test_the_example_is_short() -> None:
    code = [line for line in documented().splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(code) <= 30


def test_the_documented_method_is_listed_without_being_imported(
    install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install(documented())
    assert main(["list", "methods"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "means means of real images (package wmdd_means)" in out
    assert "means" not in sys.modules
    assert list(known_methods()) == [*METHODS, "means"]


def test_the_documented_method_runs_on_digits_with_its_options(install: Install, tmp_path: Path) -> None:
    install(documented())
    place = {"out": tmp_path / "run", "store": tmp_path / "store"}
    run = wmdd.distill("digits", method="means", ipc=2, options={"group": 3}, **place, **CHEAP)
    assert [score["set"] for score in run.metrics["evaluations"]] == ["means", "random"]
    assert "options:\n  group: 3\n" in (run.out / "recipe.yaml").read_text("utf-8")
    first = wmdd.load(run.out).images
    again = wmdd.distill("digits", recipe=run.out / "recipe.yaml", **place)
    assert again.metrics["run"]["results"] == run.metrics["run"]["results"]
    other = wmdd.distill("digits", method="means", ipc=2, options={"group": 1}, **place, **CHEAP)
    assert not wmdd.load(other.out).images.equal(first)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--options.grup", "3"], "options.grup: unknown setting; did you mean 'group'?"),
        (["--options.group", "many"], "options.group: input should be a valid integer"),
        (["--method", "wmdd", "--options.group", "3"], "method 'wmdd' has no options; got group"),
        (["--method", "meens"], "did you mean 'means'?"),
    ],
)
def test_wrong_options_are_one_line(
    install: Install, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    install(documented())
    place = ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store"), "--device", "cpu"]
    assert main(["distill", "digits", "--method", "means", *words, *place]) == 2
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
        ("from wmdd.methods.random.wiring import RANDOM as METHOD", "got a method called 'random'"),
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
    install(documented(), package="one", module="means_one")
    install(documented(), package="two", module="means_two")
    with pytest.raises(ConfigError, match="registered twice; got one and two"):
        find_method("means")


def test_a_built_in_method_goes_first(install: Install) -> None:
    install("raise RuntimeError", method="random", module="stranger", package="strange")
    assert known_methods() == METHODS
    assert find_method("random").source == "the field's standard baseline"


def test_listing_methods_does_not_wait_for_torch() -> None:
    code = "import sys; from wmdd.cli.main import main; main(['list', 'methods']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, timeout=60).returncode == 0
