"""The processes of a throw-away cluster, from nothing to up, and to nothing again."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.slurm import settings

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "mariadbd", "mariadb", "mariadb-install-db")
FOREIGN = ("SLURM", "SBATCH_", "SRUN_", "SALLOC_", "SUBMITIT_", "CUDA_VISIBLE_DEVICES")
"""What a caller that is a job of another cluster has in its environment."""


def missing() -> str:
    """A sentence with what a cluster would need here; empty where it can be started."""
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    if absent:
        return f"a cluster needs {', '.join(absent)}; as root on a Debian, `make test-slurm` installs them and runs these tests"
    return "" if os.geteuid() == 0 else "a cluster is started by root only: run `make test-slurm` as root"


@dataclass(frozen=True)
class Daemons:
    """`extra` is text for the end of slurm.conf (`MaxArraySize=5`); without `accounting` `sacct` fails, as on such clusters."""

    folder: Path
    nodes: int = 4
    accounting: bool = True
    extra: str = ""

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def names(self) -> list[str]:
        """node1, node2, ..."""
        return [f"node{number}" for number in range(1, self.nodes + 1)]

    @property
    def _database(self) -> Path:
        """Its socket; slurmdbd has no setting for it."""
        return self.folder / "run" / "db.sock"

    @property
    def environment(self) -> dict[str, str]:
        """For what is to talk to this cluster: that of this process without the traces of others."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return ours | {"SLURM_CONF": str(self.conf)}

    @contextlib.contextmanager
    def running(self) -> Iterator[Self]:
        """It is up, and gone afterwards: even if this process is killed, since then the keeper's input ends, too."""
        keep = 'cat; exec "$0" -m tests.slurm.cluster "$1" --stop'
        command = ["sh", "-c", keep, sys.executable, str(self.folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT, start_new_session=True):
            self.start()
            yield self

    def start(self) -> None:
        """RuntimeError, with the end of a log, where a daemon does not come up."""
        controller, database, *ports = _free_ports(self.nodes + 2)
        for name in ("state", "spool", "log", "run", "gpu", "db", *(f"spool/{node}" for node in self.names)):
            (self.folder / name).mkdir(parents=True)
        for gpu in range(settings.GPUS):
            os.mknod(self.folder / "gpu" / f"gpu{gpu}", 0o20666, os.makedev(1, 3))
        extra = settings.accounting(database) + self.extra if self.accounting else self.extra
        self.conf.write_text(settings.slurm(self.folder, controller, dict(zip(self.names, ports, strict=True)), extra))
        (self.folder / "gres.conf").write_text(settings.gres(self.folder))
        self._name_nodes(self.names)
        if self.accounting:
            self._start_accounting(database)
        self._daemon("slurmctld", "-i")
        for name in self.names:
            self.start_node(name)
        self._up("slurmctld", self.is_undisturbed)

    def stop(self) -> None:
        """Every process of it is killed, and its folder removed."""
        while processes := [*self.processes()]:
            for process in processes:
                kill(process)
            time.sleep(0.02)
        self._name_nodes([])
        shutil.rmtree(self.folder)

    def processes(self, node: str = "") -> Iterator[int]:
        """Process ids of daemons, steps and jobs, or of one node's."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                values = (entry / "environ").read_bytes().split(b"\0")
                if f"SLURM_CONF={self.conf}".encode() not in values:
                    continue
                daemon = (entry / "comm").read_text().startswith(("slurm", "mariadb"))
                of_node = [value.decode() for value in values if value.startswith(b"SLURMD_NODENAME=")]
                if of_node == [f"SLURMD_NODENAME={node}"] if node else daemon or of_node:
                    yield int(entry.name)

    def _start_accounting(self, port: int) -> None:
        (config := self.folder / "slurmdbd.conf").touch(mode=0o600)
        config.write_text(settings.slurmdbd(self.folder, port))
        (options := self.folder / "mariadbd.conf").write_text(settings.mariadbd(self.folder))
        self._make_database()
        self._daemon("sh", "-c", 'setsid mariadbd --defaults-file="$0" &', str(options))
        sql = ["mariadb", "--no-defaults", "--user=root", f"--socket={self._database}", "--execute"]
        self._up("mariadbd", lambda: self.answers(*sql, "SELECT 1"))
        self.run(*sql, "CREATE DATABASE slurm_acct_db; CREATE USER slurm@localhost IDENTIFIED BY 'slurm'")
        self.run(*sql, "GRANT ALL ON slurm_acct_db.* TO slurm@localhost")
        self._daemon("slurmdbd", MYSQL_UNIX_PORT=str(self._database))
        self._up("slurmdbd", lambda: self.answers("sacctmgr", "-n", "list", "cluster"))

    def _make_database(self) -> None:
        self.run(
            "mariadb-install-db",
            "--no-defaults",
            "--user=root",
            f"--datadir={self.folder}/db",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=8M",
            "--innodb-flush-method=nosync",
        )

    def _daemon(self, program: str, *arguments: str, **more: str) -> None:
        """It puts itself into the background; with our output it would hold open what captures that."""
        log = self.folder / "log" / "start.log"
        with log.open("a") as output:
            started = subprocess.run(
                [program, *arguments],
                env=self.environment | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
            )
        if started.returncode:
            raise RuntimeError(f"{program} did not start: {_end(log)}")

    def _up(self, daemon: str, condition: Callable[[], object]) -> None:
        limit = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > limit:
                raise RuntimeError(f"{daemon} does not answer: {_end(self.folder / 'log' / f'{daemon}.log')}")
            time.sleep(0.05)

    def _name_nodes(self, names: list[str]) -> None:
        """torch.distributed looks for its first rank by the name of its node."""
        ours = f"  # {self.folder}"
        with open("/etc/hosts", "r+", encoding="utf-8") as hosts:
            fcntl.flock(hosts, fcntl.LOCK_EX)
            lines = [line for line in hosts.read().splitlines() if not line.endswith(ours)]
            lines += [f"127.0.0.1 {' '.join(names)}{ours}"] * bool(names)
            hosts.seek(0)
            hosts.write("\n".join(lines) + "\n")
            hosts.truncate()

    def start_node(self, node: str) -> None:
        self._daemon("slurmd", "-N", node, SLURMD_NODENAME=node)

    def node_states(self) -> dict[str, str]:
        """Name to state: idle, mixed, allocated, drained, down, ...; `*` at its end: does not answer."""
        return dict(line.split() for line in self.run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines())

    def is_undisturbed(self) -> bool:
        """No job, and every node there and idle."""
        with contextlib.suppress(RuntimeError):
            idle = set(self.node_states().values()) == {"idle"} and not self.run("squeue", "--noheader")
            return idle and all(any(self.processes(node)) for node in self.names)
        return False

    def run(self, *command: str) -> str:
        """What it printed, of a command that talks to this cluster. RuntimeError, with what it said, if it fails."""
        done = subprocess.run(
            command, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def answers(self, *command: str) -> bool:
        with contextlib.suppress(RuntimeError):
            self.run(*command)
            return True
        return False


def kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def _end(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else "it has no log"


def _free_ports(number: int) -> list[int]:
    """Below those that Linux gives to outgoing connections; by chance, since another cluster may start at this moment."""
    free: list[int] = []
    for port in random.sample(range(10_000, 30_000), 1000):
        with contextlib.suppress(OSError), socket.socket() as taken:
            taken.bind(("127.0.0.1", port))
            free.append(port)
        if len(free) == number:
            break
    return free
