"""The commands, and the surface that scripts rely on."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wmdd
from wmdd.cli.arguments import take_flags
from wmdd.cli.bench import read_bench
from wmdd.cli.commands import COMMANDS
from wmdd.cli.distill import read_distill
from wmdd.cli.main import USAGE, main, parse
from wmdd.cli.render import ListeningScreen
from wmdd.evaluation.protocols import PROTOCOLS
from wmdd.methods.catalogue import builtin_methods, complete, known_settings
from wmdd.pipeline import screen as screen_module
from wmdd.pipeline.bench_recipe import cells
from wmdd.recipes import BENCHES, RECIPES
from wmdd.requests.bench import BenchFlags
from wmdd.requests.distill import DistillFlags
from wmdd.requests.evaluate import EvaluateFlags
from wmdd.requests.worth import WorthFlags
from wmdd.settings.recipe import setting_names

SETTINGS = """
method ipc ipc_at_most seed device precision threads compile save_every
data.image_size data.channels data.holdout data.holdout_seed data.development data.max_broken data.memory_gb
data.workers data.image_column data.label_column
squeeze.epochs squeeze.batch squeeze.optimiser squeeze.lr squeeze.momentum squeeze.weight_decay squeeze.warmup
squeeze.schedule squeeze.zeta squeeze.label_smoothing squeeze.ema squeeze.arch squeeze.stem squeeze.checkpoint
squeeze.pretrained squeeze.mean squeeze.std squeeze.classes squeeze.accept_weak squeeze.crop_min squeeze.flip
squeeze.seed
statistics.batch
barycenter.objective barycenter.weights barycenter.iterations barycenter.step barycenter.starts
recover.iterations recover.lr recover.bn_weight recover.form recover.feature_loss recover.ce_weight recover.bn
recover.bn_first recover.terms recover.start recover.crop_min recover.flip recover.roll recover.curriculum
recover.curriculum_milestone recover.curriculum_end recover.batch
recover.residuals recover.residual_share recover.residual_from recover.residual_complexity
recover.statistics recover.shrinkage recover.set_share recover.set_loss recover.set_of recover.steps_of recover.border
recover.tv recover.ema plus.keep plus.candidates plus.choose_by
kmeans.starts forgetting.keep cad.epochs cad.window cad.windows cad.keep
bps.patterns bps.centres bps.margin bps.starts rded.sample rded.crops rded.factor rded.crop_min
dc.arch dc.momentum dc.batch_real dc.start dc.strategy dc.iterations dc.lr dc.outer dc.inner dc.lr_net dc.batch_net
dc.distance
dsa.arch dsa.momentum dsa.batch_real dsa.start dsa.strategy dsa.iterations dsa.lr dsa.outer dsa.inner dsa.lr_net
dsa.batch_net dsa.distance
dm.arch dm.momentum dm.batch_real dm.start dm.strategy dm.iterations dm.lr
datadam.arch datadam.momentum datadam.batch_real datadam.start datadam.strategy datadam.iterations datadam.lr
datadam.power datadam.weight
dd.arch dd.epochs dd.rate dd.iterations dd.lr dd.decay_every dd.batch dd.networks dd.gradient
experts.arch experts.count experts.epochs experts.lr experts.batch experts.strategy experts.zca
mtt.iterations mtt.steps mtt.span mtt.start_max mtt.lr mtt.momentum mtt.rate mtt.rate_lr mtt.batch mtt.strategy
mtt.gradient kip.iterations kip.lr kip.batch kip.learn_labels kip.zca kip.kernel ls.kernel ls.zca
mmd.kernel gvbsm.teachers gvbsm.weight gvbsm.first gvbsm.ema gvbsm.drop gvbsm.density gvbsm.temperature gvbsm.shift
gvbsm.iterations gvbsm.lr gvbsm.start gvbsm.crop_min gvbsm.flip gvbsm.roll gvbsm.curriculum gvbsm.curriculum_milestone
gvbsm.curriculum_end gvbsm.batch
sre2l.iterations sre2l.lr sre2l.start sre2l.crop_min sre2l.flip sre2l.roll sre2l.curriculum sre2l.curriculum_milestone
sre2l.curriculum_end sre2l.batch sre2l.form sre2l.bn sre2l.bn_weight sre2l.bn_first
sre2l.residuals sre2l.residual_share sre2l.residual_from sre2l.residual_complexity sre2l.terms
cda.iterations cda.lr cda.start cda.crop_min cda.flip cda.roll cda.curriculum cda.curriculum_milestone
cda.curriculum_end cda.batch cda.form cda.bn cda.bn_weight cda.bn_first
cda.residuals cda.residual_share cda.residual_from cda.residual_complexity cda.terms
scdd.iterations scdd.lr scdd.start scdd.crop_min scdd.flip scdd.roll scdd.curriculum scdd.curriculum_milestone
scdd.curriculum_end scdd.batch scdd.form scdd.bn scdd.bn_weight scdd.bn_first
scdd.residuals scdd.residual_share scdd.residual_from scdd.residual_complexity scdd.terms
selfsupervised.epochs selfsupervised.batch selfsupervised.lr selfsupervised.weight_decay selfsupervised.temperature
selfsupervised.projection selfsupervised.crop_min selfsupervised.flip selfsupervised.color selfsupervised.probe_epochs
selfsupervised.probe_lr
relabel.teachers relabel.store relabel.top_k relabel.passes relabel.temperature relabel.crop_min relabel.flip
relabel.cutmix
evaluate.students evaluate.protocols evaluate.seeds evaluate.labels evaluate.references evaluate.epochs evaluate.batch
evaluate.tests evaluate.full_data
"""


def python(*words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, timeout=90, env=environment
    )


def test_the_pinned_surface() -> None:
    """Scripts rely on these; change the lists on purpose, and say so in the changelog."""
    assert set(COMMANDS) == {
        *(
            "distill",
            "evaluate",
            "worth",
            "bench",
            "predict",
            "report",
            "status",
            "export",
            "list",
            "doctor",
            "version",
            "--version",
        )
    }
    assert set(DistillFlags.model_fields) == {"method", "recipe", "out", "store", "until", "fresh"}
    assert set(BenchFlags.model_fields) == {
        *(
            "recipe",
            "out",
            "store",
            "methods",
            "ipcs",
            "students",
            "protocols",
            "seeds",
            "distill_seeds",
            "losses",
            "worth",
            "fresh",
        )
    }
    assert set(EvaluateFlags.model_fields) == {
        *("data", "students", "protocols", "seeds", "labels", "epochs", "device", "precision", "fresh")
    }
    assert set(WorthFlags.model_fields) == {*EvaluateFlags.model_fields, "multiples", "draws"}
    assert set(known_settings()) == set(SETTINGS.split())
    stages = {stage for card in builtin_methods().values() for stage in card.stages}
    assert stages == {
        *("statistics", "barycenter", "recover", "random", "herding", "k-center", "k-means", "k-medoids", "rded"),
        *("dynamics", "forgetting", "cad-prune", "bps"),
        *("match_gradients", "match_means", "match_attention", "dd", "experts", "mtt", "kip", "ls"),
        *("invert", "layer_statistics", "gvbsm", "selfsupervised", "easy", "cells", "cell_statistics", "recover_plus"),
        "choose",
    }
    assert set(wmdd.__all__) == {
        *("DistilledSet", "Evaluation", "Recipe", "Run", "WmddError"),
        *("barycenter", "bench", "distill", "evaluate", "load", "predict", "wasserstein2", "worth"),
    }


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert out == USAGE
    assert all(f"wmdd {name}" in out for name in COMMANDS if not name.startswith("-"))


@pytest.mark.parametrize(
    ("words", "code"),
    [(["--help"], 0), (["distill", "digits", "--ipcc", "3"], 2), (["distill", "digits", "--recover.lr", "-1"], 2)],
    ids=["help", "wrong flag", "wrong value"],
)
def test_help_and_wrong_words_do_not_wait_for_torch(words: list[str], code: int) -> None:
    done = python("-X", "importtime", "-m", "wmdd", *words)
    assert done.returncode == code
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "wmdd.cli.main" in imported
    assert not imported & {"torch", "torchvision", "timm", "ot", "sklearn", "pyarrow", "matplotlib"}


def test_help_of_distill_shows_settings_with_the_defaults_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "--help"]) == 0
    plain = capsys.readouterr().out
    assert main(["distill", "digits", "--help"]) == 0
    digits = capsys.readouterr().out
    assert main(["distill", "--recipe", "digits", "-h"]) == 0
    assert capsys.readouterr().out.split("\n")[1:] == digits.split("\n")[1:]
    for text, arch in ((plain, "resnet18"), (digits, complete(RECIPES["digits"]()).squeeze.arch)):
        flat = " ".join(text.replace("│", " ").split())
        assert f"(default: {arch})" in flat
        for name in (*DistillFlags.model_fields, *setting_names(type(complete({})))):
            assert f"--{name.replace('_', '-')}" in flat, name


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"doctor", "version", "--version"}])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    printed = capsys.readouterr()
    assert f"wmdd {name}" in printed.out
    assert printed.err == ""


def test_help_of_a_command_in_both_orders(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "status"]) == main(["status", "--help"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == second


def test_a_terminal_without_the_letters_of_a_text_is_no_bug() -> None:
    script = (
        "import sys; from wmdd.cli import commands; from wmdd.cli.main import main; from wmdd.cli.render import say\n"
        "commands.COMMANDS['version'] = lambda words: lambda: say('78 ± 1 %, class 猫, file \\udcff')\n"
        "sys.exit(main(['version']))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "78 \\xb1 1 %, class \\u732b, file \\udcff\n"


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("methods", builtin_methods()),
        ("recipes", {**RECIPES, **BENCHES}),
        ("protocols", PROTOCOLS),
        ("models", ("resnet18", "vit_tiny", "convnet3_bn", "timm:NAME")),
        ("data", ("digits", "cifar10", "imagenette", "hf:OWNER/NAME[/CONFIG]")),
        ("losses", ("feature", "ce", "bn")),
    ],
)
def test_list(what: str, names: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", what]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in names)


@pytest.mark.parametrize("word", ["version", "--version"])
def test_version(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out == f"{wmdd.__version__}\n"


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("python", "torch", "timm", "device", "precision", "memory", "datasets"))


def test_status_of_an_unfinished_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store")]
    cheap = ["--squeeze.arch", "convnet1_w8_bn", "--squeeze.epochs", "1", "--device", "cpu"]
    assert main(["distill", "digits", *place, *cheap, "--until", "squeeze"]) == 0
    assert "stopped after squeeze" in capsys.readouterr().out
    assert main(["status", str(tmp_path / "run")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "unfinished; the same command continues" in out
    assert "squeeze" in out
    assert "recover" not in out
    assert main(["report", str(tmp_path / "run")]) in {0, 2}
    assert main(["evaluate", str(tmp_path / "run"), "--data", "digits"]) == 2


def test_a_bug_shows_its_traceback_and_exit_code_1() -> None:
    broken = (
        "import sys; from wmdd.cli import commands; from wmdd.cli.main import main; "
        "commands.COMMANDS['version'] = lambda words: lambda: 1 // 0; sys.exit(main(['version']))"
    )
    done = python("-c", broken)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert "wmdd: error:" not in done.stderr


def test_a_reader_that_went_away_is_no_bug() -> None:
    gone = (
        "import os, sys; from wmdd.cli import commands; from wmdd.cli.main import main\n"
        "def act(): raise BrokenPipeError\n"
        "commands.COMMANDS['version'] = lambda words: act\n"
        "sys.exit(main(['version']))"
    )
    done = python("-c", gone)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_commands_own_flags_are_taken_and_the_rest_is_left_in_order() -> None:
    words = ["--out=a=b", "--recover.lr=-1e-3", "--ipc", "-3", "--squeeze.no-flip", "--out", "c", "--until=recover"]
    own, rest = take_flags(DistillFlags, words)
    assert own == {"out": "c", "until": "recover"}
    assert rest == ["--recover.lr=-1e-3", "--ipc", "-3", "--squeeze.no-flip"]
    assert take_flags(BenchFlags, ["--students", "a", "b", "--mmd.kernel", "rbf", "--distill_seeds", "2"]) == (
        {"students": ("a", "b"), "distill_seeds": "2"},
        ["--mmd.kernel", "rbf"],
    )


def test_settings_arrive_in_every_spelling() -> None:
    spelt = ["--ipc=3", "--recover.bn-weight", "0.5", "--squeeze.weight_decay", "1e-3", "--squeeze.no-flip"]
    more = ["--evaluate.students", "resnet18", "resnet50", "--evaluate.protocols", "rded", "--data.image-size", "16"]
    request = read_distill(["digits", *spelt, *more, "--out", "there"])
    recipe = request.recipe
    assert isinstance(recipe, wmdd.Recipe)
    assert (recipe.ipc, recipe.recover.bn_weight, recipe.squeeze.weight_decay) == (3, 0.5, 1e-3)  # pyright: ignore
    assert (recipe.squeeze.flip, recipe.data.image_size) == (False, 16)
    assert recipe.evaluate.students == ("resnet18", "resnet50")
    assert recipe.evaluate.protocols == ("rded",)
    assert (request.data, request.out, request.until) == ("digits", Path("there"), None)


@pytest.mark.parametrize("none", ["None", "none"])
def test_a_setting_may_be_none(none: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("method: dm\nevaluate: {epochs: 3, students: [convnet2]}\n", encoding="utf-8")
    words = ["--recipe", str(tmp_path / "mine.yaml"), "--evaluate.epochs", none, "--dm.lr", "2"]
    chosen: Any = read_distill(["digits", *words]).recipe
    assert (chosen.method, chosen.dm.lr, chosen.evaluate.epochs) == ("dm", 2.0, None)
    assert chosen.evaluate.students == ("convnet2",)


def test_help_of_a_method_shows_its_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["distill", "digits", "--method", "dm", "--help"]) == 0
    flat = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--dm.batch-real" in flat
    assert "--recover.lr" not in flat


def test_words_of_bench_become_a_bench_recipe() -> None:
    rows = "digits --methods dm wmdd --ipcs 1 5 --distill-seeds 3"
    words = f"{rows} --students resnet18 vit_tiny --protocols dc --seeds 2"
    request = read_bench([*words.split(), "--recover.lr", "0.5", "--evaluate.epochs=7", "--device", "cpu"])
    recipe = request.recipe
    assert (recipe.rows, recipe.ipcs, recipe.distill_seeds) == (("random", "dm", "wmdd", "k-medoids"), (1, 5), 3)
    evaluate = recipe.shared.evaluate
    wmdd_cells: list[Any] = [cell for cell in cells(recipe) if cell.row == "wmdd"]
    assert (evaluate.students, evaluate.protocols) == (("resnet18", "vit_tiny"), ("dc",))
    assert (evaluate.seeds, evaluate.epochs, wmdd_cells[0].recipe.recover.lr) == (2, 7, 0.5)
    assert recipe.shared.squeeze == complete(RECIPES["digits"]()).squeeze
    assert (request.data, request.out) == ("digits", Path("runs/bench-digits"))


def test_all_methods_are_the_methods_and_the_variants_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")
    request = read_bench([".", "--methods", "all", "--recipe", "paper_lambda"])
    assert set(builtin_methods()) | {"lambda-10"} <= set(request.recipe.rows)
    assert request.out == Path("runs/bench-folder-paper_lambda")
    plain = read_bench([".", "--recipe", "paper_lambda", "--ipcs", "1"])
    assert cells(plain.recipe) == cells(BENCHES["paper_lambda"]().with_(ipcs=(1,)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--methods herdin", "did you mean 'herding'?"),
        ("--method dm", "did you mean 'methods'?"),
        ("--ipcs 0", "ipcs: too small; got '0'; give more than 0"),
        ("--ipc ten", "ipcs: not a whole number; got 'ten'; give a whole number"),
        ("--methods random wmdd --dm.lr 3", "dm.lr: no row reads it"),
        ("--methods random wmdd --dmm.lr 3", "dmm.lr: unknown setting; did you mean"),
        ("--seeds", "--seeds"),
        ("--seeds 0", "seeds"),
        ("--recipe paper_mian", "did you mean 'paper_main'?"),
        ("--out", "--out needs a value"),
        ("--until recover", "until: unknown setting; see `wmdd bench --help`"),
        ("--recover.lr -1", "recover.lr"),
        ("--protocols none --device cpu", "none"),
    ],
)
def test_wrong_words_of_bench_are_one_line(
    words: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "digits", *words.split()]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err


def test_bench_help_shows_rows_columns_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "digits", "--help"]) == 0
    flat = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in (*BenchFlags.model_fields, "recover.lr"):
        assert f"--{name.replace('_', '-')}" in flat, name


def test_parsing_does_nothing() -> None:
    assert callable(parse(["distill", "nowhere/at/all", "--ipc", "3"]))


class _Terminal:
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    screen = ListeningScreen()
    with screen.listening():
        screen.begin("recover")
        screen.progress("recover", 1, 2)
        screen.end("recover", 1.25, reused=False)
    assert "recover           1.2 s" in terminal.text


def test_a_line_now_and_then_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(screen_module.time, "monotonic", lambda: now[0])
    screen = ListeningScreen()
    screen.begin("recover")
    for done in range(1, 100):
        now[0] += 1.0
        screen.progress("recover", done, 100)
    screen.end("recover", 99.0, reused=False)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "recover ..."
    assert lines[1] == "recover 31 %, about 69 s left"
    assert lines[-1] == "recover           99.0 s"
    assert len(lines) == 5


def test_the_first_ctrl_c_is_a_wish_and_the_second_an_order(capsys: pytest.CaptureFixture[str]) -> None:
    screen = ListeningScreen()
    before = signal.getsignal(signal.SIGINT)
    with screen.listening():
        assert not screen.stop_asked()
        signal.raise_signal(signal.SIGINT)
        assert screen.stop_asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert "press Ctrl-C again" in capsys.readouterr().err
