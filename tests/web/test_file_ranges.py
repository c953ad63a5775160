"""Parts of files: what is no range is not looked at, what is not there is a problem."""

import pytest

from tests.support.problems import check_problem
from tests.support.service import Running

NONE = (
    "",
    "bytes",
    "bytes=",
    "bytes=-",
    "bytes=a-b",
    "items=0-1",
    "bytes=5-2",
    "bytes=" + "9" * 5000,
)


async def find_files(service: Running) -> list[str]:
    """A picture's address, and one of the page's files."""
    body = {"style_prompt": "", "slides": [{"title": "a"}]}
    _, answer, _ = await service.post("/slide/batch/generate", body)
    return [answer["results"][0]["image_url"], "/static/page.css"]


@pytest.mark.parametrize("text", NONE)
async def test_what_is_no_range_gets_the_whole_file(service: Running, text: str) -> None:
    for path in await find_files(service):
        async with service.client.get(service.url + path, headers={"Range": text}) as answer:
            assert answer.status == 200
            assert len(await answer.read()) > 100


async def test_part_that_is_not_there_is_a_problem_that_tells_the_size(service: Running) -> None:
    for path in await find_files(service):
        url = service.url + path
        async with service.client.get(url, headers={"Accept-Encoding": "identity"}) as whole:
            size_bytes = len(await whole.read())
        for text in (f"bytes={size_bytes}-", "bytes=-0"):
            async with service.client.get(url, headers={"Range": text}) as answer:
                check_problem(answer.status, answer.headers, await answer.read())
                assert answer.status == 416
                assert answer.headers["Content-Range"] == f"bytes */{size_bytes}"


async def test_part_of_another_version_is_the_whole_file(service: Running) -> None:
    for path in await find_files(service):
        headers = {"Range": "bytes=99999999-", "If-Range": '"another"'}
        async with service.client.get(service.url + path, headers=headers) as answer:
            assert answer.status == 200
