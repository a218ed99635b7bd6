"""Evaluate: fair students, every protocol, and a kill in the middle of one that changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memory_context import KilledError, MemoryContext
from plain_views import full_views
from wmdd.context import Context
from wmdd.data.inputs import view_inputs
from wmdd.errors import ConfigError, DataError
from wmdd.evaluation.protocols import PROTOCOLS
from wmdd.evaluation.supervision import mixed_classes
from wmdd.settings import EvaluateSettings, RelabelSettings
from wmdd.stages.evaluate import evaluate
from wmdd.stages.relabel import relabel
from wmdd.training.loop import Batch, Task, Trained
from wmdd.values import DistilledSet, Evaluation, ImageSet, SoftLabels, Teacher, Views

STUDENT = "convnet1_w8_bn"
EPOCHS = 2


@pytest.fixture
def labels(distilled: DistilledSet, teacher: Teacher) -> SoftLabels:
    return relabel(distilled, (teacher,), RelabelSettings(), epochs=EPOCHS, batch=6)


@pytest.fixture
def records(distilled: DistilledSet, labels: SoftLabels, teacher: Teacher, val_set: ImageSet) -> tuple[Any, ...]:
    return distilled, (labels,), (teacher,), val_set


def settings(**changes: object) -> EvaluateSettings:
    return EvaluateSettings(
        **{"students": (STUDENT,), "seeds": 1, "labels": "soft", "epochs": EPOCHS, "tests": 2, **changes}
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wanted", ["soft", "hard"])
def test_every_protocol_runs(protocol: str, wanted: str, records: tuple[Any, ...]) -> None:
    ctx = MemoryContext()
    (score,) = evaluate(*records, settings(protocols=(protocol,), labels=wanted), ctx=ctx).scores
    assert (score.set, score.ipc, score.protocol, score.seed) == ("drawn", 2, protocol, 0)
    assert score.labels == ("hard" if "hard" in {PROTOCOLS[protocol].labels, wanted} else "soft")
    assert 0 <= score.top1 <= score.top1_best <= score.top5 == 100.0
    if PROTOCOLS[protocol].procedure == "kernel":
        return
    assert score.student == STUDENT
    assert ctx.steps == [(1, 2), (2, 2)]
    assert [row["top1"] for row in ctx.rows][-1] == score.top1
    assert max(row["top1"] for row in ctx.rows) == score.top1_best


def test_a_further_protocol_is_one_row(records: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    further = replace(PROTOCOLS["rded"], name="further", loss="mse", class_weight=0.5, tiles=2)
    monkeypatch.setitem(PROTOCOLS, "further", further)
    recorded = recorded_students(monkeypatch)
    (score,) = evaluate(*records, settings(protocols=("further",))).scores
    assert (score.protocol, score.labels) == ("further", "soft")
    ((_, task, training),) = recorded
    assert (training.zeta, training.batch) == (2.0, 6)
    logits, (batch,) = torch.zeros(6, 3), epoch_of(task)
    squares = (batch.weights * batch.targets.square().mean(1)).mean()
    assert float(task.loss(logits, batch)) == pytest.approx(
        float(squares + 0.5 * torch.log(torch.tensor(3.0))), rel=1e-5
    )


def test_there_is_a_score_for_every_protocol_student_and_seed(records: tuple[Any, ...]) -> None:
    students = (STUDENT, "convnet1_w4")
    ctx = MemoryContext()
    chosen = settings(students=students, protocols=("wmdd", "hard"), seeds=2, epochs=1)
    scores = evaluate(*records, chosen, ctx=ctx).scores
    assert [(score.protocol, score.student, score.seed) for score in scores] == [
        (protocol, student, seed) for protocol in ("wmdd", "hard") for student in students for seed in (0, 1)
    ]
    assert ctx.steps == [(number, 8) for number in range(1, 9)]


def recorded_students(
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[dict[str, Tensor], Task, Any]]:
    """Record every student as it is handed to the training loop, with its task and its settings."""
    recorded: list[tuple[dict[str, Tensor], Task, Any]] = []

    def fit(model: nn.Module, task: Task, chosen: Any, *, ctx: Context) -> Trained:
        recorded.append(({name: value.clone() for name, value in model.state_dict().items()}, task, chosen))
        return Trained(model=model, history=({"epoch": 1, "top1": 1.0, "top5": 2.0, "test_loss": 3.0},))

    monkeypatch.setattr("wmdd.evaluation.procedures.fit", fit)
    return recorded


def equal_states(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_initial_weights_depend_on_seeds_but_not_on_the_set(
    monkeypatch: pytest.MonkeyPatch,
    records: tuple[Any, ...],
    image_set: ImageSet,
    make_distilled: Callable[..., DistilledSet],
) -> None:
    recorded = recorded_students(monkeypatch)
    evaluate(*records, settings(seeds=2))
    other = make_distilled(image_set, ipc=1, method="another")
    soft = relabel(other, records[2], RelabelSettings(), epochs=1, batch=3)
    evaluate(other, (soft,), *records[2:], settings(protocols=("hard",)))
    evaluate(*records, settings(), ctx=Context(seed=5))
    first, second, of_other_set, of_other_run = (weights for weights, _, _ in recorded)
    assert equal_states(first, of_other_set)
    assert not equal_states(first, second)
    assert not equal_states(first, of_other_run)


def epoch_of(task: Task, epoch: int = 0) -> list[Batch]:
    return list(task.batches(epoch))


def test_stored_views_are_replayed_with_the_teachers_answers(
    monkeypatch: pytest.MonkeyPatch, records: tuple[Any, ...]
) -> None:
    recorded = recorded_students(monkeypatch)
    distilled, (labels,), *_ = records
    evaluate(*records, settings(seeds=2))
    for _, task, training in recorded:
        assert (training.batch, training.epochs, task.steps) == (6, 2, 1)
        for epoch in range(2):
            (batch,) = epoch_of(task, epoch)
            assert labels.epochs[epoch].logits is not None
            torch.testing.assert_close(batch.targets, labels.epochs[epoch].logits.float())
            assert batch.weights is not None
            weights = distilled.weights[labels.epochs[epoch].views.index]
            torch.testing.assert_close(batch.weights, weights / distilled.weights.mean())


def test_views_that_were_stored_without_answers_are_shown_to_the_teacher(
    monkeypatch: pytest.MonkeyPatch, records: tuple[Any, ...]
) -> None:
    recorded = recorded_students(monkeypatch)
    distilled, (labels,), teachers, val = records
    online = relabel(distilled, teachers, RelabelSettings(store="online"), epochs=EPOCHS, batch=6)
    evaluate(distilled, (labels,), teachers, val, settings())
    evaluate(distilled, (online,), teachers, val, settings())
    (stored,), (asked,) = (epoch_of(task, 1) for _, task, _ in recorded)
    assert torch.equal(stored.images, asked.images)
    torch.testing.assert_close(stored.targets, asked.targets, rtol=1e-3, atol=1e-3)


def test_fresh_views_differ_between_seeds_and_epochs_and_repeat(
    monkeypatch: pytest.MonkeyPatch, records: tuple[Any, ...]
) -> None:
    recorded = recorded_students(monkeypatch)
    distinct = replace(records[0], weights=torch.tensor([0.4, 0.6, 0.3, 0.7, 0.2, 0.8]))
    evaluate(distinct, *records[1:], settings(protocols=("rded",), seeds=2))
    first, second = (task for _, task, _ in recorded)
    crops: list[Tensor] = []

    def recording(distilled: DistilledSet, views: Views, device: torch.device, orders: Tensor | None) -> Tensor:
        crops.append(views.crop)
        return view_inputs(distilled, views, device, orders)

    monkeypatch.setattr("wmdd.evaluation.supervision.view_inputs", recording)
    once, again = epoch_of(first), epoch_of(first)
    assert all(torch.equal(one.images, other.images) for one, other in zip(once, again, strict=True))
    assert not torch.equal(once[0].images, epoch_of(first, 1)[0].images)
    assert sum(len(batch.images) for batch in once) == 6
    # The weights tell which image is which: the order is the seed's own, and so is the crop at every place in it.
    (one,), (other,) = once, epoch_of(second)
    assert one.weights is not None
    assert other.weights is not None
    assert not torch.equal(one.weights, other.weights)
    assert not torch.equal(crops[0], crops[-1])


def test_hard_targets_are_probabilities_of_classes(monkeypatch: pytest.MonkeyPatch, records: tuple[Any, ...]) -> None:
    recorded = recorded_students(monkeypatch)
    evaluate(*records, settings(labels="hard"))
    ((_, task, _),) = recorded
    (batch,) = epoch_of(task)
    torch.testing.assert_close(batch.targets.sum(1), torch.ones(6))
    found = float(task.loss(torch.zeros(6, 3), batch))
    assert found == pytest.approx(float(torch.log(torch.tensor(3.0))))


def test_there_are_as_many_epochs_as_were_stored_at_the_most(
    monkeypatch: pytest.MonkeyPatch, records: tuple[Any, ...]
) -> None:
    recorded = recorded_students(monkeypatch)
    evaluate(*records, settings(epochs=50))
    evaluate(*records, settings(epochs=50, protocols=("rded",)))
    assert [chosen.epochs for _, _, chosen in recorded] == [2, 50]


def test_the_same_seed_gives_the_same_score(
    records: tuple[Any, ...], global_stream_untouched: Callable[[], None]
) -> None:
    one = evaluate(*records, settings(protocols=("rded",)), ctx=(first := MemoryContext(seed=1)))
    global_stream_untouched()
    torch.manual_seed(31)
    again = evaluate(*records, settings(protocols=("rded",)), ctx=(second := MemoryContext(seed=1)))
    assert one == again
    assert first.rows == second.rows


@pytest.mark.parametrize("protocol", ["wmdd", "rded", "lpqld"])
@pytest.mark.parametrize("killed_after", [1, 2, 3])
def test_killed_in_the_middle_of_a_student_and_resumed_equals_unbroken(
    protocol: str, killed_after: int, records: tuple[Any, ...]
) -> None:
    chosen = settings(protocols=(protocol,), seeds=2)
    whole = MemoryContext()
    unbroken = evaluate(*records, chosen, ctx=whole)
    dying = MemoryContext(dies_after=killed_after)
    with pytest.raises(KilledError):
        evaluate(*records, chosen, ctx=dying)
    second = dying.again()
    resumed: Evaluation = evaluate(*records, chosen, ctx=second)
    assert resumed == unbroken
    assert len(second.saves) == len(whole.saves) - killed_after
    assert second.rows == whole.rows[-len(second.rows) :]


def test_finished_students_are_not_trained_again(records: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = MemoryContext()
    scores = evaluate(*records, settings(seeds=2), ctx=ctx)
    recorded = recorded_students(monkeypatch)
    assert evaluate(*records, settings(seeds=2), ctx=ctx.again()) == scores
    assert recorded == []


def test_students_learn_from_real_images_with_hard_labels(
    image_set: ImageSet, teacher: Teacher, val_set: ImageSet, make_distilled: Callable[..., DistilledSet]
) -> None:
    everything = make_distilled(image_set, ipc=12)
    soft = relabel(everything, (teacher,), RelabelSettings(store="online"), epochs=1, batch=36)
    (score,) = evaluate(everything, (soft,), (teacher,), val_set, settings(protocols=("hard",), epochs=40)).scores
    assert score.top1 > 60


def test_mixed_classes_has_a_known_answer(distilled: DistilledSet) -> None:
    views = replace(
        full_views(torch.tensor([0, 2, 5]), 8),
        partner=torch.tensor([4, 3, 0]),
        patch=torch.tensor([[0, 0, 4, 4], [2, 2, 3, 3], [0, 0, 0, 0]], dtype=torch.int16),
    )
    expected = torch.tensor([[0.75, 0.0, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    torch.testing.assert_close(mixed_classes(distilled, views), expected)


@pytest.mark.parametrize(
    ("changes", "pattern"),
    [
        ({"protocols": ("wmd",)}, "unknown protocol; got 'wmd'; did you mean 'wmdd'"),
        ({"students": ("resnet81",)}, "unknown network 'resnet81'; did you mean 'resnet18'"),
    ],
)
def test_unknown_names_are_one_line(changes: dict[str, Any], pattern: str, records: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError, match=pattern):
        evaluate(*records, settings(**changes))


def test_sets_of_other_classes_are_refused(records: tuple[Any, ...]) -> None:
    distilled, (labels,), teachers, val = records
    with pytest.raises(DataError, match="teacher and images disagree"):
        evaluate(distilled, (labels,), teachers, replace(val, classes=("x", "y", "z")), settings())
    with pytest.raises(DataError, match="set and images disagree"):
        evaluate(replace(distilled, classes=("x", "y", "z")), (labels,), teachers, val, settings())
