"""Faults inside a 200: no picture, or a refusal where the picture should be."""

from collections.abc import Callable
from typing import Any, Final, Unpack

from tests.support.upstream.answers import render
from tests.support.upstream.faults.base import (
    MAYBE_BILLED,
    ONCE,
    Fault,
    Options,
    Player,
    lost,
    refused,
)
from tests.support.upstream.plan import Shape
from tests.support.upstream.scripts import Case, answer, build_skeleton, reply
from tests.support.upstream.steps import Script

_PROSE: Final = "I can't show a picture here, but imagine a calm blue slide. I'm sorry."
_CHAT: Final[tuple[Shape, ...]] = ("chat",)
_IMAGES: Final[tuple[Shape, ...]] = ("images",)
_GEMINI: Final[tuple[Shape, ...]] = ("gemini",)


def edited(change: Callable[[dict[str, Any]], object], *, count: int = 1) -> Player:
    """A good answer's skeleton, changed in place, or what `change` returns instead."""

    def play(case: Case) -> Script:
        skeleton = build_skeleton(case, count=count)
        changed = change(skeleton)
        parts = ("final",) if count == 1 else tuple(f"part-{index}" for index in range(count))
        pictures = [case.picture(part) for part in parts]
        return reply(case, skeleton if changed is None else changed, pictures)

    return play


def _text_only(case: Case) -> Script:
    skeleton = build_skeleton(case)
    match case.ask.shape:
        case "images":
            skeleton["data"] = [{"revised_prompt": _PROSE}]
        case "chat":
            skeleton["choices"][0]["message"] = {"role": "assistant", "content": _PROSE}
        case "gemini":
            skeleton["candidates"][0]["content"]["parts"] = [{"text": _PROSE}]
    return reply(case, skeleton)


def _none(
    name: str, about: str, shapes: tuple[Shape, ...], script: Player, /, **more: Unpack[Options]
) -> Fault:
    options: Options = {"wanted": "no_image", "calls": MAYBE_BILLED, "shapes": shapes, **more}
    return refused(name, about, script, **options)


def in_first_choice(**changes: object) -> Player:
    """Good, but for these values in the first choice."""

    def change(skeleton: dict[str, Any]) -> None:
        skeleton["choices"][0].update(changes)

    return edited(change)


def _in_candidate(**changes: object) -> Player:
    """Good, but for these values in the first candidate."""

    def change(skeleton: dict[str, Any]) -> None:
        skeleton["candidates"][0].update(changes)

    return edited(change)


def in_message(**changes: object) -> Player:
    """Good, but for these values in the first choice's message."""

    def change(skeleton: dict[str, Any]) -> None:
        skeleton["choices"][0]["message"].update(changes)

    return edited(change)


NO_IMAGE_FAULTS: Final = (
    lost("F01_text_only", "200, prose and no picture, charged", _text_only, wanted="no_image"),
    _none(
        "F02_no_choices",
        "200, choices is empty",
        _CHAT,
        edited(lambda body: {**body, "choices": []}),
    ),
    _none(
        "F02_null_choices",
        "200, choices is null",
        _CHAT,
        edited(lambda body: {**body, "choices": None}),
    ),
    _none("F02_null_message", "200, message is null", _CHAT, in_first_choice(message=None)),
    _none(
        "F02_no_images",
        "200, images is empty, content null",
        _CHAT,
        in_message(images=[], content=None),
    ),
    _none("F02_no_data", "200, data is empty", _IMAGES, edited(lambda body: {**body, "data": []})),
    _none(
        "F02_null_data", "200, data is null", _IMAGES, edited(lambda body: {**body, "data": None})
    ),
    _none(
        "F02_empty_strings",
        "200, b64_json and url are empty strings",
        _IMAGES,
        edited(lambda body: {**body, "data": [{"b64_json": "", "url": "", "revised_prompt": ""}]}),
    ),
    _none(
        "F02_no_candidates",
        "200, candidates is empty",
        _GEMINI,
        edited(lambda body: {**body, "candidates": []}),
    ),
    _none(
        "F02_no_content",
        "200, a candidate without content",
        _GEMINI,
        edited(lambda body: {**body, "candidates": [{"index": 0, "finishReason": "STOP"}]}),
    ),
    _none(
        "F02_null_candidates",
        "200, candidates is null",
        _GEMINI,
        edited(lambda body: {**body, "candidates": None}),
    ),
    _none(
        "F02_no_parts",
        "200, a candidate whose content has no parts",
        _GEMINI,
        _in_candidate(content={"role": "model"}),
    ),
    _none(
        "F02_null_parts",
        "200, parts is null",
        _GEMINI,
        _in_candidate(content={"role": "model", "parts": None}),
    ),
    _none(
        "F02_empty_data",
        "200, the inline part's data is an empty string",
        _GEMINI,
        _in_candidate(content={"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}),
    ),
    _none(
        "F02_empty_object",
        "200, {}",
        ("images", "chat", "gemini"),
        lambda case: answer(case, (b"{}",)),
    ),
    _none(
        "F02_null", "200, null", ("images", "chat", "gemini"), lambda case: answer(case, (b"null",))
    ),
    _none(
        "F02_empty_body",
        "200 without a body",
        ("images", "chat", "gemini"),
        lambda case: answer(case, (b"",)),
        wanted="upstream_unavailable",
        also=("no_image",),
    ),
    _none(
        "F28_accepted",
        "202-like: a task id and no picture yet",
        _IMAGES,
        lambda case: answer(
            case,
            render(
                {
                    "id": "imgtask_1",
                    "task_id": "imgtask_1",
                    "status": "processing",
                    "poll_url": "/v1/images/tasks/1",
                }
            ),
        ),
        billed=True,
    ),
)

_CONTENT_REASONS: Final = (
    "SAFETY",
    "PROHIBITED_CONTENT",
    "RECITATION",
    "BLOCKLIST",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
)
_NO_IMAGE_REASONS: Final = (
    "NO_IMAGE",
    "IMAGE_OTHER",
    "OTHER",
    "MAX_TOKENS",
    "MALFORMED_RESPONSE",
    "LANGUAGE",
)
_BLOCK_REASONS: Final = (
    "SAFETY",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "IMAGE_SAFETY",
    "MODEL_ARMOR",
    "JAILBREAK",
)


def _finishes(reason: str) -> Player:
    def play(case: Case) -> Script:
        skeleton = build_skeleton(case)
        if case.ask.shape == "gemini":
            skeleton["candidates"] = [
                {"index": 0, "finishReason": reason, "finishMessage": "Unable to show it."}
            ]
        else:
            message: dict[str, object] = {"role": "assistant", "content": None, "images": []}
            skeleton["choices"][0].update(
                message=message, finish_reason="stop", native_finish_reason=reason
            )
        return reply(case, skeleton)

    return play


def _blocks(reason: str) -> Player:
    return lambda case: answer(case, render({"promptFeedback": {"blockReason": reason}}))


def _refusal(
    name: str, about: str, shapes: tuple[Shape, ...], script: Player, /, **more: Unpack[Options]
) -> Fault:
    options: Options = {"wanted": "content_blocked", "shapes": shapes, **more}
    return refused(name, about, script, **options)


def _refuse_after_draft(skeleton: dict[str, Any]) -> None:
    candidate = skeleton["candidates"][0]
    candidate["content"]["parts"][0]["thought"] = True
    candidate["finishReason"] = "IMAGE_SAFETY"


_BLANK: Final = {"role": "assistant", "content": ""}

REFUSAL_FAULTS: Final = (
    *(
        _refusal(
            f"F03_{reason}",
            f"200, finish reason {reason}, no picture",
            ("gemini", "chat"),
            _finishes(reason),
        )
        for reason in _CONTENT_REASONS
    ),
    *(
        _none(
            f"F03_{reason}",
            f"200, finish reason {reason}, no picture",
            ("gemini", "chat"),
            _finishes(reason),
        )
        for reason in _NO_IMAGE_REASONS
    ),
    _none(
        "F03_PUP_LIMITED_DISABLED",
        "200, finish reason of a limited account",
        _GEMINI,
        _finishes("PUP_LIMITED_DISABLED"),
        wanted="quota_exhausted",
        calls=ONCE,
    ),
    _refusal(
        "F03_content_filter",
        "200, finish_reason content_filter, prose",
        _CHAT,
        in_first_choice(
            finish_reason="content_filter", message={"role": "assistant", "content": _PROSE}
        ),
    ),
    _refusal(
        "F03_native_top_level",
        "200, native_finish_reason beside choices",
        _CHAT,
        edited(
            lambda body: {
                **body,
                "native_finish_reason": "IMAGE_SAFETY",
                "choices": [{"index": 0, "finish_reason": "stop", "message": _BLANK}],
            },
        ),
    ),
    *(
        _refusal(
            f"F04_block_{reason}",
            f"200, promptFeedback.blockReason {reason}, no candidates",
            _GEMINI,
            _blocks(reason),
        )
        for reason in _BLOCK_REASONS
    ),
    _refusal(
        "F04_empty_candidates",
        "200, a blockReason beside empty candidates and the usage",
        _GEMINI,
        edited(
            lambda body: {
                **body,
                "promptFeedback": {
                    "blockReason": "PROHIBITED_CONTENT",
                    "blockReasonMessage": "The prompt was blocked.",
                },
                "candidates": [],
            }
        ),
    ),
    _refusal(
        "F03_draft_then_safety",
        "200, a draft made while thinking, then IMAGE_SAFETY instead of the picture",
        _GEMINI,
        edited(_refuse_after_draft),
    ),
    _refusal(
        "F18_nsfw_flag",
        "200, a picture, but has_nsfw_concepts is true",
        _IMAGES,
        edited(lambda body: {**body, "has_nsfw_concepts": [True]}),
        billed=True,
    ),
    _refusal(
        "F18_content_filtered",
        "200, a (blurred) picture, but finish_reason CONTENT_FILTERED",
        _IMAGES,
        edited(lambda body: {**body, "finish_reason": "CONTENT_FILTERED"}),
        billed=True,
    ),
    _refusal(
        "F18_ark_item_error",
        "200, the data item is an error: OutputImageSensitiveContentDetected",
        _IMAGES,
        edited(
            lambda body: {
                **body,
                "data": [
                    {
                        "error": {
                            "code": "OutputImageSensitiveContentDetected",
                            "message": "may be sensitive",
                        }
                    }
                ],
            },
        ),
    ),
    _refusal(
        "F18_respect_moderation",
        "200, an empty item with respect_moderation false",
        _IMAGES,
        edited(lambda body: {**body, "data": [{"b64_json": "", "respect_moderation": False}]}),
        also=("no_image",),
    ),
)
