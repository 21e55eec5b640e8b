"""A real Chromium, without a window, spoken to over two pipes in the DevTools protocol: JSON between null bytes."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE = 30.0
"""Seconds to an answer."""
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page of it."""

    def __init__(self, read: int, write: int) -> None:
        self.read, self.write = read, write
        self.rest, self.number, self.session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params} | (
            {"sessionId": self.session} if self.session else {}
        )
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], PATIENCE)
            assert ready, "Chromium does not answer"
            self.rest += os.read(self.read, 1 << 20)
        line, _, self.rest = self.rest.partition(b"\0")
        value: dict[str, Any] = json.loads(line)
        return value

    def open(self, page: Path, width: int = 1280, height: int = 900) -> None:
        """And wait until it is there."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Page.navigate", url=page.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def scheme(self, name: str, media: str = "") -> None:
        """light or dark."""
        self.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": name}])

    def ask(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def until(self, expression: str) -> None:
        """It becomes true, in frames to come."""
        begun = time.monotonic()
        while not self.ask(expression):
            assert time.monotonic() - begun < PATIENCE, expression
            time.sleep(0.02)

    def press(self, key: str, shift: bool = False) -> None:
        about: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "modifiers": 8 * shift}
        if key == "Enter":
            about["text"] = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **{k: v for k, v in about.items() if k != "text"})

    def picture(self, file: Path, whole: bool = True) -> None:
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]))

    def said(self, method: str) -> list[Any]:
        return [event["params"] for event in self.events if event.get("method") == method]


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser with a profile of its own, which ends with the block."""
    theirs, ours = _pipes()
    program = chromium()
    assert program is not None
    options = [
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", "--hide-scrollbars",
        "--disable-dev-shm-usage", f"--user-data-dir={folder}",
    ]  # fmt: skip
    ends = [(os.POSIX_SPAWN_DUP2, end, number) for end, number in zip(theirs, (3, 4), strict=True)]
    silent = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    process = os.posix_spawn(program, [program, *options], os.environ, file_actions=[*silent, *ends])
    for end in theirs:
        os.close(end)
    try:
        yield Browser(*ours)
    finally:
        for end in ours:
            os.close(end)  # it leaves when nobody speaks to it any more
        os.waitpid(process, 0)


def _pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Theirs to read and to write, which are not 3 or 4 yet; ours."""
    asked, answered = os.pipe(), os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (asked[0], answered[1])]
    os.close(asked[0])
    os.close(answered[1])
    return (moved[0], moved[1]), (answered[0], asked[1])
