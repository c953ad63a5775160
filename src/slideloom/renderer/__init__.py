"""The embedded slide renderer: texts in, a designed picture out; no network, no system font."""

from slideloom.renderer.renderer import Renderer
from slideloom.renderer.slide import RenderError, SlideText

__all__ = ["RenderError", "Renderer", "SlideText"]
