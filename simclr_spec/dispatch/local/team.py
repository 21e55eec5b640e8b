"""A team: the processes of a Step that takes several slots, begun together and ended together.

`python -m simclr_spec.dispatch.local.team FOLDER` is one of them: as `python -m simclr_spec.train FOLDER`, but asked to stop
when the process that has begun it is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from simclr_spec.core.environment import MEETING

GRACE_SECONDS = 5.0
"""For the others to say what they saw and leave, once one has ended badly."""
_PARENT_DEATH_SIGNAL = 1

Ranks = Sequence[subprocess.Popen[bytes]]


def execute(folder: Path, processes: int) -> int:
    """Train the run folder with so many processes, each with its own of the visible GPUs; hands SIGTERM on.

    Returns rank 0's pid. How it ended, the store says; on standard error stands what no process could say itself.
    """
    with tempfile.TemporaryDirectory(prefix="simclr-spec-") as meeting:
        ranks = [_start(folder, rank, processes, os.path.join(meeting, "file")) for rank in range(processes)]
        before = signal.signal(signal.SIGTERM, lambda *_: _send(ranks, signal.SIGTERM))
        try:
            _bring_home(ranks)
        finally:
            signal.signal(signal.SIGTERM, before)
    return ranks[0].pid


def _start(folder: Path, rank: int, processes: int, meeting: str) -> subprocess.Popen[bytes]:
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    variables = {
        "RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(processes),
        "CUDA_VISIBLE_DEVICES": gpus[rank] if rank < len(gpus) else "",
        "GLOO_SOCKET_IFNAME": "lo",  # this machine's name may lead nowhere
        MEETING: meeting,
    }
    return subprocess.Popen([sys.executable, "-m", __name__, str(folder)], env=os.environ | variables)


def _bring_home(ranks: Ranks) -> None:
    """Until all have left; once one has ended badly the others are asked to, then killed."""
    since: float | None = None
    while any(rank.poll() is None for rank in ranks):
        if since is None and any(rank.poll() for rank in ranks):
            since = time.monotonic()
            _tell(ranks)
            _send(ranks, signal.SIGTERM)
        if since is not None and time.monotonic() - since > GRACE_SECONDS:
            _send(ranks, signal.SIGKILL)
        time.sleep(0.05)


def _tell(ranks: Ranks) -> None:
    for number, rank in enumerate(ranks):
        if rank.returncode is not None and rank.returncode < 0:
            print(f"rank {number} was killed by {signal.Signals(-rank.returncode).name}", file=sys.stderr, flush=True)


def _send(ranks: Ranks, number: signal.Signals) -> None:
    for rank in ranks:
        rank.send_signal(number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing to save yet: leave at once
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGTERM)

    from simclr_spec.train import distributed
    from simclr_spec.train.__main__ import main

    distributed.leave(main(sys.argv[1:]))
