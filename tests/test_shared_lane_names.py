"""Which processes share a lane."""

from typing import Any

import pytest

from slideloom.assembly.lanes import name_lane, open_lanes
from slideloom.engine.shared_lane import SharedLane
from slideloom.settings import Settings, load_settings
from tests.bench.lanes.board import MemoryBoard
from tests.support.parts import RecordingLog

KEY = "sk-1234567890abcdef"
LOG: Any = RecordingLog()


def settings(**changes: str) -> Settings:
    facts = {
        "LLM_IMAGE_API_BASE": "https://api.example.com/v1",
        "LLM_IMAGE_API_KEY": KEY,
        "LLM_IMAGE_MODEL": "m",
    }
    return load_settings(facts | changes)[0]


def test_name_of_a_lane_hides_the_key() -> None:
    name = name_lane(settings(), KEY)
    assert name.startswith("api.example.com:m:")
    assert not any(secret in name for secret in (KEY, KEY[-6:]))


def test_lane_is_the_same_for_the_same_key_place_and_model() -> None:
    names = {
        name_lane(settings(), KEY),
        name_lane(settings(LANE_START="20"), KEY),
        name_lane(settings(), "another"),
        name_lane(settings(LLM_IMAGE_MODEL="n"), KEY),
        name_lane(settings(LLM_IMAGE_API="chat"), KEY),
        name_lane(settings(LLM_IMAGE_API_BASE="https://api.example.com/v2"), KEY),
    }
    assert len(names) == 5


@pytest.mark.parametrize(("has_board", "shared"), [(True, [True, True]), (False, [False, False])])
async def test_lanes_are_shared_where_there_is_a_board(
    has_board: bool,  # noqa: FBT001 - a case
    shared: list[bool],
) -> None:
    two = settings(LLM_IMAGE_API_KEY=f"{KEY},another")
    lanes = open_lanes(two, LOG, board=MemoryBoard() if has_board else None)
    assert [isinstance(lane, SharedLane) for lane in lanes] == shared
    for lane in lanes:
        await lane.close()


async def test_lane_of_the_renderer_is_never_shared() -> None:
    (lane,) = open_lanes(settings(LLM_IMAGE_API="local"), LOG, board=MemoryBoard())
    assert not isinstance(lane, SharedLane)
    await lane.close()
