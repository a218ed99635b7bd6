"""Scores of students by the seeds of their sets and their own."""

from collections.abc import Sequence
from typing import Any


def seeded(*sets: Sequence[float], images: Sequence[str] | None = None, **changes: Any) -> list[dict[str, Any]]:
    """Return the scores of sets made from the seeds 0, 1, ..., each with students of the seeds 0, 1, ..."""
    names = {"set": "wmdd", "ipc": 10, "student": "resnet18", "protocol": "wmdd", "labels": "soft"}
    return [
        {
            **names,
            "distill_seed": of_set,
            "seed": seed,
            "top1": top1,
            **({"images": images[of_set]} if images else {}),
            **changes,
        }
        for of_set, students in enumerate(sets)
        for seed, top1 in enumerate(students)
    ]
