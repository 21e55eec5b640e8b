"""An array as text for sbatch, and its submission, through submitit: it writes the script, calls sbatch and reads the answer.

What is ours, because submitit 1.5 would have it otherwise:

- The job is no pickled function: an element reads the array's folder and its index (element.py).
- srun stands in our command, since what follows it, the decision to begin again, runs outside of the container.
- The job is held until its receipt is written, has a name that no other has, and says `--requeue` itself.
- sbatch is asked for the bare id; what a site prints around it, and `id;cluster`, are understood.
- It must not see SBATCH_*, SLURM_* or a launcher's variables, and is given up after a while.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simclr_spec.core.environment import BEGAN, PAST
from simclr_spec.dispatch.slurm import commands
from simclr_spec.language.runner import Request, Slurm

ARGUMENTS = ("--parsable", "--hold", "--export=ALL")
"""Of sbatch, besides the folder."""
_FULL = ("violates accounting/QOS policy", "temporarily unable", "temporarily unavailable")
"""What sbatch says where it names no limit, or is still trying when it is given up."""
AGAIN, DONE = 40, 41
"""What an element says after its ranks have left: the job is to be requeued; or the Step is done, whatever they said."""
MODULE = "simclr_spec.dispatch.slurm.element"


@dataclass(frozen=True, kw_only=True)
class Submission:
    """All that sbatch is told of one array."""

    name: str
    folder: Path
    indices: str
    """`0-4,7`"""
    request: Request
    runner: Slurm
    after: Sequence[str] = ()
    """`afterok:1234_5`"""
    exclude: Sequence[str] = ()
    """bad nodes"""
    python: str
    """what starts Python: shell"""
    lines: str | None = None
    """lines of shell instead of those that bring Steps to their ends"""

    def text(self) -> str:
        """The batch script."""
        from submitit.slurm.slurm import _make_sbatch_string

        return str(_make_sbatch_string(_command(self), self.folder, **_parameters(self)))

    def arguments(self) -> list[str]:
        """Of sbatch, with which nothing in the user's environment can disagree."""
        return [*ARGUMENTS, f"--chdir={self.folder.absolute()}"]

    def test(self) -> str:
        """What sbatch says of it without submitting it: when and where it would begin. Raises NoAnswer."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as script:
            script.write(self.text())
            script.flush()
            return commands.test_only(*self.arguments(), script.name)

    def srun(self) -> str:
        """That starts the job's processes: shell."""
        words = ["srun", "--kill-on-bad-exit=1", f"--cpus-per-task={self.cpus}"]
        if self.request.nodes * self.request.processes > 1:
            words.append("--label")
        return shlex.join([*words, *self.runner.srun])

    def once(self) -> str:
        """That starts one process after those: shell; nothing where none of the runner's words could bring its container."""
        more = self.runner.srun
        return shlex.join(["srun", "--nodes=1", "--ntasks=1", *more]) + " " if more else ""

    @property
    def cpus(self) -> int:
        """Of each process."""
        return self.request.cpus_per_process or self.runner.threads

    def submit(self) -> str:
        """The job's id. Raises Full, and NoAnswer; the job may be there nevertheless."""
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        # submitit prints what sbatch printed, which is in its error, too
        with tempfile.TemporaryDirectory() as scratch, commands.clean(), contextlib.redirect_stderr(io.StringIO()):
            try:
                return str(_executor(self, scratch)._submit_command(_command(self)).job_id)
            except (FailedJobError, FailedSubmissionError) as error:
                raise refusal(str(error)) from None


def _parameters(submission: Submission) -> dict[str, Any]:
    """As submitit names them."""
    request, runner = submission.request, submission.runner
    limit = "" if runner.parallelism is None else f"%{runner.parallelism}"
    more = {
        **runner.sbatch,
        "array": submission.indices + limit,
        "output": str(submission.folder.absolute()).replace("%", "%%") + "/%a.log",
        "open-mode": "append",
        "requeue": True,
        "kill-on-invalid-dep": "yes",
    }
    if submission.exclude:
        more["exclude"] = ",".join(submission.exclude)
    gpus = {}
    if request.gpus_per_node and request.gpu_type:
        more["gpus-per-node"] = f"{request.gpu_type}:{request.gpus_per_node}"
    elif request.gpus_per_node:
        gpus = {"gpus_per_node": request.gpus_per_node}
    named = {
        "partition": request.partition,
        "account": request.account,
        "qos": request.qos,
        "constraint": request.constraint,
        "mem": request.memory_gib and f"{request.memory_gib}G",
        "dependency": ",".join(submission.after) or None,
    }
    return {
        "job_name": submission.name,
        "time": request.minutes,
        "nodes": request.nodes,
        "ntasks_per_node": request.processes,
        "cpus_per_task": submission.cpus,
        "signal_delay_s": runner.grace_seconds,
        "stderr_to_stdout": True,
        "use_srun": False,
        "wckey": None,
        "setup": list(runner.setup) or None,
        "additional_parameters": more,
        **gpus,
        **{key: value for key, value in named.items() if value},
    }


def _command(submission: Submission) -> str:
    """Lines of shell: the ranks, then what comes after them."""
    if submission.lines:
        return submission.lines
    element = f"{submission.python} -u -m {MODULE}"
    folder = shlex.quote(str(submission.folder.absolute()))
    return "\n".join(
        (
            "export PYTHONSAFEPATH=1",  # else whoever may write in this folder has a say in what is imported
            'job="${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"',
            f'export {BEGAN}="$(date +%s)"',
            'export MASTER_ADDR="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)"',
            f'export {PAST}="$([ "${{SLURM_RESTART_COUNT:-0}}" = 0 ] || timeout 30 sacct --noheader --parsable2 --allocations'
            ' --duplicates --jobs="$job" --format=JobName,State,NodeList 2>/dev/null)"',
            f"{submission.srun()} {element} work {folder}",
            "code=$?",
            f'{submission.once()}{element} again {folder} "$code"',
            "next=$?",
            f'if [ "$next" = {AGAIN} ]; then',
            "  for try in 1 2 3 4 5 6; do",  # the controller may be starting
            '    scontrol requeue "$job" && sleep 3600',
            "    sleep 20",
            "  done",
            "fi",
            f'[ "$next" = {DONE} ] && exit 0',
            'exit "$code"',
        )
    )


def _executor(submission: Submission, scratch: str) -> Any:
    from submitit.slurm.slurm import SlurmExecutor, _make_sbatch_string

    class Executor(SlurmExecutor):
        def _make_submission_file_text(self, command: str, uid: str) -> str:  # noqa: ARG002
            return str(_make_sbatch_string(command, submission.folder, **self.parameters))

        def _make_submission_command(self, submission_file_path: Path) -> list[str]:
            limit = str(commands.patience())
            return ["timeout", "--kill-after=5", limit, "sbatch", *submission.arguments(), str(submission_file_path)]

        @staticmethod
        def _get_job_id_from_submission_command(string: str | bytes) -> str:
            return job_id(string if isinstance(string, str) else string.decode(errors="replace"))

    executor = Executor(scratch)
    executor.parameters = _parameters(submission)
    return executor


def job_id(answer: str) -> str:
    """`1234`, of `1234`, `1234;cluster` or `Submitted batch job 1234`, whatever else is printed. Raises NoAnswer."""
    for line in reversed(answer.strip().splitlines()):
        if found := re.fullmatch(r"(?:Submitted batch job )?(\d+)(?:;[\w.-]+)?(?: on cluster [\w.-]+)?", line.strip()):
            return found[1]
    raise commands.NoAnswer(f"sbatch answered without a job's id: {answer.strip()[-200:]!r}")


def refusal(text: str) -> commands.NoAnswer:
    """Slurm's own sentences, of what submitit tells."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line.split("error:")[-1].strip() for line in lines if "error:" in line]
    said = [*dict.fromkeys(errors)] or lines[-1:] or ["no word"]
    limits = [words for words in said if re.fullmatch(r"\w+Limit", words)]
    full = any("Submit" in limit for limit in limits) if limits else any(words in text for words in _FULL)
    return commands.Full(said[0]) if full else commands.NoAnswer("sbatch: " + ": ".join(said))
