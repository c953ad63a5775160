"""The status routes as one writes them with FastAPI and pydantic, for `status`.

It is given the answers our service gives, by batch id, and keeps each batch as its jobs would
have it: `dict` by slide (the usual way), or as `model` made once and only sent (its best case).
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel


class SlideVersion(BaseModel):
    """One picture a slide has had."""

    n: int
    image_url: str
    created_at: str
    current: bool


class SlideResult(BaseModel):
    """One slide."""

    slide_id: str
    page_num: int
    title: str
    image_url: str | None
    final_prompt: str | None
    status: str
    error_message: str | None
    generation_time: float | None
    error_code: str | None
    attempts: int
    provider: str | None
    model: str | None
    cached: bool
    cost_usd: float | None
    width: int | None
    height: int | None
    aspect_ratio_ok: bool | None
    versions: list[SlideVersion]


class BatchStatus(BaseModel):
    """The answer."""

    batch_id: str
    status: str
    progress: float
    total_slides: int
    completed_slides: int
    successful: int
    failed: int
    estimated_remaining_time: float | None
    results: list[SlideResult]
    session_id: str
    created_at: str
    total_time: float
    cost_usd: float | None
    possibly_billed: int
    cancelled: bool
    max_workers: int
    aspect_ratio: str
    last_event_id: int


class StatusRequest(BaseModel):
    """Which batch."""

    batch_id: str


Kept = dict[str, Any] | BatchStatus


def create_app(batches: dict[str, Kept]) -> FastAPI:
    """Both routes."""
    app = FastAPI()

    def find(batch_id: str) -> Kept:
        batch = batches.get(batch_id)
        if batch is None:
            raise HTTPException(404, "no such batch")
        return batch

    @app.post("/api/slide/batch/status", response_model=BatchStatus)
    async def status(asked: StatusRequest) -> Kept:
        return find(asked.batch_id)

    @app.get("/api/slide/batch/{batch_id}", response_model=BatchStatus)
    async def show(batch_id: str) -> Kept:
        return find(batch_id)

    return app


_KEEP: dict[str, Callable[[dict[str, Any]], Kept]] = {
    "dict": lambda told: told,
    "model": BatchStatus.model_validate,
}


async def main(kind: str) -> None:
    """Serve what one line of standard input holds."""
    told: list[dict[str, Any]] = msgspec.json.decode(sys.stdin.buffer.readline())
    app = create_app({batch["batch_id"]: _KEEP[kind](batch) for batch in told})
    server = uvicorn.Server(
        uvicorn.Config(
            app, port=0, loop="asyncio", http="httptools", log_level="warning", access_log=False
        )
    )
    serving = asyncio.create_task(server.serve(), name="serve")
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    await serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
