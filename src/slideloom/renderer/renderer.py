"""The renderer as the service sees it: slides in, JPEGs out, the event loop left alone.

A thread rather than processes: typst, pdfium and (nearly) Pillow let go of the interpreter lock.
Measured, decks of 12, 15 and 38 pages: 22-77 ms of CPU a slide, the loop held up 7-13 ms at worst.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from slideloom.renderer.slide import Picture, RenderError, SlideText
from slideloom.renderer.typeset import Typesetter


class Renderer:
    """Typesets slides off the event loop, one at a time, in the order asked for."""

    def __init__(self) -> None:
        """Start nothing yet: thread and fonts come with the first slide."""
        # One worker: pdfium is not thread-safe, and a slide takes some 40 ms.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="renderer")
        self._typesetter: Typesetter | None = None
        self._closed = False

    async def render(self, slide: SlideText) -> Picture:
        """Give the slide as a JPEG, long side 1920 px.

        Raises `RenderError` when the slide cannot be typeset, or after `close`.
        """
        if self._closed:
            raise RenderError("the renderer is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._typeset, slide)

    async def close(self) -> None:
        """Let the slide under way finish, refuse those that wait, end the thread."""
        self._closed = True
        # Waiting slides are not cancelled but refused in `_typeset`: their callers get an error.
        await asyncio.to_thread(self._thread.shutdown)
        self._typesetter = None

    def _typeset(self, slide: SlideText) -> Picture:
        """Typeset in the thread; whatever goes wrong there is one error here."""
        if self._closed:
            raise RenderError("the renderer is closed")
        try:
            if self._typesetter is None:
                self._typesetter = Typesetter()
            return self._typesetter.to_picture(slide)
        # A panic inside typst arrives as a BaseException; nothing else does in this thread.
        except BaseException as exc:
            self._typesetter = None  # a compiler that failed is not used again
            raise RenderError(f"the slide could not be typeset ({type(exc).__name__})") from exc
