"""Ten times as many classes need no more memory at the same batch, in any stage and in the product's files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from tests.held_bytes import held_bytes
from torch import Tensor

from wmdd.artifacts.folder import Store
from wmdd.context import Context
from wmdd.methods.wmdd_plus import PlusRecoverSettings, PlusSettings
from wmdd.methods.wmdd_plus.cells import share_out
from wmdd.methods.wmdd_plus.easy import easy_images
from wmdd.methods.wmdd_plus.recover import recover_plus
from wmdd.models.building import build_model, resolve_spec
from wmdd.pipeline.stored_context import StoredContext
from wmdd.pipeline.watchers import Watcher
from wmdd.product.reading import load
from wmdd.product.writing import write_product
from wmdd.settings import (
    BarycenterSettings,
    EvaluateSettings,
    NoSettings,
    RecoverSettings,
    RelabelSettings,
    StatisticsSettings,
)
from wmdd.stages.barycenter import barycenter
from wmdd.stages.evaluate import evaluate
from wmdd.stages.recover import recover
from wmdd.stages.relabel import relabel
from wmdd.stages.statistics import statistics
from wmdd.values import (
    Barycenters,
    ChosenImages,
    ClassStatistics,
    DistilledSet,
    Evaluation,
    ImageSet,
    SoftLabels,
    Teacher,
)

FEW, MANY, LIMIT = 10, 100, 1.2
SIDE, IPC, PER_CLASS, BATCH = 32, 10, 40, 50
ARCH = "convnet3_w8_bn"
WIDE, WIDE_PER_CLASS = 512, 200
STORES = ("full", "topk")
pytestmark = pytest.mark.timeout(600)
Record = TypeVar("Record")


@dataclass(frozen=True)
class Noise:
    """Images that are made when they are asked for."""

    count: int

    @property
    def in_memory(self) -> bool:
        return False

    def __len__(self) -> int:
        return self.count

    def fetch(self, indices: Any) -> Tensor:
        values = torch.arange(3 * SIDE * SIDE) * 7919 + torch.as_tensor(list(indices))[:, None] * 104729
        return (values % 251).to(torch.uint8).view(-1, 3, SIDE, SIDE)


def noise(classes: int, per_class: int, split: str) -> ImageSet:
    return ImageSet(
        name="noise",
        split=split,
        classes=tuple(f"{label:03d}" for label in range(classes)),
        labels=torch.arange(classes).repeat_interleave(per_class),
        images=Noise(classes * per_class),
        channels=3,
        canvas=SIDE,
        image_size=SIDE,
        fingerprint=f"noise {classes} {split}",
    )


def with_wide_features(moments: ClassStatistics) -> ClassStatistics:
    """Return statistics with as wide features as a ResNet-18 has, the same in every tenth class.

    What is remembered of a class that is done, its name and its costs, is then as little beside one that is being
    solved as in a real run; and no class is harder than those that few classes have.
    """
    classes = len(moments.counts)
    few = torch.randn(min(classes, FEW), WIDE_PER_CLASS, WIDE, generator=torch.Generator().manual_seed(0))
    features = few.repeat(-(-classes // FEW), 1, 1).flatten(0, 1)
    return replace(moments, features=features, counts=(WIDE_PER_CLASS,) * classes)


class Chain:
    """The stages of a run on `classes` classes, each measured, with its record stored and read again."""

    def __init__(self, classes: int, folder: Path, *, stored: bool = True) -> None:
        self.held: dict[str, int] = {}
        self._folder, self._stored = folder, stored
        self._train, self._val = noise(classes, PER_CLASS, "train"), noise(classes, 1, "val")
        spec = resolve_spec(ARCH, num_classes=classes, channels=3, image_size=SIDE, stem="auto")
        with torch.random.fork_rng():
            torch.manual_seed(0)
            weights = build_model(spec).state_dict()
        grey = (0.5, 0.5, 0.5)
        self._teacher = Teacher(spec=spec, weights=weights, classes=self._train.classes, mean=grey, std=grey, top1=1.0)

    def _made(self, kind: type[Record], name: str, stage: Callable[[Context], Record]) -> Record:
        """Return what a stage makes, as read from its files."""
        if not self._stored:
            found: list[Record] = []
            self.held[name] = held_bytes(lambda: found.append(stage(Context(stage=name, threads=1))))
            return found[0]
        folder = Store(root=self._folder / "store").folder(name, "0")
        folder.work.mkdir(parents=True)
        log = self._folder / "log.jsonl"
        ctx = StoredContext(stage=name, title=name, folder=folder, run_log=log, watcher=Watcher(), threads=1)
        self.held[name] = held_bytes(lambda: folder.commit(stage(ctx), {"seconds": 0.0}))
        return folder.read(kind)

    def run(self, stores: Sequence[str]) -> None:
        """Make everything, with soft labels stored in these ways."""
        train, teacher = self._train, self._teacher
        moments = self._made(
            ClassStatistics, "statistics", lambda ctx: statistics(train, teacher, StatisticsSettings(), ctx=ctx)
        )
        wide = with_wide_features(moments)
        self._made(Barycenters, "barycenter", lambda ctx: barycenter(wide, BarycenterSettings(), ipc=IPC, ctx=ctx))
        atoms = barycenter(moments, BarycenterSettings(), ipc=IPC)
        settings = RecoverSettings(iterations=1, batch=BATCH)
        distilled = self._made(
            DistilledSet, "recover", lambda ctx: recover(train, teacher, moments, atoms, settings, ctx=ctx)
        )
        for store in stores:
            self._labelled(distilled, store)
        if self._stored:
            self._plus(moments, atoms)

    def _plus(self, moments: ClassStatistics, atoms: Barycenters) -> None:
        """Make what WMDD+ alone has."""
        train, teacher, settings = self._train, self._teacher, PlusRecoverSettings(iterations=1, batch=BATCH)
        self._made(ChosenImages, "easy", lambda ctx: easy_images(train, teacher, PlusSettings(), ipc=IPC, ctx=ctx))
        shares = (atoms, share_out(train, moments, atoms, NoSettings()))
        self._made(
            DistilledSet, "recover_plus", lambda ctx: recover_plus(train, teacher, moments, shares, settings, ctx=ctx)
        )

    def _labelled(self, distilled: DistilledSet, store: str) -> None:
        teachers, settings = (self._teacher,), RelabelSettings.model_validate({"store": store})
        labels = self._made(
            SoftLabels,
            f"relabel {store}",
            lambda ctx: relabel(distilled, teachers, settings, epochs=1, batch=BATCH, ctx=ctx),
        )
        if not self._stored:
            return
        students = EvaluateSettings(
            students=(ARCH,), seeds=1, epochs=1, tests=1, labels="both" if store == "full" else "soft"
        )
        self._made(
            Evaluation,
            f"evaluate {store}",
            lambda ctx: evaluate(distilled, (labels,), teachers, self._val, students, ctx=ctx),
        )
        product = self._folder / f"product {store}"
        self.held[f"write {store}"] = held_bytes(lambda: write_product(distilled, labels, product, facts={}))
        self.held[f"read {store}"] = held_bytes(lambda: [batch[0].sum() for batch in load(product).loader(BATCH)])


@pytest.fixture(autouse=True)
def one_thread_and_small_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let few classes, too, have more images than are taken at a time.

    Classes that two threads solve at a time are at their peaks together once in a while: by chance, and the more often
    the more classes there are.
    """
    monkeypatch.setattr("wmdd.stages.relabel.TEACHER_BATCH", BATCH)
    monkeypatch.setattr("wmdd.evaluation.accuracy.BATCH", FEW)
    for name in ("writing._ROW_GROUP", "image_rows._BATCH"):
        monkeypatch.setattr(f"wmdd.product.{name}", BATCH)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def growth(folder: Path, *, stored: bool = True) -> dict[str, tuple[float, int, int]]:
    """Return by stage how many times the memory for few classes many classes take, and both in bytes."""
    held: list[dict[str, int]] = []
    for classes in (2, FEW, MANY):  # the first loads what is loaded when it is needed
        (folder / str(classes)).mkdir()
        chain = Chain(classes, folder / str(classes), stored=stored)
        chain.run(STORES if stored and classes > 2 else ("full",))
        held.append(chain.held)
    _, few, many = held
    return {name: (many[name] / few[name], few[name], many[name]) for name in few}


def test_ten_times_the_classes_need_no_more_memory(tmp_path: Path) -> None:
    found = growth(tmp_path)
    assert {name: each for name, each in found.items() if each[0] > LIMIT} == {}


def test_what_is_kept_in_memory_is_seen(tmp_path: Path) -> None:
    found = growth(tmp_path, stored=False)
    assert min(found[name][0] for name in ("statistics", "recover", "relabel full")) > LIMIT
