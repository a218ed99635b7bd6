"""One rung after the other, each as a bench: resumable, paired by seeds, nothing made twice."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.search.halving import RUNGS, Rung, survivors
from benchmarks.search.state import RESULTS, RungState, read_state, tables, trimmed
from benchmarks.search.variants import WMDD, Variant, read_variants, twins, variant_rows

from wmdd import api
from wmdd.errors import ConfigError
from wmdd.pipeline.bench_file import BENCH_FILE, read_bench
from wmdd.pipeline.bench_recipe import BenchRecipe
from wmdd.pipeline.watchers import Watcher
from wmdd.recipes import choose_recipe
from wmdd.settings.recipe import merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is searched, and where it is kept."""

    data: str
    recipe: str
    base: dict[str, Any]
    """Settings of all rows."""
    variants: dict[str, Variant]
    """Those that differ from WMDD and from each other."""
    twins: dict[str, str] = field(default_factory=dict)
    """The others."""
    rungs: Sequence[Rung] = RUNGS
    out: Path = Path("runs/search")
    store: Path = Path("runs/.store")
    results: Path = RESULTS

    @classmethod
    def of(cls, data: str, recipe: str, *, files: Path, development: float | None, **places: Any) -> "Search":
        """Return a search over the variants in `files`, judged on development images.

        Args:
            data: source of the real images.
            recipe: name or file of the base recipe.
            files: YAML file of variants, or folder of such files.
            development: share of the training images to judge on; None = the recipe's.
            **places: fields of the search.

        Raises:
            ConfigError: there are no development images, or a recipe or a variant is not as it should be.
        """
        base = dict(choose_recipe(data, recipe))
        if development is not None:
            base = merged(base, {"data.development": development})
        if BenchRecipe(base=base).shared.data.development is None:
            raise ConfigError(
                "a search judges on development images, cut from the training images; got data.development none; "
                "give --development 0.1, or set it in the recipe"
            )
        variants = read_variants(files)
        same = twins(base, variants)
        own = {name: variant for name, variant in variants.items() if name not in same}
        return cls(data=data, recipe=recipe, base=base, variants=own, twins=same, **places)


class Pace(Watcher):
    """Says what happens, calls `noted` when a set begins, and stops after the set in which the time is over."""

    def __init__(self, minutes: float | None, say: Callable[[str], None]) -> None:
        self.noted: Callable[[], None] = lambda: None
        self._say, self._within = say, False
        self._end = math.inf if minutes is None else time.monotonic() + 60 * minutes

    def note(self, text: str) -> None:
        """Say a sentence; one is said after a set that failed, in a stage that has no end."""
        self._within = False
        self.noted()
        self._say(text)

    def warn(self, text: str) -> None:
        """Say a warning."""
        self._say(f"warning: {text}")

    def begin(self, stage: str) -> None:
        """Know that a set is being made."""
        del stage
        self._within = True

    def end(self, stage: str, seconds: float, reused: bool) -> None:
        """Say what a stage took."""
        del reused
        self._within = False
        self._say(f"  {stage}: {seconds:.1f} s")

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def stop_asked(self) -> bool:
        """Ask to stop between sets; stages are only begun and ended within one."""
        return self.over and not self._within


def climb(search: Search, pace: Pace) -> list[RungState]:
    """Run all rungs, or go on where it was stopped, and return their states.

    Each rung takes the survivors of the one before, and those that it had before: a variant that came up once stays.

    Raises:
        WmddError: the input cannot be used.
        KeyboardInterrupt: it was stopped; the states are written.
    """
    states: list[RungState] = []
    names = tuple(search.variants)
    for rung in search.rungs:
        before = read_state(search.results, rung.number)
        _require_same(search, before)
        stay = before.variants if before is not None else {}
        chosen = [name for name in search.variants if name in names or name in stay]
        states.append(run_rung(search, rung, chosen, pace))
        quotas = {after.number: math.ceil(after.share * len(search.variants)) for after in search.rungs}
        names = survivors(list(tables(states[-1]).values()), quotas.get(rung.number + 1, 0))
    return states


def run_rung(search: Search, rung: Rung, names: Sequence[str], pace: Pace) -> RungState:
    """Run a rung for some variants beside the baselines; its state is written whenever a set begins, and at the end."""
    chosen = {name: search.variants[name] for name in names}
    epochs = {} if rung.epochs is None else {"evaluate.epochs": rung.epochs}
    recipe = BenchRecipe(
        base=merged(search.base, {"evaluate.seeds": rung.students, **epochs}),
        methods=(WMDD, *chosen),
        ipcs=rung.ipcs,
        distill_seeds=rung.sets,
        variants=variant_rows(chosen, search.base),
    )
    out = search.out / f"rung{rung.number}"
    command = f"python -m benchmarks.search run {Path(search.data).name} --recipe {Path(search.recipe).name}"

    def state() -> RungState:
        return RungState(
            rung=rung.number,
            data=Path(search.data).name,
            recipe=Path(search.recipe).name,
            base=search.base,
            variants=chosen,
            twins=search.twins,
            bench=trimmed(read_bench(out)),
        )

    def write() -> None:
        # Until this bench has written its own rows, the file is that of an earlier one.
        if (out / BENCH_FILE).exists() and {row["name"] for row in read_bench(out)["rows"]} == set(recipe.rows):
            state().write(search.results)

    pace.note(f"rung {rung.number}: {len(chosen)} variants, {rung.sets} × {rung.students}")
    pace.noted = write
    try:
        api.bench(search.data, recipe=recipe, out=out, store=search.store, watcher=pace, command=command)
    finally:
        pace.noted = lambda: None
        write()
    return state()


def _require_same(search: Search, before: RungState | None) -> None:
    """Refuse a folder that holds the results of another search."""
    if before is not None and (before.data, before.base) != (Path(search.data).name, _plain(search.base)):
        raise ConfigError(
            f"{search.results} has results of another data set or base; got those of {before.data!r} with recipe "
            f"{before.recipe!r}; give another --results"
        )


def _plain(value: Any) -> Any:
    """Return settings as JSON would give them back."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value
