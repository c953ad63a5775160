"""Where batches are made: tests that run twice do so in two places."""

import pytest

from tests.support.elsewhere import Elsewhere
from tests.support.parts import Workshop
from tests.support.shops import make


async def test_batches_are_made_where_the_name_of_the_test_says(
    request: pytest.FixtureRequest,
) -> None:
    async with Workshop() as shop:
        await make(shop)
        is_elsewhere = isinstance(shop.place, Elsewhere)
    assert is_elsewhere == request.node.name.endswith("[elsewhere]")
    assert request.node.name.endswith(("[here]", "[elsewhere]"))
