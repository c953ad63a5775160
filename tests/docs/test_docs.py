"""Documents that cannot drift from the code."""

import re
import tomllib
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from dotenv import dotenv_values

from slideloom.app import ENDPOINTS
from slideloom.errors import SlideErrorCode
from slideloom.settings import Settings, load_settings
from slideloom.web.problems import _STATUS
from slideloom.web.refusals import REFUSALS
from slideloom.web.words import _DETAILS

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README_zh.md")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def problem_codes() -> set[str]:
    """The codes of every error of ours that answers a request."""
    codes = {kind.code for kind in _STATUS} | {refusal.code for refusal in REFUSALS}
    return codes | {"method_not_allowed"}


def headings(name: str) -> list[str]:
    """The `#` marks of each heading, outside code."""
    text = re.sub(r"```.*?```", "", read(name), flags=re.DOTALL)
    return re.findall(r"^(#+) ", text, re.MULTILINE)


def test_env_example_names_every_setting_with_its_default() -> None:
    example = dotenv_values(ROOT / ".env.example")
    assert set(example) == {field.encode_name for field in msgspec.structs.fields(Settings)}
    environ = {name: value for name, value in example.items() if value is not None}
    assert load_settings(environ) == (Settings(), [])


def test_both_readmes_have_the_same_headings_in_the_same_order() -> None:
    assert headings("README.md") == headings("README_zh.md")
    assert len(headings("README.md")) > 5


def test_both_readmes_show_the_same_commands() -> None:
    blocks = [re.findall(r"```(?:sh|bash)\n(.*?)```", read(name), re.DOTALL) for name in READMES]
    assert [re.sub("#.*", "", block) for block in blocks[0]] == [
        re.sub("#.*", "", block) for block in blocks[1]
    ]


@pytest.mark.parametrize("name", READMES)
def test_readme_names_every_setting(name: str) -> None:
    missing = [
        field.encode_name
        for field in msgspec.structs.fields(Settings)
        if f"`{field.encode_name}`" not in read(name)
    ]
    assert missing == []


@pytest.mark.parametrize("name", READMES)
def test_readme_names_every_room_of_the_house(name: str) -> None:
    contracts = tomllib.loads(read("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    rooms = re.findall(r"slideloom\.(\w+)", " ".join(contracts[0]["layers"]))
    told = read(name).rpartition("\n## ")[2]
    assert [room for room in rooms if f"`{room}`" not in told] == []


@pytest.mark.parametrize("name", READMES)
def test_every_test_that_a_promise_rests_on_exists(name: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", read(name))
    assert len(named) > 5
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert not test or f"def {test}(" in read(path), f"{path}::{test}"


def test_both_readmes_promise_the_same() -> None:
    rows = [re.findall(r"^\|.*\| (`tests/.*`)", read(name), re.MULTILINE) for name in READMES]
    proofs = [[re.findall(r"`([^`]+)`", row) for row in promises] for promises in rows]
    assert proofs[0] == proofs[1]


def test_every_error_that_answers_says_what_to_do_in_both_languages() -> None:
    assert _DETAILS.keys() >= _STATUS.keys()
    assert all(texts.keys() == {"en", "zh"} for texts in _DETAILS.values())


def test_every_route_and_error_code_stands_in_the_api_page() -> None:
    page = read("docs/api.md")
    routes = [f"`{e.method} {'/api' * e.below_prefix}{e.plain_path}`" for e in ENDPOINTS]
    codes = [f"`{code}`" for code in (*get_args(SlideErrorCode), *problem_codes())]
    assert [word for word in routes + codes if word not in page] == []


def test_no_registrys_host_is_named_in_any_file_of_ours() -> None:
    locks = ("requirements.lock", "tests/requirements.lock", "tests/fuzz/requirements.lock")
    for name in (*locks, "pyproject.toml", "Makefile"):
        assert not re.search(r"https?://(?!localhost)", read(name)), name
