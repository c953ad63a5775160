"""Log files, exactly as the contract's section 8 says."""

import json
import os
import re
import stat
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from yarl import URL

from slideloom.domain.session import SessionDocument
from slideloom.errors import ContentBlocked
from slideloom.logs import LogWriter, name_process, open_log, render_line
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.service import running_service

TOMORROW = date.today() + timedelta(days=1)  # noqa: DTZ011 - as the log does
SESSION = "00000000-0000-4000-8000-000000000001"
NASTY = (
    "a\nb\rc\x1b[31m\x85d\u2028e\u2029f\0g\x0b\x0c\x1c\x1d\x1e\x7f\x9b31m"
    " slide_completed batch_generate_complete \\slide_completed"
)
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What no reader of a log should be sent: it ends lines for some, and orders terminals about."""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[LogWriter]:
    made = LogWriter(tmp_path, retention_days=30, secrets=["sk-or-v1-canary"])
    yield made
    made.close()


def lines(writer: LogWriter) -> list[str]:
    writer.flush()
    text = next(writer.folder.glob("pipeline_*.log")).read_text(encoding="utf-8")
    assert text.splitlines() == text.rstrip("\n").split("\n")  # no reader sees more lines
    assert not UNSEEN.search(text)
    return text.splitlines()


def test_file_is_named_by_the_day_and_each_line_is_one_object(writer: LogWriter) -> None:
    log = open_log(writer)
    log.info("service_started", port=8000)
    log.warning("batch_interrupted", batch_id="b")
    entries = [json.loads(line) for line in lines(writer)]
    assert [entry["event"] for entry in entries] == ["service_started", "batch_interrupted"]
    assert [entry["level"] for entry in entries] == ["info", "warning"]
    assert (writer.folder / f"pipeline_{date.today():%Y%m%d}.log").exists()  # noqa: DTZ011


def test_new_day_begins_a_new_file(writer: LogWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(writer)
    log.info("first")
    writer.flush()

    class Tomorrow(date):
        @classmethod
        def today(cls) -> date:  # type: ignore[override]  # only its days count
            return TOMORROW

    monkeypatch.setattr("slideloom.logs.date", Tomorrow)
    log.info("second")
    writer.flush()
    assert (
        json.loads((writer.folder / f"pipeline_{TOMORROW:%Y%m%d}.log").read_text())["event"]
        == "second"
    )


def test_nothing_users_send_breaks_a_line_or_fakes_an_operators_word(writer: LogWriter) -> None:
    log = open_log(writer)
    log.info("request", path=NASTY, slide_completed=1)
    log.info("slide_completed", details={"slide_id": NASTY, "generation_time": 1.5})
    request, completed = lines(writer)
    assert "slide_completed" not in request
    assert "batch_generate_complete" not in request + completed
    assert completed.count("slide_completed") == 1
    assert json.loads(request)["path"] == NASTY
    assert json.loads(completed)["details"]["slide_id"] == NASTY


def test_keys_are_masked_wherever_they_turn_up(writer: LogWriter) -> None:
    log = open_log(writer)
    log.info("x", url="https://h/?key=sk-or-v1-canary", exc_info=ValueError("sk-or-v1-canary"))
    writer.document(SESSION, "slide_001", {"error": "Bearer sk-or-v1-canary"})
    text = "".join(lines(writer))
    assert "canary" not in text
    assert "ValueError" in text
    assert "canary" not in (writer.folder / f"sessions/{SESSION}_slide_001.json").read_text()


def test_key_is_masked_in_what_the_last_step_adds_and_where_it_holds_an_operators_word(
    tmp_path: Path,
) -> None:
    secrets = ["my-slide_completed-key-0123", "0123456789abcdef" * 4]
    made = LogWriter(tmp_path, retention_days=30, secrets=secrets)
    log = open_log(made)
    error = ValueError(secrets[0])
    error.__cause__ = KeyError(secrets[1])
    log.error("x", exc_info=error, **{f"of {secrets[0]}": {1: [secrets[1]]}})
    text = "".join(lines(made))
    made.close()
    assert "my-slide" not in text
    assert "0123" not in text
    assert text.count("***") >= 4


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("process", ["", "api-a-1"])
def test_session_files_are_for_the_services_user_alone(
    tmp_path: Path, umask: int, process: str
) -> None:
    before = os.umask(umask)
    try:
        made = LogWriter(tmp_path, retention_days=30, process=process)
        made.mirror = lambda _: None
        left = tmp_path / "sessions" / f".part-{SESSION}_slide_001"
        left.write_text("left by somebody, for all to read")
        left.chmod(0o666)
        for _ in range(2):
            made.document(SESSION, "slide_001", {"prompt": "secret plans"})
        made.close()
    finally:
        os.umask(before)
    files = list((tmp_path / "sessions").glob("*.json"))
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_session_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    made = LogWriter(tmp_path, retention_days=30)
    (tmp_path / "victim").write_text("whole")
    (tmp_path / "sessions" / f".part-{SESSION}_slide_001").symlink_to(tmp_path / "victim")
    made.document(SESSION, "slide_001", {})
    made.close()
    assert (tmp_path / "victim").read_text() == "whole"


def test_dummy_key_of_a_local_server_breaks_no_line(tmp_path: Path) -> None:
    made = LogWriter(tmp_path, retention_days=30, secrets=["1", "null", "x"])
    open_log(made).info("service_started", port=8111, box=None)
    assert json.loads(lines(made)[0])["port"] == 8111
    made.close()


def test_log_that_cannot_be_written_for_a_while_goes_on_afterwards(
    writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(writer)

    def fail(*_: object) -> None:
        raise ValueError(28)

    with monkeypatch.context() as broken:
        broken.setattr(writer, "_write_line", fail)
        broken.setattr("slideloom.logs._write_document", fail)
        log.info("lost", session_id=SESSION, action="slide_001", document={})
        writer.flush()
    log.info("kept")
    assert [json.loads(line)["event"] for line in lines(writer)] == ["kept"]


def test_second_record_of_an_action_overwrites_nothing(writer: LogWriter) -> None:
    for number in (1, 2, 3):
        writer.document(SESSION, "slide_001", {"run": number})
    writer.flush()
    names = sorted(path.name for path in (writer.folder / "sessions").iterdir())
    assert names == [f"{SESSION}_slide_001{end}.json" for end in ("", "_2", "_3")]
    assert json.loads((writer.folder / "sessions" / names[0]).read_text()) == {"run": 1}


@pytest.mark.parametrize("session_id", ["../../etc/passwd", "*", "", SESSION + "/..", "a" * 300])
def test_only_session_ids_of_ours_reach_a_path(writer: LogWriter, session_id: str) -> None:
    writer.document(SESSION, "slide_001", {})
    assert writer.read_session(session_id) == {}
    assert list(writer.read_session(SESSION)) == [f"{SESSION}_slide_001.json"]


def test_old_files_are_removed_and_young_ones_stay(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    for path in (tmp_path / "pipeline_20200101.log", sessions / f"{SESSION}_slide_001.json"):
        path.write_text("{}")
        os.utime(path, (1, 1))
    (sessions / f"{SESSION}_slide_002.json").write_text("{}")
    made = LogWriter(tmp_path, retention_days=30)
    open_log(made).info("x")
    made.close()
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert f"{SESSION}_slide_002.json" in left
    assert len(left) == 2


def test_what_is_no_json_is_written_in_words() -> None:
    line = render_line({"event": "x", "path": Path("/a"), "odd": "\udcff", "set": {1}})
    assert json.loads(line)["path"] == "/a"


async def test_whole_batch_leaves_its_files_and_the_users_pipelines_print_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = ScriptedProvider(ValueError("bug"), seconds=0.01)
    monkeypatch.setattr("slideloom.assembly.lanes.open_providers", lambda _: [made])
    async with running_service(tmp_path) as service:
        body = deck(3, max_workers=1)
        body["slides"][1]["id"] = NASTY.replace("\n", " ")[:120]
        _, answer, _ = await service.post("/slide/batch/generate", body)
        session = answer["session_id"]
        _, logs, _ = await service.get(f"/api/sessions/{session}/logs")
        assert (await service.get(f"/api/sessions/{SESSION}/logs"))[0] == 404
        _, single, _ = await service.post(
            "/slide/generate", {"style_prompt": "", "visual_desc": "x"}
        )
    assert single["status"] == "done"
    assert list(tmp_path.glob("logs/sessions/*_slide_generate.json"))
    assert logs["session_id"] == session
    assert set(logs["files"]) == {
        f"{session}_{action}.json"
        for action in (
            "batch_generate_start",
            "slide_001",
            "slide_002",
            "slide_003",
            "batch_generate_complete",
        )
    }
    start = logs["files"][f"{session}_batch_generate_start.json"]
    assert start["request"]["style_prompt"] == "calm blue"
    failed = logs["files"][f"{session}_slide_001.json"]
    assert failed["result"]["error_code"] == "internal"
    done = logs["files"][f"{session}_slide_002.json"]
    assert done["final_prompt"]
    attempt = done["attempts"][0]
    assert attempt["cost_usd"] == 0.04
    assert attempt["request_id"] == "r-1"
    assert attempt["seconds"] > 0

    log = next(tmp_path.glob("logs/pipeline_*.log"))
    for event, count in (("batch_generate_complete", 1), ("slide_completed", 3)):
        grep = subprocess.run(["grep", event, str(log)], capture_output=True, check=True)
        entries = [json.loads(line) for line in grep.stdout.decode().split("\n")[:-1]]
        assert {entry["event"] for entry in entries} == {event}
        assert len(entries) == count


async def test_text_that_had_no_room_is_told_in_the_logs(tmp_path: Path) -> None:
    async with running_service(tmp_path) as service:
        body = deck(2)
        body["slides"][0]["content_text"] = "more than fits " * 800
        _, answer, _ = await service.post("/slide/batch/generate", body)
    assert [slide["provider"] for slide in answer["results"]] == ["local"] * 2
    files = [next(tmp_path.glob(f"logs/sessions/*_slide_00{n}.json")) for n in (1, 2)]
    told = [json.loads(file.read_text())["result"]["text_cut"] for file in files]
    assert told == [True, False]
    lines = next(tmp_path.glob("logs/pipeline_*.log")).read_text().split("\n")
    done = [json.loads(line)["details"] for line in lines if "slide_completed" in line]
    assert sorted(details["text_cut"] for details in done) == [False, True]


def test_half_written_session_file_is_swept_at_the_start(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    (sessions / ".part-x_slide_001").write_text('{"half')
    writer = LogWriter(tmp_path, retention_days=1)
    writer.sweep()
    writer.close()
    assert list(sessions.iterdir()) == []


# Several processes in one folder.


def test_each_of_several_processes_has_a_pipeline_file_of_its_own(tmp_path: Path) -> None:
    names = [name_process("worker") for _ in range(2)]
    writers = [LogWriter(tmp_path, retention_days=1, process=name) for name in names]
    for number, writer in enumerate(writers):
        open_log(writer).info("service_started", number=number)
        writer.close()
    today = f"{date.today():%Y%m%d}"  # noqa: DTZ011 - as the log does
    for number, name in enumerate(names):
        text = (tmp_path / f"pipeline_{today}_{name}.log").read_text()
        assert json.loads(text)["number"] == number
    assert len(list(tmp_path.glob("pipeline_*.log"))) == 2


def test_name_of_a_process_is_its_own_and_fits_into_a_file_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a/..\n b" * 60)
    one, other = name_process("api"), name_process("api")
    assert one != other
    assert re.fullmatch(r"api-[A-Za-z0-9.-]{1,64}-\d+-[0-9a-f]{4}", one)


def test_processes_that_share_a_folder_overwrite_nothing(tmp_path: Path) -> None:
    writers = [
        LogWriter(tmp_path, retention_days=1, process=name_process("worker")) for _ in range(2)
    ]
    told: list[SessionDocument] = []
    for number in range(60):
        writer = writers[number % 2]
        writer.mirror = told.append
        writer.document(SESSION, "slide_001", {"number": number})
    for writer in writers:
        writer.close()
    written = {path.name: path.read_bytes() for path in (tmp_path / "sessions").iterdir()}
    assert sorted(json.loads(body)["number"] for body in written.values()) == list(range(60))
    assert written == {document.name: document.body for document in told}


def test_half_written_file_of_another_process_is_left_until_it_is_old(tmp_path: Path) -> None:
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    (sessions / ".part@worker-b-1-slide_001").write_text('{"half')
    (sessions / ".part-x_slide_001").write_text('{"half')
    (sessions / ".part@worker-c-1-slide_001").write_text('{"half')
    os.utime(sessions / ".part@worker-c-1-slide_001", (1, 1))
    for process, left in (("api-a-1", 2), ("", 1)):
        made = LogWriter(tmp_path, retention_days=1, process=process)
        made.sweep()
        open_log(made).info("x")
        made.close()
        assert len(list(sessions.iterdir())) == left


def test_file_that_another_process_removes_just_now_is_no_trouble(writer: LogWriter) -> None:
    sessions = writer.folder / "sessions"
    for gone in (writer.folder / "pipeline_20200101_gone.log", sessions / f"{SESSION}_gone.json"):
        gone.symlink_to("nowhere")  # listed, but not there when it is looked at
    old = sessions / f"{SESSION}_slide_001.json"
    old.write_text("{}")
    os.utime(old, (1, 1))
    open_log(writer).info("x")
    writer.document(SESSION, "slide_002", {})
    assert list(writer.read_session(SESSION)) == [f"{SESSION}_slide_002.json"]


def test_full_disk_keeps_no_document_from_the_others(
    writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    told: list[SessionDocument] = []
    writer.mirror = told.append
    monkeypatch.setattr("os.link", fail)
    writer.document(SESSION, "slide_001", {})
    writer.flush()
    assert [document.name for document in told] == [f"{SESSION}_slide_001.json"]
    assert writer.read_session(SESSION) == {}


async def test_each_event_stays_one_line_whatever_users_providers_and_errors_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = ScriptedProvider(
        ValueError(NASTY), ContentBlocked(NASTY, request_id=NASTY, provider_code=NASTY), seconds=0.0
    )
    monkeypatch.setattr("slideloom.assembly.lanes.open_providers", lambda _: [made])
    quoted = quote(NASTY, safe="")
    async with running_service(tmp_path) as service:
        slides = [
            {"id": f"{number} {NASTY}", "title": NASTY, "content_text": NASTY, "visual_desc": NASTY}
            for number in range(3)
        ]
        body = {"slides": slides, "style_prompt": NASTY, "model": NASTY, "max_workers": 1}
        _, answer, _ = await service.post("/slide/batch/generate", body)
        assert answer["failed"] == 2
        batch = f"/api/slide/batch/{answer['batch_id']}"
        posts = [
            *(f"{batch}/slides/{quoted}/regenerate", f"{batch}/slides/x/versions/{quoted}/restore"),
            f"/api/slide/batch/{quoted}/cancel",
        ]
        for path in posts:
            async with service.client.post(URL(service.url + path, encoded=True)) as told:
                assert told.status == 404
        for path in (f"/{quoted}", f"/api/sessions/{quoted}/logs", f"/assets/{quoted}"):
            async with service.client.get(URL(service.url + path, encoded=True)) as told:
                assert told.status == 404
        monkeypatch.setattr(service.services.engine, "count_active", crash)
        headers = {
            "X-Request-Id": "slide_completed batch_generate_complete",
            "Idempotency-Key": "batch_generate_complete é\x85\x9b",
            "traceparent": "slide_completed",
            "User-Agent": "slide_completed \x9b",
        }
        status, _, _ = await service.get("/api/slide/batch/active-count", headers=headers)
        assert status == 500
        status, _, _ = await service.post("/slide/batch/generate", body, headers=headers)
        assert status == 422
        service.services.log_writer.flush()
    text = next(tmp_path.glob("logs/pipeline_*.log")).read_text(encoding="utf-8")
    assert not UNSEEN.search(text)
    entries = [json.loads(line) for line in text.split("\n")[:-1]]
    assert len(entries) == len(text.splitlines())
    for word in ("slide_completed", "batch_generate_complete"):
        (line,) = [line for line in text.splitlines() if word in line]
        assert json.loads(line)["event"] == word
    requests = [entry for entry in entries if entry["event"] == "request"]
    assert len(requests) == 9
    assert sum(NASTY in entry["path"] for entry in requests) == 6
    assert any(NASTY in entry.get("traceback", "") for entry in entries)
    for file in tmp_path.glob("logs/sessions/*.json"):
        json.loads(file.read_text(encoding="utf-8"))


async def crash(**_: object) -> int:
    raise RuntimeError(NASTY)
