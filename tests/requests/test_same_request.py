"""Words and arguments that say the same ask for the same, and what is wrong in both gets the same line."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from asked import FUNCTIONS, called, catch, typed

import wmdd
from wmdd import api
from wmdd.cli.commands import COMMANDS
from wmdd.cli.main import main
from wmdd.errors import WmddError
from wmdd.methods.catalogue import complete
from wmdd.recipes import BENCHES, choose_recipe
from wmdd.requests.bench import BenchFlags
from wmdd.requests.distill import DistillFlags
from wmdd.requests.evaluate import EvaluateFlags
from wmdd.requests.inspect import ExportFlags
from wmdd.requests.worth import WorthFlags

RECIPE = "method: dm\nipc: 3\nevaluate: {epochs: 3, students: [convnet2]}\n"
BENCH = "base: digits\nmethods: [dm, mine]\nipcs: [2]\ndistill_seeds: 2\nvariants: {mine: {recover.lr: 0.2}}\n"
Case = tuple[str, dict[str, Any]]

DISTILL: list[Case] = [
    ("", {}),
    ("--ipc 3", {"ipc": 3}),
    ("--method dm --dm.iterations 7", {"method": "dm", "dm": {"iterations": 7}}),
    ("--recipe imagenette64 --seed 4", {"recipe": "imagenette64", "seed": 4}),
    ("--recipe mine.yaml --dm.lr 2", {"recipe": Path("mine.yaml"), "dm.lr": 2}),
    ("--recipe mine.yaml --method wmdd", {"recipe": "mine.yaml", "method": "wmdd"}),
    ("--out there --store here --until recover", {"out": Path("there"), "store": "here", "until": "recover"}),
    ("--squeeze.no-flip --recover.bn-weight=0.5", {"squeeze": {"flip": False}, "recover.bn_weight": 0.5}),
    ("--evaluate.students resnet18 resnet50", {"evaluate": {"students": ["resnet18", "resnet50"]}}),
    ("--recipe mine.yaml --evaluate.epochs None", {"recipe": "mine.yaml", "evaluate": {"epochs": None}}),
    ("--device cpu --threads 2 --save-every 1", {"device": "cpu", "threads": 2, "save_every": 1}),
    ("--data.image-size 16 --ipc-at-most", {"data.image_size": 16, "ipc_at_most": True}),
    ("--compile --threads 1", {"compile": True, "threads": 1}),
]
EVALUATE: list[Case] = [
    ("", {}),
    ("--students resnet18 vit_tiny", {"students": ["resnet18", "vit_tiny"]}),
    ("--student resnet18 --protocol rded hard", {"students": ("resnet18",), "protocols": ("rded", "hard")}),
    ("--student resnet18", {"student": ["resnet18"]}),
    ("--seeds 2 --labels both", {"seeds": 2, "labels": "both"}),
    ("--epochs 5 --device cpu --precision bf16", {"epochs": 5, "device": "cpu", "precision": "bf16"}),
    ("--evaluate.epochs None", {"evaluate": {"epochs": None}}),
    ("--epochs None", {"epochs": None}),
    ("--evaluate.tests 2 --relabel.temperature 3", {"evaluate.tests": 2, "relabel": {"temperature": 3}}),
    ("--data.workers 1 --threads auto", {"data.workers": 1, "threads": "auto"}),
]
WORTH: list[Case] = [
    *EVALUATE,
    ("--multiples 2 10 --draws 1", {"multiples": [2, 10], "draws": 1}),
    ("--draws 5 --protocols hard --seeds 2", {"draws": 5, "protocols": ["hard"], "seeds": 2}),
]
BENCHED: list[Case] = [
    ("", {}),
    ("--methods dm wmdd --ipcs 1 5", {"methods": ["dm", "wmdd"], "ipcs": [1, 5]}),
    ("--methods all --ipc 2", {"methods": ("all",), "ipc": (2,)}),
    (
        "--students resnet18 --protocols dc --seeds 2 --distill-seeds 3",
        {"students": ["resnet18"], "protocols": ["dc"], "seeds": 2, "distill_seeds": 3},
    ),
    ("--recipe paper_lambda --ipcs 1", {"recipe": "paper_lambda", "ipcs": (1,)}),
    ("--recipe bench.yaml --methods all", {"recipe": Path("bench.yaml"), "methods": ["all"]}),
    ("--out there --store here --recover.lr 0.5", {"out": "there", "store": Path("here"), "recover": {"lr": 0.5}}),
    ("--methods dm --dm.iterations 7 --seed 3", {"methods": ("dm",), "dm.iterations": 7, "seed": 3}),
    ("--evaluate.epochs 7 --squeeze.no-flip", {"evaluate": {"epochs": 7}, "squeeze": {"flip": False}}),
    ("--recipe bench.yaml --evaluate.epochs None", {"recipe": "bench.yaml", "evaluate.epochs": None}),
    ("--worth --losses", {"worth": True, "losses": True}),
]
EXPORT: list[Case] = [
    (f"--format {form} --to there", {"format": form, "to": Path("there")})
    for form in ("imagefolder", "parquet", "safetensors")
]
GRID = [
    *(("distill", "digits", *case) for case in DISTILL),
    *(("evaluate", "run", f"--data digits {words}", {"data": "digits", **facts}) for words, facts in EVALUATE),
    *(("worth", "run", f"--data digits {words}", {"data": "digits", **facts}) for words, facts in WORTH),
    *(("bench", "digits", *case) for case in BENCHED),
    *(("export", "run", *case) for case in EXPORT),
]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with recipes, and something that may be the folder of a run."""
    (tmp_path / "mine.yaml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "bench.yaml").write_text(BENCH, encoding="utf-8")
    (tmp_path / "run" / "distilled").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("command", "target", "words", "arguments"), GRID)
def test_words_and_arguments_ask_for_the_same(
    command: str, target: str, words: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = catch(monkeypatch)
    typed([command, target, *words.split()])
    called(command, target, **arguments)
    assert requests[0] == requests[1]
    assert repr(requests[0]) == repr(requests[1])  # also in the types of values, which files show


def test_what_is_asked_for_is_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two agree, and neither leaves anything out."""
    requests = catch(monkeypatch)
    called("distill", "digits", ipc=3, recover={"lr": 0.5}, until="recover", out="there")
    run = requests.pop()
    assert (run.data, run.recipe.ipc, run.recipe.recover.lr, run.until) == ("digits", 3, 0.5, "recover")
    assert (run.out, run.store) == (Path("there"), Path("runs/.store"))
    called("evaluate", "run", "digits", students=["resnet18"], seeds=2, relabel={"temperature": 3})
    changes = {"evaluate.students": ("resnet18",), "evaluate.seeds": 2, "relabel.temperature": 3.0}
    assert requests.pop().changes == changes
    called("worth", "run", "digits", students=["resnet18"], multiples=[2, 4], draws=2)
    asked = requests.pop()
    assert (asked.students.changes, asked.multiples, asked.draws) == ({"evaluate.students": ("resnet18",)}, (2, 4), 2)
    called("worth", "run", "digits")
    asked = requests.pop()
    assert (asked.students.changes, asked.multiples, asked.draws) == ({}, (2, 3, 5, 10), 3)
    called("bench", "digits", methods=["dm"], seeds=2, dm={"lr": 3})
    table = requests.pop().recipe
    assert (table.methods, table.shared.evaluate.seeds, table.base["dm"]["lr"]) == (("dm",), 2, 3.0)


@pytest.mark.parametrize("run", ["run", "run/distilled", Path("run/distilled/"), "run/."])
def test_a_run_may_be_named_by_its_set(run: str | Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = catch(monkeypatch)
    typed(["evaluate", str(run), "--data", "digits"])
    called("evaluate", run, "digits")
    assert requests[0] == requests[1]
    assert requests[0].run.resolve() == Path("run").resolve()


def test_a_run_may_be_where_one_stands_and_be_called_like_its_set(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = catch(monkeypatch)
    with monkeypatch.context() as patch:
        patch.chdir("run/distilled")
        typed(["evaluate", ".", "--data", "digits"])
        assert requests.pop().run.resolve() == Path("..").resolve()
    Path("run/distilled/run.json").touch()
    typed(["evaluate", "run/distilled", "--data", "digits"])
    assert requests.pop().run == Path("run/distilled")


def test_recipes_may_be_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    requests = catch(monkeypatch)
    called("distill", "digits", recipe=complete(choose_recipe("digits", "mine.yaml")), ipc=5)
    typed(["distill", "digits", "--recipe", "mine.yaml", "--ipc", "5"])
    assert requests[0] == requests[1]
    called("bench", "digits", recipe=BENCHES["paper_lambda"](), ipcs=(1,), out="there")
    typed(["bench", "digits", "--recipe", "paper_lambda", "--ipcs", "1", "--out", "there"])
    assert requests[2] == requests[3]


@pytest.mark.parametrize(
    ("command", "kind", "extra"),
    [
        ("distill", DistillFlags, {"watcher", "command", "settings", "quiet"}),
        ("evaluate", EvaluateFlags, {"watcher", "settings", "distilled", "quiet"}),
        ("worth", WorthFlags, {"watcher", "settings", "distilled", "quiet"}),
        ("bench", BenchFlags, {"watcher", "command", "settings", "quiet"}),
        ("export", ExportFlags, {"distilled"}),
    ],
)
def test_flags_and_arguments_have_the_same_names_and_no_defaults(command: str, kind: Any, extra: set[str]) -> None:
    parameters = inspect.signature(FUNCTIONS[command]).parameters
    positional = {name for name, each in parameters.items() if each.kind is each.POSITIONAL_ONLY}
    assert {*parameters} - extra - positional == {*kind.model_fields}
    assert {field.default for field in kind.model_fields.values()} == {None}
    given = [parameters[name].default for name in kind.model_fields]
    assert {default for default in given if default is not inspect.Parameter.empty} <= {None}


def test_every_command_has_a_function() -> None:
    assert {*COMMANDS} - {"version", "--version"} == {*FUNCTIONS, "doctor"}
    assert {wmdd.distill, wmdd.evaluate, wmdd.bench} == {api.distill, api.evaluate, api.bench}


WRONG = [
    ("distill", "digits", "--ipc 0", {"ipc": "0"}),
    ("distill", "digits", "--ipc ten", {"ipc": "ten"}),
    ("distill", "digits", "--ipcc 3", {"ipcc": 3}),
    ("distill", "digits", "--untl recover", {"untl": "recover"}),
    ("distill", "digits", "--until recovr", {"until": "recovr"}),
    ("distill", "digits", "--recover.lrr 1", {"recover": {"lrr": 1}}),
    ("distill", "digits", "--recover.lr -1", {"recover": {"lr": "-1"}}),
    ("distill", "digits", "--recover.lr inf", {"recover.lr": "inf"}),
    ("distill", "digits", "--recover.bn per_clas", {"recover.bn": "per_clas"}),
    ("distill", "digits", "--dm.lr 3", {"dm.lr": 3}),
    ("distill", "digits", "--scdd.no-flip", {"scdd": {"flip": False}}),
    ("distill", "digits", "--method wmd", {"method": "wmd"}),
    ("distill", "digits", "--recipe digit", {"recipe": "digit"}),
    ("distill", "digits", "--recipe none.yaml", {"recipe": Path("none.yaml")}),
    ("distill", "digits", "--evaluate.students resnet81", {"evaluate.students": ["resnet81"]}),
    ("distill", "digits", "--evaluate.students", {"evaluate": {"students": []}}),
    ("distill", "digits", "--evaluate.students=", {"evaluate": {"students": [""]}}),
    ("distill", "digits", "--out=", {"out": ""}),
    ("distill", "digits", "--squeeze.checkpoint gone.pt", {"squeeze": {"checkpoint": "gone.pt"}}),
    ("distill", "digit", "", {}),
    ("distill", "./nowhere", "", {}),
    ("distill", " ", "", {}),
    ("evaluate", "run", "--data digits --seeds 0", {"data": "digits", "seeds": "0"}),
    ("evaluate", "run", "--data digits --labels sof", {"data": "digits", "labels": "sof"}),
    ("evaluate", "run", "--data digits --precision fp23", {"data": "digits", "precision": "fp23"}),
    ("evaluate", "run", "--data digits --students resnet81", {"data": "digits", "students": ["resnet81"]}),
    ("evaluate", "run", "--data digits --students", {"data": "digits", "students": []}),
    ("evaluate", "run", "--data digits --protocols wmd", {"data": "digits", "protocols": ["wmd"]}),
    ("evaluate", "run", "--data digits --protocl wmdd", {"data": "digits", "protocl": ["wmdd"]}),
    ("evaluate", "run", "--data digits --recover.lr 1", {"data": "digits", "recover": {"lr": 1}}),
    ("evaluate", "run", "--data digits --ipc 1", {"data": "digits", "ipc": 1}),
    ("evaluate", "run", "--data digits --evaluate.tests 0", {"data": "digits", "evaluate": {"tests": "0"}}),
    (
        "evaluate",
        "run",
        "--data digits --relabel.teachers resnet81",
        {"data": "digits", "relabel.teachers": ["resnet81"]},
    ),
    (
        "evaluate",
        "run",
        "--data digits --seeds 1 --evaluate.seeds 2",
        {"data": "digits", "seeds": 1, "evaluate.seeds": "2"},
    ),
    (
        "evaluate",
        "run",
        "--data digits --student a --students b",
        {"data": "digits", "student": ["a"], "students": ("b",)},
    ),
    ("evaluate", "run", "--data digit", {"data": "digit"}),
    ("evaluate", "run", "--data digits", {"data": "digits"}),  # an empty folder
    ("evaluate", "nowhere", "--data digits", {"data": "digits"}),
    ("evaluate", "", "--data digits", {"data": "digits"}),
    ("worth", "run", "--data digits --multiples 1", {"data": "digits", "multiples": ["1"]}),
    ("worth", "run", "--data digits --multiples", {"data": "digits", "multiples": []}),
    ("worth", "run", "--data digits --draws 0", {"data": "digits", "draws": "0"}),
    ("worth", "run", "--data digits --drws 2", {"data": "digits", "drws": 2}),
    ("worth", "run", "--data digits --recover.lr 1", {"data": "digits", "recover": {"lr": 1}}),
    ("worth", "run", "--data digits --evaluate.references all", {"data": "digits", "evaluate.references": ["all"]}),
    ("worth", "run", "--data digits", {"data": "digits"}),  # an empty folder
    ("worth", "nowhere", "--data digits", {"data": "digits"}),
    ("bench", "digits", "--methods herdin", {"methods": ["herdin"]}),
    ("bench", "digits", "--methods", {"methods": []}),
    ("bench", "digits", "--method dm", {"method": ["dm"]}),
    ("bench", "digits", "--ipcs 0", {"ipcs": ["0"]}),
    ("bench", "digits", "--ipc", {"ipcs": []}),
    ("bench", "digits", "--seeds 0", {"seeds": "0"}),
    ("bench", "digits", "--distill-seeds many", {"distill_seeds": "many"}),
    ("bench", "digits", "--methods random --dm.lr 3", {"methods": ["random"], "dm": {"lr": 3}}),
    ("bench", "digits", "--recover.lr -1", {"recover": {"lr": "-1"}}),
    ("bench", "digits", "--until recover", {"until": "recover"}),
    ("bench", "digits", "--protocols none", {"protocols": ["none"]}),
    ("bench", "digits", "--students resnet81", {"students": ["resnet81"]}),
    ("bench", "digits", "--recipe paper_mian", {"recipe": "paper_mian"}),
    ("bench", "digit", "", {}),
    ("report", "nowhere", "", {}),
    ("report", "run", "", {}),
    ("report", "", "", {}),
    ("status", "nowhere", "", {}),
    ("status", "", "", {}),
    ("export", "nowhere", "--format parquet --to there", {"format": "parquet", "to": "there"}),
    ("export", "run", "--format parket --to there", {"format": "parket", "to": "there"}),
    ("export", "run", "--format parquet --to run", {"format": "parquet", "to": "run"}),
    ("export", "run", "--format= --to there", {"format": "", "to": "there"}),
    ("list", "method", "", {}),
    ("list", "", "", {}),
]


@pytest.mark.parametrize(("command", "target", "words", "arguments"), WRONG)
def test_words_and_arguments_that_are_wrong_get_the_same_line(
    command: str, target: str, words: str, arguments: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, target, *words.split()]) == 2
    with pytest.raises(WmddError) as caught:
        FUNCTIONS[command](target, **arguments)
    assert capsys.readouterr().err.splitlines()[-1] == f"wmdd: error: {caught.value}"


def test_requests_are_made_without_torch() -> None:
    code = (
        "import sys; from wmdd.requests import bench, distill, evaluate, inspect, worth\n"
        "distill.distill_request('digits', {'ipc': 3}).require_inputs()\n"
        "evaluate.evaluate_request('run', {'data': 'digits', 'seeds': 3}).require_inputs()\n"
        "worth.worth_request('run', {'data': 'digits', 'draws': 3}).require_inputs()\n"
        "bench.bench_request('digits', {'ipcs': [3]}).require_inputs()\n"
        "inspect.export_request('run', {'format': 'parquet', 'to': 'there'}).require_inputs()\n"
        "print(*({'torch', 'torchvision', 'timm', 'ot', 'sklearn', 'matplotlib'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == []
