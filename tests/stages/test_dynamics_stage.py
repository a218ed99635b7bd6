"""Dynamics: the answers are those of the training itself, each image's in its own place, whatever interrupts it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from memory_context import KilledError, MemoryContext
from wmdd.artifacts.formats import read_record, write_record
from wmdd.context import Context, seeded, stream_seed
from wmdd.data.loading import channel_moments, to_float
from wmdd.models.building import build_model
from wmdd.models.pretrained import Pretrained
from wmdd.settings import SqueezeSettings
from wmdd.stages.dynamics import dynamics
from wmdd.stages.squeeze import squeeze
from wmdd.values import ImageSet, ModelSpec, TrainingDynamics
from wmdd.values.dynamics import PROBABILITY, RIGHT

ARCH = "convnet2_w8_bn"


def settings(**changes: object) -> SqueezeSettings:
    return SqueezeSettings(**{"arch": ARCH, "epochs": 4, "batch": 8, "lr": 0.05, **changes})


def same(one: TrainingDynamics, other: TrainingDynamics) -> bool:
    """Compare bits: NaN equals NaN."""
    return torch.equal(one.labels, other.labels) and torch.equal(
        one.answers.view(torch.int32), other.answers.view(torch.int32)
    )


def test_answers_are_those_of_the_network_in_train_mode_before_it_learns(image_set: ImageSet) -> None:
    # One batch holds all images whole, and the rate is too small to change a weight: each epoch asks the same network.
    still = settings(epochs=3, batch=36, lr=1e-12, crop_min=1.0, flip=False)
    found = dynamics(image_set, still, ctx=Context(stage="s", seed=4))
    spec = ModelSpec(arch=ARCH, num_classes=3, channels=3, image_size=8, stem="small")
    with seeded(stream_seed(4, "s", "weights"), torch.device("cpu")):
        model = build_model(spec)
    with torch.no_grad():
        inputs = to_float(image_set.images.fetch(range(36)), *channel_moments(image_set))
        logits = model.train()(inputs)
    probability = logits.softmax(1)[torch.arange(36), image_set.labels]
    for answers in found.answers:
        torch.testing.assert_close(answers[PROBABILITY], probability)
        assert torch.equal(answers[RIGHT], (logits.argmax(1) == image_set.labels).float())
    assert found.events.tolist() == [0] * 36
    assert torch.equal(found.learned == 1, logits.argmax(1) == image_set.labels)


def test_every_image_that_an_epoch_shows_has_one_answer(image_set: ImageSet) -> None:
    ctx = MemoryContext()
    found = dynamics(image_set, settings(epochs=10, crop_min=0.5), ctx=ctx)
    assert found.answers.shape == (10, 2, 36)
    shown = ~found.answers.isnan()
    assert torch.equal(shown[:, RIGHT], shown[:, PROBABILITY])
    assert shown[:, RIGHT].sum(1).tolist() == [32] * 10  # a last short batch of 4 is dropped
    assert (found.answers[:, PROBABILITY][shown[:, RIGHT]] > 0).all()
    late = found.answers[-1, RIGHT].nanmean()
    assert late > found.answers[0, RIGHT].nanmean()
    assert late > 0.8
    assert ctx.rows[-1] == {
        "unit": "images",
        "never_learned": int((found.learned == 0).sum()),
        "never_forgotten": int(((found.learned > 0) & (found.events == 0)).sum()),
        "events": int(found.events.sum()),
    }


def test_the_network_is_trained_as_a_teacher_is(image_set: ImageSet, val_set: ImageSet) -> None:
    """Losses of every epoch are the teacher's to the last bit, where the teacher has the same random streams."""
    plain = settings(label_smoothing=0.1, epochs=6)
    teacher, recorded = MemoryContext(stage="s"), MemoryContext(stage="s")
    squeeze(image_set, val_set, plain, ctx=teacher)
    dynamics(image_set, plain, ctx=recorded)
    losses = [[row["loss"] for row in ctx.rows if "epoch" in row] for ctx in (teacher, recorded)]
    assert losses[0] == losses[1]
    assert teacher.steps == recorded.steps


def test_the_seed_decides_and_nothing_else(image_set: ImageSet, global_stream_untouched: Callable[[], None]) -> None:
    one = dynamics(image_set, settings(), ctx=Context(seed=1))
    global_stream_untouched()
    torch.manual_seed(99)
    assert same(dynamics(image_set, settings(), ctx=Context(seed=1)), one)
    assert not same(dynamics(image_set, settings(), ctx=Context(seed=2)), one)


@pytest.mark.parametrize("dies_after", [1, 3])
def test_killed_and_resumed_equals_unbroken(image_set: ImageSet, dies_after: int) -> None:
    unbroken = dynamics(image_set, settings())
    dying = MemoryContext(dies_after=dies_after)
    with pytest.raises(KilledError):
        dynamics(image_set, settings(), ctx=dying)
    dying.arrays["answers"][dies_after:] = 0.5  # what an epoch had half written is written again
    again = dying.again()
    assert same(dynamics(image_set, settings(), ctx=again), unbroken)
    assert [row["epoch"] for row in again.rows if "epoch" in row] == list(range(dies_after + 1, 5))


def test_a_given_teacher_does_not_matter(
    image_set: ImageSet, val_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = dynamics(image_set, settings())
    torch.save(dict(squeeze(image_set, val_set, settings()).weights), tmp_path / "t.pt")
    assert same(dynamics(image_set, settings(checkpoint=str(tmp_path / "t.pt"))), fresh)

    def pretrained(spec: ModelSpec) -> Pretrained:
        return Pretrained(model=build_model(spec), moments=((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), complete=True)

    monkeypatch.setattr("wmdd.models.pretrained.pretrained_model", pretrained)
    assert same(dynamics(image_set, settings(pretrained=True)), fresh)


def test_answers_are_a_file_of_their_own(image_set: ImageSet, tmp_path: Path) -> None:
    found = dynamics(image_set, settings())
    write_record(found, tmp_path)
    assert (tmp_path / "answers.safetensors").is_file()
    assert same(read_record(TrainingDynamics, tmp_path), found)
