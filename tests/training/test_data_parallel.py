"""Steps that two processes take together are those of one, to rounding."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from drawn import drawn_set
from wmdd.artifacts.tensors import read_tensors, write_tensors
from wmdd.context import Context, Team
from wmdd.settings import SqueezeSettings
from wmdd.stages.squeeze import squeeze
from wmdd.training.data_parallel import SharedBatchNorm

TRAIN = {"arch": "convnet2_w8_bn", "epochs": 3, "batch": 9, "lr": 0.05}
"""Two workers have 4 and 5 rows of each batch."""
WORKER = """
import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, sys.argv[1])
from test_data_parallel import train

torch.set_num_threads(1)
dist.init_process_group("gloo")
from wmdd.training.data_parallel import ProcessTeam
train(ProcessTeam(), Path(sys.argv[2]))
dist.destroy_process_group()
"""


def train(team: Team, out: Path) -> None:
    """Train a small teacher in this worker; write its weights and its accuracy."""
    teacher = squeeze(drawn_set(), drawn_set(split="val", seed=1), SqueezeSettings(**TRAIN), ctx=Context(team=team))
    write_tensors(out / f"{team.rank}-of-{team.size}.safetensors", teacher.weights, {"top1": teacher.top1})


@pytest.mark.timeout(400)
def test_a_teacher_that_two_workers_train_is_that_of_one_to_rounding(tmp_path: Path) -> None:
    train(Team(), tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    workers = [
        subprocess.Popen(
            [sys.executable, "-W", "error::FutureWarning", "-c", WORKER, str(Path(__file__).parent), str(tmp_path)],
            env={**os.environ, **place, "RANK": str(rank), "PYTHONPATH": paths},
        )
        for rank in range(2)
    ]
    assert [worker.wait(timeout=300) for worker in workers] == [0, 0]
    names = ("0-of-1", "0-of-2", "1-of-2")
    (one, _), (first, _), (second, _) = (read_tensors(tmp_path / f"{name}.safetensors") for name in names)
    for name, expected in one.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], expected, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4), (6, 3, 4, 5)])
def test_moments_of_one_worker_are_those_of_torch(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.all_reduce", lambda _: None)
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    found, expected = (kinds[len(shape)](3) for _ in range(2))
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 2
    wanted = torch.randn(shape)
    with SharedBatchNorm(Team()):
        outputs = found(images.requires_grad_())
    (outputs * wanted).sum().backward()
    assert images.grad is not None
    gradient, images.grad = images.grad.clone(), None
    (expected(images) * wanted).sum().backward()
    torch.testing.assert_close(outputs, expected.train()(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient, images.grad, rtol=1e-4, atol=1e-5)
    assert found.weight.grad is not None
    torch.testing.assert_close(found.weight.grad, expected.weight.grad, rtol=1e-4, atol=1e-4)


def test_running_moments_follow_those_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.distributed.all_reduce", lambda _: None)
    found, expected = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
    images = torch.randn(5, 2, 3, 3)
    with SharedBatchNorm(Team()):
        found(images)
    expected(images)
    torch.testing.assert_close(found.running_mean, expected.running_mean)
    torch.testing.assert_close(found.running_var, expected.running_var)
    assert found.num_batches_tracked == 1
    with SharedBatchNorm(Team()):
        torch.testing.assert_close(found.eval()(images), expected.eval()(images))


@pytest.mark.parametrize(("count", "size"), [(9, 2), (8, 4), (7, 7)])
def test_rows_of_a_team_are_all_rows_once(count: int, size: int) -> None:
    teams = [Team() for _ in range(size)]
    for rank, team in enumerate(teams):
        team.rank, team.size = rank, size
    rows = [list(range(count))[team.rows(count)] for team in teams]
    assert [row for part in rows for row in part] == list(range(count))
    assert sum(team.weight(count) for team in teams) == pytest.approx(size)
    losses = torch.rand(count)
    whole = sum(team.weight(count) * losses[team.rows(count)].mean() for team in teams) / size
    torch.testing.assert_close(torch.as_tensor(whole), losses.mean())
