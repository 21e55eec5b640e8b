"""What a run says while it goes and at its end."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path

import pytest
from click.testing import Result

from simclr_spec.cli.show import status
from simclr_spec.cli.show.live import Live, Plain, ending, watcher
from simclr_spec.core.files import write_json
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.run import Ending
from simclr_spec.dispatch.task import Task
from simclr_spec.language.coordinates import parse
from simclr_spec.plan import compile
from simclr_spec.store.layout import RunFolder, Store
from simclr_spec.store.selection import entries
from tests import runs
from tests.typed import run


@pytest.fixture
def board(tmp_path: Path) -> Board:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(tmp_path / "tiny.toml")])
    return Board.of(plan.steps, Store(tmp_path / "runs"), {step.fingerprint: 10.0 for step in plan.steps})


def task(board: Board, kind: str) -> Task:
    return next(task for task in board.tasks.values() if task.step.kind == kind)


def test_plain_lines_count_what_is_done_and_name_what_is_blocked(board: Board) -> None:
    out = io.StringIO()
    plain = watcher(out)
    assert isinstance(plain, Plain)
    board.change(task(board, "pretrain"), "running", watcher=plain)
    board.change(task(board, "pretrain"), "done", watcher=plain)
    board.change(task(board, "finetune"), "failed", "the loss became nan at train step 3 of 10", watcher=plain)
    plain.tick(board)
    assert out.getvalue().splitlines() == [
        "[0/5 0 s] pretrain r18-1x-digits-s0: begins",
        "[1/5 0 s] pretrain r18-1x-digits-s0: done in 0 s",
        "[1/5 0 s] finetune r18-1x-digits-1pc-s0: failed: the loss became nan at train step 3 of 10",
        "[1/5 0 s] distill r18-1x-digits-1pc-s0: will not run: finetune r18-1x-digits-1pc-s0 failed",
    ]


def test_the_screen_has_progress_the_time_left_and_a_line_per_running_step(board: Board) -> None:
    out = io.StringIO()
    live = Live(out)
    live.console.width = 120
    running = task(board, "pretrain")
    with live:
        live.tick(board)
        attempt = running.folder.new_attempt()
        line = {"train_step": 0, "train_steps": 100, "epoch": 0.0, "loss": None, "images_per_second": None}
        attempt.metrics.write_text(json.dumps(line) + "\n")
        board.change(running, "running", watcher=live)
        live.drawn = 0.0
        live.tick(board)
        running.since -= 30.0
        line |= {"train_step": 50, "epoch": 4.25, "loss": 2.5, "images_per_second": 1234.4}
        attempt.metrics.write_text(json.dumps(line) + "\n")
        live.drawn = 0.0
        live.tick(board)
        board.change(task(board, "supervised"), "failed", "no [memory]", watcher=live)
        live.console.print(live._picture(board))
    text = out.getvalue()
    assert "pretrain r18-1x-digits-s0" in text
    assert "epoch 4.2" in text
    assert "loss 2.500" in text
    assert "1,234 images/s" in text
    assert "0 of 5 Steps" in text
    assert "✗ supervised r18-1x-digits-2pc-s0: no [memory]" in text
    assert board.remaining_seconds() == pytest.approx((30 / 5) * (5 + 10 + 10 + 10) / 1, rel=0.01)


@pytest.mark.parametrize("screen", [Plain, Live])
def test_what_another_process_works_on_is_told_with_the_process(tmp_path: Path, screen: type[Plain | Live]) -> None:
    (tmp_path / "tiny.toml").write_text(runs.SPEC)
    plan, store = compile([str(tmp_path / "tiny.toml")]), Store(tmp_path / "runs")
    seconds = {step.fingerprint: 10.0 for step in plan.steps}
    busy = next(task for task in Board.of(plan.steps, store, seconds).tasks.values() if task.step.kind == "pretrain").folder
    out = io.StringIO()
    told = "waits for pretrain r18-1x-digits-s0: process 77 on far works on it since 2026-01-02 03:04 UTC"
    with busy.leased(), screen(out) as shown:
        board = Board.of(plan.steps, store, seconds)
        assert task(board, "pretrain").why == "another process works on it", "its attempt has not begun"
        record = {"state": "running", "pid": 77, "host": "far", "started": "2026-01-02T04:04:05+01:00"}
        write_json(busy.new_attempt().record, record)
        board = Board.of(plan.steps, store, seconds)
        shown.changed(board, task(board, "pretrain"))
        shown.tick(board)
    assert told in " ".join(out.getvalue().split())
    task(board, "finetune").state = "done"
    assert (
        ending(Ending(board), "simclr-spec run tiny").splitlines()[-1] == f"- 1 Step not run, because {told.partition(': ')[2]}"
    )


def test_a_silent_log_that_is_followed_is_told_by_its_curve(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(status, "LOOK_SECONDS", 0.0)
    folder = task(board, "pretrain").folder
    with folder.leased():
        attempt = folder.new_attempt()
        attempt.log.write_text("started\n")
        line = {"train_step": 50, "train_steps": 100, "epoch": 4.25, "loss": 2.5, "images_per_second": 1234.4}
        attempt.metrics.write_text(json.dumps(line) + "\n")
        chosen = entries(Store(tmp_path / "runs"), [str(tmp_path / "tiny.toml")], parse(["kind=pretrain"]), None, ())
        lines = status.follow(lambda: chosen, lambda: True, 10)
        told = [next(lines) for _ in range(4)]
        with attempt.log.open("a") as log:
            log.write("half")
        told.append(next(lines))
        with attempt.log.open("a") as log:
            log.write(" a line\n")
        told.append(next(lines))
    curve = "  epoch 4.2, loss 2.500, 1,234 images/s"
    assert told == [f"pretrain r18-1x-digits-s0 (running): {attempt.log}", "  started", *[curve] * 3, "  half a line"]


def test_drawing_is_throttled(board: Board) -> None:
    live = Live(io.StringIO())
    drawn = []
    with live:
        for _ in range(20):
            live.tick(board)
            drawn.append(live.drawn)
            time.sleep(0.01)
    assert len(set(drawn)) == 1


def test_the_end_names_failures_with_log_what_they_block_and_how_to_go_on(board: Board) -> None:
    silent = Plain(io.StringIO())
    board.change(task(board, "pretrain"), "done", watcher=silent)
    failed = task(board, "finetune")
    failed.log = Path("/runs/finetune/log")
    board.change(failed, "failed", "the loss became nan", watcher=silent)
    lines = ending(Ending(board), "simclr-spec run tiny").splitlines()
    assert lines == [
        "5 Steps in 0 s: 1 done, 1 failed, 3 not run.",
        "✗ finetune r18-1x-digits-1pc-s0: the loss became nan",
        "    /runs/finetune/log",
        "- 1 Step not run, because finetune r18-1x-digits-1pc-s0 failed",
    ]
    stopped = ending(Ending(board, stopped=True), "simclr-spec run tiny").splitlines()
    assert stopped[-1] == "Stopped. `simclr-spec run tiny` continues from the checkpoints."


def test_the_end_of_what_was_handed_to_a_scheduler_says_what_goes_on(board: Board) -> None:
    silent = Plain(io.StringIO())
    store = task(board, "pretrain").folder.store
    for kind in ("pretrain", "supervised"):
        board.change(task(board, kind), "queued", watcher=silent)
    board.change(task(board, "finetune"), "queued", "78", watcher=silent)
    told = ["job 77: 2 of pretrain, each on 1 GPU for at most 24 h", "job 78 submits the other 2 Steps when there is room (X)"]
    outcome = Ending(board, told=told, left_alone=True)
    assert ending(outcome, "simclr-spec run tiny").splitlines() == [
        "5 Steps: 2 queued, 1 to be submitted, 2 not run.",
        *(f"- {line}" for line in told),
        f"`simclr-spec status --watch{store.option}` shows how they go on.",
    ]
    board.change(task(board, "pretrain"), "running", watcher=silent)
    outcome = Ending(board, left_alone=True)
    assert ending(outcome, "simclr-spec run tiny").splitlines()[:2] == [
        "5 Steps: 1 running, 1 queued, 1 to be submitted, 2 not run.",
        "Nothing new was submitted.",
    ]
    assert [task.step.kind for task in outcome.not_run] == ["linear_eval", "distill"]


def test_a_watch_goes_on_between_two_steps(tmp_path: Path) -> None:
    found: list[Result] = []
    with RunFolder(tmp_path / ".jobs" / "a run").leased():
        watch = threading.Thread(
            target=lambda: found.append(run("status", "--watch", "state=running", "--store", str(tmp_path)))
        )
        watch.start()
        time.sleep(4.0)
        assert watch.is_alive()
    watch.join(timeout=20.0)
    assert found[0].exit_code == 0
    assert found[0].output.count("There is no Step to show.") >= 2
