"""Bodies that are no order, and media types that are no JSON."""

import base64
import gzip
import struct
import zlib
from collections.abc import Iterator

from tests.support.nasty.requests import DECK, SINGLE, Sent, encode, to_wire
from tests.support.orders import deck
from tests.support.pictures import picture

_MOST_BYTES = 2 * 1024 * 1024


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """JSON that deep."""
    return opening * depth + b"1" * (opening != b"[") + closing * depth


def _png(width: int, height: int) -> bytes:
    """A picture that says it is that large, and has no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>1</script></svg>'
_REFERENCES = {
    "no picture": base64.b64encode(b"hello" * 50),
    "12,000 pixels a side": base64.b64encode(_png(12_000, 12_000)),
    "two thousand million pixels a side": base64.b64encode(_png(2**31 - 1, 2**31 - 1)),
    "no pixel": base64.b64encode(_png(0, 0)),
    "no pixels behind a small header": base64.b64encode(_png(100, 100)),
    "an SVG": base64.b64encode(_SVG),
    "cut short": base64.b64encode(picture("JPEG")[:-30]),
    "a GIF": base64.b64encode(picture("GIF")),
    "a TIFF": base64.b64encode(picture("TIFF")),
    "no base64": b"%%%",
    "base64 that is cut": b"iVBORw0KGgo",
    "nothing": b"",
    "beyond ASCII": "é٣".encode(),
    "a million letters": b"A" * 1_000_000,
}


def _with(key: str, value: bytes, good: bytes = DECK) -> bytes:
    """`good` with that raw value under `key`, the last of its name."""
    return good[:-1] + b',"%s":%s}' % (key.encode(), value)


def _in_slide(key: str, value: bytes) -> bytes:
    """A deck of one slide with that raw value under `key`."""
    return b'{"style_prompt":"s","slides":[{"title":"t","%s":%s}]}' % (key.encode(), value)


_NUMBERS = {
    "zero": b"0",
    "minus zero": b"-0",
    "negative": b"-3",
    "2**31": b"2147483648",
    "2**63": b"9223372036854775808",
    "2**64": b"18446744073709551616",
    "-2**64": b"-18446744073709551616",
    "5,000 digits": b"9" * 5000,
    "5,000 digits in quotes": b'"%s"' % (b"9" * 5000),
    "a long fraction": b"1." + b"0" * 5000,
    "1e400": b"1e400",
    "1e19": b"1e19",
    "1e400 in quotes": b'"1e400"',
    "-1e-400": b"-1e-400",
    "NaN": b"NaN",
    "NaN in quotes": b'"NaN"',
    "Infinity": b"Infinity",
    "-inf in quotes": b'"-inf"',
    "true": b"true",
    "hexadecimal": b"0x10",
    "octal": b"010",
    "with a plus": b"+1",
    "with an underscore": b'"1_000"',
    "Arabic digits": '"\u0663"'.encode(),
    "full-width digits": '"\uff13"'.encode(),
    "superscript": '"\u00b2"'.encode(),
    "blanks around": b'" 3 "',
    "an array": b"[3]",
    "an object": b'{"a":3}',
}
_RATIOS = {
    "0:0": b'"0:0"',
    "1:9999": b'"1:9999"',
    "9999:1": b'"9999:1"',
    "00001:1": b'"00001:1"',
    "99999:1": b'"99999:1"',
    "negative": b'"-16:9"',
    "with a line feed": b'"16:9\\n"',
    "Arabic digits": '"\u0661\u0666:\u0669"'.encode(),
    "three parts": b'"1:2:3"',
    "100,000 colons": b'"%s"' % (b":" * 100_000),
}
_TEXTS = {
    "NULs": b'"\\u0000a\\u0000"',
    "a raw NUL": b'"a\0b"',
    "a lone high surrogate": b'"\\ud83d"',
    "a lone low surrogate": b'"\\ude00x"',
    "surrogates in the wrong order": b'"\\ude00\\ud83d"',
    "a raw surrogate": b'"\xed\xa0\x80"',
    "bad UTF-8": b'"\xc3\x28"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "beyond Unicode": b'"\xf4\x90\x80\x80"',
    "a cut escape": b'"\\u12"',
    "an unknown escape": b'"\\x41"',
    "a raw line feed": b'"a\nb"',
    "line separators": '"\u2028\u2029\u0085"'.encode(),
    "turned round": '"\u202e\u2066abc\ufeff"'.encode(),
    "a thousand accents": ('"a' + "\u0301" * 1000 + '"').encode(),
    "noncharacters": '"\uffff\ufffe\U0010ffff"'.encode(),
    "control characters": b'"\\u001b[31m\\u0007\\u007f\\u009b"',
    "a hundred thousand characters": b'"%s"' % ("字".encode() * 100_000),
    "one more": b'"%s"' % (b"x" * 100_001),
    "a template": b'"{0.__class__} %s %(x)s ${jndi:ldap://x} {{7*7}}"',
    "Typst": b'"#import \\"/etc/passwd\\" #eval(1) $ \\\\ @a <b>"',
    "the two words of the log": b'"batch_generate_complete slide_completed"',
}


def bad_bodies() -> Iterator[Sent]:
    whole = {
        "empty": b"",
        "blank": b" \r\n\t" * 100,
        "a NUL": b"\0",
        "a megabyte of NULs": b"\0" * 1_000_000,
        "1,000 deep": nested(1000),
        "100,000 deep": nested(100_000),
        "a million deep": nested(1_000_000),
        "a million deep, never closed": b"[" * 1_000_000,
        "300,000 objects deep": nested(300_000, b'{"a":', b"}"),
        "1,000 deep in an unknown key": _with("other", nested(1000)),
        "100,000 deep in an unknown key": _with("other", nested(100_000)),
        "100,000 deep where text should be": _with("style_prompt", nested(100_000)),
        "100,000 deep where slides should be": _with("slides", nested(100_000)),
        "100,000 slides": b'{"style_prompt":"","slides":[%s{"title":"a"}]}'
        % (b'{"title":"a"},' * 99_999),
        "100,000 empty slides": b'{"style_prompt":"","slides":[%s{}]}' % (b"{}," * 99_999),
        "201 slides": encode(deck(201)),
        "400,000 numbers": b"[%s1]" % (b"1," * 400_000),
        "100,000 keys": b"{%s}" % b",".join(b'"k%d":1' % i for i in range(100_000)),
        "100,000 times the same key": b"{%s}" % b",".join([b'"style_prompt":"x"'] * 100_000),
        "keys twice": DECK[:-1] + b"," + DECK[1:],
        "a key with a NUL": _with("a\\u0000b", b"1"),
        "a key that is a lone surrogate": _with("\\ud800", b"1"),
        "byte-order mark": b"\xef\xbb\xbf" + DECK,
        "UTF-16": DECK.decode().encode("utf-16"),
        "UTF-16 without a mark": DECK.decode().encode("utf-16-be"),
        "UTF-32": DECK.decode().encode("utf-32"),
        "UTF-7": b"+AHs-" + DECK,
        "Latin-1": DECK.replace(b"calm", b"\xe9t\xe9"),
        "gzip": gzip.compress(DECK),
        "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
        "a form": b"slides=1&style_prompt=a",
        "two documents": DECK + DECK,
        "JSON lines": DECK + b"\n" + DECK,
        "a comment": b"/* */" + DECK,
        "single quotes": DECK.replace(b'"', b"'"),
        "a comma too many": DECK[:-1] + b",}",
        "no end": DECK[:-1],
        "2 MB and a byte": DECK + b" " * (_MOST_BYTES + 1 - len(DECK)),
        "a pickle": b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94.",
        **{f"a bare {value!r}": value for value in (b"null", b"true", b"1", b'""', b"[]", b"NaN")},
    }
    for name, body in whole.items():
        for target in (b"/api/slide/batch/generate", b"/api/slide/generate", b"/api/export/pptx"):
            yield _post(f"body: {name}", body, target)
    for name, value in _NUMBERS.items():
        for key in ("max_workers", "max_cost_usd", "cache"):
            yield _post(f"{key}: {name}", _with(key, value))
        yield _post(f"page: {name}", _in_slide("page_num", value))
        yield _post(f"page: {name}", _with("page_num", value, SINGLE), b"/api/slide/generate")
    for name, value in _RATIOS.items():
        yield _post(f"ratio: {name}", _with("aspect_ratio", value))
        yield _post(f"ratio: {name}", _with("aspect_ratio", value, SINGLE), b"/api/slide/generate")
    for name, value in _TEXTS.items():
        for key in ("title", "id", "content_text", "type"):
            yield _post(f"{key}: {name}", _in_slide(key, value))
        yield _post(f"model: {name}", _with("model", value))
        yield _post(f"batch_id: {name}", b'{"batch_id":%s}' % value, b"/api/slide/batch/status")
        project = b'{"file_name":%s,"project":{"title":%s,"slides":[{"image_url":%s}]}}'
        yield _post(f"project: {name}", project % (value, value, value), b"/api/export/pptx")
    for name, data in _REFERENCES.items():
        for kind in (b"data:image/png;base64,", b"data:image/svg+xml,", b"DATA:;,"):
            reference = b'"%s%s"' % (kind, data)
            yield _post(f"reference: {name}", _with("style_reference", reference))


def _post(name: str, body: bytes, target: bytes = b"/api/slide/batch/generate") -> Sent:
    wire = to_wire(target, (b"Prefer", b"respond-async"), method=b"POST", body=body)
    return Sent(name=name, wire=wire)


MEDIA_TYPES = (
    *(b"", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"text/plain"),
    *(b"multipart/form-data", b"application/json, text/plain", b"text/plain; application/json"),
    *(b"application/json;charset=utf-16", b"application/jsonx", b"*/*", b"application/x-ndjson"),
    *(b"application/json\xa0", b"\xff\xfe", b"application/json;" + b"a" * 8000, b"image/png"),
)
_FORM = (
    b'--x\r\nContent-Disposition: form-data; name="slides"; filename="../../etc/passwd"\r\n\r\n'
    b"1\r\n" + b"--x\r\n" * 5000 + b"--x--\r\n"
)


def bad_media_types() -> Iterator[Sent]:
    for kind in MEDIA_TYPES:
        for body in (DECK, _FORM, b"a=1&" * 50_000):
            wire = to_wire(
                b"/api/slide/batch/generate", method=b"POST", body=body, content_type=kind
            )
            yield Sent(name=f"media type {kind[:40]!r}", wire=wire)
    for coding in (b"gzip", b"br", b"deflate", b"identity", b"gzip, gzip", b"\xff"):
        body = gzip.compress(b" " * 2_000_000 + DECK)
        headers = (b"Content-Encoding", coding)
        wire = to_wire(b"/api/slide/batch/generate", headers, method=b"POST", body=body)
        yield Sent(name=f"coding {coding!r}", wire=wire)
    two = (b"Content-Type", b"text/plain")
    for target in (b"/api/slide/batch/generate", b"/api/slide/batch/x/retry"):
        wire = to_wire(target, two, method=b"POST", body=DECK)
        yield Sent(name="two media types", wire=wire)
        yield Sent(name="no media type", wire=wire.replace(b"Content-Type", b"Content-Typo"))
