"""Steps that take several slots: their processes are trained with, stopped and killed together, and never starve."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.core.files import read_json
from simclr_spec.dispatch.board import Board
from simclr_spec.dispatch.local import team
from simclr_spec.dispatch.run import Ending, run
from simclr_spec.dispatch.task import Task
from simclr_spec.language.runner import Local, Retries, Rule
from simclr_spec.plan import compile
from simclr_spec.store.layout import RunFolder, Store
from tests import runs
from tests.dispatch.silent import Silent

RULE = Rule(when={"stage": "pretrain"}, set={"processes": 2})
SHORT = ("train_steps=2", "pretrain.train_steps=60")


class Looks(Silent):
    """Does something, once, when a pretraining has a checkpoint; keeps what is said of it."""

    def __init__(self, do: Callable[[int], object]) -> None:
        super().__init__()
        self.do, self.whys = do, list[str]()

    def changed(self, board: Board, task: Task) -> None:
        super().changed(board, task)
        self.whys += [task.why] if task.why else []

    def tick(self, board: Board) -> None:
        for task in board.in_state("running"):
            attempt = task.attempt()
            if task.step.kind == "pretrain" and attempt and attempt.number == 1 and attempt.checkpoint.exists():
                self.do(read_json(attempt.record)["pid"])
                self.do = lambda _: None


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMCLR_SPEC_CHECKPOINT_STEPS", "10")


def ran(folder: Path, runner: Local, watcher: Silent, *more: str) -> Ending:
    (folder / "tiny.toml").write_text(runs.SPEC)
    plan = compile([str(folder / "tiny.toml")], sets=runs.sets(*SHORT, *more))
    seconds = {step.fingerprint: 1.0 for step in plan.steps}
    return run(plan, plan.steps, Store(folder / "runs"), runner, watcher, seconds=seconds)


def pretraining(outcome: Ending) -> RunFolder:
    return next(task.folder for task in outcome.board.tasks.values() if task.step.kind == "pretrain")


def siblings(pid: int) -> list[int]:
    """The processes of a team, in the order of ranks."""
    leader = int(Path(f"/proc/{pid}/stat").read_text().split()[3])
    return sorted(runs.children(leader))


def test_a_killed_rank_is_begun_again_with_the_others_and_ends_with_the_same_bits(tmp_path: Path) -> None:
    """As many processes as by hand, and as one that nobody disturbed."""
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    watcher = Looks(lambda pid: os.kill(siblings(pid)[1], signal.SIGKILL))
    runner = Local(slots=2, rules=(RULE,), retries=Retries(killed=1))
    killed = ran(tmp_path / "killed", runner, watcher)
    assert {task.state for task in killed.board.tasks.values()} == {"done"}
    folder = pretraining(killed)
    first, second = (read_json(attempt.record) for attempt in folder.attempts())
    assert (first["state"], first["failure"]) == ("failed", "killed")
    assert first["error"] == "another process of this Step died"
    assert second["resumed_from"]["attempt"] == 1
    assert second["job"] == "local, slots 0, 1"
    assert watcher.whys == ["failed, attempt 2 of 2 begins: another process of this Step died"]
    assert read_json(folder.result)["environment"]["world_size"] == 2

    by_hand = Store(tmp_path / "whole").prepare(folder.path.parent.name + "/" + folder.path.name, read_json(folder.step))
    team.execute(by_hand.path, 2)
    assert by_hand.weights.read_bytes() == folder.weights.read_bytes()


def test_a_stopped_run_leaves_a_checkpoint_of_a_team_and_no_process(tmp_path: Path) -> None:
    pids: list[int] = []

    def stop(pid: int) -> None:
        pids.extend([pid, *siblings(pid)])
        os.kill(os.getpid(), signal.SIGINT)

    outcome = ran(tmp_path, Local(slots=2, rules=(RULE,)), Looks(stop), "pretrain.train_steps=100000")
    assert outcome.stopped
    assert pretraining(outcome).state() == "interrupted"
    assert read_json(pretraining(outcome).attempts()[0].record)["state"] == "interrupted"
    assert len(pids) == 3
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_rank_that_hangs_is_killed_with_the_others(tmp_path: Path) -> None:
    """Frozen, as in a collective that waits for the dead: nobody can say how the Step ended, and the runner does."""

    def freeze(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        os.kill(siblings(pid)[1], signal.SIGKILL)

    outcome = ran(tmp_path, Local(slots=2, rules=(RULE,)), Looks(freeze), "pretrain.train_steps=100000")
    (failed,) = outcome.failed
    assert failed.why == "rank 1 was killed by SIGKILL"
    assert read_json(failed.folder.attempts()[0].record)["failure"] == "killed"
    assert failed.folder.is_free()


def test_a_team_and_its_run_killed_at_once_leave_no_process(tmp_path: Path) -> None:
    runner = tmp_path / "two.toml"
    runner.write_text('kind = "local"\nslots = 2\n[[rules]]\nwhen = {stage = "pretrain"}\nset = {processes = 2}\n')
    with runs.started(tmp_path, "--runner", str(runner), "--set", "pretrain.train_steps=100000") as process:
        runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
        ranks = siblings(runs.working(tmp_path, "pretrain") or 0)
        leader = int(Path(f"/proc/{ranks[0]}/stat").read_text().split()[3])
        runs.kill(process.pid)
        runs.kill(leader)
        runs.wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in ranks), 20)
    (folder,) = [folder for folder in Store(tmp_path / "runs").folders() if folder.path.parent.name == "pretrain"]
    assert folder.state() == "interrupted"


def test_a_step_of_several_slots_does_not_starve(tmp_path: Path) -> None:
    """It is the most urgent one when slots become free in turn: what is less urgent waits until it has begun."""
    watcher = Silent()
    rule = Rule(when={"stage": "finetune"}, set={"processes": 2})
    more = ("pretrain.train_steps=300", "supervised.train_steps=900")
    outcome = ran(tmp_path, Local(slots=2, rules=(rule,)), watcher, *more)
    assert {task.state for task in outcome.board.tasks.values()} == {"done"}
    assert [kind for kind, state in watcher.seen if state == "running"][:3] == ["pretrain", "supervised", "finetune"]
    place = watcher.seen.index
    assert place(("pretrain", "done")) < place(("supervised", "done")) < place(("finetune", "running"))
    assert place(("finetune", "done")) < place(("linear_eval", "running")), "which a slot was free for all the time"


def test_a_step_of_more_slots_than_there_are_is_refused_before_anything_starts(tmp_path: Path) -> None:
    watcher = Silent()
    with pytest.raises(
        UsageError, match=r"^pretrain r18-1x-digits-s0 takes 2 slots of the runner, which has 1: lower processes, "
    ):
        ran(tmp_path, Local(slots=1, rules=(RULE,)), watcher)
    assert watcher.seen == []
