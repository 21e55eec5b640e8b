"""A worker as a job of submitit's local executor, which only has to start a process, with a log and a pickled function.

Worked around here, because submitit 1.5 leaves it to us. tests/dispatch/local/test_submitit.py shows each trap in the real
submitit, and fails, naming what can go, once one is mended:

- It starts every job at once and counts no GPUs: so a job is a worker that stays in its slot, and the queue is ours.
- `gpus_per_node=1` means GPU 0 for every job: so each has an executor of its own that is told its GPU.
- GPUs whose ids are text (UUIDs, MIG instances) are refused: so the id goes past the check.
- A job ends after 2 minutes: so its limit is ten years. A Step's own limit is the dispatcher's business.
- Jobs are named by process ids, which come again, and logs are appended to: so a folder for each job.
- A job is believed to be done when its controller is, though its process may live on, and the other way round: so a connection
  says whether a worker lives (pool.py), and the store how its Step ended.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from simclr_spec.core.environment import environment
from simclr_spec.core.files import naming
from simclr_spec.dispatch.local.slots import Slot
from simclr_spec.dispatch.local.worker import work

NEVER = 60 * 24 * 3650
"""Minutes."""


def start(
    folder: Path, slots: Sequence[Slot], locks: Sequence[str], variables: Mapping[str, str], address: str, number: int
) -> Any:
    """Worker `number` in its slots, as a submitit job with its files in `folder`; it calls the socket at `address`."""
    with _shielded(), environment(variables), naming(folder):  # submitit hands its own environment on to its jobs
        return _executor(folder, slots).submit(work, address, number, len(slots), locks)


def stderr(job: Any, since: int = 0) -> str:
    """What the process has written on standard error after the first `since` bytes, submitit's own chatter left out."""
    try:
        text = job.paths.stderr.read_bytes()[since:].decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(line for line in text.splitlines() if not line.startswith("submitit ")).strip()


def _executor(folder: Path, slots: Sequence[Slot]) -> Any:
    from submitit.local.local import LocalExecutor

    executor = LocalExecutor(folder, max_num_timeout=0)
    gpus = [slot.gpu for slot in slots if slot.gpu is not None]
    executor.update_parameters(timeout_min=NEVER, gpus_per_node=len(gpus), tasks_per_node=1)
    if gpus:
        executor.parameters["visible_gpus"] = gpus
    return executor


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """Processes begun here never see Ctrl-C or a closing terminal: stopping them is our work. We see both, a little later."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
