"""The reference document, made of the route table."""

from pathlib import Path

import msgspec
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from slideloom.app import ENDPOINTS, create_app
from slideloom.settings import Settings
from slideloom.web.bodies import parse_json
from slideloom.web.openapi import build_openapi
from tests.support.parts import ScriptedProvider
from tests.support.service import Running, running_service


@pytest.mark.slow
async def test_document_is_valid_and_lists_every_route(service: Running) -> None:
    _, document, _ = await service.get("/api/openapi.json")
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()
    listed = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    files = {"/", "/api/docs", "/api/openapi.json"}
    served = {
        (method, route.path.replace(":text}", "}"))
        for route in create_app(Settings()).routes
        if isinstance(route, Route) and route.path not in files
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert listed == served


def test_prefix_is_in_front_of_every_api_path() -> None:
    document = msgspec.json.decode(build_openapi(ENDPOINTS, prefix="/v2"))
    paths = set(document["paths"])
    assert "/v2/slide/batch/generate" in paths
    assert "/healthz" in paths


def test_operation_ids_are_unique() -> None:
    document = msgspec.json.decode(build_openapi(ENDPOINTS, prefix="/api"))
    ids = [op["operationId"] for item in document["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))


def test_example_is_a_body_the_route_takes() -> None:
    (generate,) = (e for e in ENDPOINTS if e.path == "/slide/batch/generate")
    assert parse_json(msgspec.json.encode(generate.example), generate.body)


async def test_page_is_told_the_prefix(provider: ScriptedProvider, tmp_path: Path) -> None:
    del provider
    async with (
        running_service(tmp_path, API_PREFIX="/v2") as service,
        service.client.get(service.url) as page,
    ):
        assert '<meta name="api-prefix" content="/v2">' in await page.text()


async def test_page_is_told_who_makes_the_pictures(
    provider: ScriptedProvider, service: Running
) -> None:
    provider.model = 'odd "><script>'
    async with service.client.get(service.url) as page:
        text = await page.text()
    assert '<meta name="provider" content="scripted odd &quot;&gt;&lt;script&gt;">' in text


async def test_page_files_come_compressed(service: Running) -> None:
    async with service.client.get(f"{service.url}/static/page.css") as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert ":root" in await answer.text()
        tag = answer.headers["ETag"]
    known = {"If-None-Match": tag}
    async with service.client.get(f"{service.url}/static/page.css", headers=known) as answer:
        assert answer.status == 304


async def test_viewer_and_page_come_with_their_content_security_policy(service: Running) -> None:
    for path in ("/", "/api/docs"):
        async with service.client.get(service.url + path) as answer:
            assert (answer.status, bool(await answer.read())) == (200, True)
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe-eval" not in policy
            assert "script-src 'self';" in policy
