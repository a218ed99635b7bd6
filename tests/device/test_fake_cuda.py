"""The pretended device gives the CPU's numbers, refuses what CUDA would, and notes what CUDA would wait for."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fake_cuda import CUDA, CudaTensor, WrongDeviceError, check_waits, fake_cuda
from wmdd.context import Context, sent
from wmdd.training.images import Descent, Variable, optimise


def trained(device: torch.device) -> tuple[list[Tensor], float]:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    inputs = torch.randn(6, 3, 8, 8).to(device, memory_format=torch.channels_last)
    labels = torch.tensor([0, 1, 0, 1, 1, 0], device=device)
    model.to(device)
    optimiser = torch.optim.AdamW(model.parameters(), 0.1)
    for _ in range(3):
        loss = F.cross_entropy(model(inputs), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert {value.device for value in (*model.parameters(), inputs, loss)} == {torch.zeros(1, device=device).device}
    return [value.detach().cpu() for value in model.state_dict().values()], float(loss.detach())


def test_training_gives_the_numbers_of_the_cpu() -> None:
    expected = trained(torch.device("cpu"))
    with fake_cuda():
        found = trained(torch.device("cuda"))
    assert found[1] == pytest.approx(expected[1])
    for one, other in zip(found[0], expected[0], strict=True):
        torch.testing.assert_close(one, other)


WAITING: dict[str, Callable[[Tensor], object]] = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "int": lambda x: int(x.sum()),
    "bool": lambda x: bool((x > 0).any()),
    "if": lambda x: 1 if (x > 0).all() else 0,
    "tolist": lambda x: x.tolist(),
    "cpu": lambda x: x.cpu(),
    "to the CPU": lambda x: x.to("cpu"),
    "to the CPU unasked": lambda x: torch.zeros(3, 2).copy_(x),
    "nonzero": lambda x: x.nonzero(),
    "where": lambda x: torch.where(x > 0),
    "mask": lambda x: x[x > 0],
    "mask that is filled with many": lambda x: x.index_put((x > 2,), x.flatten()[:3]),
    "masked_select": lambda x: x.masked_select(x > 0),
    "unique": lambda x: x.unique(),
    "bincount": lambda x: x.long().abs().flatten().bincount(),
    "repeat_interleave": lambda x: x.repeat_interleave(torch.tensor([1, 2, 1]).to(CUDA, non_blocking=True), 0),
    "equal": lambda x: torch.equal(x, x),
    "allclose": lambda x: torch.allclose(x, x),
    "one_hot without classes": lambda x: F.one_hot(x.long().abs()).max().item(),
    "tensor": lambda x: torch.tensor([1.0, 2.0], device=x.device) + x,
    "to": lambda x: torch.ones(2).to(x.device) + x,
    "cuda": lambda x: torch.ones(2).cuda() + x,
    "index on the CPU": lambda x: x[torch.tensor([0, 1])],
    "solve": lambda x: torch.linalg.solve(x.T @ x, x.T),
    "eigvalsh": lambda x: torch.linalg.eigvalsh(x.T @ x),
}
FREE: dict[str, Callable[[Tensor], object]] = {
    "arithmetic": lambda x: (x + 1).relu().mean(0) * 2,
    "a scalar of the CPU": lambda x: x + torch.tensor(1.0),
    "made on the device": lambda x: x + torch.ones(2, device=x.device) + torch.zeros_like(x) + x.new_zeros(2),
    "sent": lambda x: x + sent(torch.ones(2), x.device),
    "where with values": lambda x: torch.where(x > 0, x, 0.0),
    "masked_fill": lambda x: x.masked_fill(x > 0, 1.0),
    "a mask that is filled": lambda x: x.clone().index_put_((x > 0,), torch.zeros((), device=x.device)),
    "index on the device": lambda x: x[sent(torch.tensor([0, 1]), x.device)],
    "slices and views": lambda x: x[1:].T.reshape(-1).view(2, 2),
    "in place": lambda x: x.clone().add_(1).clamp_(0, 1).mul_(x),
    "topk": lambda x: x.topk(1).indices,
    "solve_ex": lambda x: torch.linalg.solve_ex(x.T @ x, x.T).result,
}
REFUSED: dict[str, Callable[[Tensor], object]] = {
    "sum": lambda x: x + torch.ones(2),
    "product": lambda x: x @ torch.ones(2, 2),
    "cat": lambda x: torch.cat([x, torch.ones(1, 2)]),
    "stack of scalars": lambda x: torch.stack([x.sum(), torch.tensor(0.0)]),
    "index on the device": lambda x: torch.ones(3)[x.long().flatten().abs().clamp(max=2)],
    "loss": lambda x: F.cross_entropy(x, torch.tensor([0, 1, 0])),
    "numpy": lambda x: x.numpy(),
    "generator": lambda x: torch.rand(2, device=x.device, generator=torch.Generator()),
}


def on_cuda() -> Tensor:
    return torch.tensor([[1.0, 2.0], [3.0, -4.0], [5.0, 7.0]]).to("cuda", non_blocking=True)


@pytest.mark.parametrize("gradients", [False, True], ids=["inference", "autograd"])
@pytest.mark.parametrize("what", WAITING)
def test_what_waits_is_noted(what: str, gradients: bool) -> None:
    with fake_cuda() as waits, torch.inference_mode(not gradients):
        WAITING[what](on_cuda())
    assert sum(waits.places.values()) >= 1
    assert all(place.startswith("tests/test_fake_cuda") for place in waits.places)
    with pytest.raises(AssertionError, match="is not in the table"):
        check_waits(waits)


@pytest.mark.parametrize("gradients", [False, True], ids=["inference", "autograd"])
@pytest.mark.parametrize("what", FREE)
def test_what_does_not_wait_is_not_noted(what: str, gradients: bool) -> None:
    with fake_cuda() as waits, torch.inference_mode(not gradients):
        found = FREE[what](on_cuda())
    assert not waits.places
    assert isinstance(found, CudaTensor)


@pytest.mark.parametrize("what", REFUSED)
def test_what_cuda_refuses_is_refused(what: str) -> None:
    with fake_cuda(), pytest.raises(WrongDeviceError, match=r"on CUDA|of the CPU"):
        REFUSED[what](on_cuda())


def test_operations_give_what_they_give_on_the_cpu() -> None:
    for work in (*FREE.values(), *WAITING.values()):
        with fake_cuda():
            found = work(on_cuda())
            found = found.cpu() if isinstance(found, CudaTensor) else found
        if isinstance(found, Tensor):
            plain = torch.tensor([[1.0, 2.0], [3.0, -4.0], [5.0, 7.0]])
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(Tensor, "cuda", lambda self: self)
                patched.setattr("test_fake_cuda.CUDA", torch.device("cpu"))
                torch.testing.assert_close(found, work(plain))


def test_a_descent_reads_one_value_for_each_row_of_its_log() -> None:
    def loss(iteration: int, variables: object) -> Tensor:
        return (variables["x"] - 3).square().sum()  # type: ignore[index]

    def project(variables: object) -> None:
        variables["x"].clamp_(0, 2)  # type: ignore[index]

    ctx = Context(device=torch.device("cuda"))
    descent = Descent(unit="x", iterations=400, optimiser=torch.optim.Adam, project=project)
    with fake_cuda() as waits:
        found = optimise({"x": Variable(start=torch.zeros(4), lr=0.1)}, loss, descent, ctx=ctx)["x"].cpu()
    assert found.tolist() == [2.0] * 4
    del waits.places["tests/test_fake_cuda:test_a_descent_reads_one_value_for_each_row_of_its_log"]
    check_waits(waits, _report=100, _loss_again=1, optimise=2)


def test_a_wait_inside_of_a_step_is_found_where_it_would_be_fine_outside() -> None:
    def loss(iteration: int, variables: object) -> Tensor:
        return (variables["x"] - 3).square().sum() * float(variables["x"].detach().sum() + 1)  # type: ignore[index]

    descent = Descent(unit="x", iterations=2, optimiser=torch.optim.Adam)
    with fake_cuda() as waits:
        optimise({"x": Variable(start=torch.zeros(4), lr=0.1)}, loss, descent, ctx=Context(device=torch.device("cuda")))
    with pytest.raises(AssertionError, match="inside of a step"):
        check_waits(waits)
