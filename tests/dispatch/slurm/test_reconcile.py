"""What becomes of Steps by what Slurm says of their jobs; the real Slurm says it in tests/slurm."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from simclr_spec.core.files import write_json
from simclr_spec.dispatch.slurm import commands, ledger, reconcile
from simclr_spec.dispatch.slurm.commands import Job, NoAccounting, NoAnswer
from simclr_spec.language.runner import Slurm
from simclr_spec.store.arrays import ArrayFolder
from simclr_spec.store.layout import RunFolder, Store

STEPS = [f"supervised/r18-1x-s{number}-1a2b3c4d" for number in range(3)]
Say = Callable[..., None]


@pytest.fixture
def array(store: Store) -> ArrayFolder:
    """Three Steps as job 7."""
    for step in STEPS:
        write_json(_made(store.folder(step)).step, {"needs": {}})
    more = {"variables": {}, "processes": 1, "cpus": 1, "minutes": 10, "code": "x"}
    folder = ledger.write_intent(store, "supervised", dict(enumerate(STEPS)), Slurm(), **more)
    for index, step in enumerate(STEPS):
        ledger.queue(store.folder(step), folder, "7", index)
    ledger.sign(folder, "7")
    folder.released.touch()
    return folder


def _made(folder: RunFolder) -> RunFolder:
    folder.path.mkdir(parents=True)
    return folder


@pytest.fixture
def say(array: ArrayFolder, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Sets what squeue and sacct answer, as (index, state, more) or an error."""
    monkeypatch.setattr(reconcile, "ACCOUNTING_SECONDS", 0.0)

    def answer(of: list[tuple[int, str, dict[str, str]]] | Exception) -> Callable[..., list[Job]]:
        def asked(_names: list[str]) -> list[Job]:
            if isinstance(of, Exception):
                raise of
            return [Job(array.name, "7", index, state, **more) for index, state, more in of]

        return asked

    def say(queue: object, history: object = ()) -> None:
        monkeypatch.setattr(commands, "queue", answer(queue))  # type: ignore[arg-type]
        monkeypatch.setattr(commands, "history", answer(history))  # type: ignore[arg-type]

    return say


def states(store: Store) -> list[str]:
    return [store.folder(step).state() for step in STEPS]


def why(store: Store, index: int) -> str:
    queued = store.folder(STEPS[index]).queued_as()
    assert queued
    return queued.why


LEFT: list[tuple[int, str, dict[str, str]]] = [(1, "PENDING", {}), (2, "PENDING", {})]


@pytest.mark.parametrize(
    ("end", "state", "sentence"),
    [
        (("CANCELLED", {"by": "0"}), "interrupted", "job 7_0 was cancelled by root"),
        (("CANCELLED", {"by": "987654"}), "interrupted", "job 7_0 was cancelled by user 987654"),
        (("PREEMPTED", {}), "interrupted", "job 7_0 was preempted"),
        (("NODE_FAIL", {"nodes": "n1"}), "interrupted", "n1 failed under job 7_0"),
        (("TIMEOUT", {}), "interrupted", "job 7_0 reached its time limit"),
        (
            ("OUT_OF_MEMORY", {}),
            "failed",
            "memory ran out under job 7_0: ask for more memory_gib, or spread the Step over more nodes",
        ),
        (("FAILED", {}), "failed", "job 7_0 ended without a word of the training: srun: no such partition"),
    ],
)
def test_accounting_says_how_a_job_ended_that_the_queue_forgot(
    store: Store, array: ArrayFolder, say: Say, end: tuple[str, dict[str, str]], state: str, sentence: str
) -> None:
    array.log(0).write_text("srun: no such partition\n")
    say(LEFT, [(0, *end)])
    reconcile.reconcile(store)
    assert (states(store), why(store, 0)) == ([state, "queued", "queued"], sentence)


def test_without_accounting_a_job_that_is_gone_is_unknown(store: Store, array: ArrayFolder, say: Say) -> None:
    say(LEFT, NoAccounting("no"))
    reconcile.reconcile(store)
    assert states(store) == ["unknown", "queued", "queued"]


def test_while_accounting_does_not_answer_nothing_is_concluded(store: Store, array: ArrayFolder, say: Say) -> None:
    say([], NoAnswer("sacct: Connection refused"))
    reconcile.reconcile(store)
    assert states(store) == ["queued"] * 3
    assert not array.closed.exists()
    say([], [(0, "TIMEOUT", {}), (1, "TIMEOUT", {}), (2, "TIMEOUT", {})])
    reconcile.reconcile(store)
    assert states(store) == ["interrupted"] * 3
    assert array.closed.exists()


def test_while_the_queue_does_not_answer_nothing_is_concluded(store: Store, array: ArrayFolder, say: Say) -> None:
    say(NoAnswer("squeue: away"), [(0, "CANCELLED", {})])
    assert reconcile.reconcile(store).silent == "squeue: away"
    assert states(store) == ["queued"] * 3


def test_a_job_that_slurm_itself_begins_again_is_queued(store: Store, array: ArrayFolder, say: Say) -> None:
    write_json(store.folder(STEPS[0]).new_attempt().record, {"state": "running", "error": None})
    say([(0, "NODE_FAIL", {}), *LEFT])
    reconcile.reconcile(store)
    assert states(store) == ["queued"] * 3


def test_a_step_that_failed_keeps_its_own_word_while_its_job_leaves(store: Store, array: ArrayFolder, say: Say) -> None:
    attempt = store.folder(STEPS[0]).new_attempt()
    write_json(attempt.record, {"state": "failed", "error": "the loss is not finite", "failure": None})
    for state in ("RUNNING", "COMPLETING", "FAILED"):
        say([(0, state, {}), *LEFT])
        reconcile.reconcile(store)
        assert states(store) == ["failed", "queued", "queued"]
    assert "the loss is not finite" in attempt.record.read_text()


def test_who_cancelled_a_running_job_is_told(store: Store, array: ArrayFolder, say: Say) -> None:
    attempt = store.folder(STEPS[0]).new_attempt()
    write_json(attempt.record, {"state": "interrupted", "error": None})
    say([(0, "CANCELLED", {}), *LEFT], [(0, "CANCELLED", {"by": "0"})])
    reconcile.reconcile(store)
    assert "job 7_0 was cancelled by root" in attempt.record.read_text()


def test_children_that_slurm_cancelled_were_never_submitted(store: Store, array: ArrayFolder, say: Say) -> None:
    """Accounting does not say why, but by nobody; and a parent is not done."""
    write_json(store.folder(STEPS[1]).step, {"needs": {"encoder": {"folder": "pretrain/r18"}}})
    say([(0, "CANCELLED", {"reason": "DependencyNeverSatisfied"}), (2, "PENDING", {})], [(1, "CANCELLED", {})])
    reconcile.reconcile(store)
    assert states(store) == ["new", "new", "queued"]


def test_an_element_that_vanished_because_a_person_cancelled_it(store: Store, array: ArrayFolder, say: Say) -> None:
    """Of one that waits, neither queue nor accounting keeps a trace."""
    os.utime(array.intent, (time.time() - 1,) * 2)
    store.folder(STEPS[0]).cancel()
    say(LEFT)
    reconcile.reconcile(store)
    assert (states(store)[0], why(store, 0)) == ("interrupted", "job 7_0 was cancelled")


def test_a_row_for_all_that_were_cancelled_one_by_one(store: Store, array: ArrayFolder, say: Say) -> None:
    say([(commands.ANY, "CANCELLED", {"reason": "Priority"})], [(1, "CANCELLED", {"by": "0"})])
    reconcile.reconcile(store)
    assert states(store) == ["interrupted"] * 3
    assert [why(store, index) for index in range(3)] == [
        "job 7_0 was cancelled",
        "job 7_1 was cancelled by root",
        "job 7_2 was cancelled",
    ]


def test_who_only_looks_asks_every_ten_seconds(
    store: Store, array: ArrayFolder, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "there", lambda: True)
    say([(0, "RUNNING", {}), *LEFT])
    assert reconcile.watched(store) is not None
    assert reconcile.watched(store) is None
    os.utime(store.asked, (time.time() - 11,) * 2)
    assert reconcile.watched(store) is not None
