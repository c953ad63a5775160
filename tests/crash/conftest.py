"""The figures of the crash tests, in a table at the end of the run."""

from collections.abc import Callable

import pytest

from tests.support.crash.tally import Tally, to_table

_TALLIES = pytest.StashKey[dict[str, Tally]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str, Tally], None]:
    """Have the figures shown at the end, under a name."""
    tallies = request.config.stash.setdefault(_TALLIES, {})

    def keep(name: str, tally: Tally) -> None:
        tallies.setdefault(name, Tally()).add(tally)

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    tallies = terminalreporter.config.stash.get(_TALLIES, {})
    if tallies:
        terminalreporter.section("crashes")
        terminalreporter.write_line("\n".join(to_table(tallies)))
