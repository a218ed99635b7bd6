"""`--fresh STAGE`: made anew beside the old result, which is lost by nothing; what rests on it follows if it must."""

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

import wmdd
from wmdd.artifacts.folder import ResultFolder, Store
from wmdd.cli.main import main
from wmdd.context import Context
from wmdd.methods.catalogue import complete
from wmdd.pipeline.fresh import Fresh
from wmdd.pipeline.runner import GivenResult, Runner, StoredResult
from wmdd.pipeline.watchers import Watcher
from wmdd.settings import NoSettings
from wmdd.stages.stage import Stage
from wmdd.values import Evaluation, Score

SCORE = Score(set="a", ipc=1, student="b", protocol="c", labels="soft", seed=0, top1=1.0, top5=2.0, top1_best=3.0)
ARCH = "convnet1_w8_bn"
CHEAP: dict[str, Any] = {
    "device": "cpu",
    "precision": "fp32",
    "squeeze": {"arch": ARCH, "epochs": 1},
    "evaluate": {"students": (ARCH,), "epochs": 1, "seeds": 1, "labels": "soft", "references": ("random",)},
}


class Listener(Watcher):
    """Hears which stages ran."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.noted: list[str] = []

    def note(self, text: str) -> None:
        self.noted.append(text)

    def begin(self, stage: str) -> None:
        self.made.append(stage)


@dataclass
class Chain:
    """Three stages, one after the other; each gives the number that is set for it, or is killed."""

    place: Path
    gives: dict[str, float] = field(default_factory=lambda: {"one": 1.0, "two": 2.0, "three": 3.0})
    killed: set[str] = field(default_factory=set)

    def run(self, fresh: Fresh | None = None) -> tuple[list[StoredResult], Listener]:
        """Return the three results, and what was heard."""
        listener = Listener()
        (self.place / "out").mkdir(exist_ok=True)
        recipe = complete({"device": "cpu", "precision": "fp32"})
        store = Store(root=self.place / "store")
        runner = Runner(recipe=recipe, store=store, out=self.place / "out", watcher=listener, fresh=fresh or Fresh())
        result: Any = GivenResult(key="images", record=None)
        for name in self.gives:
            result = runner.run(self._stage(name), result, settings=NoSettings())
        return runner.results, listener

    def _stage(self, name: str) -> Stage:
        def run(*inputs: Any, ctx: Context) -> Evaluation:
            del inputs
            restored = ctx.restore("state")
            ctx.log(step=0 if restored is None else 1)
            if name in self.killed:
                ctx.save("state", {})
                raise KeyboardInterrupt
            return Evaluation(scores=(replace(SCORE, top1=self.gives[name]),))

        return Stage(name=name, version=1, run=run, output=Evaluation)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    made = Chain(tmp_path)
    made.run()
    return made


def numbers(results: list[StoredResult]) -> list[float]:
    return [result.record.scores[0].top1 for result in results]


def test_only_the_stage_is_made_anew_if_it_comes_out_alike(chain: Chain) -> None:
    results, listener = chain.run(Fresh(stage="two"))
    assert listener.made == ["two"]
    assert numbers(results) == [1.0, 2.0, 3.0]
    assert [path.name for path in chain.place.glob("store/*.anew")] == []


def test_what_rests_on_it_follows_if_it_comes_out_otherwise(chain: Chain) -> None:
    chain.gives |= {"one": 1.5, "two": 2.0, "three": 3.5}
    results, listener = chain.run(Fresh(stage="one"))
    assert listener.made == ["one", "two"]  # two came out alike, so three stands
    assert listener.noted == ["two: made again, for what it was made from is another now"]
    assert numbers(results) == [1.5, 2.0, 3.0]
    assert chain.run()[1].made == []


def test_a_result_is_made_anew_once_in_a_command(chain: Chain) -> None:
    fresh = Fresh(stage="one")
    assert chain.run(fresh)[1].made == ["one"]
    assert chain.run(fresh)[1].made == []
    assert chain.run(Fresh(stage="one"))[1].made == ["one"]


def test_nothing_is_lost_when_it_is_stopped(chain: Chain) -> None:
    chain.gives["two"], chain.killed = 9.0, {"two"}
    with pytest.raises(KeyboardInterrupt):
        chain.run(Fresh(stage="two"))
    chain.killed = set()
    assert numbers(chain.run()[0]) == [1.0, 2.0, 3.0]
    results, _ = chain.run(Fresh(stage="two"))
    assert numbers(results)[1] == 9.0
    rows = [json.loads(line) for line in results[1].folder.log.read_text("utf-8").splitlines()]
    assert [row["step"] for row in rows] == [0, 1]  # it went on from its saved state


def test_a_stop_between_two_stages_leaves_no_mixture(chain: Chain) -> None:
    chain.gives |= {"one": 1.5, "two": 2.5}
    chain.killed = {"two"}
    with pytest.raises(KeyboardInterrupt):
        chain.run(Fresh(stage="one"))
    chain.killed = set()
    results, listener = chain.run()
    assert listener.made == ["two", "three"]
    assert numbers(results)[:2] == [1.5, 2.5]


def test_state_that_was_saved_under_other_inputs_is_dropped(tmp_path: Path) -> None:
    chain = Chain(tmp_path, killed={"two"})
    with pytest.raises(KeyboardInterrupt):
        chain.run()
    chain.gives["one"], chain.killed = 1.5, set()
    results, _ = chain.run(Fresh(stage="one"))
    rows = [json.loads(line) for line in results[1].folder.log.read_text("utf-8").splitlines()]
    assert [row["step"] for row in rows] == [0]


@pytest.mark.parametrize("moved", [False, True])
def test_a_process_that_dies_between_the_two_renames_loses_nothing(chain: Chain, moved: bool) -> None:
    folder = chain.run()[0][1].folder
    shutil.copytree(folder.path, folder.anew.path)
    if moved:
        folder.path.rename(folder.path.with_name(f"{folder.path.name}.old"))
    results, listener = chain.run()
    assert listener.made == []
    assert numbers(results) == [1.0, 2.0, 3.0]
    assert not folder.path.with_name(f"{folder.path.name}.old").exists()


def test_a_teacher_that_was_removed_and_came_back_otherwise_is_noticed(chain: Chain) -> None:
    shutil.rmtree(chain.run()[0][0].folder.path)
    chain.gives["one"] = 1.5
    assert chain.run()[1].made == ["one", "two"]


def test_results_of_older_versions_stand(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    from wmdd.artifacts.manifest import Manifest  # noqa: PLC0415

    known = ResultFolder.manifest
    monkeypatch.setattr(ResultFolder, "manifest", lambda self: replace(known(self), read={}))
    chain.gives["one"] = 1.5
    assert chain.run(Fresh(stage="one"))[1].made == ["one"]
    assert Manifest(files={}).is_of({"key": "content"})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fresh")
    wmdd.distill("digits", method="random", ipc=1, out=place / "run", store=place / "store", quiet=True, **CHEAP)
    return place


def test_a_command_makes_a_stage_anew(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["distill", "digits", "--recipe", str(finished / "run" / "recipe.yaml")]
    places = ["--out", str(finished / "run"), "--store", str(finished / "store")]
    before = (finished / "run" / "metrics.json").read_text("utf-8")
    assert main([*words, *places, "--fresh", "squeeze"]) == 0
    err = capsys.readouterr().err
    assert "squeeze ..." in err
    assert "relabel random ..." not in err
    after = (finished / "run" / "metrics.json").read_text("utf-8")
    assert json.loads(after)["evaluations"] == json.loads(before)["evaluations"]


def test_functions_make_a_stage_anew(finished: Path) -> None:
    asked: dict[str, Any] = {"students": [ARCH], "seeds": 1, "epochs": 1}
    said = Listener()
    wmdd.evaluate(finished / "run", "digits", watcher=said, **asked)
    again = Listener()
    wmdd.evaluate(finished / "run", "digits", watcher=again, fresh="evaluate", **asked)
    assert [stage for stage in again.made if stage.startswith("evaluate")] == ["evaluate random"] * len(again.made)
    base = {**CHEAP, "evaluate.references": ()}
    rows: dict[str, Any] = {"methods": ["random"], "ipcs": [1], "distill_seeds": 1, **base}
    places = {"out": finished / "bench", "store": finished / "store"}
    first = wmdd.bench("digits", quiet=True, **places, **rows)
    third = Listener()
    other = wmdd.bench("digits", watcher=third, fresh="squeeze", **places, **rows)
    assert third.made == ["squeeze"]
    assert first.results["cells"][0]["scores"] == other.results["cells"][0]["scores"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["distill", "digits", "--fresh", "recovr"], "fresh: no stage of this command; got 'recovr'; did you mean"),
        (["distill", "digits", "--method", "random", "--fresh", "recover"], "choose one of barycenter, diagnose,"),
        (["distill", "digits", "--fresh", "evaluate", "--until", "recover"], "fresh: comes after the last stage"),
        (
            ["evaluate", "RUN", "--data", "digits", "--fresh", "squeeze"],
            "fresh: no stage of this command; got 'squeeze'",
        ),
        (["worth", "RUN", "--data", "digits", "--fresh", "recover"], "fresh: no stage of this command; got 'recover'"),
        (["bench", "digits", "--methods", "random", "--fresh", "losses"], "fresh: no stage of this command"),
    ],
)
def test_stages_that_there_are_not_are_one_line(
    words: list[str], message: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word.replace("RUN", str(finished / "run")) for word in words]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert message in err
