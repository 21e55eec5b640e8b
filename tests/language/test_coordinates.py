"""The one small language of coordinates."""

from __future__ import annotations

import pytest

from simclr_spec.core.errors import UsageError
from simclr_spec.language.coordinates import KEYS, Selector, as_selector, matches, near_miss, parse


def test_a_table_matches_equalities_and_any_of_a_list() -> None:
    step = {"stage": "finetune", "depth": 50, "label_fraction": 0.1}
    assert matches(step, {"depth": 50})
    assert matches(step, {"depth": [50, 101], "stage": "finetune"})
    assert not matches(step, {"depth": [101, 152]})
    assert not matches(step, {"labels_per_class": 1})


def test_words_become_typed_values() -> None:
    words = ["stage=finetune", "depth=50,101", "sk=false", "label_fraction=0.10", "state=failed"]
    assert parse(words) == Selector(
        {"stage": "finetune", "depth": [50, 101], "sk": False, "label_fraction": 0.1, "state": "failed"}
    )
    assert parse([]) is None


@pytest.mark.parametrize(
    ("words", "ancestors", "descendants"),
    [
        (["depth=50"], False, False),
        (["+depth=50"], True, False),
        (["depth=50+"], False, True),
        (["+depth=50", "sk=false+"], True, True),
    ],
)
def test_plus_asks_for_ancestors_and_descendants(words: list[str], ancestors: bool, descendants: bool) -> None:
    selector = parse(words)
    assert selector is not None
    assert selector.table["depth"] == 50
    assert (selector.ancestors, selector.descendants) == (ancestors, descendants)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("dept=50", "no coordinate is named 'dept'; did you mean 'depth'?"),
        ("depth=x", "depth must be a whole number, not 'x'"),
        ("sk=maybe", "sk must be true or false, not 'maybe'"),
        (
            "state=fialed",
            "no state is named 'fialed'; did you mean 'failed'? "
            "(states are done, stale, running, queued, failed, interrupted, unknown, new)",
        ),
        ("kind=fintune", "no kind is named 'fintune'; did you mean 'finetune'?"),
        ("depth", "'depth' is no selector; write coordinate=value, as in stage=finetune depth=50"),
        ("depth=50 depth=18", "'depth' is selected twice; for any of several values write depth=a,b"),
    ],
)
def test_a_wrong_word_is_answered_with_a_remedy(word: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse([word])
    assert str(caught.value) == sentence


@pytest.mark.parametrize("wanted", ["fintune", ["pretrain", "fintune"]])
def test_a_near_miss_is_found_alone_and_in_a_list(wanted: str | list[str]) -> None:
    assert near_miss({"stage": wanted}, [{"stage": "pretrain"}, {"stage": "finetune"}]) == "; did you mean 'finetune'?"


def test_what_is_shown_can_be_typed_back() -> None:
    table = {"stage": "a", "depth": [50, 101], "sk": True, "label_fraction": 0.1, "pretrain_seed": 3}
    selector = parse(as_selector(table).split())
    assert selector is not None
    assert selector.table == table
    assert set(table) - {"pretrain_seed"} <= set(KEYS)
