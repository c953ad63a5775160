"""The renderer gives JPEGs, leaves the loop free, fails clearly and ends cleanly."""

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
import pytest
from PIL import Image

from slideloom.renderer import Picture, Renderer, RenderError, SlideText
from slideloom.renderer.glyphs import _cmap_spans
from slideloom.renderer.typeset import Typesetter
from tests.renderer.paper import load_deck, make_slide


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    made = Renderer()
    yield made
    await made.close()


@pytest.mark.parametrize("ratio", [(16, 9), (1, 1), (9, 16), (1921, 1080), (9999, 1), (1, 9999)])
async def test_a_slide_is_a_jpeg_whose_long_side_is_1920(
    renderer: Renderer, ratio: tuple[int, int]
) -> None:
    made = await renderer.render(make_slide("标题", "• a", ratio=ratio))
    with Image.open(io.BytesIO(made.jpeg)) as picture:
        picture.load()
        assert picture.format == "JPEG"
        assert max(picture.size) == 1920
        wanted = max(48, 1920 * min(ratio) / max(ratio))
        assert abs(min(picture.size) - wanted) <= 1


async def test_the_same_slide_gives_the_same_bytes(renderer: Renderer) -> None:
    slide = load_deck("batch-report-zh")[4]
    assert await renderer.render(slide) == await renderer.render(slide)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cover", "content", "ending"])
@pytest.mark.parametrize("visual_desc", ["", "一块齿轮", "a city by a river, a tree"])
async def test_another_take_of_a_slide_looks_different(
    renderer: Renderer, kind: Literal["cover", "content", "ending"], visual_desc: str
) -> None:
    slide = make_slide("标题", "• 一\n• 二", kind=kind, visual_desc=visual_desc)
    takes = [msgspec.structs.replace(slide, take=number) for number in (1, 2, 3)]
    made = [(await renderer.render(take)).jpeg for take in takes]
    assert made[0] != made[1]
    assert made[1] != made[2]
    assert made[0] == (await renderer.render(slide)).jpeg


@pytest.mark.slow
async def test_kinds_and_styles_look_different(renderer: Renderer) -> None:
    slides = [
        make_slide("标题", "一句话", kind=kind, style_prompt=style)
        for kind in ("cover", "content", "ending")
        for style in ("温暖", "深色科技", "极简")
    ]
    assert len({(await renderer.render(slide)).jpeg for slide in slides}) == len(slides)


@pytest.mark.slow
async def test_the_loop_stays_free_while_slides_render(renderer: Renderer) -> None:
    slides = load_deck("composable-vue")[:12]
    await renderer.render(slides[0])
    rendering = asyncio.gather(*(renderer.render(slide) for slide in slides))
    worst_s, last = 0.0, time.perf_counter()
    while not rendering.done():
        await asyncio.sleep(0.001)
        worst_s, last = max(worst_s, time.perf_counter() - last), time.perf_counter()
    assert len(await rendering) == len(slides)
    assert worst_s < 0.15  # some 10 ms on an idle machine


async def test_the_first_slide_comes_fast() -> None:
    renderer = Renderer()
    started = time.perf_counter()
    await renderer.render(make_slide())
    assert time.perf_counter() - started < 2
    await renderer.close()


async def test_what_goes_wrong_inside_is_one_error_and_harms_no_later_slide(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class PanicException(BaseException):
        pass

    def fail(_self: Typesetter, _slide: SlideText) -> bytes:
        raise PanicException

    with monkeypatch.context() as patch:
        patch.setattr(Typesetter, "to_picture", fail)
        with pytest.raises(RenderError, match="PanicException"):
            await renderer.render(make_slide())
    assert await renderer.render(make_slide())


async def test_a_typst_error_is_a_render_error(
    renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("slideloom.renderer.typeset.compose", lambda _slide: {"not": "a sheet"})
        with pytest.raises(RenderError):
            await renderer.render(make_slide())
    assert await renderer.render(make_slide())


async def test_a_cancelled_caller_leaves_the_renderer_working(renderer: Renderer) -> None:
    tasks = [asyncio.create_task(renderer.render(make_slide(f"{n}"))) for n in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(one, Picture) for one in done] == [False, True, False, True]


async def test_closing_answers_those_who_wait_and_leaves_no_thread() -> None:
    renderer = Renderer()
    waiting = [asyncio.create_task(renderer.render(make_slide(f"{n}"))) for n in range(6)]
    await asyncio.sleep(0.01)
    await renderer.close()
    await renderer.close()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, Picture | RenderError) for one in done)
    assert not [one for one in threading.enumerate() if one.name.startswith("renderer")]
    with pytest.raises(RenderError):
        await renderer.render(make_slide())


def test_both_faces_draw_the_same_characters() -> None:
    from importlib.resources import files  # noqa: PLC0415

    fonts = files("slideloom.renderer").joinpath("fonts")
    regular, bold = (fonts.joinpath(f"NotoSansSC-{face}.ttf") for face in ("Regular", "Bold"))
    assert _cmap_spans(regular.read_bytes()) == _cmap_spans(bold.read_bytes())
    assert "Adobe" in fonts.joinpath("OFL.txt").read_text().splitlines()[0]
