"""`GET /sessions/{id}/logs` where several processes write."""

from pathlib import Path

import pytest

from slideloom.assembly import open_bench
from slideloom.settings import load_settings
from tests.support.orders import deck
from tests.support.redis_server import redis_server
from tests.support.service import Running, running_service
from tests.support.shelves import MemoryShelf

ELSEWHERE = "00000000-0000-4000-8000-000000000001"


def share(service: Running, shelf: MemoryShelf) -> None:
    """Have the service look on the shelf, too."""
    service.services.session_files._shelf = shelf


async def test_files_of_other_processes_are_in_the_answer(tmp_path: Path) -> None:
    shelf = MemoryShelf()
    name = f"{ELSEWHERE}_slide_001.json"
    shelf.files[ELSEWHERE] = {name: b'{"n": 1}'}
    async with running_service(tmp_path) as service:
        share(service, shelf)
        status, answer, _ = await service.get(f"/api/sessions/{ELSEWHERE}/logs")
        assert status == 200
        assert answer == {"session_id": ELSEWHERE, "files": {name: {"n": 1}}}
        unknown = ELSEWHERE.replace("1", "2")
        assert (await service.get(f"/api/sessions/{unknown}/logs"))[0] == 404


async def test_damaged_file_spoils_no_others(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        _, made, _ = await service.post("/slide/batch/generate", deck(1))
        session_id = made["session_id"]
        for name, body in (("torn", b'{"n": '), ("text", b'{"n": "\xff"}')):
            path = tmp_path / "logs" / "sessions" / f"{session_id}_{name}.json"
            path.write_bytes(body)
        status, answer, _ = await service.get(f"/api/sessions/{session_id}/logs")
        assert (status, len(answer["files"])) == (200, 3)


async def test_answer_says_when_the_others_cannot_be_asked(tmp_path: Path) -> None:
    shelf = MemoryShelf()
    shelf.is_away = True
    async with running_service(tmp_path) as service:
        _, made, _ = await service.post("/slide/batch/generate", deck(1))
        share(service, shelf)
        _, answer, _ = await service.get(f"/api/sessions/{made['session_id']}/logs")
        assert answer["complete"] is False
        assert len(answer["files"]) == 3
        status, problem, headers = await service.get(f"/api/sessions/{ELSEWHERE}/logs")
        assert (status, problem["code"]) == (503, "storage_unavailable")
        assert "Retry-After" in headers


@pytest.mark.slow
async def test_what_a_worker_writes_is_answered_by_every_server_on_its_redis(
    tmp_path: Path,
) -> None:
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", appendfsync="everysec") as redis:
        both = {"STORE": redis.url, "QUEUE": redis.url}
        settings, _ = load_settings(
            {
                **both,
                "LOG_DIR": f"{tmp_path}/worker/logs",
                "IMAGE_OUTPUT_DIR": f"{tmp_path}/worker/assets",
            }
        )
        async with (
            running_service(tmp_path / "one", **both) as one,
            running_service(tmp_path / "other", **both) as other,
        ):
            async with open_bench(settings) as worker:
                for number in (1, 2):
                    worker.log.info(
                        "slide_completed",
                        session_id=ELSEWHERE,
                        action="slide_001",
                        document={"n": number},
                    )
            # The worker has ended, and its disk is not looked at.
            answers = [
                await service.get(f"/api/sessions/{ELSEWHERE}/logs") for service in (one, other)
            ]
            assert "appendfsync everysec" in " ".join(one.services.warnings)
    names = [f"{ELSEWHERE}_slide_001{end}.json" for end in ("", "_2")]
    for status, answer, _ in answers:
        assert status == 200
        assert "complete" not in answer
        assert {name: file["n"] for name, file in answer["files"].items()} == dict(
            zip(names, (1, 2), strict=True)
        )
    assert len(list(tmp_path.glob("worker/logs/pipeline_*_worker-*.log"))) == 1
