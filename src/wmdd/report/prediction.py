"""Which losses predict how a bench's students do: the table and the sentence, for the page and for `wmdd predict`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wmdd.errors import ArtifactError
from wmdd.evaluation.loss_cards import LOSSES
from wmdd.evaluation.prediction import FEWEST, SCOPES, Correlation, Prediction, predictions
from wmdd.methods.catalogue import is_real
from wmdd.pipeline.bench_file import read_bench
from wmdd.report.templates import ABSENT

_SCOPES = dict(zip(SCOPES, ("all", "real", "optimised"), strict=True))


def predict_bench(folder: Path) -> tuple[Prediction, ...]:
    """Return what the losses of a bench's sets predict, under each setting that was evaluated.

    Raises:
        ArtifactError: the folder holds no readable `bench.json`, its sets have no losses, or there are too few of them
            under every setting.
    """
    results = read_bench(folder)
    found = of_results(results)
    if not found:
        made = sum(cell["state"] == "finished" for cell in results["cells"])
        raise ArtifactError(
            f"no set of {folder} has losses; got {made} finished sets without; make the bench again with --losses, "
            "which repeats nothing else"
        )
    most = max(each.sets["all"] for each in found)
    if most < FEWEST:
        raise ArtifactError(f"{folder}: {_too_few(most)}")
    return tuple(found)


def of_results(results: Mapping[str, Any]) -> list[Prediction]:
    """Return what the losses in the contents of `bench.json` predict; empty without losses."""
    cells = results["cells"]
    return predictions(cells, {method for method in {cell["method"] for cell in cells} if is_real(method)})


def setting(prediction: Prediction) -> str:
    """Return the setting that the sets share."""
    of = prediction.conditions
    return f"{of.student}, protocol {of.protocol}, {of.labels} labels, IPC {of.ipc}"


def columns(prediction: Prediction) -> tuple[str, ...]:
    """Return the head of the table."""
    return ("loss", *(f"{name}, n = {prediction.sets[scope]}" for scope, name in _SCOPES.items()))


def lines(prediction: Prediction) -> list[tuple[str, ...]]:
    """Return the lines of the table: each loss, its ρ over all sets, real ones and optimised ones."""
    return [
        (_title(name), *(_cell(of[scope], prediction.sets[scope]) for scope in SCOPES))
        for name, of in prediction.correlations.items()
    ]


def sentence(prediction: Prediction) -> str:
    """Say which loss ranks the students best, and how far that can be told."""
    best, sets = prediction.best, prediction.sets["all"]
    if sets < FEWEST:
        return f"{_capital(_too_few(sets))}."
    if best is None:
        return f"No loss differs between the {sets} sets whose students differ, so none can be judged."
    (name, found), count = best, len(prediction.correlations)
    told = f"{_title(name)}, ρ {correlation_text(found)}"
    if not found.shown:
        said = f"No loss is shown to rank the students of these {sets} sets: the highest of {count} is {told}."
    elif (found.rho or 0.0) < 0:
        said = f"No loss ranks the students of these {sets} sets the right way round; the highest of {count} is {told}."
    else:
        ranked = f"ρ {correlation_text(found)} over {found.n} sets"
        said = f"Of {count} losses {_title(name)} ranks the students best: {ranked}."
        said += _as_good(prediction, name, found)
    return said + _reversed(prediction)


def _as_good(prediction: Prediction, name: str, best: Correlation) -> str:
    """Say how many other losses have a ρ within the interval of the best; empty for none."""
    low = best.interval[0] if best.interval else -1.0
    others = [of["all"].rho for other, of in prediction.correlations.items() if other != name]
    near = sum(rho is not None and rho >= low for rho in others)
    return f" Within its interval {'lies 1 other' if near == 1 else f'lie {near} others'}." if near else ""


def caption(found: Sequence[Prediction]) -> str:
    """Say how to read the tables."""
    errors = any(each.outcome == "error" for each in found)
    missing = (
        " Where the students' test loss was not recorded, their error (100 − top-1) takes its place." if errors else ""
    )
    return (
        "Spearman's ρ between a loss of a set and the mean test loss of its students, with a 95 % interval (Bonett "
        f"and Wright); 1 = the lower the loss, the better the students.{missing} Sets of one row are alike, so "
        "intervals are rather too narrow, and the best of several losses is flattered by being chosen. Where ρ over "
        "all sets departs from ρ within both kinds, the loss tells real images from optimised ones, not good sets "
        "from bad ones."
    )


def _reversed(prediction: Prediction) -> str:
    """Name the losses that are lower where students are worse, as far as that is shown."""
    against = [
        f"{_title(name)}, ρ {correlation_text(of['all'])}"
        for name, of in prediction.correlations.items()
        if of["all"].shown and (of["all"].rho or 0.0) < 0
    ]
    return f" Students are worse where these are lower: {'; '.join(against)}." if against else ""


def _too_few(sets: int) -> str:
    return (
        f"a rank correlation needs {FEWEST} different sets under one setting; got {sets}; add rows or --distill-seeds"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _title(name: str) -> str:
    return LOSSES[name].title if name in LOSSES else name


def correlation_text(found: Correlation) -> str:
    """Return ρ and its interval."""
    if found.rho is None or found.interval is None:
        return ABSENT
    low, high = found.interval
    return f"{found.rho:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")


def _cell(found: Correlation, sets: int) -> str:
    """Return ρ with its interval; with its n, where some sets lack the loss."""
    return correlation_text(found) + (f" (n = {found.n})" if found.rho is not None and found.n != sets else "")
