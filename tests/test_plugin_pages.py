"""The pages about losses, protocols, networks and data of other packages keep their word, word for word."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import wmdd
from plugin_packages import DOCS, Site, page
from wmdd.cli.main import main, parse
from wmdd.errors import ConfigError, DataError
from wmdd.evaluation.protocol_names import find_protocol
from wmdd.evaluation.protocols import PROTOCOLS
from wmdd.models.names import NETWORKS, check_name
from wmdd.pipeline.watchers import Watcher
from wmdd.requests.inspect import list_names

KINDS = {"loss": "losses", "protocol": "protocols", "network": "models", "data": "data"}
NAMES = {"loss": "smooth", "protocol": "brief", "network": "plain", "data": "stripes"}
ARCH = "convnet1_w8_bn"
CHEAP: dict[str, Any] = {
    "ipc": 1,
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"arch": ARCH, "epochs": 1},
    "recover": {"iterations": 3},
    "evaluate": {"students": (ARCH,), "epochs": 2, "seeds": 1, "labels": "soft", "references": ("random",)},
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return Site(folder, monkeypatch)


class Listener(Watcher):
    """Hears which stages were found finished."""

    def __init__(self) -> None:
        self.reused: dict[str, bool] = {}

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        assert seconds >= 0
        self.reused[stage] = reused


def distill(place: Path, data: str = "digits", **settings: Any) -> tuple[wmdd.Run, dict[str, bool]]:
    """Return a cheap run, and which of its stages were found finished."""
    listener, merged = Listener(), dict(CHEAP)
    for name, value in settings.items():
        merged[name] = {**CHEAP[name], **value} if isinstance(CHEAP.get(name), dict) else value
    run = wmdd.distill(data, out=place / "run", store=place / "store", watcher=listener, **merged)
    return run, listener.reused


def test_there_is_a_page_for_every_kind() -> None:
    assert {path.stem for path in (DOCS / "extending").glob("*.md")} == {*KINDS}
    index = (DOCS / "extending.md").read_text("utf-8")
    assert all(f"](extending/{kind}.md)" in index for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_short(kind: str) -> None:
    code = [line for line in page(kind).block("python").splitlines() if line.strip()]
    assert len(code) <= 30
    assert not [line for line in code if line.startswith("from wmdd") and "import _" in line]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_page_adds_is_listed_and_its_commands_parse_without_torch(kind: str, site: Site) -> None:
    page(kind).install(site)
    listed = list_names(KINDS[kind])
    assert listed[NAMES[kind]] == f"of page {kind} (package wmdd_mine)"
    assert page(kind).module.removesuffix(".py") not in sys.modules
    first, *commands = page(kind).commands
    assert first == ["list", KINDS[kind]]
    for words in commands:
        parse(words)
    code = f"import sys; from wmdd.cli.main import parse; parse({commands[0]!r}); sys.exit('torch' in sys.modules)"
    paths = os.pathsep.join([str(site.folder), *sys.path])
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert done.returncode == 0


def test_the_loss_of_the_page_lowers_what_it_measures_and_is_in_the_log(site: Site, tmp_path: Path) -> None:
    page("loss").install(site)
    alone = {"terms": ("smooth=100",), "feature_loss": "none", "bn": "none", "iterations": 60}

    def steps(run: wmdd.Run) -> float:
        images = wmdd.load(run.out).images.float()
        return float(images.diff(dim=2).square().mean() + images.diff(dim=3).square().mean())

    rough = steps(distill(tmp_path, recover={**alone, "terms": (), "iterations": 1})[0])
    smooth, _ = distill(tmp_path, recover=alone)
    assert steps(smooth) < 0.1 * rough
    log = (smooth.out / "log.jsonl").read_text("utf-8")
    assert '"smooth_loss"' in log
    assert '"bn_loss"' not in log
    assert "smooth_loss" in (smooth.out / "report.html").read_text("utf-8")


def test_the_loss_of_the_page_is_the_mean_square_of_differences(site: Site) -> None:
    page("loss").install(site)
    from wmdd.stages.recovery.forward import TeacherForward  # noqa: PLC0415
    from wmdd.stages.recovery.further import LOSSES  # noqa: PLC0415
    from wmdd.stages.recovery.groups import Targets  # noqa: PLC0415

    empty = torch.zeros(0)
    targets = Targets(labels=(0, 1), ipc=1, weights=empty, means=empty, variances=empty, widths=())
    images = torch.zeros(2, 1, 2, 2)
    images[1, 0] = torch.tensor([[0.0, 2.0], [0.0, 2.0]])
    forward = TeacherForward(step=0, views=images, images=images, logits=empty, features=empty, moments=None)
    value = LOSSES.load("smooth").of_group(targets, None)(forward)  # pyright: ignore[reportArgumentType] - unused
    assert value.tolist() == [0.0, 4.0]


def test_the_protocol_of_the_page_trains_students(site: Site, tmp_path: Path) -> None:
    page("protocol").install(site)
    assert find_protocol("brief").training.epochs == 60
    run, _ = distill(tmp_path, evaluate={"protocols": ("brief", "rded")})
    scores = {score["protocol"]: score for score in run.metrics["evaluations"] if score["set"] == "wmdd"}
    assert scores["brief"]["departs"] == scores["rded"]["departs"] == "2 epochs"
    assert scores["brief"]["top1"] == scores["rded"]["top1"]
    assert scores["brief"]["fingerprint"] == scores["rded"]["fingerprint"]  # of equal rules, once both have 2 epochs


def test_the_network_of_the_page_teaches_and_learns(site: Site, tmp_path: Path) -> None:
    page("network").install(site)
    run, _ = distill(tmp_path, squeeze={"arch": "plain"}, evaluate={"students": ("plain", ARCH)})
    assert run.metrics["teacher"]["arch"] == "plain"
    assert run.teacher.weights["fc.weight"].shape == (10, 16)
    assert {score["student"] for score in run.metrics["evaluations"]} == {"plain", ARCH}
    card = (run.out / "distilled" / "README.md").read_text("utf-8")
    assert "`plain` of the package wmdd_mine" in card
    found = wmdd.evaluate(run.out, "digits", students=["plain"], seeds=1, epochs=1, quiet=True)
    assert {score.student for score in found.scores} == {"plain"}


def test_the_data_of_the_page_are_distilled(site: Site, tmp_path: Path) -> None:
    page("data").install(site)
    run, _ = distill(tmp_path, "stripes:20")
    assert run.metrics["data"]["classes"] == ["across", "down"]
    assert (run.metrics["data"]["image_size"], run.metrics["data"]["train"]) == (20, 108)
    with pytest.raises(DataError, match=r"'stripes' of wmdd_mine has no such data; got 'stripes:wide'; give one of"):
        distill(tmp_path, "stripes:wide")


EDITS = {
    "loss": ("pixels = forward.images", "pixels = 2 * forward.images", "recover"),
    "protocol": ("epochs=60", "epochs=50", "evaluate wmdd"),
    "network": ("nn.ReLU()", "nn.GELU()", "squeeze"),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "loss": {"recover": {"terms": ("smooth=1",)}},
    "protocol": {"evaluate": {"protocols": ("brief",)}},
    "network": {"squeeze": {"arch": "plain"}},
}


@pytest.mark.parametrize("kind", EDITS)
def test_edited_code_is_not_found_finished(kind: str, site: Site, tmp_path: Path) -> None:
    page(kind).install(site)
    distill(tmp_path, **SETTINGS[kind])
    again, same = distill(tmp_path, **SETTINGS[kind])
    assert all(same.values())
    old, new, stage = EDITS[kind]
    site.edit(page(kind).module, old, new)
    edited, reused = distill(tmp_path, **SETTINGS[kind])
    first = list(same).index(stage)
    assert {name: reused[name] for name in list(same)[:first]} == dict.fromkeys(list(same)[:first], True)
    assert not reused[stage]
    assert edited.metrics["run"]["results"] != again.metrics["run"]["results"]


def test_a_run_that_takes_nothing_from_packages_does_not_depend_on_them(site: Site, tmp_path: Path) -> None:
    distill(tmp_path)
    page("network").install(site)
    _, reused = distill(tmp_path)
    assert all(reused.values())


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("loss", "import no_such_module", "loss 'smooth' of wmdd_mine cannot be loaded; got ModuleNotFoundError"),
        ("loss", "LOSS = 3", "an entry point must name a wmdd.stages.recovery.further.Loss of its own name; got int"),
        ("protocol", "def (", "protocol 'brief' of wmdd_mine cannot be loaded; got SyntaxError"),
        ("protocol", "PROTOCOL = 'rded'", "protocol 'brief' of wmdd_mine: an entry point must name a"),
        (
            "protocol",
            "from dataclasses import replace\nfrom wmdd.evaluation.protocols import PROTOCOLS\n"
            "PROTOCOL = replace(PROTOCOLS['rded'], name='brief', labels='stores')",
            "protocol 'brief' of wmdd_mine: labels: input should be 'stored', 'online' or 'hard'; got 'stores'",
        ),
        (
            "protocol",
            "from wmdd.evaluation.protocols import PROTOCOLS\nPROTOCOL = PROTOCOLS['rded']",
            "got a protocol called 'rded'",
        ),
        (
            "network",
            "raise RuntimeError('no\\nluck')",
            "cannot be loaded; got RuntimeError: no luck; mend or uninstall",
        ),
        (
            "network",
            "from wmdd.models.names import Network\nNETWORK = Network(name='plain', build=lambda spec: spec.nothing)",
            "network 'plain' of wmdd_mine cannot be built for 1 x 8 x 8 images; got AttributeError",
        ),
        (
            "network",
            "from wmdd.models.names import Network\nNETWORK = Network(name='plain', build=lambda spec: 3)",
            "network 'plain' of wmdd_mine must be a torch.nn.Module; got int",
        ),
        ("data", "SOURCE = None", "data 'stripes' of wmdd_mine: an entry point must name a"),
        (
            "data",
            "from wmdd.data.sources.listing import Source\n"
            "SOURCE = Source(forms={}, claims=lambda _: True, list_splits=lambda *_: [])",
            "data 'stripes' of wmdd_mine must be listed as Splits; got list",
        ),
    ],
)
def test_what_is_broken_is_one_line_that_names_the_package(
    kind: str, code: str, message: str, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site.install({page(kind).module: code}, page(kind).points)
    words = {
        "loss": ["--recover.terms", "smooth"],
        "protocol": ["--evaluate.protocols", "brief"],
        "network": ["--squeeze.arch", "plain"],
        "data": [],
    }[kind]
    places = ["--out", str(tmp_path / "run"), "--store", str(tmp_path / "store"), "--device", "cpu", "--ipc", "1"]
    assert main(["list", KINDS[kind]]) == 0
    capsys.readouterr()
    assert main(["distill", "stripes" if kind == "data" else "digits", *words, *places]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
    assert "wmdd_mine" in err
    assert not (tmp_path / "run").exists()


def test_a_loss_with_a_wrong_value_is_one_line(site: Site, tmp_path: Path) -> None:
    page("loss").install(site)
    site.edit("smooth.py", "return steps.view(len(targets.labels), -1).mean(1)", "return pixels")
    with pytest.raises(ConfigError, match=r"loss 'smooth' of wmdd_mine must be a tensor with a value for each class"):
        distill(tmp_path, recover={"terms": ("smooth",)})


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        (("smoth",), "recover.terms: unknown loss; got 'smoth'; did you mean 'smooth'?"),
        (("bn=2",), "recover.terms: a built-in term; got 'bn'; set `recover.bn_weight`"),
        (("smooth=-1",), "recover.terms: must be NAME or NAME=WEIGHT, the weight a number of 0 or more"),
        (("smooth=much",), "recover.terms: must be NAME or NAME=WEIGHT"),
        (("smooth", "smooth=2"), "recover.terms: names must be given, each once"),
    ],
)
def test_terms_that_cannot_be_are_one_line(terms: tuple[str, ...], message: str, site: Site, tmp_path: Path) -> None:
    page("loss").install(site)
    with pytest.raises(ConfigError) as caught:
        distill(tmp_path, recover={"terms": terms})
    assert str(caught.value).startswith(message)


def test_no_package_takes_a_built_in_name(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    groups = {"protocols": "wmdd", "models": "resnet18", "losses": "bn", "data": "digits", "methods": "random"}
    points = "".join(f"[wmdd.{group}]\n{name} = strange:THING\n" for group, name in groups.items())
    site.install({"strange.py": "raise RuntimeError"}, points, package="strange")
    assert find_protocol("wmdd") is PROTOCOLS["wmdd"]
    check_name("resnet18")
    assert "resnet18" not in NETWORKS
    for group, name in groups.items():
        assert "(not that of package strange: built-in names go first)" in list_names(group)[name]
        assert "package strange" not in "".join(text for other, text in list_names(group).items() if other != name)
    assert main(["list", "protocols"]) == 0
    assert "not that of package strange" in " ".join(capsys.readouterr().out.split())
