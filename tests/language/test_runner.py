"""The runner language."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema.validators import Draft4Validator

from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared, runner


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
        ('kind = "loca"', ":1:8:", "kind must be 'local' or 'debug', not 'loca'; did you mean 'local'?"),
        ('kind = "local"\nslot = 2', ":2:1:", "unknown key 'slot' at the top level; did you mean 'slots'?"),
        ('kind = "local"\nthreads = 0', ":2:11:", "threads must be at least 1, not 0"),
        ('kind = "local"\ntimeout_minutes = true', ":2:19:", "timeout_minutes must be 'none' or a number, not true"),
        ('kind = "local"\nslots = []', ":2:9:", "slots must not be empty"),
        ('kind = "local"\ndeterministic = 1', ":2:17:", "deterministic must be true or false, not 1"),
        ('kind = "debug"\nrecompute = "blocks"', ":2:13:", "recompute must be true or false, not 'blocks'"),
        ("threads = 1", ":1:1:", "the file lacks the key 'kind'"),
    ],
)
def test_faults(tmp_path: Path, text: str, place: str, sentence: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SpecError) as error:
        runner.read(str(tmp_path / "mine.toml"))
    assert str(error.value) == f"{tmp_path}/mine.toml{place} {sentence}"
