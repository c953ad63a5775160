"""The colours of a deck, from its style prompt.

    "主色 #0B3D91，背景 #F5F8FC" -> swatches (colour, role) -> seeds -> legible palettes

Hex values win; without any, colour words; what is missing comes from mood words or the default.
"""

import msgspec

from slideloom.renderer.colours import (
    BLACK,
    WHITE,
    Rgb,
    chroma,
    contrast,
    is_dark,
    luminance,
    mix,
    readable,
    to_hex,
)
from slideloom.renderer.moods import Seeds, find_mood, wants_dark, wants_light
from slideloom.renderer.swatches import Role, Swatch, find_swatches

SHAPE_CONTRAST = 1.6
"""Least contrast of drawn shapes with their ground: to be seen, not read."""
ACCENT_CONTRAST = 2.2
"""The same for the shape to look at."""
BRIGHT_FROM = 0.3
"""Chroma from which a ground is a colour of its own, that a mood's shapes may clash with."""
SAME_WITHIN = 0.1
"""Greatest difference of a channel at which two colours look the same."""
NEAR_BLACK, NEAR_WHITE = 0.04, 0.82
"""Luminance of colours that are taken for grounds."""
WHITE_FROM, COVER_CONTRAST = 3.2, 5.5
"""Contrast from which a cover's ground is darkened for white text, and how far."""
QUIET_CONTRAST, GLOW_CONTRAST = 4.6, 5.4
"""Contrast of black or white text that panels, and lights, must leave."""
GLOWS = (0.34, 0.26, 0.2, 0.15, 0.1, 0.06)
"""Strengths of light tried."""
GREY_BELOW = 0.12
"""Chroma under which a colour cannot carry a deck alone."""


class Palette(msgspec.Struct, frozen=True, kw_only=True):
    """Colours of one kind of page, as `#rrggbb`.

    Every text colour (ink, muted, strong, bright) reads, at 4.5:1, on every ground (ground, deep,
    surface, lit), and the ground reads on strong and bright.
    """

    ground: str
    """The page."""
    deep: str
    """The ground's far corner, for a quiet gradient."""
    surface: str
    """Panels and cards."""
    glow: float
    """Share of the primary colour, 0..1, that light on a dark ground may have."""
    line: str
    """Hairlines."""
    ink: str
    """Text."""
    muted: str
    """Text of less weight."""
    strong: str
    """The primary colour as text."""
    bright: str
    """The accent colour as text."""
    primary: str
    """Shapes."""
    secondary: str
    """Shapes beside them."""
    accent: str
    """The one shape to look at."""
    dark: bool
    """Whether the ground is dark."""


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """A deck's two palettes."""

    page: Palette
    """Content pages."""
    cover: Palette
    """Cover, ending and section pages."""


def parse_scheme(style_prompt: str) -> Scheme:
    """Give the palettes a style prompt asks for; legible whatever it says."""
    seeds = _complete(find_swatches(style_prompt), style_prompt)
    return Scheme(page=_tune(seeds), cover=_tune(_cover_seeds(seeds)))


def _complete(swatches: list[Swatch], prompt: str) -> Seeds:
    """Fill the roles: said ones first, then the colours left over, then the mood."""
    mood = find_mood(prompt)
    said: dict[Role, Rgb] = {}
    spare: list[Rgb] = []
    for swatch in swatches:
        if swatch.role and swatch.role not in said:
            said[swatch.role] = swatch.colour
        elif swatch.colour not in spare and swatch.colour not in said.values():
            spare.append(swatch.colour)
    ground = said.get("ground") or _take_ground(spare, prompt) or _mood_ground(mood, prompt)
    ink = said.get("ink") or _ink_on(ground, mood)
    shapes: tuple[Role, ...] = ("primary", "secondary", "accent")
    own = [said[role] for role in shapes if role in said] + spare
    own = [colour for colour in own if _differ(colour, ground)]
    if not own:
        return _from_mood(mood, ground=ground, ink=ink, inked="ink" in said)
    primary = (
        _among(said.get("primary"), own)
        or next((colour for colour in spare if colour in own), None)
        or _among(said.get("accent"), own)
        or own[0]
    )
    rest = [colour for colour in own if colour != primary]
    accent = _among(said.get("accent"), own) or (rest[-1] if rest else primary)
    others = [colour for colour in rest if colour != accent]
    second = _among(said.get("secondary"), own) or (others[0] if others else None)
    return Seeds(
        ground=ground,
        ink=ink,
        primary=primary,
        secondary=second or mix(primary, ground, 0.45),
        accent=accent,
    )


def _from_mood(mood: Seeds, *, ground: Rgb, ink: Rgb, inked: bool) -> Seeds:
    """Give the mood's shapes; on a coloured ground, or with a coloured ink, shapes of the ink."""
    strange = chroma(ground) > BRIGHT_FROM and ground != mood.ground
    if not strange and not (
        inked and chroma(ink) > GREY_BELOW and contrast(ink, ground) > ACCENT_CONTRAST
    ):
        primary = (
            mood.primary
            if contrast(mood.primary, ground) > SHAPE_CONTRAST
            else mix(ground, ink, 0.6)
        )
        return msgspec.structs.replace(mood, ground=ground, ink=ink, primary=primary)
    return Seeds(
        ground=ground,
        ink=ink,
        primary=mix(ink, ground, 0.15),
        secondary=mix(ink, ground, 0.5),
        accent=ink,
    )


def _ink_on(ground: Rgb, mood: Seeds) -> Rgb:
    if is_dark(ground):
        return mix(WHITE, ground, 0.06)
    return mix(BLACK if is_dark(mood.ground) else mood.ink, ground, 0.08)


def _differ(one: Rgb, other: Rgb) -> bool:
    """Whether two colours can be told apart at all."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) > SAME_WITHIN


def _among(colour: Rgb | None, own: list[Rgb]) -> Rgb | None:
    return colour if colour in own else None


def _take_ground(spare: list[Rgb], prompt: str) -> Rgb | None:
    """Give the left-over colour that can only be a ground: near white, or near black if dark."""
    if wants_dark(prompt):
        return next((colour for colour in spare if luminance(colour) < NEAR_BLACK), None)
    pale = (colour for colour in spare if luminance(colour) > NEAR_WHITE)
    return next(pale, None)


def _mood_ground(mood: Seeds, prompt: str) -> Rgb:
    if wants_dark(prompt) and not is_dark(mood.ground):
        return mix(mix(mood.primary, BLACK, 0.8), (0.05, 0.06, 0.08), 0.5)
    if wants_light(prompt) and is_dark(mood.ground):
        return mix(WHITE, mood.primary, 0.03)
    return mood.ground


def _cover_seeds(seeds: Seeds) -> Seeds:
    """Give the seeds of cover pages: on the primary colour where it can be a ground."""
    can_fill = chroma(seeds.primary) >= GREY_BELOW or luminance(seeds.primary) < NEAR_BLACK
    if is_dark(seeds.ground) or not can_fill:
        ground = mix(seeds.ground, BLACK, 0.18) if is_dark(seeds.ground) else seeds.ground
        return msgspec.structs.replace(seeds, ground=ground)
    ground = seeds.primary
    ink = WHITE if contrast(WHITE, ground) >= WHITE_FROM else BLACK
    while ink == WHITE and contrast(WHITE, ground) < COVER_CONTRAST:
        ground = mix(ground, BLACK, 0.06)
    second = contrast(seeds.secondary, ground) > SHAPE_CONTRAST
    third = contrast(seeds.accent, ground) > ACCENT_CONTRAST
    return Seeds(
        ground=ground,
        ink=ink,
        primary=mix(ground, ink, 0.62),
        secondary=seeds.secondary if second else mix(ground, ink, 0.5),
        accent=seeds.accent if third else mix(ground, ink, 0.86),
    )


def _tune(seeds: Seeds) -> Palette:
    """Derive all colours of a page and make each text colour legible."""
    ground, dark = seeds.ground, is_dark(seeds.ground)
    far, pole = sorted((BLACK, WHITE), key=lambda end: contrast(end, ground))

    def quiet(*tones: Rgb) -> Rgb:
        """Give the first tone that leaves text enough contrast."""
        good = (tone for tone in tones if contrast(pole, tone) >= QUIET_CONTRAST)
        return next(good, mix(ground, far, 0.07))

    base = mix(ground, WHITE, 0.06) if dark else ground
    surface = quiet(mix(base, seeds.primary, 0.065), base)
    deep = quiet(mix(ground, BLACK, 0.2) if dark else mix(ground, seeds.primary, 0.06))
    lights = ((glow, mix(ground, seeds.primary, glow)) for glow in GLOWS if dark)
    bearable = (light for light in lights if contrast(pole, light[1]) >= GLOW_CONTRAST)
    glow, lit = next(bearable, (0.0, ground))
    grounds = (ground, surface, deep, lit)
    return Palette(
        ground=to_hex(ground),
        deep=to_hex(deep),
        surface=to_hex(surface),
        glow=glow,
        line=to_hex(mix(ground, pole, 0.16)),
        ink=to_hex(readable(seeds.ink, *grounds)),
        muted=to_hex(readable(mix(readable(seeds.ink, *grounds), ground, 0.34), *grounds)),
        strong=to_hex(readable(seeds.primary, *grounds)),
        bright=to_hex(readable(seeds.accent, *grounds)),
        primary=to_hex(readable(seeds.primary, ground, ratio=SHAPE_CONTRAST)),
        secondary=to_hex(readable(seeds.secondary, ground, ratio=SHAPE_CONTRAST)),
        accent=to_hex(readable(seeds.accent, ground, ratio=SHAPE_CONTRAST)),
        dark=dark,
    )
