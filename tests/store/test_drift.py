"""Steps are counted by the codes that they ran on and were submitted with."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.core.files import write_json
from simclr_spec.store.arrays import Queued
from simclr_spec.store.drift import drifted
from simclr_spec.store.layout import RunFolder, Store


def folder(store: Store, name: str, *codes: tuple[str, str] | None) -> RunFolder:
    """A Step of a cluster with an attempt for each."""
    found = store.prepare(f"pretrain/{name}", {})
    found.queue(Queued(job="1_0", array="x", index=0, after_attempt=0))
    for pair in codes:
        more = {"code": pair[0], "submitted_code": pair[1]} if pair else {}
        write_json(found.new_attempt().record, {"state": "interrupted", **more})
    return found


def test_by_the_last_attempt_on_other_code(tmp_path: Path) -> None:
    store = Store(tmp_path)
    folders = [
        folder(store, "a", None, ("c2", "c1"), None),
        folder(store, "b", ("c2", "c1")),
        folder(store, "c", ("c2", "c1"), ("c3+", "c2")),
        folder(store, "d", None),
        folder(store, "e"),
        store.prepare("pretrain/local", {}),
    ]
    assert list(drifted(folders)) == [
        "2 Steps ran on code c2, submitted with c1",
        "1 Step ran on code c3+, submitted with c2",
    ]
