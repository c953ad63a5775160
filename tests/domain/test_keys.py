"""Keys of like requests."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideloom.domain.keys import cache_key
from slideloom.domain.ratio import Ratio


def key(**changes: Any) -> str:
    facts: dict[str, Any] = {
        "provider": "images",
        "model": "a/model",
        "prompt": "a calm café",
        "ratio": Ratio(16, 9),
        "size": None,
        "reference": None,
    }
    return cache_key(**facts | changes)


def test_key_is_a_hash_and_stays_the_same_from_version_to_version() -> None:
    assert key() == "0df47e27333d76f736550250d87dfb2c3a8a4ec46616ae08c9dd77a586362c63"


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a calm cafe\u0301"},  # composed otherwise
        {"prompt": "  a\n\ncalm\u3000café\t"},
        {"ratio": Ratio(1920, 1080)},
    ],
)
def test_like_requests_have_one_key(changes: dict[str, Any]) -> None:
    assert key(**changes) == key()


@pytest.mark.parametrize(
    "changes",
    [
        {"provider": "chat"},
        {"model": "a/model2"},
        {"prompt": "a calm cafe"},
        {"prompt": "acalm café"},
        {"ratio": Ratio(9, 16)},
        {"size": "2K"},
        {"size": ""},
        {"reference": "0" * 64},
        {"size": "0" * 64},
    ],
)
def test_other_requests_have_other_keys(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()


def test_parts_never_run_into_one_another() -> None:
    words = ["", "a", "aa", "-", "1:a;", ":", ";"]
    pairs = list(itertools.product(words, repeat=2))
    assert len({key(provider=one, model=other) for one, other in pairs}) == len(pairs)


@given(st.text(st.characters()))
def test_every_text_has_a_key_and_folding_twice_changes_nothing(prompt: str) -> None:
    assert key(prompt=" ".join(prompt.split())) == key(prompt=prompt)


def test_text_that_cannot_be_written_has_a_key_too() -> None:
    assert key(prompt="\ud800") != key(prompt="\ud801")
