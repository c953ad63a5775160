"""Which fault a call gets: the prompt's own marker, else the plan's rules, else its queue."""

import re
from collections import Counter, deque
from random import Random
from typing import Final

from msgspec import Struct

from tests.support.upstream.asks import Ask
from tests.support.upstream.faults import NoSuchFault, find_fault
from tests.support.upstream.faults.base import Fault
from tests.support.upstream.plan import LogNormal, Plan, Rule, Shape, Uniform

_MARKER_PATTERN: Final = re.compile(r"\[\[fault:(\w+)(?:\*(\d+))?(?::([^\]]*))?\]\]")
_QUEUED_PATTERN: Final = re.compile(r"(\w+)(?:\*(\d+))?(?::(.*))?", re.DOTALL)
_FINE: Final = "ok"


class Chosen(Struct, frozen=True):
    """A fault and its argument."""

    fault: Fault
    argument: str = ""


class Chooser:
    """One plan's faults, and how far they are used up. Plain, no clock."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rules = [entry for entry in plan.faults if isinstance(entry, Rule)]
        self._used: Counter[int] = Counter()
        self._queue: deque[str] = deque()
        for entry in plan.faults:
            if isinstance(entry, str):
                self._queue.extend(_repeat(entry))
        self._prompts: Counter[str] = Counter()
        self._admitted = 0

    def choose_at_head(self, shape: Shape) -> Chosen | None:
        """The fault of a call whose body was not read yet, if that is the kind that comes next."""
        nth = self._admitted + 1
        for index, rule in enumerate(self._rules):
            blind = not rule.contains and rule.page is None and rule.model is None
            if (
                blind
                and self._is_open(index, rule)
                and rule.nth in (None, nth)
                and rule.shape in (None, shape)
            ):
                chosen = parse_chosen(rule.fault)
                if chosen is not None and chosen.fault.before_body:
                    self._used[index] += 1
                    self._admitted += 1
                    return chosen
        chosen = parse_chosen(self._queue[0]) if self._queue else None
        if chosen is not None and chosen.fault.before_body:
            self._queue.popleft()
            self._admitted += 1
            return chosen
        return None

    def choose(self, ask: Ask) -> Chosen | None:
        """The fault of an admitted call; `None` is a good answer.

        Raises:
            NoSuchFault: the name is unknown, or its fault has no meaning in the call's shape.
        """
        self._admitted += 1
        self._prompts[ask.prompt] += 1
        chosen = self._by_marker(ask.prompt)
        if chosen is None:
            named = self._by_rule(ask)
            if named is None and self._queue:
                named = self._queue.popleft()
            chosen = parse_chosen(named) if named is not None else None
        if chosen is not None and ask.shape not in chosen.fault.shapes:
            message = f"{chosen.fault.name} has no meaning in shape {ask.shape}"
            raise NoSuchFault(message)
        return chosen

    def draw_latency_s(self, prompt: str) -> float:
        """How long the image takes; the same prompt's same try always takes as long."""
        latency = self._plan.latency_s
        match latency:
            case Uniform():
                return self._dice("latency", prompt).uniform(latency.least_s, latency.most_s)
            case LogNormal():
                factor = self._dice("latency", prompt).lognormvariate(0, latency.sigma)
                return min(latency.most_s, latency.median_s * factor)
            case _:
                return latency

    def _dice(self, purpose: str, prompt: str) -> Random:
        return Random(f"{self._plan.seed}|{purpose}|{self._prompts[prompt]}|{prompt}")

    def _by_marker(self, prompt: str) -> Chosen | None:
        left = self._prompts[prompt]
        for name, times, argument in _MARKER_PATTERN.findall(prompt):
            if not times or left <= int(times):
                return None if name == _FINE else Chosen(find_fault(name), argument)
            left -= int(times)
        return None

    def _by_rule(self, ask: Ask) -> str | None:
        for index, rule in enumerate(self._rules):
            if self._is_open(index, rule) and self._fits(index, rule, ask):
                self._used[index] += 1
                return rule.fault
        return None

    def _is_open(self, index: int, rule: Rule) -> bool:
        return rule.times is None or self._used[index] < rule.times

    def _fits(self, index: int, rule: Rule, ask: Ask) -> bool:
        return (
            rule.contains in ask.prompt
            and rule.nth in (None, self._admitted)
            and rule.shape in (None, ask.shape)
            and rule.model in (None, ask.model)
            and (rule.page is None or rule.page == self._page_of(ask.prompt))
            and (rule.share >= 1 or self._dice(f"rule {index}", ask.prompt).random() < rule.share)
        )

    def _page_of(self, prompt: str) -> int | None:
        found = re.search(self._plan.page_pattern, prompt)
        return int(next(group for group in found.groups() if group)) if found else None


def parse_chosen(named: str) -> Chosen | None:
    """Read `NAME` or `NAME:argument`; `None` for `ok`.

    Raises:
        NoSuchFault: the name is unknown.
    """
    name, _, argument = named.partition(":")
    return None if name == _FINE else Chosen(find_fault(name), argument)


def _repeat(entry: str) -> list[str]:
    found = _QUEUED_PATTERN.fullmatch(entry)
    if found is None:
        raise NoSuchFault(entry)
    name, times, argument = found.groups()
    if name != _FINE:
        find_fault(name)
    return [f"{name}:{argument}" if argument else name] * int(times or 1)
