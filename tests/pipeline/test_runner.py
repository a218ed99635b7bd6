"""The runner: what is finished is not done again, and everything that counts makes another result."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from wmdd.artifacts.folder import Store
from wmdd.context import Context
from wmdd.errors import ArtifactError, ConfigError
from wmdd.methods.catalogue import complete
from wmdd.pipeline.devices import choose_device, choose_precision
from wmdd.pipeline.runner import GivenResult, Runner, Stopped
from wmdd.pipeline.status import run_status
from wmdd.pipeline.stored_context import StoredContext
from wmdd.pipeline.watchers import OnlyNew, Watcher
from wmdd.settings import EvaluateSettings, RecoverSettings, SqueezeSettings, StatisticsSettings
from wmdd.stages.stage import Stage
from wmdd.values import Evaluation, ModelSpec, Score, Teacher
from wmdd.warnings import RunWarning

SCORE = Score(set="a", ipc=1, student="b", protocol="c", labels="soft", seed=0, top1=1.0, top5=2.0, top1_best=3.0)


@dataclass
class Counted:
    """A stage that counts its calls, logs two rows and returns a score."""

    calls: list[str] = field(default_factory=list)

    def stage(self, name: str, **facts: Any) -> Stage:
        def run(*inputs: Any, ctx: Context, top1: float = 1.0) -> Evaluation:
            self.calls.append(name)
            ctx.log(unit="whole", step=1, loss=0.5)
            ctx.log(unit="whole", step=2, loss=0.25)
            ctx.progress(1, 1)
            return Evaluation(scores=(replace(SCORE, top1=top1),))

        return Stage(name=name, version=1, run=run, output=Evaluation, **facts)


class Listener(Watcher):
    """Hears which stages were found finished, and every warning."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, bool]] = []
        self.warned: list[str] = []
        self.noted: list[str] = []
        self.stop = False

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        assert seconds >= 0
        self.ended.append((stage, reused))

    def warn(self, text: str) -> None:
        self.warned.append(text)

    def note(self, text: str) -> None:
        self.noted.append(text)

    def stop_asked(self) -> bool:
        return self.stop


@pytest.fixture
def make_runner(tmp_path: Path) -> Callable[..., Runner]:
    def make(until: str | None = None, watcher: Any = None, out: str = "out", **settings: Any) -> Runner:
        (tmp_path / out).mkdir(exist_ok=True)
        recipe = complete({"device": "cpu", "precision": "fp32", **settings})
        store = Store(root=tmp_path / "store")
        return Runner(recipe=recipe, store=store, out=tmp_path / out, watcher=watcher or Watcher(), until=until)

    return make


def given(key: str = "images") -> GivenResult:
    return GivenResult(key=key, record=None)


def teaching() -> Stage:
    """Return a stage that makes a teacher."""
    spec = ModelSpec(arch="convnet1", num_classes=1, channels=1, image_size=8, stem="small")
    teacher = Teacher(spec=spec, weights={"w": torch.zeros(1)}, classes=("a",), mean=(0.0,), std=(1.0,), top1=1.0)
    return Stage(name="squeeze", version=1, run=lambda *_, **__: teacher, output=Teacher)


def test_the_accuracy_of_a_teacher_is_said(make_runner: Callable[..., Runner]) -> None:
    listener = Listener()
    for _ in range(2):
        with pytest.raises(Stopped):
            make_runner(until="squeeze", watcher=listener).run(teaching(), given(), settings=SqueezeSettings())
    assert listener.noted == ["teacher convnet1: 1.0 % of the validation images right"] * 2
    quiet = OnlyNew(listener)
    for _ in range(2):
        make_runner(watcher=quiet).run(teaching(), given(), settings=SqueezeSettings())
    assert len(listener.noted) == 3


def log_rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]


def test_a_finished_stage_is_not_repeated(make_runner: Callable[..., Runner]) -> None:
    counted, listener = Counted(), Listener()
    stage = counted.stage("recover")
    first = make_runner(watcher=listener).run(stage, given(), settings=RecoverSettings())
    second = make_runner(watcher=listener).run(stage, given(), settings=RecoverSettings())
    assert counted.calls == ["recover"]
    assert listener.ended == [("recover", False), ("recover", True)]
    assert first.key == second.key
    assert second.record == Evaluation(scores=(SCORE,))


def test_everything_that_counts_makes_another_result(make_runner: Callable[..., Runner]) -> None:
    stage = Counted().stage("recover")
    settings = RecoverSettings()
    keys = [
        make_runner().run(stage, given(), settings=settings).key,
        make_runner(seed=1).run(stage, given(), settings=settings).key,
        make_runner(precision="bf16").run(stage, given(), settings=settings).key,
        make_runner().run(stage, given("other"), settings=settings).key,
        make_runner().run(stage, given(), given(), settings=settings).key,
        make_runner().run(stage, given(), settings=settings.with_(lr=0.5)).key,
        make_runner().run(stage, given(), settings=settings, top1=2.0).key,
        make_runner().run(replace(stage, version=2), given(), settings=settings).key,
        make_runner().run(replace(stage, name="random"), given(), settings=settings).key,
    ]
    assert len(set(keys)) == len(keys)


def test_what_cannot_change_the_answer_does_not_count(make_runner: Callable[..., Runner]) -> None:
    stage = Counted().stage("statistics", seeded=False, networks=False)
    keys = {
        make_runner(**changes).run(stage, given(), settings=StatisticsSettings(batch=batch)).key
        for batch, changes in (
            (100, {}),
            (7, {}),
            (100, {"seed": 1}),
            (100, {"precision": "bf16"}),
            (100, {"save_every": 0.0}),
            (100, {"data.workers": 0}),
        )
    }
    assert len(keys) == 1


def test_the_teacher_has_a_seed_of_its_own(make_runner: Callable[..., Runner]) -> None:
    stage = teaching()
    key = make_runner().run(stage, given(), settings=SqueezeSettings()).key
    assert make_runner(seed=5).run(stage, given(), settings=SqueezeSettings()).key == key
    assert make_runner().run(stage, given(), settings=SqueezeSettings(seed=5)).key != key


def test_a_tuple_of_results_is_one_input_of_a_stage(make_runner: Callable[..., Runner]) -> None:
    received: list[Any] = []

    def run(*inputs: Any, ctx: Context) -> Evaluation:
        del ctx
        received.extend(inputs[:-1])
        return Evaluation(scores=(SCORE,))

    stage = Stage(name="relabel", version=1, run=run, output=Evaluation)
    images, one, two = (GivenResult(key=name, record=name.upper()) for name in ("images", "one", "two"))
    together = make_runner().run(stage, images, (one, two), settings=RecoverSettings())
    assert received == ["IMAGES", ("ONE", "TWO")]
    assert together.folder.manifest().inputs == ("images", ("one", "two"))
    ways = [(images, one, two), (images, (two, one)), ((images, one), two), (images, (one,))]
    keys = [make_runner().run(stage, *inputs, settings=RecoverSettings()).key for inputs in ways]
    assert len({together.key, *keys}) == 5


def test_a_run_says_who_its_teachers_are(make_runner: Callable[..., Runner], tmp_path: Path) -> None:
    runner, counted = make_runner(), Counted()
    own, other, late = (runner.run(counted.stage(name), given(), settings=RecoverSettings()) for name in "abc")
    assert "teachers" not in json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    runner.name_roles(teachers=(own, other), labelling=(own, other, late))
    runner.run(counted.stage("relabel"), given(), settings=RecoverSettings())
    known = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    folders = [f"{name}-{result.key}" for name, result in zip("abc", (own, other, late), strict=True)]
    assert (known["teachers"], known["labelling"]) == (folders[:2], folders)


def test_another_teacher_changes_everything_after_it(make_runner: Callable[..., Runner]) -> None:
    def chain(seed: int) -> list[str]:
        runner, counted = make_runner(), Counted()
        teacher = runner.run(teaching(), given(), settings=SqueezeSettings(seed=seed))
        statistics = runner.run(
            counted.stage("statistics", seeded=False, networks=False), given(), teacher, settings=StatisticsSettings()
        )
        runner.run(counted.stage("recover"), given(), teacher, statistics, settings=RecoverSettings())
        return [result.key for result in runner.results]

    assert not set(chain(0)) & set(chain(1))
    assert chain(0) == chain(0)


def test_a_checkpoint_counts_by_its_bytes_and_not_by_its_name(
    make_runner: Callable[..., Runner], tmp_path: Path
) -> None:
    def key(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        settings = SqueezeSettings(checkpoint=str(tmp_path / name))
        return make_runner().run(Counted().stage("squeeze"), given(), settings=settings).key

    assert key("a.pt", b"one") == key("b.pt", b"one")
    assert key("a.pt", b"one") != key("a.pt", b"two")
    without = make_runner().run(Counted().stage("squeeze"), given(), settings=SqueezeSettings()).key
    assert key("a.pt", b"one") != without


def test_until_a_stage_that_settings_leave_out_stops_before_the_next_one(make_runner: Callable[..., Runner]) -> None:
    counted = Counted()
    runner = make_runner(until="choose")
    runner.later = ("relabel", "evaluate")
    runner.run(counted.stage("recover"), given(), settings=RecoverSettings())
    with pytest.raises(Stopped):
        runner.run(counted.stage("evaluate"), given(), settings=EvaluateSettings())
    assert counted.calls == ["recover"]


def test_until_stops_after_its_stage_and_the_next_run_goes_on(make_runner: Callable[..., Runner]) -> None:
    counted = Counted()
    runner = make_runner(until="recover")
    runner.run(counted.stage("squeeze"), given(), settings=SqueezeSettings())
    with pytest.raises(Stopped):
        runner.run(counted.stage("recover"), given(), settings=RecoverSettings())
    runner = make_runner()
    runner.run(counted.stage("squeeze"), given(), settings=SqueezeSettings())
    runner.run(counted.stage("recover"), given(), settings=RecoverSettings())
    runner.run(counted.stage("evaluate"), given(), settings=EvaluateSettings())
    assert counted.calls == ["squeeze", "recover", "evaluate"]


def test_the_log_of_a_run_holds_the_rows_of_reused_stages(make_runner: Callable[..., Runner], tmp_path: Path) -> None:
    counted = Counted()
    make_runner().run(counted.stage("squeeze"), given(), settings=SqueezeSettings())
    runner = make_runner(out="second")
    runner.run(counted.stage("squeeze"), given(), settings=SqueezeSettings())
    runner.run(counted.stage("recover"), given(), settings=RecoverSettings())
    rows = log_rows(tmp_path / "second")
    assert [(row["stage"], row["step"]) for row in rows] == [
        ("squeeze", 1),
        ("squeeze", 2),
        ("recover", 1),
        ("recover", 2),
    ]
    assert counted.calls == ["squeeze", "recover"]


def test_a_manifest_says_where_a_result_comes_from(make_runner: Callable[..., Runner]) -> None:
    result = make_runner(seed=3).run(Counted().stage("recover"), given("data"), settings=RecoverSettings(), top1=2.0)
    manifest = json.loads((result.folder.path / "manifest.json").read_text("utf-8"))
    assert manifest["stage"] == "recover"
    assert manifest["key"] == result.key
    assert manifest["inputs"] == ["data"]
    assert manifest["facts"] == {"top1": 2.0}
    assert manifest["settings"] == RecoverSettings().model_dump(mode="json")
    assert (manifest["seed"], manifest["device"], manifest["precision"]) == (3, "cpu", "fp32")
    assert {"python", "torch", "wmdd"} <= manifest["versions"].keys()
    assert manifest["seconds"] >= 0


def test_status_tells_how_far_a_run_is(make_runner: Callable[..., Runner], tmp_path: Path) -> None:
    def fail(*inputs: Any, ctx: Context) -> Evaluation:
        ctx.log(unit="group 1", step=40)
        raise KeyboardInterrupt

    runner = make_runner()
    runner.run(Counted().stage("squeeze"), given(), settings=SqueezeSettings())
    with pytest.raises(KeyboardInterrupt):
        runner.run(replace(Counted().stage("recover"), run=fail), given(), settings=RecoverSettings())
    status = run_status(tmp_path / "out")
    assert status.sentence.startswith("unfinished")
    assert [row[:2] for row in status.rows] == [
        ("squeeze", "finished"),
        ("recover", "begun, unit group 1, step 40"),
    ]
    (tmp_path / "store" / status.rows[0][3] / "manifest.json").unlink()
    (tmp_path / "store" / status.rows[1][3] / "log.jsonl").write_text('{"torn', encoding="utf-8")
    assert [row[1] for row in run_status(tmp_path / "out").rows] == ["gone", "begun"]
    (tmp_path / "store" / status.rows[1][3] / "log.jsonl").unlink()
    assert run_status(tmp_path / "out").rows[1][1] == "begun"


def test_status_counts_the_warnings_of_a_run_under_way_and_of_a_finished_one(
    make_runner: Callable[..., Runner], tmp_path: Path
) -> None:
    def grumble(*inputs: Any, ctx: Context) -> Evaluation:
        ctx.warn("numbers", "a third of the pixels is black; lower the rate")
        return Evaluation(scores=(SCORE,))

    runner = make_runner()
    runner.warn([RunWarning(kind="data", text="2 files are no pictures: remove them", count=2)])
    runner.run(Counted().stage("squeeze"), given(), settings=SqueezeSettings())
    assert run_status(tmp_path / "out").sentence == "unfinished; the same command continues; 1 warning"
    runner.run(replace(Counted().stage("recover"), run=grumble), given(), settings=RecoverSettings())
    under_way = run_status(tmp_path / "out")
    assert under_way.sentence.endswith("; 2 warnings")
    assert under_way.warnings == tuple(warning.text for warning in runner.warnings)
    metrics = {"schema": 1, "warnings": [{"kind": "data", "text": "of an evaluation beside", "count": 1}]}
    (tmp_path / "out" / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    finished = run_status(tmp_path / "out")
    assert (finished.sentence, finished.warnings) == ("finished; 1 warning", ("of an evaluation beside",))


def test_a_bench_says_each_warning_once() -> None:
    listener = Listener()
    only_new = OnlyNew(listener)
    for text in ("a", "b", "a"):
        only_new.warn(text)
    assert listener.warned == ["a", "b"]


def test_status_of_a_folder_without_a_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="not the folder of a run"):
        run_status(tmp_path)


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., StoredContext]:
    def make(watcher: Any = None, **facts: Any) -> StoredContext:
        folder = Store(root=tmp_path / "store").folder("recover", "0")
        folder.work.mkdir(parents=True, exist_ok=True)
        return StoredContext(
            stage="recover",
            title="recover",
            folder=folder,
            run_log=tmp_path / "log.jsonl",
            watcher=watcher or Watcher(),
            **facts,
        )

    return make


def test_saved_state_comes_back_with_the_seconds_spent(make_context: Callable[..., StoredContext]) -> None:
    ctx = make_context()
    assert ctx.restore("group 1/a") is None
    assert ctx.save("group 1/a", {"images": torch.ones(2)}, step=4)
    ctx.clock.before, ctx.clock.noted = 100.0, 0.0  # they are written down once a second at most
    ctx.save("group 1/a", {"images": torch.zeros(2)}, step=5)
    later = make_context()
    saved = later.restored("group 1/a")
    assert torch.equal(saved.tensors["images"], torch.zeros(2))
    assert saved.facts == {"step": 5}
    assert later.clock.seconds() >= 100
    with pytest.raises(ArtifactError, match="saved state is gone"):
        later.restored("group 2")


def test_arrays_of_a_result_keep_what_was_written(make_context: Callable[..., StoredContext]) -> None:
    make_context().array("features", (3, 2))[1] = 5
    assert make_context().array("features", (3, 2))[1].tolist() == [5, 5]


def test_state_is_due_after_a_while_or_when_somebody_asks_to_stop(make_context: Callable[..., StoredContext]) -> None:
    listener = Listener()
    assert make_context(listener, save_every=0.0).due()
    ctx = make_context(listener, save_every=1e9)
    assert not ctx.due()
    listener.stop = True
    assert ctx.due()
    ctx.progress(1, 2)  # it saves its state, so it is not stopped before it has
    with pytest.raises(KeyboardInterrupt):
        ctx.save("group", {}, step=1)
    assert make_context().restored("group").facts == {"step": 1}


def test_a_stage_without_state_stops_at_once(make_context: Callable[..., StoredContext]) -> None:
    listener = Listener()
    ctx = make_context(listener)
    ctx.progress(1, 2)
    listener.stop = True
    with pytest.raises(KeyboardInterrupt):
        ctx.progress(1, 2)


def test_devices_and_precisions() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in {"cpu", "cuda", "mps"}
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"
    assert choose_precision("auto", torch.device("cpu")) in {"fp32", "bf16"}
    assert choose_precision("auto", torch.device("mps")) == "fp32"
    for wanted in ("cuda:99", "gpu"):
        with pytest.raises(ConfigError, match=f"got '{wanted}'") as caught:
            choose_device(wanted)
        assert "\n" not in str(caught.value)


def test_a_stored_result_repeats_its_warnings_and_a_run_says_each_once(make_runner: Callable[..., Runner]) -> None:
    def warns(*_: Any, ctx: Context) -> Evaluation:
        ctx.warn("saturated pixels", "half of the pixels are black or white; lower recover.lr", 4)
        return Evaluation(scores=(SCORE,))

    stage = Stage(name="warning", version=1, run=warns, output=Evaluation)
    for out in ("first", "second"):
        runner = make_runner(watcher=Listener(), out=out)
        for _ in range(2):
            runner.run(stage, settings=StatisticsSettings())
        assert runner.watcher.warned == ["half of the pixels are black or white; lower recover.lr"]  # pyright: ignore[reportAttributeAccessIssue]
        assert [(each.kind, each.count) for each in runner.warnings] == [("saturated pixels", 4)]


def test_runs_of_a_stage_are_told_apart_on_the_screen_alone(make_runner: Callable[..., Runner]) -> None:
    counting = Counted()
    stage = counting.stage("evaluate")
    one, other = make_runner(watcher=Listener(), out="one"), make_runner(watcher=Listener(), out="other")
    named, plain = (
        one.run(stage, settings=StatisticsSettings(), of="random"),
        other.run(stage, settings=StatisticsSettings()),
    )
    assert named.key == plain.key
    assert one.watcher.ended == [("evaluate random", False)]  # pyright: ignore[reportAttributeAccessIssue]
    assert other.watcher.ended == [("evaluate", True)]  # pyright: ignore[reportAttributeAccessIssue]
    assert counting.calls == ["evaluate"]
    assert '"stage": "evaluate"' in named.folder.log.read_text(encoding="utf-8")
    with pytest.raises(Stopped):
        make_runner(until="evaluate").run(stage, settings=StatisticsSettings(), of="random")
