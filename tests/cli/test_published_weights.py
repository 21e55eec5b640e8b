"""`simclr-spec weights`: the declared files, the networks of one, and the paper's number of each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from simclr_spec.language import declared
from simclr_spec.language.weights import read_weights
from tests.typed import run

MINE = """title = "Mine"
layout = "tensorflow"
networks = [{ depth = 50 }, { depth = 152, width = 3, sk = true }]
[sets.a]
made_by = "supervised"
file = "r{depth}/model.ckpt-7"
classes = 1000
paper = "table1/supervised"
[sets.b]
made_by = "pretrain"
file = "one.pth"
networks = [{ depth = 18, sha256 = "SHA" }]
""".replace("SHA", "1a2b3c4d" * 8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text(MINE, encoding="utf-8")


def _rows(output: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line) for line in output.splitlines() if re.match(r"[ab] ", line)]


def test_without_a_name_the_declared_files() -> None:
    head, *rows = run("weights").stdout.splitlines()
    assert head.split() == ["name", "files", "title"]
    assert [row.split()[0] for row in rows] == declared.names("weights")
    assert re.search(r"simclrv2 +67  SimCLRv2's released checkpoints", rows[1])


def test_every_network_with_the_papers_number_and_whether_it_is_at_hand() -> None:
    for file in ("r50/model.ckpt-7.index", "one.pth"):
        place = Path("weights", file)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    shown = run("weights", "mine.toml").stdout
    assert _rows(shown) == [
        ["a", "50 1×", "yes", "–", "76.6", "–", "r50/model.ckpt-7"],
        ["a", "152 3× SK", "–", "–", "80.5", "–", "r152/model.ckpt-7"],
        ["b", "18 1×", "yes", "1a2b3c4d…", "–", "–", "one.pth"],
    ]
    assert f"2 of 3 files at hand; they are looked for in {Path.cwd()}/weights" in shown
    assert "assumed: the bytes of 2 files are what their names say" in shown


def test_other_roots_are_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("there/r152").mkdir(parents=True)
    Path("there/r152/model.ckpt-7.index").touch()
    monkeypatch.setenv("SIMCLR_SPEC_WEIGHTS", "nowhere:there")
    assert "1 of 3 files at hand" in run("weights", "mine.toml").stdout


def test_origin_licence_assumptions_and_who_measured_again() -> None:
    shown = run("weights", "simclrv2").stdout
    assert re.search(r"^origin +https://storage.googleapis.com/simclr-checkpoints/simclrv2$", shown, re.MULTILINE)
    assert re.search(r"^licence +Apache-2.0$", shown, re.MULTILINE)
    assert re.search(r"^re-measured +the authors' own evaluation", shown, re.MULTILINE)
    assert shown.count("assumed: train_step 125114 (images × epochs / batch + 1; not verified)") == 1
    assert "assumed: layout separius" in run("weights", "lightly").stdout
    row = next(line.split() for line in shown.splitlines() if "finetuned_1pct/r50_2x_sk0/" in line)
    assert row[-3:-1] == ["66.3", "66.2"], "the paper's, and the authors' own later one"
    last = [line.split()[-3:-1] for line in shown.splitlines() if line.startswith("distill_")]
    assert last == [["76.6", "–"], ["80.9", "–"]], "self-distilled, of Table 3"


def test_every_released_network_has_a_number_of_the_paper() -> None:
    shown = run("weights", "simclrv2").stdout
    files = [network.file for each in read_weights("simclrv2").sets.values() for network in each.networks]
    papers = {
        line.split()[-1]: line.split()[-3] for line in shown.splitlines() if line.split()[-1:] and line.split()[-1] in files
    }
    assert papers.keys() == set(files)
    assert all(re.fullmatch(r"\d\d\.\d", number) for number in papers.values())


@pytest.mark.parametrize(
    ("paper", "fault"),
    [
        ("tabel1/supervised", "no report is named 'tabel1'; did you mean 'table1'?"),
        ("table1", "'table1' is no column: name REPORT/COLUMN, as in table1/linear"),
        (
            "table1/supervise",
            "no column of table1 is named 'supervise' and has a number of the paper; did you mean 'supervised'?",
        ),
        ("mine.toml/x", "{here}/mine.toml is a weights file, not a report"),
    ],
)
def test_a_column_that_is_none_is_told_with_its_place_by_check_too(paper: str, fault: str) -> None:
    Path("mine.toml").write_text(MINE.replace("table1/supervised", paper), encoding="utf-8")
    for verb in ("weights", "check"):
        done = run(verb, "mine.toml")
        assert done.exit_code == 2
        assert done.output.startswith(f"mine.toml:8:9: {fault.format(here=Path.cwd())}"), done.output


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert run("weights", "simclr").output == "no weights file is named 'simclr'; did you mean 'simclrv2'?\n"
