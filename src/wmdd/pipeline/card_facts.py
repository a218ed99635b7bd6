"""What the data-set card says about the run that made a set: enough to reproduce its accuracy from the card alone."""

from collections.abc import Mapping
from typing import Any, cast

from wmdd.evaluation.comparison import Worth, blocks
from wmdd.evaluation.fingerprints import departures
from wmdd.evaluation.proportion import wilson
from wmdd.evaluation.protocols import Procedure
from wmdd.evaluation.rows import Row
from wmdd.evaluation.rules import Rules, student_rules, view_rules
from wmdd.evaluation.students import Student, planned_students
from wmdd.evaluation.tested import kind_tested
from wmdd.models.definition import definition
from wmdd.pipeline.plan import RunPlan
from wmdd.pipeline.set_evaluation import EvaluatedSet
from wmdd.settings import ViewSettings
from wmdd.settings.effect import settings_in_effect
from wmdd.values import SoftLabels


def card_facts(metrics: Mapping[str, Any], plan: RunPlan, evaluated: EvaluatedSet) -> dict[str, Any]:
    """Return the facts for the card of a run's set; see `wmdd.product.card.card`."""
    data, run = metrics["data"], metrics["run"]
    labels: SoftLabels = evaluated.labels[0].record
    students = _students(plan, evaluated)
    networks = {student.arch for student in students if student.arch in plan.networks} | {metrics["teacher"]["arch"]}
    return {
        "source": plan.method.source,
        "real": plan.method.real,
        "data": data["name"],
        "split": _split(data, plan),
        "tested": data["val"],
        "kind": kind_tested(data),
        "teacher": metrics["teacher"],
        "title": plan.method.title,
        **({"bibtex": plan.method.bibtex} if plan.method.bibtex else {}),
        "results": [
            _result(row, block.worths.get(row.set), data["val"])
            for block in blocks(metrics["evaluations"])
            for row in block.rows
        ],
        "networks": {arch: definition(plan.networks[arch]) for arch in sorted(networks)},
        "protocols": _protocols(students, evaluated),
        "drawn": _stored_views(plan, labels),
        "warnings": [warning["text"] for warning in metrics["warnings"]],
        "machine": f"{run['device'].partition(':')[0]}, networks in {run['precision']}",
        "versions": run["versions"],
        "settings": settings_in_effect(
            plan.recipe,
            trains=_trains(plan),
            relabels=len(labels.epochs) > 0,
            holdout=data.get("holdout"),
        ),
    }


def _students(plan: RunPlan, evaluated: EvaluatedSet) -> list[Student]:
    return planned_students(
        plan.recipe.evaluate,
        evaluated.distilled.record,
        own_procedure=cast(Procedure, plan.method.own_procedure),
        stored=[labels.record for labels in evaluated.labels],
    )


def _result(row: Row, worth: Worth | None, tested: int) -> tuple[str, ...]:
    """Return a row of the card's table of accuracies."""
    low, high = wilson(row.mean / 100, tested)
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    gap = "–" if worth is None else worth.share_text
    return row.set, str(row.ipc), row.student, row.protocol, row.labels, row.figure, interval, str(row.n), gap


def _split(data: Mapping[str, Any], plan: RunPlan) -> str:
    """Say how many images there are to train and to test, and where the latter come from."""
    kind, holdout, development = kind_tested(data), data.get("holdout"), data.get("development")
    counts = f"{data['train']:,} training and {data['val']:,} {kind} images of {len(data['classes'])} classes"
    if "holdout" not in data:
        return counts
    cuts = [] if holdout is None else [f"{100 * holdout:g} % of each class held out for the test"]
    cuts += [] if development is None else [f"{100 * development:g} % of each class cut from the rest for development"]
    if not cuts:
        return f"{counts}, as the source splits them"
    return f"{counts}; {', '.join(cuts)} (data.holdout_seed {plan.recipe.data.holdout_seed})"


def _protocols(students: list[Student], evaluated: EvaluatedSet) -> dict[str, Rules]:
    """Return the rules of each protocol and kind of labels."""
    distilled, product = evaluated.distilled.record, evaluated.labels[0].record
    return {
        ", ".join(
            filter(None, (student.protocol.name, departures(student, distilled), f"{student.labels} labels"))
        ): student_rules(student, side=distilled.image_size, product=product, targets=distilled.targets is not None)
        for student in students
    }


def _stored_views(plan: RunPlan, labels: SoftLabels) -> str:
    """Say how the views of config `fkd` were drawn; empty if there are none."""
    if not labels.epochs:
        return ""
    settings = plan.recipe.relabel
    drawn = ViewSettings(crop_min=settings.crop_min, flip=settings.flip, cutmix=settings.cutmix)
    return view_rules(drawn, plan.train.image_size)


def _trains(plan: RunPlan) -> bool:
    """Tell whether the settings of `squeeze` train any network."""
    recipe = plan.recipe
    return (
        recipe.squeeze.checkpoint is None
        or bool(recipe.relabel.teachers)
        or bool(plan.method.network_names(recipe))
        or recipe.evaluate.full_data
        or any(part.setting == "squeeze.batch" for part in plan.work.method or ())
    )
