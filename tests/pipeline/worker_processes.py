"""Workers as processes of their own, started as `torchrun` starts them, but without it: nobody restarts a dead one."""

import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMAND = "import sys; from wmdd.cli.main import main; sys.exit(main(sys.argv[1:]))"


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process with one thread."""
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def run_workers(
    words: Sequence[str], *, script: str = COMMAND, size: int = 2, **more: str
) -> list["subprocess.CompletedProcess[str]"]:
    """Run `script` with `words` in every worker; return what became of them, in the order of their ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    place = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script, *words],
            env=environment(RANK=str(rank), LOCAL_RANK=str(rank), **place, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    try:
        said = [worker.communicate(timeout=240) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    return [
        subprocess.CompletedProcess(worker.args, worker.returncode, *texts)
        for worker, texts in zip(workers, said, strict=True)
    ]


def words_of(settings: Mapping[str, object]) -> list[str]:
    """Return settings as words of a command."""
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


def files_of(folder: Path) -> dict[str, bytes]:
    """Return what a folder holds, by name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def results_of(store: Path) -> dict[str, bytes]:
    """Return the records of all results in a store; manifests and logs tell of times and of the order of rows."""
    files = files_of(store)
    return {name: content for name, content in files.items() if name.endswith((".safetensors", "/record.json"))}
