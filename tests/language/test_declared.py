"""Declared names and paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.language import declared


def test_declared_files_are_found_by_name() -> None:
    file = declared.read("recipe", "simclrv2")
    assert file.shown == "specs/recipes/simclrv2.toml"
    assert 'title = "SimCLRv2' in file.text
    assert {"quickstart", "table1"} <= set(declared.names("spec"))


def test_machines_are_no_runners() -> None:
    assert "h200" in declared.names("machine")
    assert not set(declared.names("machine")) & set(declared.names("runner"))


def test_an_argument_that_ends_in_toml_or_json_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "quickstart.toml").write_text("mine")
    assert declared.read("spec", str(tmp_path / "quickstart.toml")).text == "mine"
    assert declared.read("spec", "quickstart.toml", tmp_path).text == "mine"


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"^no spec is named 'quickstrat'; did you mean 'quickstart'\?$"):
        declared.read("spec", "quickstrat")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.toml", "cannot read the spec '{folder}/absent.toml': No such file or directory"),
        ("folder.toml", "cannot read the spec '{folder}/folder.toml': Is a directory"),
        ("binary.toml", "{folder}/binary.toml: not UTF-8 text (byte 2)"),
        ("large.toml", "{folder}/large.toml: a spec of more than 1,000,000 bytes is not read"),
    ],
)
def test_a_path_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"a=\xff")
    (tmp_path / "large.toml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(UsageError) as caught:
        declared.read("spec", str(tmp_path / name))
    assert str(caught.value) == sentence.format(folder=tmp_path)
