"""Session files: their names, and the files of several places as one list."""

import pytest

from slideloom.domain.session import SessionDocument, join_files

ID = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("action", "run", "name"),
    [
        ("slide_001", 1, f"{ID}_slide_001.json"),
        ("slide_200", 2, f"{ID}_slide_200_2.json"),
        ("batch_generate_start", 12, f"{ID}_batch_generate_start_12.json"),
    ],
)
def test_name_tells_the_run_from_the_second_on(action: str, run: int, name: str) -> None:
    assert SessionDocument(ID, action, b"", run).name == name


def test_file_of_both_places_is_there_once_by_its_shared_name() -> None:
    shared = {f"{ID}_slide_001.json": b"a", f"{ID}_slide_001_2.json": b"b"}
    assert join_files(shared, {f"{ID}_slide_001.json": b"b"}) == shared


@pytest.mark.parametrize("action", ["slide_001", "slide_200", "batch_generate_start"])
def test_file_that_is_not_shared_keeps_its_name_or_gets_the_next_run_that_is_free(
    action: str,
) -> None:
    one, two, three = (f"{ID}_{action}{end}.json" for end in ("", "_2", "_3"))
    assert join_files({}, {one: b"a"}) == {one: b"a"}
    assert join_files({one: b"x"}, {one: b"a"}) == {one: b"x", two: b"a"}
    assert join_files({one: b"x", two: b"y"}, {two: b"a"}) == {one: b"x", two: b"y", three: b"a"}


def test_two_files_that_say_the_same_are_two() -> None:
    one, two = f"{ID}_batch_generate_start.json", f"{ID}_batch_generate_start_2.json"
    assert list(join_files({one: b"a"}, {one: b"a", two: b"a"})) == [one, two]
    assert list(join_files({one: b"a", two: b"a"}, {one: b"a"})) == [one, two]
