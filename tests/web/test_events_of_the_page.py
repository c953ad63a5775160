"""What the page needs of live events: where to begin, and its own language."""

import msgspec

from slideloom.errors import ContentBlocked
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import Running


async def submit(service: Running, slides: int = 1) -> str:
    status, made, _ = await service.post("/slide/batch/generate", deck(slides))
    assert status == 200
    batch_id: str = made["batch_id"]
    return batch_id


async def read_events(service: Running, path: str, count: int) -> list[tuple[int, str]]:
    """The first `count` events: number and data."""
    found: list[tuple[int, str]] = []
    async with service.client.get(f"{service.url}{path}") as answer:
        assert answer.status == 200
        number = 0
        while len(found) < count:
            name, _, value = (await answer.content.readline()).decode().partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                found.append((number, value))
    return found


async def test_events_go_on_behind_the_status_that_was_read(service: Running) -> None:
    batch_id = await submit(service)
    _, status, _ = await service.get(f"/api/slide/batch/{batch_id}")
    events = f"/api/slide/batch/{batch_id}/events"
    told = await read_events(service, events, status["last_event_id"])
    assert [number for number, _ in told] == list(range(1, status["last_event_id"] + 1))
    await service.post(f"/slide/batch/{batch_id}/slides/s1/regenerate", None)
    (number, _), *_ = await read_events(service, f"{events}?after={status['last_event_id']}", 1)
    assert number == status["last_event_id"] + 1


async def test_a_reader_that_cannot_set_headers_chooses_the_language_in_the_address(
    service: Running, provider: ScriptedProvider
) -> None:
    provider._script = iter([ContentBlocked("no")])
    batch_id = await submit(service)
    events = f"/api/slide/batch/{batch_id}/events"
    texts = [
        next(
            msgspec.json.decode(data)["error_message"]
            for _, data in await read_events(service, f"{events}{query}", 4)
            if '"error_code":"' in data
        )
        for query in ("?lang=zh", "?lang=en", "?lang=xx")
    ]
    assert texts[1] == texts[2] != texts[0]
    assert any("\u4e00" <= character <= "\u9fff" for character in texts[0])
