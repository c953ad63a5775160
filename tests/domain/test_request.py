"""From a request to an order."""

from itertools import count

import msgspec
import pytest

from slideloom.domain.events import BatchOrder
from slideloom.domain.request import GenerateRequest, to_order
from slideloom.errors import InvalidRequest


def make(**body: object) -> BatchOrder:
    request = msgspec.convert({"style_prompt": "", **body}, GenerateRequest, strict=False)
    ids = count(1)
    return to_order(
        request,
        session_id="s",
        default_workers=3,
        worker_limit=10,
        new_id=lambda: f"new-{next(ids)}",
    )


def test_defaults_are_filled_in() -> None:
    order = make(slides=[{"title": ""}, {"title": "b", "page_num": 7, "type": None}])
    assert (order.max_workers, order.aspect_ratio) == (3, "16:9")
    assert [(s.id, s.page_num, s.type) for s in order.slides] == [
        ("new-1", 1, "content"),
        ("new-2", 7, "content"),
    ]


def test_workers_above_the_limit_are_lowered_to_it() -> None:
    assert make(slides=[{"title": "a"}], max_workers="38").max_workers == 10


def test_numbers_may_come_as_text_or_whole_floats() -> None:
    order = make(slides=[{"title": "a", "page_num": "1"}], max_workers=4.0)
    assert (order.slides[0].page_num, order.max_workers) == (1, 4)


def test_page_numbers_may_repeat_but_ids_may_not() -> None:
    make(slides=[{"title": "a", "page_num": 1}, {"title": "b", "page_num": 1}])
    with pytest.raises(InvalidRequest, match="slides 1 and 3") as refusal:
        make(slides=[{"title": "a", "id": "x"}, {"title": "b"}, {"title": "c", "id": "x"}])
    assert refusal.value.loc == ("body", "slides", 2, "id")
