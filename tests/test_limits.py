"""What a person, or a script, can write into a spec to make the program hang or fall: each is answered in a sentence, soon."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from simclr_spec.cli.main import main
from simclr_spec.core.errors import SpecError
from simclr_spec.language import declared
from simclr_spec.language.declared import LARGEST
from simclr_spec.language.document import DEEPEST, parse, toml_value
from simclr_spec.plan import compile

HEAD = 'title = "t"\nrecipe = "simclrv2"\nscale = "digits"\n'
ONE = HEAD + "encoders = [{ depth = 18 }]\n"
PRETRAIN = '[stages.p]\nkind = "pretrain"\n'
GRID = (
    HEAD + f"[encoders]\nproduct = {{ width = {list(range(1, 101))}, head_width = {list(range(1, 51))}, depth = [18, 34] }}\n"
)
NEVER = "{ depth = 200 }"


def told(text: str, folder: Path, name: str = "x.toml") -> list[str]:
    """Faults of a spec, within seconds."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    assert file.stat().st_size < LARGEST
    begun = time.process_time()
    with pytest.raises(SpecError) as caught:
        compile([str(file)])
    assert time.process_time() - begun < 15.0
    return [line.replace(f"{folder}/", "") for line in str(caught.value).split("\n")]


def test_a_table_of_80_000_unknown_keys(tmp_path: Path) -> None:
    text = ONE + PRETRAIN + "\n".join(f"epoch{i} = 1" for i in range(60_000))
    assert told(text, tmp_path) == ["x.toml:5:9: p has 60,001 keys; at most 200 are read"]


def test_unknown_keys_in_many_tables_are_told_100_times(tmp_path: Path) -> None:
    rows = ", ".join("{ " + ", ".join(f"k{i}{j} = 1" for i in range(20)) + " }" for j in range(1000))
    found = told(HEAD + f"encoders = [{rows}]\n" + PRETRAIN, tmp_path)
    assert len(found) == 100
    assert found[0] == "x.toml:4:13: [encoders] lacks the key 'depth'"


def test_long_lists_are_refused_and_repetitions_found(tmp_path: Path) -> None:
    seeds = [*range(130_000), 7]
    assert told(f"seeds = {seeds}\n" + ONE + PRETRAIN, tmp_path) == [
        "x.toml:1:9: seeds has 130,001 entries; at most 10,000 are read"
    ]
    mixed = ", ".join(f"{i}, '{i}'" for i in range(4_990))
    found = told(f"seeds = [{mixed}]\n" + ONE + PRETRAIN, tmp_path)
    assert "x.toml:1:13: seeds[1] must be a whole number, not '0'; drop the quotes" in found
    twice = f"seeds = {[*range(9_990), 7]}\n"
    assert told(twice + ONE + PRETRAIN, tmp_path) == [f"x.toml:1:{twice.rindex('7') + 1}: seeds holds 7 twice"]


def test_a_fault_beside_very_many_values(tmp_path: Path) -> None:
    def stages(seeds: int) -> str:
        return "".join(f'[stages.s{i}]\nkind = "supervised"\nseeds = {list(range(seeds))}\n' for i in range(200))

    assert told("x = 1\n" + ONE + stages(950), tmp_path) == ["x.toml: a file of more than 30,000 values is not read"]
    assert told("x = 1\n" + ONE + stages(130), tmp_path) == ["x.toml:1:1: unknown key 'x' at the top level"]


def test_30_000_stages(tmp_path: Path) -> None:
    stages = "".join(f"[stages.s{i}]\nkind = 'pretrain'\n" for i in range(28_000))
    assert told(ONE + stages, tmp_path) == ["x.toml:5:2: stages has 28,000 keys; at most 200 are read"]


def test_selectors_against_very_many_encoders(tmp_path: Path) -> None:
    stages = "".join(f"[stages.s{i}]\nkind = 'pretrain'\nencoders = [{', '.join([NEVER] * 200)}]\n" for i in range(60))
    found = told(GRID + stages, tmp_path)
    assert found[-1].split(": ")[1] == (
        "the selectors of this spec need more than 2,000,000 comparisons; use fewer, or split it"
    )


def test_a_selector_of_very_many_values(tmp_path: Path) -> None:
    text = ONE + PRETRAIN + f"encoders = {{ width = {list(range(101))} }}\n"
    assert told(text, tmp_path) == ["x.toml:7:22: width has 101 entries; at most 100 are read"]


@pytest.mark.parametrize("part", ["a", "a ", '"a "', "'a'", '"a\\"b"', '"#"'])
def test_a_key_of_very_many_parts(part: str, tmp_path: Path) -> None:
    text = ONE + "\n" + ".".join([part] * 30_000) + " = 1\n"
    assert told(text, tmp_path) == [f"x.toml:6:1: a key of more than {DEEPEST} dotted parts is not read"]
    with pytest.raises(ValueError, match="more than one value"):
        toml_value("{" + ".".join([part] * 30_000) + " = 1}")


def test_dots_of_texts_and_comments_are_no_key() -> None:
    words = "a." * 60
    text = f'# {words}\na = "{words}"\nb = \'{words}\'\nc = \'\'\'\n\'{words}\n\'\'\'\nd = """\n"{words}\\"\n{words}""""\n'
    assert set(parse(declared.File("x.toml", "x.toml", text)).data) == {"a", "b", "c", "d"}
    assert toml_value(f"'{words}'") == words


@pytest.mark.parametrize("text", ["'''a" * 200_001, 'x = """' + r"\"" * 400_000, 'x = "' + r"\"" * 400_000, r'\"""' * 200_000])
def test_what_is_not_closed_is_read_once(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(SpecError):
        parse(declared.File("x.toml", "x.toml", text + "." * 30))
    assert time.process_time() - begun < 10.0


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ('{"title": "\\ud800"}', "1:11", "title holds the unprintable character '\\ud800'"),
        ('{"title": "a\\u001b[31m"}', "1:11", "title holds the unprintable character '\\x1b'"),
        ('{"ti\\ud800": "a"}', "1:2", "a key holds the unprintable character '\\ud800'"),
    ],
)
def test_text_that_cannot_be_printed_is_refused(text: str, place: str, what: str, tmp_path: Path) -> None:
    assert told(text, tmp_path, "x.json") == [f"x.json:{place}: {what}"]


def test_a_set_of_very_many_brackets_is_one_sentence() -> None:
    done = CliRunner().invoke(main, ["plan", "quickstart", "--set", f"epochs={'[' * 2_000}"])
    assert done.exit_code == 2
    assert ": epochs must be a number, not " in done.output
