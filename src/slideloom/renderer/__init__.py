"""The embedded slide renderer: texts in, a designed picture out; no network, no system font."""

from slideloom.renderer.renderer import Renderer
from slideloom.renderer.slide import Picture, RenderError, SlideText

__all__ = ["Picture", "RenderError", "Renderer", "SlideText"]
