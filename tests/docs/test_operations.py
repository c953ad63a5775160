"""The operators' page, the Grafana board and the container files name only what is there."""

import importlib
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from slideloom.assembly.rules import _OTEL_ENDPOINTS
from slideloom.metrics import Metrics
from slideloom.otel import _NAMES

ROOT = Path(__file__).parents[2]
BOARD = json.loads((ROOT / "docs/operations/grafana.json").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def exposed() -> dict[str, set[str]]:
    """The samples each of our metrics may have, by the metric's name as people write it."""
    metrics = Metrics()
    metrics.count_active(lambda: 0.0)
    metrics.note_slide(provider="p", model="m", outcome="done", seconds=1.0)
    metrics.note_call("ok", 0.1)
    metrics._lag.observe(0.0)
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: {
            sample.name for sample in family.samples
        }
        for family in text_string_to_metric_families(metrics.render().decode())
        if not family.name.endswith("_created")
    }


def queried() -> Iterator[str]:
    """Every name of a sample that the board asks for."""
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            bare = re.sub(r"by \(.*?\)|\{.*?\}|\[.*?\]", "", target["expr"])
            yield from re.findall(r"\b[a-z_]+\b(?! *\()", bare)


def test_board_asks_for_every_metric_and_for_no_other() -> None:
    samples = exposed()
    asked = set(queried())
    assert asked <= set().union(*samples.values())
    assert [name for name, known in samples.items() if not known & asked] == []


def test_boards_labels_are_those_of_the_metrics() -> None:
    named = re.findall(r"by \((.*?)\)|\{(\w+)[=!]", json.dumps(BOARD))
    labels = {label.strip() for pair in named for label in ",".join(pair).split(",") if label}
    assert labels <= {"le", "outcome", "code", "model", "provider"}


def test_board_is_one_that_grafana_takes() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids)) == 11
    assert BOARD["id"] is None  # a number would be another board's
    (source,) = BOARD["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    for panel in BOARD["panels"]:
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert panel["description"]


def test_page_tells_every_metric_with_its_type_and_labels() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (counter|gauge|histogram) \| (.+?) \|", PAGE, re.MULTILINE)
    assert {name for name, _, _ in rows} == exposed().keys()
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
    assert told["slides_generated_total"] == {"provider", "model", "outcome"}
    assert told["slide_upstream_requests_total"] == {"code"}


def test_page_names_the_spans_and_what_switches_them_on() -> None:
    assert _OTEL_ENDPOINTS[-1] in PAGE
    assert [name for name in _NAMES.values() if "{" not in name and f"`{name}`" not in PAGE] == []


def test_everything_the_image_copies_is_there_and_let_in() -> None:
    copied = [shlex.split(line)[1:-1] for line in re.findall(r"^COPY .*", DOCKERFILE, re.MULTILINE)]
    let_in = re.findall(r"^!(.*)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    names = [name for line in copied for name in line]
    assert sorted(names) == sorted(let_in)
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_image_installs_what_is_locked_as_a_user_without_rights() -> None:
    assert "--require-hashes -r requirements-cluster.lock" in DOCKERFILE
    assert re.findall(r"^USER (.*)", DOCKERFILE, re.MULTILINE) == ["slideloom"]
    assert "/healthz" in DOCKERFILE.split("HEALTHCHECK", 1)[1]


class Answerer(BaseHTTPRequestHandler):
    """Is well, at the one address that is asked for that."""

    def do_GET(self) -> None:
        """See `BaseHTTPRequestHandler`."""
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_image_looks_at_its_health_itself_whatever_proxy_is_set() -> None:
    (line,) = re.findall(r"^HEALTHCHECK (?:.*\\\n)*\s*CMD (\[.*\])", DOCKERFILE, re.MULTILINE)
    with HTTPServer(("127.0.0.1", 0), Answerer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for path, code in (("/healthz", 0), ("/other", 1)):
            words = line.replace("8000", str(server.server_port)).replace("/healthz", path)
            ran = subprocess.run(
                [sys.executable, *json.loads(words)[1:]],
                env={"http_proxy": "http://127.0.0.1:9"},
                timeout=20,
                check=False,
            )
            assert ran.returncode == code
        server.shutdown()


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "compose.cluster.yaml"])
def test_no_mirror_is_named_by_default(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    hosts = re.findall(r"https?://([\w.-]+)", text)
    assert set(hosts) <= {"127.0.0.1", "localhost"}
    assert re.findall(r"^ARG \w+=(.+)", text, re.MULTILINE) == []


def test_compose_file_guards_what_it_starts() -> None:
    yaml: Any = importlib.import_module("yaml")
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    (service,) = compose["services"].values()
    assert service["read_only"] is True
    assert service["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]
    assert service["environment"] == {"INSECURE": "true"}, "safe as long as the line above holds"
    assert service["env_file"] == [{"path": ".env", "required": False}]
    (volume,) = service["volumes"]
    name, _, folder = volume.partition(":")
    assert name in compose["volumes"]
    assert f"VOLUME {folder}\n" in DOCKERFILE
    assert set(service["build"]["args"]) == set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE))


def test_cluster_compose_file_guards_what_it_starts_and_keeps_what_redis_answers() -> None:
    yaml: Any = importlib.import_module("yaml")
    compose = yaml.safe_load((ROOT / "compose.cluster.yaml").read_text(encoding="utf-8"))
    service, worker, redis = (
        compose["services"][name] for name in ("slideloom", "worker", "redis")
    )
    assert worker["environment"] == service["environment"]
    assert set(service["environment"]) == {"STORE", "QUEUE"}
    assert worker["read_only"] is True
    assert f"VOLUME {worker['volumes'][0].partition(':')[2]}\n" in DOCKERFILE
    assert worker["command"][0] in DOCKERFILE
    assert "ports" not in redis  # nobody but the others reaches it
    assert redis["command"][1:5] == ["--appendonly", "yes", "--appendfsync", "always"]
