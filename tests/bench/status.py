"""Status answers a second, beside an equivalent FastAPI application.

The same bodies of twenty slides, a finished and a running batch's, by the same uvicorn, asked for
by wrk in turns. Processor time for each answer stands beside, for machines that do other things.
Ours also reckons a running batch's time anew for each answer, knows hosts and origins, and gives
an `ETag`; the other one only sends what it has.
"""

import asyncio
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from tests.bench.meter import Meter
from tests.bench.service import started_service
from tests.support.asking import Asked, Question, ask_on
from tests.support.upstream import spawn_upstream

_SLIDES = 20
_CONNECTIONS = 64
_SECONDS = 4
MUST, STRETCH = 2.8, 4.0
"""Ours ÷ FastAPI. Source: `performance.md` section 4."""
_TEXT = "boats like cut paper at dawn"
_SILENT = "[[fault:F26_silence]]"
_RIVALS = ("dict", "model")


class Answers(Struct, frozen=True):
    """What one run gave."""

    per_s: float
    cpu_us: float
    """Of the server, for each answer."""


async def main(rounds: int = 3) -> None:
    """Print the table."""
    asker = "wrk" if shutil.which("wrk") else "plain asyncio, which is slower than what it asks"
    print(f"\nstatus of {_SLIDES} slides, {_CONNECTIONS} connections, asked by {asker}")
    print(
        f"{'':28} {'answers/s: ours':>16} {'FastAPI':>8} {'(model)':>8} {'CPU us: ours':>13}"
        f" {'FastAPI':>8}  ours / FastAPI each round, must >= {MUST}, stretch >= {STRETCH}"
    )
    async with opened_service() as (ours, bodies), opened_rivals(bodies) as rivals:
        ratios = []
        size_kib = len(msgspec.json.encode(bodies["finished"])) / 1024
        print(f"{size_kib:.0f} KiB a body")
        for name, question in build_questions(bodies).items():
            runs = [
                [await measure(url, pid, question) for url, pid in (ours, *rivals)]
                for _ in range(rounds)
            ]
            if "ETag" not in name:  # it has no rival there
                ratios += [run[0].per_s / run[1].per_s for run in runs]
            print(_row(name, runs))
    print(f"median of all but the last: {_median(ratios):.2f}")


def build_questions(bodies: Mapping[str, Any]) -> dict[str, Question]:
    """Each way to ask for each batch."""
    questions = {}
    for state, body in bodies.items():
        batch_id = body["batch_id"]
        asked = msgspec.json.encode({"batch_id": batch_id})
        questions[f"POST status, {state}"] = Question("POST", "/api/slide/batch/status", asked)
        questions[f"GET, {state}"] = Question("GET", f"/api/slide/batch/{batch_id}")
    known = (("If-None-Match", "*"),)
    questions["GET, known by its ETag"] = Question(
        "GET", f"/api/slide/batch/{bodies['finished']['batch_id']}", headers=known
    )
    return questions


async def measure(url: str, pid: int, question: Question) -> Answers:
    """Ask for `_SECONDS` on all connections."""
    meter = Meter(pid)
    asked = await (_ask_by_wrk if shutil.which("wrk") else _ask_plainly)(url, question)
    assert not asked.errors, asked
    return Answers(asked.count / asked.seconds, meter.read().cpu_s * 1e6 / asked.count)


async def _ask_plainly(url: str, question: Question) -> Asked:
    return await ask_on(url, question, connections=_CONNECTIONS, seconds=_SECONDS)


async def _ask_by_wrk(url: str, question: Question) -> Asked:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_to_lua(question))
        script.flush()
        process = await asyncio.create_subprocess_exec(
            *("wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{_SECONDS}s", "-s", script.name),
            url + question.path,
            stdout=asyncio.subprocess.PIPE,
        )
        said = (await process.communicate())[0].decode()
    found = re.search(r"(\d+) requests in ([0-9.]+)s", said)
    assert found is not None, said
    errors = len(re.findall(r"Non-2xx|Socket errors", said))
    return Asked(count=int(found[1]), errors=errors, seconds=float(found[2]))


def _to_lua(question: Question) -> str:
    lines = [f"wrk.headers['{name}'] = '{value}'" for name, value in question.headers]
    if question.body:
        lines += [
            f"wrk.method, wrk.body = '{question.method}', '{question.body.decode()}'",
            "wrk.headers['Content-Type'] = 'application/json'",
        ]
    return "\n".join(lines)


@asynccontextmanager
async def opened_service() -> AsyncIterator[tuple[tuple[str, int], dict[str, Any]]]:
    """Our service, its pid, and the answers of a finished and of a running batch."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with (
            spawn_upstream() as upstream,
            started_service(
                Path(folder),
                LLM_IMAGE_API_KEY="bench",
                LLM_IMAGE_API_BASE=upstream.base_url,
                LLM_IMAGE_API="images",
                BATCH_MAX_WORKERS=_SLIDES,
                LANE_START=2 * _SLIDES,
                SLIDE_TIMEOUT_SECONDS=3600,
                STOP_GRACE_SECONDS=0,
            ) as service,
            aiohttp.ClientSession() as client,
        ):
            bodies = {
                "finished": await _fetch_when(client, service.url, done=_SLIDES),
                "running": await _fetch_when(client, service.url, done=_SLIDES // 2),
            }
            yield (service.url, service.pid), bodies


async def _fetch_when(client: aiohttp.ClientSession, url: str, *, done: int) -> Any:
    """The status of a new batch once so many slides are done; the others get no answer."""
    deck = {
        "slides": [
            {
                "title": f"Page {n}",
                "content_text": "- one\n- two",
                "visual_desc": _TEXT + ("" if n <= done else _SILENT),
            }
            for n in range(1, _SLIDES + 1)
        ],
        "style_prompt": "calm, deep navy, one mint accent",
        "max_workers": _SLIDES,
        "cache": False,
    }
    headers = {"Prefer": "respond-async"}
    generate = f"{url}/api/slide/batch/generate"
    async with client.post(generate, json=deck, headers=headers) as answer:
        body = await answer.json()
    is_last = False
    while not is_last:
        await asyncio.sleep(0.05)
        async with client.get(f"{url}/api/slide/batch/{body['batch_id']}") as answer:
            body = await answer.json()
        begun = sum(slide["status"] != "pending" for slide in body["results"])
        is_last = body["successful"] == done and begun == _SLIDES
    return body


@asynccontextmanager
async def opened_rivals(bodies: Mapping[str, Any]) -> AsyncIterator[list[tuple[str, int]]]:
    """Address and pid of each FastAPI application."""
    line = msgspec.json.encode(list(bodies.values())) + b"\n"
    processes = []
    try:
        rivals = []
        for kind in _RIVALS:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.bench.status_fastapi", kind),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            processes.append(process)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line)
            rivals.append(((await process.stdout.readline()).decode().strip(), process.pid))
        yield rivals
    finally:
        for process in processes:
            process.terminate()
            await process.wait()


def _row(name: str, runs: list[list[Answers]]) -> str:
    ours, usual, best = ([run[place] for run in runs] for place in range(3))

    def per_s(answers: list[Answers]) -> float:
        return _median([one.per_s for one in answers])

    def cpu_us(answers: list[Answers]) -> float:
        return _median([one.cpu_us for one in answers])

    ratios = [mine.per_s / its.per_s for mine, its in zip(ours, usual, strict=True)]
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    return (
        f"{name:28} {per_s(ours):16.0f} {per_s(usual):8.0f} {per_s(best):8.0f}"
        f" {cpu_us(ours):13.0f} {cpu_us(usual):8.0f}  {each}; median {_median(ratios):.2f},"
        f" by CPU {cpu_us(usual) / cpu_us(ours):.2f}"
    )


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    asyncio.run(main())
