"""`slideloom` whose pictures come at once and cost nothing: `free_serve serve`."""

from collections.abc import Sequence

from slideloom.assembly import lanes
from slideloom.cli import main
from slideloom.providers.base import Provider
from slideloom.settings import Settings
from tests.support.parts import ScriptedProvider


def _open_providers(settings: Settings) -> Sequence[Provider]:
    del settings
    return [ScriptedProvider(seconds=0.0, bills=False, cost_usd=None)]


if __name__ == "__main__":
    lanes.open_providers = _open_providers
    main()
