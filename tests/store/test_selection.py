"""Steps that a person names on the command line: by specs, by selectors, or both."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.plan import compile
from simclr_spec.store.layout import RunFolder, Store
from tests.finished import FEW, fail
from tests.typed import run


@pytest.mark.usefixtures("store")
def test_a_misspelt_value_of_a_selector(tmp_path: Path) -> None:
    assert run("plan", FEW, "stage=finetun").output == "no Step of this plan has stage=finetun; did you mean 'finetune'?\n"
    assert run("status", FEW, "stage=finetun").output.endswith("; did you mean 'finetune'?\n")


@pytest.mark.parametrize("command", ["status", "logs", "cancel"])
@pytest.mark.parametrize("option", [("--scale", "digits"), ("--set", "nope=2")])
@pytest.mark.usefixtures("store")
def test_options_of_a_plan_need_a_spec(command: str, option: tuple[str, str]) -> None:
    done = run(command, "stage=pretrain", *option)
    told = "--scale and --set change what a spec plans: name the spec, as in quickstart --scale digits\n"
    assert (done.exit_code, done.output) == (2, told)


def test_cancel_tells_what_it_stops_and_marks_nothing_else(store: Store) -> None:
    failed, running = (fail(store, step) for step in compile([FEW]).steps[:2])
    failed.lease.unlink()
    nothing = "Nothing to stop: none of these Steps runs"
    assert run("cancel", FEW).output == f"{nothing}.\n"
    assert not failed.cancelled_since(0.0)
    with RunFolder(store.path / ".jobs" / "a run").leased():
        assert run("cancel", FEW, "stage=distill").output == f"{nothing}, and none waits in the run under way.\n"
        assert run("cancel", "state=failed").output.splitlines()[0].endswith(": will not begin in the run under way")
    assert failed.cancelled_since(0.0)
    with running.leased():
        running.new_attempt()
        assert run("cancel", "state=running").output.endswith(": asked to stop; its checkpoint stays\n")
