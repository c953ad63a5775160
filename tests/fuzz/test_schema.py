"""Requests made of our own reference: what it says holds, and other requests get problems.

Not checked: that everything outside the schema is refused. Unknown keys are ignored and numbers
may come as text on purpose (contract, section 2), which JSON Schema cannot say.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from requests.structures import CaseInsensitiveDict
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as conforms

from slideloom.app import ENDPOINTS
from slideloom.web.openapi import build_openapi
from tests.support.orders import deck
from tests.support.parts import ScriptedProvider
from tests.support.problems import check_problem
from tests.support.service import Running, running_service

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

SCHEMA = schemathesis.openapi.from_dict(json.loads(build_openapi(ENDPOINTS, prefix="/api")))
OPERATIONS = {
    operation.label: operation
    for found in SCHEMA.get_all_operations()
    if isinstance(found, Ok) and (operation := found.ok())
}
CHECKS = [
    conforms.status_code_conformance,
    conforms.content_type_conformance,
    conforms.response_headers_conformance,
    conforms.response_schema_conformance,
]
CASES = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    # Anything may stand in a path: there nothing is outside the schema.
    if mode.is_positive or any((operation.body, operation.query, operation.headers))
]
UNSAID = {"id", "style_reference", "style_prompt", "cursor"}
"""Whose rules no schema can say: unique in the deck, one of its ids, not too long for it, ours."""

STATES = {"not_found", "no_pictures", "slide_under_way", "idempotency_key_reused"}
"""Codes that say how things stand, whatever the request looks like."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One for all, whose pictures cost nothing."""
    provider = ScriptedProvider(seconds=0.0, bills=False, cost_usd=None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slideloom.assembly.lanes.open_providers", lambda _: [provider])
        async with running_service(tmp_path_factory.mktemp("schema")) as running:
            yield running


@pytest.mark.parametrize("count", [5, pytest.param(300, marks=pytest.mark.long)])
@pytest.mark.parametrize(("label", "mode"), CASES)
async def test_answer_is_what_the_reference_says(
    service: Running, label: str, mode: GenerationMode, count: int
) -> None:
    known = await make_batch(service)
    await asyncio.to_thread(send_all, service.url, label, mode, count, known)


async def make_batch(service: Running) -> dict[str, Any]:
    """A finished batch's parts of a path."""
    _, answer, _ = await service.post("/slide/batch/generate", deck(1))
    return {"batch_id": answer["batch_id"], "slide_id": "s1", "version": 1} | {
        "session_id": answer["session_id"]
    }


def is_foreseen(problem: dict[str, Any]) -> bool:
    """Whether a request that the schema allows may get that problem."""
    places = [place["loc"][-1] for place in problem.get("errors", ())]
    return problem["code"] in STATES or bool(places and places[0] in UNSAID)


def send_all(url: str, label: str, mode: GenerationMode, count: int, known: dict[str, Any]) -> None:
    """Send `count` requests of that operation, half of them to what is there."""
    operation = OPERATIONS[label]
    names = {parameter.name for parameter in operation.path_parameters}
    there = {name: value for name, value in known.items() if name in names}
    cases = operation.as_strategy(generation_mode=mode)
    if there and not label.endswith("/events"):  # which would go on
        cases |= operation.as_strategy(generation_mode=mode, path_parameters=there)

    @given(cases)
    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],  # the shortest fault is worth less than the time
        suppress_health_check=list(HealthCheck),
    )
    def send(case: schemathesis.Case[Any]) -> None:
        answer = case.call(base_url=url, session=session, timeout=30)
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            headers = CaseInsensitiveDict(
                (name, ", ".join(answer.headers[name])) for name in answer.headers
            )
            problem = check_problem(answer.status_code, headers, answer.content)
            assert mode.is_negative or is_foreseen(problem), problem

    with requests.Session() as session:
        send()
