"""Every stage and every method gives on CUDA what it gives on the CPU, in fp32 and up to rounding."""

import pytest
import torch
from benchmarks.smoke import cases, compare


@pytest.mark.gpu
@pytest.mark.parametrize("case", cases())
def test_a_result_is_that_of_the_cpu(case: str) -> None:
    found = compare(case, torch.device("cuda"))
    assert found.holds, found.text
