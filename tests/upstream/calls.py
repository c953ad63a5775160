"""Calls to the emulator, in every shape, by a client that trusts nothing."""

import base64
import re
from io import BytesIO
from typing import Any, Final

import aiohttp
from msgspec import Struct, json
from PIL import Image

from tests.support.upstream import Upstream

_PATHS: Final = {
    "images": "/images",
    "openai": "/images/generations",
    "chat": "/chat/completions",
    "gemini": "/models/gemini-3-pro-image:generateContent",
}
GOOGLE_KEY: Final = {"x-goog-api-key": "sk-test-7890"}
"""As Google wants to see it, and nobody else minds."""
_BASE64_PATTERN: Final = re.compile(
    rb'"(?:b64_json|data|url)":"(?:data:[^"]*?base64,)?([\w+/=]{100,})"'
)


class Got(Struct, frozen=True):
    """An answer, read whole."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.decode(self.body)

    @property
    def events(self) -> list[Any]:
        """The JSON values of an event stream, without its `[DONE]`."""
        lines = self.body.split(b"\n")
        data = [line.removeprefix(b"data: ") for line in lines if line.startswith(b"data: ")]
        return [json.decode(value) for value in data if value != b"[DONE]"]

    @property
    def pictures(self) -> list[bytes]:
        """Every picture in the answer, decoded strictly."""
        return [
            base64.b64decode(found, validate=True) for found in _BASE64_PATTERN.findall(self.body)
        ]


class Caller:
    """Asks an emulator for pictures."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(
        self,
        upstream: Upstream,
        prompt: str = "a calm slide",
        *,
        shape: str = "images",
        ratio: str = "16:9",
        **more: object,
    ) -> Got:
        """Ask for one picture."""
        body = build_body(shape, prompt, ratio) | more
        url = upstream.base_url + _PATHS[shape]
        async with self.session.post(url, json=body, headers=GOOGLE_KEY) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Got(response.status, headers, await response.read())


def build_body(shape: str, prompt: str, ratio: str = "16:9") -> dict[str, Any]:
    """A call's body in the shape's own words."""
    match shape:
        case "images":
            return {"model": "a/model", "prompt": prompt, "aspect_ratio": ratio}
        case "openai":
            return {"model": "a-model", "prompt": prompt, "size": "1536x864"}
        case "chat":
            return {
                "model": "a/model",
                "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
                "modalities": ["image"],
                "image_config": {"aspect_ratio": ratio},
            }
        case _:
            config = {
                "responseModalities": ["TEXT", "IMAGE"],
                "imageConfig": {"aspectRatio": ratio},
            }
            return {
                "contents": [{"role": "user", "parts": [{"text": prompt}]}],
                "generationConfig": config,
            }


def build_request(shape: str, prompt: str, *, close: bool = False) -> bytes:
    """The same as bytes on the wire, for clients without a library."""
    body = json.encode(build_body(shape, prompt))
    head = f"POST /api/v1{_PATHS[shape]} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k-1234\r\n"
    head += "x-goog-api-key: k-1234\r\n"
    if close:
        head += "Connection: close\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def mark(name: str, more: str = "") -> str:
    """A prompt that chooses its own fault."""
    return f"[[fault:{name}{more}]] a slide"


def open_picture(picture: bytes) -> Image.Image:
    """Decode every pixel; raises when anything is broken."""
    image = Image.open(BytesIO(picture), formats=("PNG", "JPEG", "WEBP"))
    image.load()
    return image
