"""Which of several pictures an answer leaves in the draft, however the answer is cut."""

import base64
import json
from typing import Any

import pytest

from slideloom.providers.intake import PictureIntake
from tests.support.parts import MemoryDraft, MemoryImageStore

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def named(name: str) -> bytes:
    """A picture that says its name."""
    return PNG + name.encode() * 40


def part(name: str, *, thought: str = "") -> dict[str, Any]:
    """An inline part of Gemini's; `thought` says where its mark stands: `before`, `after`."""
    data = {"mimeType": "image/png", "data": base64.b64encode(named(name)).decode()}
    mark = {"thought": True} if thought else {}
    inline = {"inlineData": data}
    return {**mark, **inline} if thought == "before" else {**inline, **mark}


async def take(document: bytes, step: int) -> bytes:
    """What is in the draft when an answer has come `step` bytes at a time."""
    intake, draft = PictureIntake(), MemoryDraft(MemoryImageStore())
    for start in range(0, len(document), step):
        intake.take(document[start : start + step])
        await intake.spool.flush(draft)
    return draft._buffer.getvalue() if intake.is_whole else b""


CASES: dict[str, list[dict[str, Any]]] = {
    "thoughts first": [part("a", thought="after"), part("b", thought="before"), part("final")],
    "thought last": [part("a", thought="after"), part("final"), part("b", thought="after")],
    "marked thought last": [part("final"), part("b", thought="before")],
    "thoughts around": [
        part("a"),
        part("b", thought="after"),
        part("final"),
        part("c", thought="after"),
    ],
    "several": [part("a"), part("b"), part("final")],
}


@pytest.mark.parametrize("step", [1, 7, 50, 100_000])
@pytest.mark.parametrize("case", CASES)
async def test_last_picture_that_is_no_thought_is_left(case: str, step: int) -> None:
    body = {"candidates": [{"content": {"parts": CASES[case]}, "finishReason": "STOP"}]}
    assert await take(json.dumps(body).encode(), step) == named("final")
    events = [f"data: {json.dumps(one)}\r\n\r\n" for one in CASES[case]]
    assert await take("".join(events).encode(), step) == named("final")


async def test_picture_that_is_whole_stays_when_a_later_one_is_cut_off() -> None:
    body = json.dumps({"parts": [part("final"), part("b")]}).encode()
    for cut in (20, 60, 120):
        assert await take(body[:-cut], 11) == named("final")
