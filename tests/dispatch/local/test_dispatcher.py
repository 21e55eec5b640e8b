"""What is made of the word of a worker that it has ended its Step."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

from simclr_spec.dispatch.local.dispatcher import Slots
from simclr_spec.dispatch.local.pool import Event, Pool, Worker
from simclr_spec.dispatch.local.slots import Slot
from simclr_spec.dispatch.task import Task
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests.finished import prepare


def test_a_step_that_was_left_alone_is_in_other_hands_or_its_folder_is_gone(tmp_path: Path) -> None:
    step = compile(["quickstart"]).steps[0]
    folder = prepare(Store(tmp_path / "runs"), step)
    task = Task(step=step, folder=folder)
    job = SimpleNamespace(paths=SimpleNamespace(stderr=tmp_path / "stderr"))
    slots = Slots(pool=Pool(tmp_path, [], {}))

    def ended() -> tuple[str, str]:
        slots.begun[task] = 0.0
        slots._take(Event(Worker(number=1, slots=(Slot(0),), job=job, task=task), "idle"))
        return slots.changes[-1].state, slots.changes[-1].why

    with folder.leased():
        assert ended()[0] == "elsewhere"
    shutil.rmtree(folder.path)
    assert ended() == ("failed", f"its run folder is gone: somebody deleted {folder.path}")
    slots.pool.close()
