"""Several pictures where one was asked for, and pictures behind an address."""

from typing import Final, Unpack

from tests.support.upstream.answers import (
    DONE,
    data_url,
    event,
    gemini_events,
    render,
    token,
)
from tests.support.upstream.faults.base import (
    MAYBE_BILLED,
    Fault,
    Options,
    Player,
    fine,
)
from tests.support.upstream.plan import Shape
from tests.support.upstream.scripts import Case, build_skeleton, reply, stream
from tests.support.upstream.steps import Script

_CHAT: Final[tuple[Shape, ...]] = ("chat",)
_IMAGES: Final[tuple[Shape, ...]] = ("images",)
_GEMINI: Final[tuple[Shape, ...]] = ("gemini",)


def _several(*parts: str) -> Player:
    """Several pictures where one was asked for, in that order."""
    return lambda case: reply(
        case,
        build_skeleton(case, count=len(parts)),
        [case.picture(part) for part in parts],
    )


def _thoughts(*parts: str) -> Player:
    """Shape C, all but the part named `final` marked as thoughts."""

    def play(case: Case) -> Script:
        skeleton = build_skeleton(case, count=len(parts))
        for part, item in zip(parts, skeleton["candidates"][0]["content"]["parts"], strict=True):
            item.update({"thoughtSignature": "c2ln"} if part == "final" else {"thought": True})
        return reply(case, skeleton, [case.picture(part) for part in parts])

    return play


def _thought_first(case: Case) -> Script:
    """Shape C, the mark of a thought before its picture, and prose between."""
    drafts = [
        {"thought": True, "inlineData": {"mimeType": case.ask.media_type, "data": token(0)}},
        {"thought": True, "text": "The title should be larger."},
    ]
    skeleton = build_skeleton(case)
    candidate = skeleton["candidates"][0]["content"]
    final = {"inlineData": {"mimeType": case.ask.media_type, "data": token(1)}}
    candidate["parts"] = [*drafts, {"text": "Here it is:"}, final, {"text": "Enjoy!"}]
    return reply(case, skeleton, [case.picture("draft-0"), case.picture()])


def _stream_thoughts(case: Case) -> Script:
    pictures = [case.picture(part) for part in ("draft-0", "draft-1", "final")]
    return stream(case, gemini_events(case.ask, case.plan.cost_usd, pictures, thoughts=2))


def _stream_drafts(case: Case) -> Script:
    drafts: list[bytes] = []
    for index in range(2):
        skeleton = {
            "type": "image_generation.partial_image",
            "partial_image_index": index,
            "b64_json": token(0),
        }
        drafts.extend(event(render(skeleton, [case.picture(f"draft-{index}")])))
    final = {
        "type": "image_generation.completed",
        "b64_json": token(0),
        "media_type": case.ask.media_type,
    }
    return stream(case, (*drafts, *event(render(final, [case.picture()])), DONE))


SEVERAL_FAULTS: Final = (
    fine(
        "F29_drafts",
        "a draft before the final picture: the last one counts",
        _several("draft-0", "final"),
        shapes=_CHAT,
    ),
    fine(
        "F29_stream_drafts",
        "event stream with two drafts before the final picture",
        _stream_drafts,
        shapes=_IMAGES,
    ),
    fine(
        "F29_thought_drafts",
        "drafts marked as thoughts",
        _thoughts("draft-0", "draft-1", "final"),
        shapes=_GEMINI,
    ),
    fine(
        "F29_thought_last",
        "a draft marked as a thought comes after the final picture",
        _thoughts("draft-0", "final", "draft-1"),
        shapes=_GEMINI,
    ),
    fine(
        "F29_thought_last_of_three",
        "two pictures, then a draft marked as a thought: the last that is none counts",
        _thoughts("final", "final", "draft-1"),
        shapes=_GEMINI,
    ),
    fine(
        "F29_thoughts_only",
        "only drafts marked as thoughts",
        _thoughts("draft-0", "draft-1"),
        shapes=_GEMINI,
        wanted="no_image",
        calls=MAYBE_BILLED,
    ),
    fine(
        "F29_thought_before_data",
        "a draft whose mark as a thought comes before it, and prose around the final picture",
        _thought_first,
        shapes=_GEMINI,
    ),
    fine(
        "F29_stream_thoughts",
        "event stream with two drafts marked as thoughts",
        _stream_thoughts,
        shapes=_GEMINI,
    ),
    fine("F29_duplicates", "the same picture twice", _several("final", "final")),
    fine(
        "F29_three",
        "three pictures for one: the last one counts",
        _several("first", "second", "third"),
        part="third",
    ),
)


def _by_url(url: str) -> Player:
    """An answer that gives an address; `{base}` is the file host, `{name}` the file's last part."""

    def play(case: Case) -> Script:
        ending = case.ask.media_type.removeprefix("image/").replace("jpeg", "jpg")
        target = url.format(
            base=case.files_base,
            name=f"{case.number}.{ending}",
            count=case.argument or "2",
        )
        skeleton = build_skeleton(case)
        match case.ask.shape:
            case "images":
                skeleton["data"] = [{"url": target}]
            case "chat":
                skeleton["choices"][0]["message"]["images"][0]["image_url"]["url"] = target
            case "gemini":
                file = {"mimeType": case.ask.media_type, "fileUri": target}
                skeleton["candidates"][0]["content"]["parts"] = [{"fileData": file}]
        return reply(case, skeleton)

    return play


def _url(name: str, about: str, url: str, **more: Unpack[Options]) -> Fault:
    options: Options = {"wanted": "upstream_unavailable", **more}
    return fine(f"F27_{name}", about, _by_url(url), **options)


def _blocked(name: str, about: str, url: str) -> Fault:
    return _url(name, about, url, wanted="blocked_url")


def _in_data_url(case: Case) -> Script:
    skeleton = build_skeleton(case)
    skeleton["data"] = [{"url": data_url(case.ask.media_type)}]
    return reply(case, skeleton, [case.picture()])


URL_FAULTS: Final = (
    _url("url", "a good picture behind an address", "{base}/ok-{name}", wanted=None),
    _url("denied", "403 at the address", "{base}/denied-{name}"),
    _url("gone", "404 at the address", "{base}/gone-{name}"),
    _url(
        "late",
        "404 for the first two tries",
        "{base}/late{count}-{name}",
        wanted=None,
        argument="tries, default 2",
    ),
    _url(
        "broken",
        "503 for the first two tries",
        "{base}/broken{count}-{name}",
        wanted=None,
        argument="tries, default 2",
    ),
    _url("redirect", "a redirect to the picture", "{base}/redirect-{name}", wanted=None),
    _url("loop", "a redirect to itself", "{base}/loop-{name}"),
    _url("wrong_type", "declared application/octet-stream", "{base}/wrongtype-{name}", wanted=None),
    _url("html", "200 with an HTML page", "{base}/html-{name}", also=("invalid_image",)),
    _url("cut", "the download is cut short", "{base}/cut-{name}"),
    _url("silent", "the download never answers", "{base}/silent-{name}", also=("timeout",)),
    _blocked("redirect_private", "a redirect to the metadata address", "{base}/private-{name}"),
    _blocked("plain_http", "http, not https", "http://example.com/picture.png"),
    _blocked("metadata", "the metadata address", "https://169.254.169.254/latest/meta-data/"),
    _blocked("loopback", "a loopback address", "https://127.0.0.1:1/picture.png"),
    _blocked("decimal", "loopback as one number", "https://2130706433/picture.png"),
    _blocked("mapped", "loopback as IPv4 in IPv6", "https://[::ffff:127.0.0.1]/picture.png"),
    _blocked("private", "a private address", "https://10.0.0.1/picture.png"),
    _blocked("userinfo", "loopback behind a name and password", "https://u:p@127.0.0.1/p.png"),
    _blocked("file", "a file address", "file:///etc/passwd"),
    _url(
        "relative",
        "a relative address",
        "/files/ok-{name}",
        wanted="blocked_url",
        also=("upstream_unavailable",),
    ),
    fine("F27_data_url", "url is a data URL", _in_data_url, shapes=_IMAGES),
)
