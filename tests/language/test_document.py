"""Faults with file:line:column; limits; our validator against jsonschema's own."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import Draft4Validator

from simclr_spec.core.errors import SpecError, UsageError
from simclr_spec.language import declared
from simclr_spec.language.document import DEEPEST, Document, parse
from simclr_spec.language.document.positions import scan
from simclr_spec.language.document.validation import faults
from simclr_spec.language.document.validator import draft4, validator
from simclr_spec.language.schemas import SCHEMAS, published

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "epochs": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        "flip": {"type": "number", "minimum": 0, "maximum": 1},
        "loss": {"enum": ["nt_xent", "cosine"]},
        "seeds": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 1},
        "inner": {"type": "object", "properties": {"deep": {"type": "boolean"}}, "additionalProperties": False},
        "batch": {"anyOf": [{"type": "integer", "minimum": 2}, {"enum": ["none"]}]},
    },
    "required": ["title"],
    "additionalProperties": False,
}


def document(text: str, name: str = "x.toml") -> Document:
    return parse(declared.File(name, name, text))


def sentences(text: str, name: str = "x.toml") -> list[str]:
    try:
        return [str(fault) for fault in faults(document(text, name), draft4(SCHEMA))]
    except SpecError as error:
        return [str(fault) for fault in error.faults]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('title = "a"\nepoch = 1', "x.toml:2:1: unknown key 'epoch' at the top level; did you mean 'epochs'?"),
        ('title = "a"\n[inner]\n  depe = true', "x.toml:3:3: unknown key 'depe' in [inner]; did you mean 'deep'?"),
        ('title = "a"\ninner.deep = "no"', "x.toml:2:14: deep must be true or false, not 'no'"),
        ('title = "a"\nepochs = "ten"', "x.toml:2:10: epochs must be a number, not 'ten'"),
        ('title = "a"\nepochs = 0', "x.toml:2:10: epochs must be more than 0, not 0"),
        ('title = "a"\nepochs = "50"', "x.toml:2:10: epochs must be a number, not '50'; drop the quotes"),
        ('title = "a"\nepochs = "50 "', "x.toml:2:10: epochs must be a number, not '50 '; drop the quotes"),
        ('title = "a"\nepochs = "-1"', "x.toml:2:10: epochs must be a number, not '-1'"),  # nor without them
        ('title = "a"\nseeds = [0, "1"]', "x.toml:2:13: seeds[1] must be a whole number, not '1'; drop the quotes"),
        ('title = "a"\nseeds = [0, "1.5"]', "x.toml:2:13: seeds[1] must be a whole number, not '1.5'"),
        ('title = "a"\nbatch = "64"', "x.toml:2:9: batch must be a whole number or 'none', not '64'; drop the quotes"),
        ('title = "a"\nepochs = 2020-01-01', "x.toml:2:10: epochs must be a number, not the date 2020-01-01"),
        ('title = "a"\nflip = 50', "x.toml:2:8: flip 50 is outside [0, 1]; for 50 % write 0.5"),
        ('title = "a"\nflip = 1.5', "x.toml:2:8: flip 1.5 is outside [0, 1]; for 1.5 % write 0.015"),
        (
            'title = "a"\nloss = "nt_xnt"',
            "x.toml:2:8: loss must be 'nt_xent' or 'cosine', not 'nt_xnt'; did you mean 'nt_xent'?",
        ),
        ('title = "a"\nseeds = [0, 1,\n  0]', "x.toml:3:3: seeds holds 0 twice"),
        ('title = "a"\nseeds = []', "x.toml:2:9: seeds must not be empty"),
        ('title = "a"\nseeds = [0, 1.5]', "x.toml:2:13: seeds[1] must be a whole number, not 1.5"),
        ('title = "a"\nbatch = "nome"', "x.toml:2:9: batch must be a whole number or 'none', not 'nome'; did you mean 'none'?"),
        ('title = "a"\nbatch = 1', "x.toml:2:9: batch must be at least 2, not 1"),
        ("epochs = 1", "x.toml:1:1: the file lacks the key 'title'"),
        ('titel = "a"', "x.toml:1:1: unknown key 'titel' at the top level; did you mean 'title'?"),
        ('title = "a"\nepochs = nan', "x.toml:2:10: epochs must be a finite number, not nan"),
        ('title = "a"\nepochs = { value = nan }', "x.toml:2:20: epochs must be a finite number, not nan"),
        ('title = "a"\nseeds = [-inf]', "x.toml:2:10: seeds must be a finite number, not -inf"),
        ('title = "a"\nepochs = 1\nepochs = 2', "x.toml:3:1: 'epochs' is set twice; first in line 2"),
        ('title = "a"\n[inner]\n[inner]', "x.toml:3:2: [inner] is set twice; first in line 2"),
        ('title = "a"\nepochs = 1 2', "x.toml:2:12: not TOML: expected newline or end of document after a statement"),
        ('title = "a"\nepochs = 99999999999999999999', "x.toml:2:10: epochs is too large a number; at most 9007199254740992"),
    ],
)
def test_each_fault_is_one_sentence_at_its_place(text: str, sentence: str) -> None:
    assert sentences(text) == [sentence]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"title": "a",\n "epoch": 1}', "x.json:2:2: unknown key 'epoch' at the top level; did you mean 'epochs'?"),
        ('{"title": "a",\n "seeds": [1, "b"]}', "x.json:2:15: seeds[1] must be a whole number, not 'b'"),
        ('{"title": "a",\n "title": "b"}', "x.json:2:2: 'title' is set twice; first in line 1"),
        ('{"title": "a", "epochs": NaN}', "x.json:1:26: epochs must be a finite number, not nan"),
        ('{"title": "a", "epochs": 1e999}', "x.json:1:26: epochs must be a finite number, not inf"),
        ('{"title": "a"', "x.json:1:14: not JSON: expecting ',' delimiter"),
        ("[1]", "x.json:1:1: the top level must be a table of keys and values"),
    ],
)
def test_json_likewise(text: str, sentence: str) -> None:
    assert sentences(text, "x.json") == [sentence]


def test_all_faults_at_once_in_order() -> None:
    found = sentences('loss = 1\nflip = 2\ntitle = "a"\nepochs = 0\n')
    assert [line.split(":")[1] for line in found] == ["1", "2", "4"]


def test_toml_and_json_of_the_same_content_are_the_same_document() -> None:
    text = declared.read("spec", "quickstart").text
    assert document(json.dumps(tomllib.loads(text)), "x.json").data == document(text).data


def test_places_of_every_form_of_toml() -> None:
    text = (
        'a."b c".d = 1\n'
        "'q' = { x = [ 1, { y = 'z' } ], \"w\" = '''m\nn''' }\n"
        "[[t]]\nk = 1\n[[t]]\nk = 2 # c\n[t.u]\nv = 1979-05-27 07:32:00\n"
        'm = """\n"quoted" ""\\""""\nlast = [\n  1, # one\n  2,\n]\n'
    )
    places = scan(text, is_json=False)
    tomllib.loads(text)
    assert places.of(("a", "b c", "d"), key=True) == (1, 9)
    assert places.of(("q", "x", 1, "y"), key=False) == (2, 24)
    assert places.of(("q", "w"), key=False) == (2, 39)
    assert places.of(("t", 1, "k"), key=False) == (7, 5)
    assert places.of(("t", 1, "u", "v"), key=True) == (9, 1)
    assert places.of(("t", 1, "u", "last", 1), key=False) == (14, 3)
    assert places.of(("t", 1, "u"), key=True) == (8, 4)


DEEP_TABLES = f": tables and lists nested more than {DEEPEST} deep are not read"
DEEP_KEY = f": a key of more than {DEEPEST} dotted parts is not read"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = " + "[" * 50_000, f"x.toml{DEEP_TABLES}"),
        ("a = " + "[" * 40 + "]" * 40, f"x.toml{DEEP_TABLES}"),
        ("a." * 5_000 + "a = 1", f"x.toml:1:1{DEEP_KEY}"),
        ("[" + "a." * 5_000 + "a]", f"x.toml:1:2{DEEP_KEY}"),
        ("a = " + "{ b = " * 60 + "1" + " }" * 60, f"x.toml{DEEP_TABLES}"),
    ],
)
def test_excessive_nesting_is_one_sentence(text: str, told: str) -> None:
    assert sentences(text) == [told]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":' * 100_000,
        '{"a":' * 400 + '{"b": 1, "b": 2}' + "}" * 400,
        '{"a":' * 400 + "1" * 5000 + "}" * 400,
    ],
)
def test_deep_json_is_one_sentence(text: str) -> None:
    assert sentences(text, "x.json") == [f"x.json{DEEP_TABLES}"]


def test_of_very_many_faults_the_first_hundred_are_told() -> None:
    assert len(sentences(f"seeds = [{'nan, ' * 101}]")) == 100


def test_a_large_integer_of_many_digits_is_one_sentence() -> None:
    digits = "1" * 5000
    told = "seeds is too large a number; at most 9007199254740992"
    assert sentences(f'title = "a"\nseeds = [1, {digits}]') == [f"x.toml:2:13: {told}"]
    assert sentences(f'{{"title": "a",\n"seeds": [{digits}]}}', "x.json") == [f"x.json:2:11: {told}"]
    assert sentences(digits, "x.json") == ["x.json:1:1: the file is too large a number; at most 9007199254740992"]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert sentences('\ufefftitle = "a"\nepoch = 1') == sentences('title = "a"\nepoch = 1')
    assert document('\ufeff{"title": "a"}', "x.json").data == {"title": "a"}


_scalars = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.sampled_from(["none", "nt_xent", "x"])
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SCHEMA["properties"], "deep"]), inner),
)


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "other"]), _values))
@settings(max_examples=300, deadline=None)
def test_our_own_unique_items_agree_with_jsonschema(value: dict[str, Any]) -> None:
    assert draft4(SCHEMA).is_valid(value) == Draft4Validator(SCHEMA).is_valid(value)


@pytest.mark.parametrize("kind", ["spec", "recipe", "dataset", "scale", "runner", "machine", "report"])
def test_our_validator_and_the_published_schema_agree_with_jsonschema_on_declared_files(kind: declared.FileKind) -> None:
    schema, ours = SCHEMAS[kind](), validator(SCHEMAS[kind])
    Draft4Validator.check_schema(schema)
    shorter = Draft4Validator(published(kind))
    for name in declared.names(kind):
        data = parse(declared.read(kind, name)).data
        assert ours.is_valid(data)
        assert Draft4Validator(schema).is_valid(data)
        for key in list(data):
            wrongs: list[Any] = [{}, [], 0.5, "x", None, True]
            for wrong in wrongs:
                changed = {**data, key: wrong}
                valid = Draft4Validator(schema).is_valid(changed)
                assert ours.is_valid(changed) == shorter.is_valid(changed) == valid, (name, key, wrong)


@given(st.text(alphabet=st.sampled_from("ab=.[]{}\"'\\,\n# 12-_tn\u00e9"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_no_text_raises_anything_but_faults(text: str) -> None:
    for name in ("x.toml", "x.json"):
        for line in sentences(text, name):
            assert line.startswith(name)


@given(st.dictionaries(st.text(min_size=1, max_size=5), _values, max_size=4))
@settings(max_examples=100, deadline=None)
def test_every_value_of_a_json_document_is_found_where_it_stands(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2)
    places = scan(text, is_json=True)
    lines = text.split("\n")
    for key, item in value.items():
        line, column = places.of((key,), key=True)
        assert lines[line - 1][column - 1 :].startswith(json.dumps(key))
        line, column = places.of((key,), key=False)
        assert lines[line - 1][column - 1 :].startswith(json.dumps(item)[0])


def test_a_users_file_is_named_as_typed(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("titel = 1")
    found = faults(parse(declared.read("spec", str(file))), draft4(SCHEMA))
    assert str(found[0]) == f"{file}:1:1: unknown key 'titel' at the top level; did you mean 'title'?"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "mine.toml")
    with pytest.raises(UsageError, match=r"cannot read the spec '.*mine.toml': it is a pipe"):
        declared.read("spec", str(tmp_path / "mine.toml"))
