"""Client tests talk to the real service over a real socket."""

from tests.web.conftest import provider, service

__all__ = ["provider", "service"]
