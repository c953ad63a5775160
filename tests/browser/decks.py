"""Decks that the browser tests bring, and how they are started without the page."""

import uuid
from typing import Any

import aiohttp

FAILS_ONCE = "[[fault:F05_content_policy*1]]"
"""In a picture's description: the first call with that prompt is refused, the next is not."""
FAILS = "[[fault:F05_content_policy]]"

MARKDOWN = """# Rivers
How water finds its way

---

# Source
- snow
- rain

# Delta
- mud
- birds

---
# Thank you
"""


def deck(*titles: str, fails: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """A request body like no other; the titles in `fails` never get a picture."""
    slides = [
        {"id": f"s{n}", "title": title, "visual_desc": FAILS if title in fails else f"picture {n}"}
        for n, title in enumerate(titles, 1)
    ]
    return {"slides": slides, "style_prompt": f"calm blue #224466 {uuid.uuid4()}"} | more


async def post(url: str, path: str, body: Any = None, **headers: str) -> Any:
    """The JSON answer of a POST below `/api`."""
    async with (
        aiohttp.ClientSession() as client,
        client.post(f"{url}/api{path}", json=body, headers=headers) as answer,
    ):
        return await answer.json()


async def get(url: str, path: str) -> Any:
    """The JSON answer of a GET below `/api`."""
    async with aiohttp.ClientSession() as client, client.get(f"{url}/api{path}") as answer:
        return await answer.json()


async def start(url: str, body: dict[str, Any], *, wait: bool = True, **headers: str) -> str:
    """The id of a batch that was made, or, without `wait`, just begun."""
    headers |= {} if wait else {"Prefer": "respond-async"}
    made = await post(url, "/slide/batch/generate", body, **headers)
    batch_id: str = made["batch_id"]
    return batch_id
