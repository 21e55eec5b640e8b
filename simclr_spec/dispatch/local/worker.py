"""The other end of a slot: one warm process, because importing torch takes seconds, that trains the Steps it is told, in turn.
Of several slots: a process that trains each with a team of new ones.

It stops when its runner does: at the connection's end it sends itself SIGTERM, so the Step writes a checkpoint at its next
train step. A SIGTERM from elsewhere means the Step alone, and nothing once that has ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from simclr_spec.core.errors import Interrupted, SimclrSpecError
from simclr_spec.dispatch.local import team
from simclr_spec.dispatch.local.gpus import share


def work(address: str, number: int, processes: int = 1, locks: Sequence[str] = ()) -> None:
    """Body of the submitit job: tell the runner at the socket `address` who we are, then do as it says until it hangs up.

    `locks` are those of its GPUs. Whatever it begins is of its process group, so that all can be killed together.
    """
    os.setsid()
    shared = [share(lock) for lock in locks]
    with contextlib.suppress(ConnectionError, FileNotFoundError), socket.socket(socket.AF_UNIX) as channel:
        channel.connect(address)
        channel.sendall(f"{number} {os.getpid()}\n".encode())
        _serve(channel, address, processes)
    del shared  # not before


def _serve(channel: socket.socket, address: str, processes: int) -> None:
    stop = threading.Event()
    folders: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing to save yet: leave at once
    threading.Thread(target=_listen, args=(channel, address, folders, stop), daemon=True).start()

    execute = _executor(processes)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # while a Step runs, the training wing has a handler of its own
    channel.sendall(b"idle\n")
    while (folder := folders.get()) is not None and not stop.is_set():
        channel.sendall(f"idle {_told(execute, Path(folder))}\n".encode())


def _told(execute: Callable[[Path], int | None], folder: Path) -> str:
    """The process that the attempt names; and what went wrong, in a line: here and not in a file, since a disk may be full."""
    pid, word = None, ""
    try:
        pid = execute(folder)
    except Interrupted:  # by the runner, which hangs up then; or this one Step was cancelled
        pass
    except SimclrSpecError as error:
        word = str(error).splitlines()[0]
    except Exception as error:
        word = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"{pid or os.getpid()} {word}"


def _executor(processes: int) -> Callable[[Path], int | None]:
    """Trains a run folder; returns the process that its attempt names, if that is not this one."""
    if processes > 1:
        return partial(team.execute, processes=processes)

    from simclr_spec.train.loop.execute import execute  # torch, before the first Step's clock runs

    return execute


def _listen(channel: socket.socket, address: str, folders: queue.SimpleQueue[str | None], stop: threading.Event) -> None:
    with contextlib.suppress(ConnectionError), channel.makefile("r", encoding="utf-8") as lines:
        for line in lines:
            folders.put(json.loads(line))
    stop.set()
    folders.put(None)
    with contextlib.suppress(OSError):  # a runner that was killed could not
        os.unlink(address)
        os.rmdir(os.path.dirname(address))
    while True:  # a single signal could fall between two handlers
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1.0)
