"""What is said of a Step that did not end well."""

from __future__ import annotations

from pathlib import Path

from simclr_spec.core.files import write_json
from simclr_spec.store.layout import RunFolder
from simclr_spec.store.sentences import last_error


def test_the_last_error_is_the_records_or_else_the_last_line_of_the_log(tmp_path: Path) -> None:
    attempt = RunFolder(tmp_path).new_attempt()
    assert last_error(attempt) == ""
    attempt.log.write_text("Traceback:\n  a line\nRuntimeError: no memory\n\n")
    assert last_error(attempt) == "RuntimeError: no memory"
    write_json(attempt.record, {"state": "failed", "error": "the loss became nan"})
    assert last_error(attempt) == "the loss became nan"
