"""A disk that takes no more is told in a sentence; with room again, the same run ends with the weights it would have had."""

from __future__ import annotations

import re
import resource
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from simclr_spec.core.files import read_json
from simclr_spec.store.layout import RunFolder, Store
from tests import runs
from tests.disks import fill, mounted, remount

SMALLER_THAN_A_CHECKPOINT = 20_000
FULL = r"the disk is full: \S+ could not be written; free space, and "
GOES_ON = "run again: the Step goes on from its last checkpoint"


def _is_told(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert re.search(sentence, said), said
    assert "Traceback" not in said
    assert "Error" not in said


def _only_of_kind(folder: Path, kind: str) -> RunFolder:
    (found,) = [found for found in Store(folder / "runs").folders() if found.path.parent.name == kind]
    return found


def _nothing_is_half(folder: Path) -> None:
    """No rest of a write, nor a checkpoint that is not whole."""
    for attempt in [attempt for run_folder in Store(folder / "runs").folders() for attempt in run_folder.attempts()]:
        assert not list(attempt.leftovers())
        if attempt.checkpoint.exists():
            assert load_file(attempt.checkpoint)


def _ends_as_undisturbed(folder: Path, undisturbed: Path) -> None:
    done = runs.run(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert runs.weights(folder) == runs.weights(undisturbed)


@pytest.mark.parametrize(("limit", "state"), [(SMALLER_THAN_A_CHECKPOINT, "failed"), (0, "interrupted")])
def test_a_worker_whose_files_may_grow_no_more(limit: int, state: str, tmp_path: Path, undisturbed: Path) -> None:
    """Needs no other disk. With a limit of 0 not even record and log can tell the cause: the files say `interrupted`."""
    with runs.started(tmp_path) as process:
        runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
        resource.prlimit(runs.working(tmp_path, "pretrain") or 0, resource.RLIMIT_FSIZE, (limit, limit))
        said, _ = process.communicate(timeout=runs.PATIENCE)
    pretrain = _only_of_kind(tmp_path, "pretrain")
    (attempt,) = pretrain.attempts()
    sentence = rf"files may not become so large here: {attempt.path}/(\S+) could not be written; raise the limit \(ulimit -f\)"
    _is_told(subprocess.CompletedProcess([], process.returncode, said, ""), f"✗ pretrain .*: {sentence}, and {GOES_ON}\n")
    assert pretrain.state() == state
    if state == "failed":
        assert re.fullmatch(f"{sentence}, and {GOES_ON}", read_json(attempt.record)["error"])
    assert "Traceback" not in attempt.log.read_text()
    _nothing_is_half(tmp_path)
    _ends_as_undisturbed(tmp_path, undisturbed)
    assert read_json(pretrain.attempts()[-1].record)["resumed_from"]["train_step"] >= 1


def test_a_disk_that_others_fill_meanwhile(tmp_path: Path, undisturbed: Path) -> None:
    with mounted(tmp_path / "disk", "20m") as disk:
        with runs.started(disk) as process:
            runs.wait_for(lambda: runs.working(disk, "pretrain"))
            while process.poll() is None:  # a checkpoint that is replaced frees what the next one takes
                fill(disk / "ballast")
            said, _ = process.communicate()
        _is_told(subprocess.CompletedProcess([], process.returncode, said, ""), f"✗ pretrain .*: {FULL}{GOES_ON}\n")
        pretrain = _only_of_kind(disk, "pretrain")
        assert pretrain.state() in ("failed", "interrupted")
        assert [runs.run(disk, name=name).returncode for name in ("plan", "status", "logs", "gc")] == [0, 0, 0, 0]
        for name in ("run", "retry"):
            _is_told(runs.run(disk, name=name), FULL + "|the disk is full: .* Nothing started")
        _nothing_is_half(disk)
        (disk / "ballast").unlink()
        _ends_as_undisturbed(disk, undisturbed)
        assert any((read_json(a.record) or {}).get("resumed_from") for a in pretrain.attempts())


def test_disks_that_are_full_at_every_stage_of_a_run(tmp_path: Path, undisturbed: Path) -> None:
    """Before it, while its folders are made, at its first records, and at a checkpoint."""
    with mounted(tmp_path / "disk", "8k") as disk:
        for size in ("8k", "28k", "52k", "400k"):
            remount(disk, f"size={size}")
            _is_told(runs.run(disk), FULL + "|the disk is full: .* Nothing started")
            _nothing_is_half(disk)
        remount(disk, "size=20m")
        _ends_as_undisturbed(disk, undisturbed)
        assert runs.run(disk, name="gc").returncode == 0, "the record of plans is whole"
