"""The runner language."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema.validators import Draft4Validator

from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared, runner
from simclr_spec.language.runner.local import Share
from simclr_spec.language.runner.slurm import _WORD


def test_schema_is_draft_4_and_accepts_the_declared_runners() -> None:
    Draft4Validator.check_schema(runner.schema())
    assert [type(runner.read(name)).__name__ for name in declared.names("runner")]
    assert runner.read("local") == runner.Local(slots="auto", threads=1, checkpoint_seconds=5.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind = "local"\nslots = 3\ntimeout_minutes = "none"', runner.Local(slots=3)),
        (
            'kind = "local"\nslots = [2, "GPU-1a"]\ntimeout_minutes = 1.5',
            runner.Local(slots=(2, "GPU-1a"), timeout_minutes=1.5),
        ),
        (
            'kind = "local"\nresources.processes = 2\nretries.killed = 1',
            runner.Local(resources=Share(processes=2), retries=runner.Retries(killed=1)),
        ),
        ('kind = "slurm"\n[resources]\nnodes = 2\n', runner.Slurm(resources=runner.Request(nodes=2))),
        ('kind = "slurm"\n[sbatch]\nreservation = "x"\n', runner.Slurm(sbatch={"reservation": "x"})),
        ('kind = "debug"\nthreads = 2', runner.Debug(threads=2)),
        ('kind = "debug"\ndeterministic = true', runner.Debug(deterministic=True)),
        ('kind = "local"\nrecompute = true', runner.Local(recompute=True)),
    ],
)
def test_read(tmp_path: Path, text: str, expected: runner.Runner) -> None:
    (tmp_path / "mine.toml").write_text(text)
    assert runner.read(str(tmp_path / "mine.toml")) == expected


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        ('kind = "loca"', ":1:8:", "kind must be 'local', 'slurm' or 'debug', not 'loca'; did you mean 'local'?"),
        ('kind = "local"\nslot = 2', ":2:1:", "unknown key 'slot' at the top level; did you mean 'slots'?"),
        ('kind = "local"\nthreads = 0', ":2:11:", "threads must be at least 1, not 0"),
        ('kind = "local"\ntimeout_minutes = true', ":2:19:", "timeout_minutes must be 'none' or a number, not true"),
        ('kind = "local"\nslots = []', ":2:9:", "slots must not be empty"),
        ('kind = "local"\ndeterministic = 1', ":2:17:", "deterministic must be true or false, not 1"),
        ('kind = "debug"\nrecompute = "blocks"', ":2:13:", "recompute must be true or false, not 'blocks'"),
        ("threads = 1", ":1:1:", "the file lacks the key 'kind'"),
        ('kind = "slurm"\nnode = 2', ":2:1:", "unknown key 'node' at the top level"),
        ('kind = "slurm"\n[resources]\nnode = 2', ":3:1:", "unknown key 'node' in [resources]; did you mean 'nodes'?"),
        ('kind = "slurm"\n[resources]\npartition = "a b"', ":3:13:", f"partition must be {_WORD['means']}, not 'a b'"),
        ('kind = "slurm"\n[resources]\naccount = "50%"', ":3:11:", f"account must be {_WORD['means']}, not '50%'"),
        ('kind = "slurm"\n[resources]\nqos = "a\\nb"', ":3:7:", f"qos must be {_WORD['means']}, not 'a\\nb'"),
        ('kind = "slurm"\n[resources]\ngpu_type = "x\'y"', ":3:12:", f'gpu_type must be {_WORD["means"]}, not "x\'y"'),
        ('kind = "slurm"\nsetup = ["a\\nb"]', ":2:10:", "setup[0] must be one line of shell, not 'a\\nb'"),
        ('kind = "slurm"\n[sbatch]\narray = "1"', ":3:1:", "'array' is not for [sbatch]: simclr-spec says it itself"),
        (
            'kind = "slurm"\nthreads = 8\n[resources]\ncpus_per_process = 4',
            ":3:2:",
            "cpus_per_process 4 is less than threads 8",
        ),
        (
            'kind = "slurm"\n[resources]\ngpus_per_node = 0\ngpu_type = "a"',
            ":2:2:",
            "gpu_type names the type of no GPUs: gpus_per_node is 0",
        ),
        (
            'kind = "slurm"\n[[rules]]\nwhen = { width = 3 }\nset = { minutes = 1 }',
            ":4:1:",
            "minutes 1 is no longer than grace_seconds 120",
        ),
        (
            'kind = "slurm"\n[[rules]]\nwhen = { kind = ["finetune", "distill"] }\nset = { minutes = 1 }',
            ":4:1:",
            "minutes 1 is no longer than grace_seconds 120",
        ),
        (
            'kind = "slurm"\n[[rules]]\nwhen = { widht = 3 }\nset = { nodes = 1 }',
            ":3:10:",
            "unknown key 'widht' in [rules.when]; did you mean 'width'?",
        ),
    ],
)
def test_faults(tmp_path: Path, text: str, place: str, sentence: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SpecError) as error:
        runner.read(str(tmp_path / "mine.toml"))
    assert str(error.value) == f"{tmp_path}/mine.toml{place} {sentence}"


def test_the_last_rule_that_matches_wins() -> None:
    few = runner.Rule(when={"kind": "pretrain"}, set={"nodes": 4, "partition": "big"})
    many = runner.Rule(when={"width": [2, 3]}, set={"nodes": 16})
    slurm = runner.Slurm(resources=runner.Request(partition="main"), rules=(few, many))
    assert slurm.request({"kind": "pretrain", "width": 3}) == runner.Request(nodes=16, partition="big")
    assert slurm.request({"kind": "pretrain", "width": 1}) == runner.Request(nodes=4, partition="big")
    assert slurm.request({"kind": "finetune", "width": 1}) == runner.Request(partition="main")
    assert slurm.devices({"kind": "pretrain", "width": 3}) == 16
