"""The other end of a slot: one warm process, because importing torch takes seconds, that trains the Steps it is told, in turn.

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
from collections.abc import Callable
from pathlib import Path

from simclr_spec.core.errors import Interrupted, SimclrSpecError


def work(address: str, number: int) -> None:
    """Body of the submitit job: tell the runner at the socket `address` who we are, then do as it says until it hangs up."""
    with contextlib.suppress(ConnectionError, FileNotFoundError), socket.socket(socket.AF_UNIX) as channel:
        channel.connect(address)
        channel.sendall(f"{number} {os.getpid()}\n".encode())
        _serve(channel, address)


def _serve(channel: socket.socket, address: str) -> None:
    stop = threading.Event()
    folders: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # nothing to save yet: leave at once
    threading.Thread(target=_listen, args=(channel, address, folders, stop), daemon=True).start()

    from simclr_spec.train.loop.execute import execute  # torch, before the first Step's clock runs

    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # while a Step runs, the training wing has a handler of its own
    channel.sendall(b"idle\n")
    while (folder := folders.get()) is not None and not stop.is_set():
        channel.sendall(f"idle {_word_of(execute, Path(folder))}\n".encode())


def _word_of(execute: Callable[[Path], None], folder: Path) -> str:
    """What went wrong, in a line: here and not in a file, since a full disk is told so, too. Empty where nothing did."""
    try:
        execute(folder)
    except Interrupted:  # by the runner, which hangs up then; or this one Step was cancelled
        return ""
    except SimclrSpecError as error:
        return str(error).splitlines()[0]
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


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
