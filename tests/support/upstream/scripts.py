"""Scripts: how an answer, good or refused, goes over the wire."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tests.support.upstream import answers
from tests.support.upstream.asks import Ask
from tests.support.upstream.pictures import Plate, Stamp, make_plate, prompt_key
from tests.support.upstream.plan import MediaType, Plan
from tests.support.upstream.steps import Drip, Pieces, Script, Send, Shut, Step, Work


class Case(Struct, frozen=True, kw_only=True):
    """One call, with all that its answer depends on."""

    ask: Ask
    plan: Plan
    number: int
    """The call's number in the bill."""
    argument: str = ""
    """What stood behind the fault's name."""
    in_flight: int = 1
    """Admitted calls under way, this one too."""
    is_reused: bool = False
    """Whether the connection has served a call before."""
    files_base: str = ""
    """Where answers by URL point to."""

    @property
    def generation_id(self) -> str:
        """OpenRouter's id of a chat completion."""
        return f"gen-1758000000-{self.number:06d}"

    @property
    def is_streamed(self) -> bool:
        """Whether the answer shall be an event stream; shape C cannot ask for one here."""
        return self.plan.stream == "always" or (self.plan.stream == "asked" and self.ask.stream)

    def plate(
        self,
        *,
        media_type: MediaType | None = None,
        size_px: tuple[int, int] | None = None,
        size_bytes: int | None = None,
    ) -> Plate:
        """The picture asked for, or another one."""
        width_px, height_px = size_px or (self.ask.width_px, self.ask.height_px)
        return make_plate(
            media_type or self.ask.media_type,
            width_px,
            height_px,
            size_bytes=self.plan.image_bytes if size_bytes is None else size_bytes,
            seed=self.plan.seed,
        )

    def stamp(self, part: str = "final") -> Stamp:
        """What this call's pictures say of themselves."""
        return Stamp(self.number, prompt_key(self.ask.prompt), part)

    def picture(self, part: str = "final") -> Pieces:
        """The picture asked for, in base64."""
        return self.plate().b64(self.stamp(part))

    def raw_picture(self, part: str = "final", *, media_type: MediaType | None = None) -> bytes:
        """The picture asked for, as a file."""
        return self.plate(media_type=media_type).raw(self.stamp(part))

    def number_argument(self, default: float) -> float:
        """The argument as a number."""
        try:
            return float(self.argument)
        except ValueError:
            return default


def generation_headers(case: Case) -> answers.Headers:
    """`X-Generation-Id`, which chat has and `/images` has not."""
    return (("X-Generation-Id", case.generation_id),) if case.ask.shape == "chat" else ()


def build_skeleton(case: Case, *, count: int = 1) -> dict[str, Any]:
    """The good answer's skeleton in the call's shape."""
    match case.ask.shape:
        case "images":
            return answers.build_images(case.ask, case.plan.cost_usd, count=count)
        case "chat":
            return answers.build_chat(
                case.ask, case.plan.cost_usd, generation_id=case.generation_id, count=count
            )
        case "gemini":
            return answers.build_gemini(case.ask, case.plan.cost_usd, count=count)


def json_body(case: Case) -> Pieces:
    """The good answer as JSON."""
    return answers.render(build_skeleton(case), (case.picture(),))


def good_body(case: Case) -> Pieces:
    """The good answer as the call wants it, JSON or events."""
    return build_events(case) if case.is_streamed else json_body(case)


def good_type(case: Case) -> str:
    """Media type of the good answer."""
    return answers.SSE_TYPE if case.is_streamed else answers.JSON_TYPE


def good_head(
    case: Case,
    *,
    length: int | None = None,
    chunked: bool = False,
    close: bool = False,
) -> bytes:
    """The good answer's head, in any framing."""
    return answers.render_head(
        200,
        media_type=good_type(case),
        length=length,
        chunked=chunked,
        close=close,
        headers=generation_headers(case),
    )


def beat(case: Case) -> bytes:
    """What keeps the connection alive: white space, or a comment of an event stream."""
    return answers.COMMENT if case.is_streamed else answers.PADDING


def build_events(case: Case) -> Pieces:
    """The good answer as an event stream, shape C's as `streamGenerateContent` gives it."""
    match case.ask.shape:
        case "images":
            drafts = [case.picture(f"draft-{index}") for index in range(case.plan.partials)]
            return answers.images_events(case.ask, case.plan.cost_usd, drafts, case.picture())
        case "chat":
            return answers.chat_events(
                case.ask, case.plan.cost_usd, case.generation_id, [case.picture()]
            )
        case "gemini":
            return answers.gemini_events(case.ask, case.plan.cost_usd, [case.picture()])


def succeed(case: Case) -> Script:
    """A good answer, JSON or events, as the call and the plan want it."""
    if case.is_streamed:
        return stream(case, build_events(case))
    return answer(case, json_body(case))


def reply(case: Case, skeleton: object, payloads: Sequence[Pieces] = ()) -> Script:
    """A 200 with any skeleton: as JSON, or told as an event stream when the call wants one."""
    if not case.is_streamed or not isinstance(skeleton, dict):
        return answer(case, answers.render(skeleton, payloads))
    if case.ask.shape == "gemini":
        return stream(case, answers.gemini_event(skeleton, payloads))
    retold = _retell_chat(skeleton) if case.ask.shape == "chat" else _retell_images(skeleton)
    events = [piece for value in retold for piece in answers.event(answers.render(value, payloads))]
    return stream(case, (*events, answers.DONE))


def _retell_chat(skeleton: dict[str, Any]) -> list[dict[str, Any]]:
    choices = [
        {name: value for name, value in choice.items() if name != "message"}
        | {"delta": choice.get("message") or {}}
        for choice in skeleton.get("choices") or []
    ]
    return [{**skeleton, "object": "chat.completion.chunk", "choices": choices}]


def _retell_images(skeleton: dict[str, Any]) -> list[dict[str, Any]]:
    if "error" in skeleton:
        return [{"type": "error", "error": skeleton["error"]}]
    rest = {name: value for name, value in skeleton.items() if name != "data"}
    return [
        {"type": "image_generation.completed", **item, **rest}
        for item in skeleton.get("data") or []
    ]


def answer(
    case: Case,
    body: Pieces,
    *,
    media_type: str = answers.JSON_TYPE,
    headers: answers.Headers = (),
    segment_bytes: int = 0,
) -> Script:
    """A 200 with that body, in the plan's framing, padded if the plan pads."""
    headers = generation_headers(case) + headers
    every_s = case.plan.padding_every_s
    if every_s > 0 and (case.ask.shape == "chat" or case.plan.pad_images):
        return padded(case, body, headers=headers, every_s=every_s)
    head, tail, close = _frame(case, body, media_type=media_type, headers=headers)
    ending: tuple[Step, ...] = (Shut(),) if close else ()
    return (Work(), Send((head, *tail), segment_bytes), *ending)


def padded(case: Case, body: Pieces, *, every_s: float, headers: answers.Headers = ()) -> Script:
    """A 200 committed at once, white space while working, then the body."""
    del case
    return (
        Send((answers.render_head(200, chunked=True, headers=headers),)),
        Work(b"".join(answers.chunk((answers.PADDING,))), every_s),
        Send((*answers.chunk(body), answers.LAST_CHUNK)),
    )


def stream(case: Case, events: Pieces, *, segment_bytes: int = 0) -> Script:
    """An event stream; comments while working if the plan pads."""
    head = answers.render_head(
        200, media_type=answers.SSE_TYPE, chunked=True, headers=generation_headers(case)
    )
    every_s = case.plan.padding_every_s
    beat = b"".join(answers.chunk((answers.COMMENT,))) if every_s > 0 else b""
    return (
        Send((head,)),
        Work(beat, every_s),
        Send((*answers.chunk(events), answers.LAST_CHUNK), segment_bytes),
    )


def refuse(
    status: int, body: object, *, headers: answers.Headers = (), media_type: str = answers.JSON_TYPE
) -> Script:
    """An error answer, given at once; a body that is not bytes becomes JSON."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    head = answers.render_head(status, media_type=media_type, length=len(data), headers=headers)
    return (Send((head, data)),)


def give_up(
    status: int, body: object, *, headers: answers.Headers = (), media_type: str = answers.JSON_TYPE
) -> Script:
    """An error answer after the time the image would have taken."""
    return (Work(), *refuse(status, body, headers=headers, media_type=media_type))


def drip_forever(head: bytes, piece: bytes, every_s: float) -> Script:
    """A head, then the same bytes until the client goes away."""
    return (Send((head,)), Work(), Drip(piece, every_s))


def _frame(
    case: Case,
    body: Pieces,
    *,
    media_type: str,
    headers: answers.Headers,
) -> tuple[bytes, Pieces, bool]:
    match case.plan.framing:
        case "length":
            head = answers.render_head(
                200, media_type=media_type, length=answers.size_of(body), headers=headers
            )
            return head, body, False
        case "chunked":
            head = answers.render_head(200, media_type=media_type, chunked=True, headers=headers)
            return head, (*answers.chunk(body), answers.LAST_CHUNK), False
        case "close":
            return (
                answers.render_head(200, media_type=media_type, close=True, headers=headers),
                body,
                True,
            )
