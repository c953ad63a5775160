"""The service's settings: what there is, where it comes from, what must hold of it."""

from slideloom.settings.sources import TracedSetting, load_settings, trace_settings
from slideloom.settings.values import RequestQuota, Settings

__all__ = ["RequestQuota", "Settings", "TracedSetting", "load_settings", "trace_settings"]
