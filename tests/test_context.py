"""Random streams that depend on names alone, and a default context that keeps nothing."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wmdd.context import Context, stream, stream_seed
from wmdd.errors import ArtifactError


def test_the_seed_is_a_hash_of_all_arguments() -> None:
    digest = hashlib.sha256(b"3\x1frecover\x1fviews\x1f7").digest()
    assert stream_seed(3, "recover", "views", 7) == int.from_bytes(digest[:8], "big") // 2


@given(st.integers(), st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=3))
def test_seeds_fit_every_generator(seed: int, names: list[str | int]) -> None:
    found = stream_seed(seed, *names)
    assert 0 <= found < 2**63
    stream(seed, *names)


def test_names_do_not_run_into_each_other() -> None:
    assert (
        len({stream_seed(1, "ab", "c"), stream_seed(1, "a", "bc"), stream_seed(1, "abc"), stream_seed(11, "bc")}) == 4
    )


def test_equal_names_give_equal_streams_apart_from_the_global_one() -> None:
    before = torch.get_rng_state()
    one, again = (Context(stage="recover", seed=2).generator("start", 0) for _ in range(2))
    others = [
        Context(stage="relabel", seed=2).generator("start", 0),
        Context(stage="recover", seed=3).generator("start", 0),
        Context(stage="recover", seed=2).generator("start", 1),
    ]
    drawn = torch.rand(4, generator=one)
    assert torch.equal(torch.rand(4, generator=again), drawn)
    assert all(not torch.equal(torch.rand(4, generator=other), drawn) for other in others)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_default_keeps_nothing_and_says_nothing() -> None:
    ctx = Context()
    ctx.log(loss=1.0)
    ctx.progress(1, 2)
    assert not ctx.due()
    assert ctx.save("unit", {"x": torch.zeros(1)}) is False
    assert ctx.restore("unit") is None
    with pytest.raises(ArtifactError, match=r"saved state is gone; got no 'unit'; run the same command again"):
        ctx.restored("unit")
    assert torch.equal(ctx.array("features", (2, 3)), torch.zeros(2, 3))


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_networks_compute_at_the_chosen_precision(precision: str, expected: torch.dtype) -> None:
    with Context(precision=precision).autocast():
        assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).dtype is expected
