"""How many threads a run takes, and that it says so."""

import pytest
import torch

from wmdd.pipeline import threads as module
from wmdd.pipeline.threads import choose_threads, threads_of
from wmdd.pipeline.watchers import Watcher


class Listener(Watcher):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    ("wanted", "most", "allowed", "others", "chosen", "said"),
    [
        ("auto", 8, 8, 0.2, 8, ""),
        ("auto", 8, 8, 3.1, 5, "other processes keep 3.1 of 8 processors busy"),
        ("auto", 8, 8, 20.0, 1, "other processes keep 20.0 of 8 processors busy"),
        ("auto", 8, 4, 3.0, 4, "its quota is 4 of 8 processors"),
        ("auto", 8, 4, 6.0, 2, "other processes keep 6.0 of 8 processors busy"),
        ("auto", 2, 4, 3.0, 2, ""),  # OMP_NUM_THREADS=2
        ("auto", 1, 8, 20.0, 1, ""),
        (3, 8, 8, 20.0, 3, ""),
        (8, 1, 1, 0.0, 8, ""),
    ],
)
def test_threads_follow_quota_and_load(
    monkeypatch: pytest.MonkeyPatch, wanted: int | str, most: int, allowed: int, others: float, chosen: int, said: str
) -> None:
    monkeypatch.setattr(module.os, "cpu_count", lambda: 8)
    monkeypatch.setattr(module, "processors", lambda: allowed)
    monkeypatch.setattr(module, "taken_by_others", lambda: others)
    assert choose_threads(wanted, most) == (chosen, said)


def interrupted(listener: Listener) -> None:
    with threads_of("auto", listener):
        assert torch.get_num_threads() == 2
        raise KeyboardInterrupt


def test_threads_are_announced_and_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    listener, before = Listener(), torch.get_num_threads()
    with monkeypatch.context() as patch:
        patch.setattr(module, "choose_threads", lambda *_: (2, "of this and that"))
        with pytest.raises(KeyboardInterrupt):
            interrupted(listener)
    assert torch.get_num_threads() == before
    assert listener.notes == [f"Computing in 2 threads of {before}: of this and that. `--threads N` decides otherwise."]
    with threads_of(1, listener):
        assert torch.get_num_threads() == 1
    assert len(listener.notes) == 1
