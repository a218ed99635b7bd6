"""Training dynamics: events, first epochs and means on matrices written by hand, and against their definitions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wmdd.errors import DataError
from wmdd.values import TrainingDynamics
from wmdd.values.dynamics import first_learned, forgetting_events, mean_presented

MATRIX = {  # answers epoch by epoch, "." = not presented → forgetting events, first epoch right
    "11111": (0, 1),
    "00000": (0, 0),
    "00011": (0, 4),
    "10101": (2, 1),
    "01010": (2, 2),
    "11000": (1, 1),
    "11110": (1, 1),
    "1.0.1": (1, 1),
    "1.1.1": (0, 1),
    "0.1.0": (1, 3),
    "1....": (0, 1),
    ".....": (0, 0),
    "..0.1": (0, 5),
}


def matrix(columns: list[str]) -> torch.Tensor:
    """Return `(E, N)` from one text for each image."""
    values = {"1": 1.0, "0": 0.0, ".": math.nan}
    return torch.tensor([[values[mark] for mark in column] for column in columns]).T


def test_events_and_first_epochs_of_a_matrix_written_by_hand() -> None:
    right = matrix(list(MATRIX))
    assert forgetting_events(right).tolist() == [events for events, _ in MATRIX.values()]
    assert first_learned(right).tolist() == [first for _, first in MATRIX.values()]


@given(columns=st.lists(st.text(alphabet="01.", min_size=6, max_size=6), min_size=1, max_size=8))
def test_events_are_what_their_definition_says(columns: list[str]) -> None:
    right = matrix(columns)
    assert forgetting_events(right).tolist() == [column.replace(".", "").count("10") for column in columns]
    assert first_learned(right).tolist() == [column.find("1") + 1 for column in columns]
    means = [[int(mark) for mark in column if mark != "."] for column in columns]
    expected = [sum(each) / len(each) if each else 0.0 for each in means]
    assert mean_presented(right).tolist() == pytest.approx(expected)


def test_a_record_gives_events_of_its_answers_and_the_mean_of_its_probabilities() -> None:
    right = matrix(["110", "0.1"])
    probability = torch.tensor([[0.9, 0.1], [0.6, math.nan], [0.3, 0.8]])
    found = TrainingDynamics(labels=torch.tensor([1, 0]), answers=torch.stack([right, probability], dim=1))
    assert (found.events.tolist(), found.learned.tolist()) == ([1, 0], [1, 3])
    assert found.confidence.tolist() == pytest.approx([0.6, 0.45])
    found.require_labels(torch.tensor([1, 0]))
    for labels in ([0, 1], [1, 0, 0]):
        with pytest.raises(DataError, match="do not belong together; got 2 answered images"):
            found.require_labels(torch.tensor(labels))
