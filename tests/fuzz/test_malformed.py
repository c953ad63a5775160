"""A served process under requests no honest client sends: refused in words, and nothing remains.

The process is `slideloom serve` as users start it, but for its pictures, which cost no time. Its
memory is looked at once it has warmed up: the requests people thought of were sent once, the large
bodies among them, so what grows afterwards would go on growing.
"""

import asyncio
import io
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPException, HTTPResponse, IncompleteRead
from pathlib import Path
from socket import socket
from typing import Any, cast

import pytest
from msgspec import Struct, structs

from tests.support.nasty import draw, list_corpus
from tests.support.nasty.requests import Known, Sent
from tests.support.orders import deck
from tests.support.problems import check_problem
from tests.support.process import serve_environ

ROOT = Path(__file__).parents[2]
SEED = 7
AT_ONCE = 8
PATIENCE_S = 30.0
"""How long a whole request may wait for its answer's end."""
GLANCE_S = 0.4
"""How long what is no whole request is listened to."""
MOST_GROWTH_MB = 50
TOKEN = "alice-secret-0123456789"  # noqa: S105 - of this test's own service
FAULTS = re.compile(
    r'^ERROR:|Traceback|Exception|request_crashed|never awaited|"level": ?"(?:error|critical)"'
)


class Answer(Struct, frozen=True):
    """One answer on a connection."""

    status: int
    headers: Message
    body: bytes


class Process(Struct, frozen=True):
    """A served process, and all that it says."""

    pid: int
    port: int
    folder: Path
    poll: Any
    token: str

    def read_memory_mb(self) -> float:
        """What it holds of memory now."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def list_faults(self) -> list[str]:
        """What it printed or logged of faults of its own."""
        said = [self.folder / "said.txt", *(self.folder / "logs").glob("pipeline_*.log")]
        lines = [line for path in said for line in path.read_text("utf-8").split("\n")]
        return [line[:2000] for line in lines if FAULTS.search(line)]

    def add_token(self, sent: Sent) -> Sent:
        """The same from one who is known, unless it says itself who asks."""
        line = b"Connection: close\r\n"
        if not self.token or b"authorization" in sent.wire.lower():
            return sent
        known = line + b"Authorization: Bearer %s\r\n" % self.token.encode()
        return structs.replace(sent, wire=sent.wire.replace(line, known, 1))

    def ask(self, path: str, body: Any = None) -> bytes:
        """The body of an honest answer."""
        url = f"http://127.0.0.1:{self.port}{path}"
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(url, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return cast("bytes", answer.read())

    def make_deck(self) -> Known:
        """Order an honest deck, and look at all of it."""
        answer = json.loads(self.ask("/api/slide/batch/generate", deck(3)))
        assert [slide["status"] for slide in answer["results"]] == ["done"] * 3
        for slide in answer["results"]:
            assert self.ask(slide["image_url"]).startswith(b"\x89PNG")
        name = answer["results"][0]["image_url"].rpartition("/")[2]
        return Known(answer["batch_id"], answer["session_id"], name)


@contextmanager
def serving(folder: Path, token: str = "") -> Iterator[Process]:
    """Serve out of `folder`, those who show the token only if there is one.

    What is printed goes to a file, for nobody reads along.
    """
    settings = {"API_TOKENS": f"alice:{token}", "RATE_LIMIT": "1000000/minute"} if token else {}
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    said = folder / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.free_serve", "serve"],
            cwd=folder,
            env=serve_environ(PORT=0, PYTHONPATH=path, PYTHONWARNINGS="default", **settings),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Process(process.pid, _wait_for_port(said, process), folder, process.poll, token)
    finally:
        process.terminate()
        process.wait(timeout=15)


def _wait_for_port(said: Path, process: subprocess.Popen[bytes]) -> int:
    while (found := re.search(r"http://localhost:(\d+)", said.read_text("utf-8"))) is None:
        assert process.poll() is None, said.read_text("utf-8")
        time.sleep(0.02)
    return int(found[1])


@pytest.mark.slow
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_malformed_requests_are_refused_in_words_and_leave_nothing(
    tmp_path: Path, record_property: Callable[[str, object], None], count: int
) -> None:
    source = random.Random(SEED)
    with serving(tmp_path) as process:
        known = process.make_deck()
        corpus = list_corpus(known)
        source.shuffle(corpus)
        await send_all(process.port, corpus[: count // 2])
        warm_mb = process.read_memory_mb()
        chosen = corpus[: count * 2 // 3]
        chosen += [draw(source, known) for _ in range(count - len(chosen))]
        answers = await send_all(process.port, chosen)
        grown_mb = process.read_memory_mb() - warm_mb
        record_property("answers", answers)
        record_property("grown_mb", grown_mb)
        assert grown_mb <= MOST_GROWTH_MB
        check_health(process)


@pytest.mark.slow
@pytest.mark.parametrize("count", [500, pytest.param(5_000, marks=pytest.mark.long)])
async def test_so_are_those_to_a_service_that_wants_tokens(tmp_path: Path, count: int) -> None:
    source = random.Random(SEED + 1)
    with serving(tmp_path, TOKEN) as process:
        known = process.make_deck()
        corpus = list_corpus(known)
        source.shuffle(corpus)
        chosen = corpus[: count // 2] + [draw(source, known) for _ in range(count // 2)]
        half = source.sample(range(count), count // 2)
        for at in half:
            chosen[at] = process.add_token(chosen[at])
        await send_all(process.port, chosen)
        check_health(process)


def check_health(process: Process) -> None:
    """It is alive, has nothing to complain of, and works."""
    assert process.poll() is None
    assert process.list_faults() == []
    process.make_deck()


async def send_all(port: int, requests: list[Sent]) -> int:
    """Send all, some at once, each answer looked at; how many came."""
    left = iter(requests)
    seen: set[str] = set()
    wrong: list[str] = []

    async def send_on() -> int:
        count = 0
        for sent in left:
            try:
                answers = await send(port, sent)
                for answer in answers:
                    check_answer(sent, answer, seen)
                count += len(answers)
            except (AssertionError, KeyError, ValueError, HTTPException) as error:
                wrong.append(f"{sent.name}: {type(error).__name__} {str(error)[:600]}")
        return count

    counts = await asyncio.gather(*(send_on() for _ in range(AT_ONCE)))
    assert not wrong, f"{len(wrong)} of {len(requests)}\n" + "\n".join(wrong[:40])
    return sum(counts)


def check_answer(sent: Sent, answer: Answer, seen: set[str]) -> None:
    """Refusals are problems, each with a request id of its own; nothing is a fault of ours."""
    if answer.status < 400:
        return
    if sent.is_head:
        assert answer.status < 500
        return
    problem = check_problem(answer.status, answer.headers, answer.body)
    if b"x-request-id" not in sent.wire.lower():
        assert problem["request_id"] not in seen
        seen.add(problem["request_id"])


async def send(port: int, sent: Sent) -> list[Answer]:
    """The answers to what is sent, on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()

    async def receive() -> None:
        while piece := await reader.read(2**16):
            if not received:
                writer.write(sent.then)
            received.extend(piece)

    try:
        writer.write(sent.wire)
        async with asyncio.timeout(PATIENCE_S if sent.is_whole else GLANCE_S):
            await receive()
    except TimeoutError:
        assert not sent.is_whole, "no end of an answer"
    except ConnectionError:
        pass  # an answer may come, and the connection end, before all is sent
    finally:
        writer.transport.abort()
    answers = list(parse_answers(bytes(received), sent))
    assert answers or not sent.is_whole, "no answer"
    return answers


def parse_answers(received: bytes, sent: Sent) -> Iterator[Answer]:
    """The HTTP answers on a connection, up to a change of protocol."""
    stream = io.BytesIO(received)
    while stream.tell() < len(received):
        answer = HTTPResponse(cast("socket", _Received(stream)))
        answer.begin()
        if sent.is_head:  # a body may follow only where the method could not be read either
            yield Answer(answer.status, answer.headers, b"")
            return
        if answer.status == 101:
            return
        try:
            yield Answer(answer.status, answer.headers, answer.read())
        except IncompleteRead:
            assert not sent.is_whole, "half an answer"  # else a stream of events
            return


class _Received:
    """What `HTTPResponse` wants of a socket."""

    def __init__(self, stream: io.BytesIO) -> None:
        self._stream = stream

    def makefile(self, _: str) -> Any:
        """The stream, which is not closed with one answer."""
        self._stream.close = lambda: None  # type: ignore[method-assign]
        return self._stream
