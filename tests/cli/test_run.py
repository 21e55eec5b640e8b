"""run, status, logs, cancel, retry, gc and doctor as typed."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simclr_spec.core.files import read_json
from simclr_spec.plan import compile
from simclr_spec.store.layout import Store
from tests import runs

LOADED = """
import sys
from simclr_spec.cli.main import main
main({!r}, standalone_mode=False)
print(sorted(sys.modules), file=sys.stderr)
"""


@pytest.fixture
def again(tmp_path: Path, undisturbed: Path) -> Path:
    """A copy of a finished run."""
    shutil.copytree(undisturbed, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_run_tells_each_step_and_the_end(undisturbed: Path) -> None:
    said = (undisturbed / "said").read_text()
    assert "pretrain r18-1x-digits-s0: begins" in said
    assert "distill r18-1x-digits-1pc-s0: done in" in said
    assert "[5/5 " in said
    assert said.splitlines()[-1].startswith("5 Steps in ")
    assert said.splitlines()[-1].endswith(": 5 done.")
    assert not (undisturbed / "runs" / ".jobs").exists()


def test_a_second_run_trains_nothing_in_two_seconds(again: Path) -> None:
    before = sorted(path for path in (again / "runs").rglob("*") if ".plans" not in path.parts)
    command = runs.command(again)[3:]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(command)], capture_output=True, text=True, timeout=60, check=True
    )
    seconds = time.monotonic() - begun
    assert done.stdout == "5 Steps, all done before: nothing to run.\n"
    loaded = set(eval(done.stderr.splitlines()[-1]))
    assert not loaded & {"torch", "submitit", "pandas", "sklearn", "matplotlib"}
    assert sorted(path for path in (again / "runs").rglob("*") if ".plans" not in path.parts) == before
    assert seconds < 2.0 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_a_run_that_nobody_listens_to_goes_on(tmp_path: Path) -> None:
    """As in `simclr-spec run ... | head -1`."""
    process = runs.start(tmp_path, "stage=supervised")
    assert process.stdout is not None
    assert "begins" in process.stdout.readline()
    process.stdout.close()
    assert process.wait(runs.PATIENCE) == 0
    assert [folder.state() for folder in Store(tmp_path / "runs").folders()] == ["done"]


def test_a_run_whose_output_has_no_room_goes_on(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        command = runs.command(tmp_path, "stage=supervised")
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=runs.environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _interrupted(folder: Path) -> None:
    (run_folder,) = [one for one in Store(folder / "runs").folders() if one.path.parent.name == "pretrain"]
    attempt = run_folder.attempts()[-1]
    assert read_json(attempt.record)["state"] == "interrupted"
    assert attempt.checkpoint.exists()
    assert not run_folder.is_leased()
    assert not (folder / "runs" / ".jobs").exists()


LONG = ("--set", "pretrain.train_steps=100000")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_process_group_stop_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    process = runs.start(tmp_path, *LONG)
    runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
    begun = time.monotonic()
    os.killpg(process.pid, number)
    said, _ = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 130
    assert time.monotonic() - begun < 15
    assert "continues from the checkpoints." in said.splitlines()[-1]
    assert "--set pretrain.train_steps=100000` continues" in said.splitlines()[-1]
    _interrupted(tmp_path)


def test_a_second_run_says_at_once_what_it_waits_for(tmp_path: Path) -> None:
    options = (*LONG, "stage=pretrain")
    with runs.started(tmp_path, *options) as first:
        runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
        with runs.started(tmp_path, *options) as second:
            assert second.stdout is not None
            told = second.stdout.readline()
            worker = runs.working(tmp_path, "pretrain")
            place = f"process {worker} on {socket.gethostname()} works on it since 20"
            assert f"waits for pretrain r18-1x-digits-s0: {place}" in told
            for process in (second, first):
                os.killpg(process.pid, signal.SIGINT)
                said, _ = process.communicate(timeout=runs.PATIENCE)
                assert process.returncode == 130
                assert (f"1 Step not run, because {place}" in said) == (process is second)


def test_a_store_that_is_deleted_meanwhile_ends_the_run(tmp_path: Path) -> None:
    with runs.started(tmp_path, *LONG, "stage=pretrain") as process:
        runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
        while (tmp_path / "runs").exists():  # the worker writes meanwhile
            shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        said, _ = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 1
    assert "1 Step" in said
    assert "1 failed" in said
    assert "Traceback" not in said


def test_ctrl_c_on_a_terminal(tmp_path: Path) -> None:
    command = runs.command(tmp_path, *LONG)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, {**runs.environment(), "COLUMNS": "100", "LINES": "30", "TERM": "xterm"})
    said = b""
    sent = False
    while True:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        if not sent and b"images/s" in said and runs.working(tmp_path, "pretrain"):
            os.write(terminal, b"\x03")
            sent = True
    _, status = os.waitpid(pid, 0)
    text = said.decode()
    assert os.waitstatus_to_exitcode(status) == 130
    assert "0 of 5 Steps" in text or "1 of 5 Steps" in text
    assert "pretrain r18-1x-digits-s0" in text
    assert "epoch" in text
    assert text.strip().splitlines()[-1].endswith("continues from the checkpoints.")
    _interrupted(tmp_path)


def test_cancel_stops_one_step_and_retry_takes_it_up(tmp_path: Path) -> None:
    short = ("--set", "train_steps=10", "--set", "supervised.train_steps=100")
    process = runs.start(tmp_path, *short)
    runs.wait_for(lambda: runs.working(tmp_path, "supervised"))
    worker = runs.working(tmp_path, "supervised")
    assert worker is not None
    os.kill(worker, signal.SIGSTOP)  # else the Step has to be long, so as not to end before it is cancelled
    cancelled = runs.run(tmp_path, *short, "kind=supervised", name="cancel")
    os.kill(worker, signal.SIGCONT)
    assert cancelled.stdout == "supervised r18-1x-digits-2pc-s0: asked to stop; its checkpoint stays\n"
    said, _ = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 1
    assert "supervised r18-1x-digits-2pc-s0: interrupted: cancelled" in said
    assert "4 done, 1 interrupted" in said
    retried = runs.run(tmp_path, name="retry")
    assert retried.returncode == 0, retried.stdout + retried.stderr
    (folder,) = [one for one in Store(tmp_path / "runs").folders() if one.path.parent.name == "supervised"]
    assert read_json(folder.attempts()[1].record)["resumed_from"]["attempt"] == 1


def test_missing_data_is_found_before_anything_starts(tmp_path: Path) -> None:
    done = runs.run(tmp_path, "--scale", "cifar10", "--data-root", str(tmp_path / "nowhere"))
    place = tmp_path / "nowhere"
    assert done.returncode == 1
    assert done.stderr == (
        f"data set 'cifar10' (folder cifar-10-batches-py) not found (looked in {place}/cifar10, {place}): "
        "say where it is with --data-root or SIMCLR_SPEC_DATA; --scale digits needs no data\n"
    )
    assert not (tmp_path / "runs").exists()


def test_missing_data_of_ones_own_leads_nobody_to_a_scale_with_other_images(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(runs.SPEC.replace('scale = "digits"', 'dataset = "cifar10"'))
    for more in ((), ("--dry-run",)):
        done = runs.run(tmp_path, "--set", "batch=2", "--data-root", str(tmp_path / "nowhere"), *more)
        assert done.returncode == 1, done.stderr
        assert done.stderr.endswith("say where it is with --data-root or SIMCLR_SPEC_DATA\n")
    done = runs.run(tmp_path, "--scale", "digits")
    assert done.returncode == 2
    assert "tiny.toml:4:11: dataset 'cifar10', but the scale 'digits' brings 'digits'; " in done.stderr
    assert not (tmp_path / "runs").exists()


def test_refusals(tmp_path: Path) -> None:
    assert "nothing started" in runs.run(tmp_path, "--max-gpu-hours", "0").stderr
    assert "nothing started" in runs.run(tmp_path, "--expect", "0" * 64).stderr
    digest = compile([str(tmp_path / "tiny.toml")], sets=runs.sets()).digest
    shown = runs.run(tmp_path, "--expect", digest, "--dry-run")
    assert shown.returncode == 0
    assert "Tiny · 5 Steps" in shown.stdout
    assert "no runner is named 'locl'; did you mean 'local'?" in runs.run(tmp_path, "--runner", "locl").stderr
    assert not (tmp_path / "runs").exists()


def test_status_and_logs(undisturbed: Path) -> None:
    lines = runs.run(undisturbed, name="status").stdout.splitlines()
    assert lines[0].split() == ["stage", "steps", "done"]
    assert lines[-1].split() == ["total", "5", "5"]
    shown = runs.run(undisturbed, "kind=pretrain", name="logs").stdout.splitlines()
    assert shown[0].startswith("pretrain r18-1x-digits-s0 (done): ")
    assert shown[-1].endswith(" done")


def _following(folder: Path, *options: str) -> subprocess.Popen[str]:
    command = runs.command(folder, *options, "-f", "-n", "1", name="logs")
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=runs.environment(), start_new_session=True)


def test_logs_are_followed_until_nothing_runs(tmp_path: Path) -> None:
    many = ("--set", "pretrain.train_steps=20000", "--set", "supervised.train_steps=20000")
    process = runs.start(tmp_path, *many, "kind=pretrain,supervised")
    runs.wait_for(lambda: runs.working(tmp_path, "pretrain") and runs.working(tmp_path, "supervised"))
    one, both = _following(tmp_path, *many, "kind=pretrain"), _following(tmp_path, *many)
    assert one.stdout is not None
    assert both.stdout is not None
    assert one.stdout.readline().startswith("pretrain r18-1x-digits-s0 (running): ")
    assert one.stdout.readline().endswith(" 20,000 train steps, 222.7 epochs, batch 16, 1,437 images, on cpu\n")
    assert [both.stdout.readline()[0] for _ in range(4)] == ["p", " ", "s", " "]
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=runs.PATIENCE)
    told, _ = one.communicate(timeout=runs.PATIENCE)
    assert (one.returncode, told.splitlines()[-1][:4], told.splitlines()[-1][-12:]) == (0, "  20", " interrupted")
    told, _ = both.communicate(timeout=runs.PATIENCE)
    assert both.returncode == 0
    ends = [line for line in told.splitlines() if line.endswith(" interrupted")]
    assert sorted(line.partition(": 20")[0] for line in ends) == [
        "pretrain r18-1x-digits-s0",
        "supervised r18-1x-digits-2pc-s0",
    ]


def test_whoever_follows_logs_may_leave(tmp_path: Path) -> None:
    process = runs.start(tmp_path, *LONG, "kind=pretrain")
    runs.wait_for(lambda: runs.working(tmp_path, "pretrain"))
    follower = _following(tmp_path, *LONG)
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    told, _ = follower.communicate(timeout=runs.PATIENCE)
    assert follower.returncode == 130
    assert "Traceback" not in told
    assert runs.working(tmp_path, "pretrain"), "the run goes on"
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(runs.PATIENCE) == 130


def test_gc_deletes_what_no_spec_needs_and_only_when_told(again: Path) -> None:
    assert runs.run(again).returncode == 0  # records the plan with the copy's own spec
    assert runs.run(again, name="gc").stdout == "Nothing to delete: a spec needs every run folder.\n"
    (again / "tiny.toml").write_text(runs.SPEC.partition("[stages.distill]")[0])
    # Before it was copied, the store recorded another spec, which still has the stage.
    lines = (again / "runs" / ".plans" / "all.jsonl").read_text().splitlines()
    assert runs.run(again, name="gc").stdout == "Nothing to delete: a spec needs every run folder.\n"
    (again / "runs" / ".plans" / "all.jsonl").write_text(lines[-1] + "\n")
    told = runs.run(again, name="gc").stdout
    (distilled,) = (again / "runs" / "distill").iterdir()
    assert told.splitlines()[0].startswith(f"{distilled}: in no spec as it stands now, ")
    assert told.splitlines()[1].startswith("1 folder, ")
    assert distilled.exists()
    runs.run(again, "--delete", name="gc")
    assert not distilled.exists()
    assert len(list((again / "runs" / "finetune").iterdir())) == 1


def test_doctor(tmp_path: Path) -> None:
    told = runs.run(tmp_path, "--data-root", str(tmp_path), name="doctor").stdout
    for word in (
        "Python 3",
        "torch 2",
        "submitit 1",
        "CPU cores",
        "digits: comes with scikit-learn",
        "imagenet: not here",
        "free",
    ):
        assert word in told


def test_a_taste_of_cifar10_on_the_cpu(tmp_path: Path, shared: Path) -> None:
    """Few test images bound every evaluation, the pretraining's neighbours among them."""
    options = ["--scale", "cifar10", "--data-root", str(shared / "data" / "cifar10"), "--store", str(tmp_path / "runs")]
    for small in ("train_steps=2", "batch=16", "test_images=50", "encoder.base_width=8"):
        options += ["--set", small]
    chosen = ["stage=finetune", "width=1", "labels_per_class=1", "seed=0"]
    command = [sys.executable, "-m", "simclr_spec", "run", "quickstart", "+" + chosen[0], *chosen[1:], *options]
    begun = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=runs.environment(), timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(": 2 done.")
    assert time.monotonic() - begun < 40 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_a_lost_step_json_comes_back_and_costs_no_result(again: Path) -> None:
    (folder,) = [one for one in Store(again / "runs").folders() if one.path.parent.name == "distill"]
    before, result = folder.step.read_bytes(), folder.result.read_bytes()
    folder.step.write_bytes(before[:50])
    told = subprocess.run(
        [sys.executable, "-m", "simclr_spec", "status", "--store", str(again / "runs")],
        capture_output=True,
        text=True,
        env=runs.environment(),
        timeout=60,
        check=False,
    ).stderr
    folder.step.unlink()
    done = runs.run(again)
    assert (done.returncode, done.stdout) == (0, "5 Steps, all done before: nothing to run.\n")
    assert (folder.step.read_bytes(), folder.result.read_bytes()) == (before, result)
    assert told == f"{folder.step} is damaged: it holds no JSON table. Delete it, and run its spec\n"


def test_a_run_without_standard_output_trains(tmp_path: Path) -> None:
    words = [*runs.command(tmp_path), "--set", "train_steps=2", "kind=supervised"]
    closed = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *words], env=runs.environment(), timeout=120, check=False)
    assert closed.returncode == 0
    assert [folder.state() for folder in Store(tmp_path / "runs").folders()] == ["done"]
