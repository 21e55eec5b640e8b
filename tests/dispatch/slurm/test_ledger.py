"""What is read back of arrays, from files that others may write, too."""

from __future__ import annotations

import json

import pytest

from simclr_spec.core.errors import SimclrSpecError
from simclr_spec.dispatch.slurm import ledger
from simclr_spec.language.runner import Slurm
from simclr_spec.store.arrays import ArrayFolder, Queued
from simclr_spec.store.layout import RunFolder, Store


def intent(store: Store, **changed: object) -> ArrayFolder:
    """Of one Step; with values as somebody else has changed them."""
    more = {"variables": {"SIMCLR_SPEC_THREADS": "2"}, "processes": 1, "cpus": 1, "minutes": 10, "code": "x"}
    folder = ledger.write_intent(store, "pretrain", {3: "pretrain/r18-1a2b3c4d"}, Slurm(), **more)
    folder.intent.write_text(json.dumps({**json.loads(folder.intent.read_text()), **changed}))
    return folder


def test_an_intent_is_read_as_it_was_written_and_a_newer_versions_too(store: Store) -> None:
    read = ledger.read_intent(intent(store, later="unknown here"))
    assert (read.elements, read.variables) == ({3: "pretrain/r18-1a2b3c4d"}, {"SIMCLR_SPEC_THREADS": "2"})


@pytest.mark.parametrize("step", ["/etc", "../x", "pretrain/../../x", "pretrain", "a/b/c", "pretrain/x\n"])
def test_what_is_no_step_is_no_path(store: Store, step: str) -> None:
    with pytest.raises(SimclrSpecError, match="is no Step's folder"):
        ledger.read_intent(intent(store, elements={"0": step}))


def test_only_our_variables_reach_a_job(store: Store) -> None:
    planted = {"LD_PRELOAD": "/tmp/x.so", "SIMCLR_SPEC_DATA": "/data\n", "OMP_NUM_THREADS": "1", "GIT_DIR": "/tmp"}
    assert set(ledger.read_intent(intent(store, variables=planted)).variables) == {"SIMCLR_SPEC_DATA", "OMP_NUM_THREADS"}


@pytest.mark.parametrize("planted", [{"job": "--me"}, {"array": "../.."}, {"job": "1_2 --user=x"}, {"array": ""}])
def test_what_is_no_job_reaches_no_command(store: Store, planted: dict[str, str]) -> None:
    folder = RunFolder(store.path / "pretrain" / "x")
    folder.path.mkdir(parents=True)
    folder.queue(Queued(job="1_2", array="pretrain-1", index=2, after_attempt=0))
    assert folder.state() == "queued"
    folder.queued.write_text(json.dumps({**json.loads(folder.queued.read_text()), **planted}))
    assert (folder.queued_as(), folder.state()) == (None, "new")


@pytest.mark.parametrize(
    ("name", "one"), [("node-7.x", True), ("n[1-2]", False), ("a\nb", False), ("-x", False), ("a;b", False)]
)
def test_only_a_nodes_name_reaches_the_script(name: str, one: bool) -> None:
    assert ledger.is_node(name) == one
