"""A real Slurm on this machine, to be thrown away: its nodes are so many slurmd on 127.0.0.1, its GPUs are /dev/null.

    python -m tests.slurm.cluster DIR [--nodes N]    # prints `export SLURM_CONF=DIR/slurm.conf`
    python -m tests.slurm.cluster DIR --stop         # ends every process of it and removes DIR

Needs root and Debian's packages (`make test-slurm` installs them). All it writes lies below DIR, except a line in /etc/hosts
with the nodes' names. It trusts every user of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.slurm import settings
from tests.slurm.daemons import PATIENCE, Daemons, kill, missing

LONGEST = 60
"""Characters of a cluster's folder: Unix sockets below it may have 107."""

Row = dict[str, str]
T = TypeVar("T")


class Cluster(Daemons):
    """What a test can ask it, do with it and do to it."""

    # ask

    def squeue(self, *arguments: str) -> list[Row]:
        """Jobs that have not ended, one row per element of an array; `id` is `7_2` for element 2 of array 7."""
        keys = ("id", "name", "state", "reason", "nodes", "dependency", "partition")
        text = self.run("squeue", "--noheader", "--array", "--format=%i|%j|%T|%r|%N|%E|%P", *arguments)
        return [dict(zip(keys, line.split("|"), strict=True)) for line in text.splitlines()]

    def sacct(self, *arguments: str) -> list[Row]:
        """Rows with Slurm's own keys (`JobID`, `State`, ...), without steps; `--duplicates` tells each leg of requeued jobs.

        It lags: a job that began or ended just now shows seconds later.
        """
        fields = "--format=JobID,JobName,State,ExitCode,NodeList,Partition,Start,End"
        head, *lines = self.run("sacct", "--parsable2", "--allocations", fields, *arguments).splitlines()
        return [dict(zip(head.split("|"), line.split("|"), strict=True)) for line in lines]

    def state(self, job: str) -> str:
        """Of `7` or `7_2`, as the controller has it: PENDING, RUNNING, COMPLETED, ..."""
        return self.run("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}").strip()

    def wait_until(self, condition: Callable[[], T], seconds: float = PATIENCE) -> T:
        """What it returns, once that is true. AssertionError, with the queue, where it does not come about in time."""
        limit = time.monotonic() + seconds
        while not (answer := condition()):
            assert time.monotonic() < limit, f"it did not come about; the queue: {self.squeue()}"
            time.sleep(0.1)
        return answer

    # jobs

    def sbatch(self, script: str, *arguments: str) -> str:
        """Id of a new job that runs lines of shell; it writes its output nowhere unless told."""
        return self.run("sbatch", "--parsable", "--output=/dev/null", *arguments, f"--wrap={script}").strip()

    def preempt(self, node: str) -> str:
        """Id of a job in the partition `high` that takes a whole node for itself: jobs in `low` there are requeued."""
        return self.sbatch("sleep 3600", "--partition=high", f"--nodelist={node}", "--exclusive")

    def cancel(self, job: str) -> None:
        self.run("scancel", job)

    # break and mend

    def fail_node(self, node: str) -> None:
        """As if it had died, at once: its jobs have NODE_FAIL and are requeued, and it comes back by itself."""
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def kill_node(self, node: str) -> None:
        """SIGKILL to all its processes; the controller finds out half a minute later."""
        for process in self.processes(node):
            kill(process)

    def drain_node(self, node: str) -> None:
        """What runs there may end; nothing new begins."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume_node(self, node: str) -> None:
        self.run("scontrol", "update", f"nodename={node}", "state=resume")

    @contextlib.contextmanager
    def controller_away(self) -> Iterator[None]:
        """Jobs run on; squeue, sbatch and scancel fail meanwhile, after a quarter of a minute of trying."""
        with self._away("slurmctld"):
            yield
        self._up("slurmctld", lambda: self.answers("squeue"))

    def restart_controller(self) -> None:
        with self.controller_away():
            pass

    @contextlib.contextmanager
    def accounting_away(self) -> Iterator[None]:
        """sacct fails meanwhile; what jobs do is told to it afterwards."""
        with self._away("slurmdbd", MYSQL_UNIX_PORT=str(self._database)):
            yield
        self._up("slurmdbd", lambda: self.answers("sacct"))

    @contextlib.contextmanager
    def _away(self, daemon: str, **more: str) -> Iterator[None]:
        pid = int((self.folder / "run" / f"{daemon}.pid").read_text())
        os.kill(pid, signal.SIGTERM)
        self._up(daemon, lambda: pid not in self.processes())
        try:
            yield
        finally:
            self._daemon(daemon, **more)

    @contextlib.contextmanager
    def submissions_limited(self, jobs: int) -> Iterator[None]:
        """More waiting and running jobs than these are refused, each element of an array counted."""
        self.run("sacctmgr", "-i", "modify", "user", "root", "set", f"MaxSubmitJobs={jobs}")
        try:
            yield
        finally:
            self.run("sacctmgr", "-i", "modify", "user", "root", "set", "MaxSubmitJobs=-1")

    def undisturb(self) -> None:
        """Every job is cancelled and every node idle again, whatever was done to them."""
        if self.is_undisturbed():
            return
        self._cancel_all()
        for node, state in self.node_states().items():
            if not [*self.processes(node)]:
                self.start_node(node)
            if "drain" in state or "down" in state:
                self.resume_node(node)
        self._up("slurmctld", self.is_undisturbed)

    def _cancel_all(self) -> None:
        """Those that wait first, lest they start; then those that bypass SIGTERM, as submitit's do, need not be waited for."""
        user = f"--user={os.geteuid()}"
        self.run("scancel", "--state=PENDING", user)
        self.answers("scancel", "--signal=KILL", "--full", user)
        self.run("scancel", user)


@contextlib.contextmanager
def throwaway(nodes: int = 4, accounting: bool = True, extra: str = "") -> Iterator[Cluster]:
    """A running cluster in a short temporary folder."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    with Cluster(folder, nodes, accounting, extra).running() as cluster:
        yield cluster


def _unfit(folder: Path) -> str:
    """Why a cluster cannot begin there; empty where it can."""
    if len(str(folder)) > LONGEST:
        return f"{folder} has more than {LONGEST} characters, too many for the daemons' sockets"
    taken = folder.exists() and any(folder.iterdir())
    return f"{folder} is not empty; name a new folder, or end the cluster in it by --stop" if taken else ""


def _not_ours(cluster: Cluster) -> str:
    """Why it is not removed; empty where it may be."""
    ours = cluster.conf.exists() and cluster.conf.read_text().startswith(settings.FIRST)
    return "" if ours else f"{cluster.folder} holds no cluster of this kind; nothing is stopped or removed"


def main() -> None:
    """For a person who wants one to play with."""
    parser = argparse.ArgumentParser(prog="python -m tests.slurm.cluster", description="a real Slurm to be thrown away")
    parser.add_argument("folder", type=Path, help="new or empty; 60 characters at most")
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--stop", action="store_true", help="end it, and remove the folder")
    asked = parser.parse_args()
    cluster = Cluster(asked.folder.resolve(), asked.nodes)
    try:
        if sentence := missing() or (_not_ours(cluster) if asked.stop else _unfit(cluster.folder)):
            raise RuntimeError(sentence)
        (cluster.stop if asked.stop else cluster.start)()
    except RuntimeError as error:
        sys.exit(str(error))
    if not asked.stop:
        print(f"export SLURM_CONF={cluster.conf}")


if __name__ == "__main__":
    main()
