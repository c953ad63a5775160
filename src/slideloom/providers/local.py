"""The embedded renderer as a provider: it needs no key, no network, and costs nothing."""

from slideloom.errors import RenderFailed
from slideloom.providers.base import Checked, Drawn, DrawOrder
from slideloom.renderer import Renderer, RenderError, SlideText
from slideloom.stores.image_base import Draft


class LocalProvider:
    """A `Provider` that typesets the slide itself instead of describing it to a model."""

    name = "local"
    model = "typst"
    bills = False

    def __init__(self) -> None:
        self._renderer = Renderer()

    async def draw(self, order: DrawOrder, draft: Draft) -> Drawn:
        """See `Provider`."""
        slide = order.slide
        text = SlideText(
            kind=slide.type,
            title=slide.title,
            content_text=slide.content_text,
            visual_desc=slide.visual_desc,
            style_prompt=order.style_prompt,
            ratio=(order.ratio.width, order.ratio.height),
            page_num=slide.page_num,
            take=order.take,
        )
        try:
            picture = await self._renderer.render(text)
        except RenderError as error:
            raise RenderFailed from error  # the log has the traceback; readers can't act on it
        await draft.write(picture.jpeg)
        return Drawn(provider=self.name, model=self.model, cost_usd=0.0, text_cut=picture.text_cut)

    async def check(self, *models: str) -> Checked:  # noqa: ARG002 - it has but one
        """See `Provider`."""
        return Checked("the embedded renderer needs no key and costs nothing")

    async def close(self) -> None:
        """See `Provider`."""
        await self._renderer.close()
