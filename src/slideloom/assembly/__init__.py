"""Builds the service's parts from the settings, and closes them: the only chooser of parts."""

from slideloom.assembly.services import Bench, Services, open_bench, open_services

__all__ = ["Bench", "Services", "open_bench", "open_services"]
