"""What is hardly HTTP, and hardly a WebSocket."""

import random
from collections.abc import Iterator

from tests.support.nasty.requests import DECK, Known, Sent

_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
_LINE = b"POST /api/slide/batch/generate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
_TYPE = b"Content-Type: application/json\r\n"
_CHUNKED = _LINE + _TYPE + b"Transfer-Encoding: chunked\r\n\r\n"
_GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def bad_framing() -> Iterator[Sent]:
    size = b"%x\r\n" % (64 * 1024)
    wires = {
        "nothing": b"",
        "line ends": b"\r\n" * 1000,
        "NULs": b"\0" * 1000,
        "noise": random.Random(7).randbytes(4096),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x11" * 500,
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
        "HTTP/0.9": b"GET /\r\n\r\n",
        "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "HTTP/1.1.1": b"GET / HTTP/1.1.1\r\nHost: localhost\r\n\r\n",
        "no version": b"GET /healthz\r\nHost: localhost\r\n\r\n",
        "no target": b"GET HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "an absolute target": _GET.replace(b" /", b" http://evil.example/") + b"\r\n",
        "a target that is a star": _GET.replace(b"GET /healthz", b"OPTIONS *") + b"\r\n",
        "a target that is an address": b"CONNECT evil:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a target with blanks": b"GET /a b c HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a target of 60 KB": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a target that never ends": b"GET /" + b"a" * 200_000,
        "no Host": b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
        "two Hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
        "an empty Host": b"GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
        "a Host with a path": b"GET /healthz HTTP/1.1\r\nHost: a/?x=\r\nConnection: close\r\n\r\n",
        "a Host beyond ASCII": b"GET /healthz HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n",
        "a Host with a port of 5,000 digits": _GET.replace(b"localhost", b"a:" + b"9" * 5000)
        + b"\r\n",
        "a Host with a bracket": _GET.replace(b"localhost", b"[::1") + b"\r\n",
        "a header without a colon": _GET + b"Nonsense\r\n\r\n",
        "a header without a name": _GET + b": x\r\n\r\n",
        "a blank before the colon": _GET + b"X : y\r\n\r\n",
        "a folded header": _GET + b"Idempotency-Key: a\r\n b\r\n\r\n",
        "a bare line feed": _GET + b"X: a\n\r\n",
        "a bare carriage return": _GET + b"X: a\rb\r\n\r\n",
        "a NUL in a header": _GET + b"X: a\0b\r\n\r\n",
        "a NUL in a name": _GET + b"X\0: a\r\n\r\n",
        "a name beyond ASCII": _GET + b"\xff\xfe: a\r\n\r\n",
        "a header line put in by a key": _LINE
        + _TYPE
        + b"Idempotency-Key: a\r\nSet-Cookie: x=1\r\nContent-Length: 2\r\n\r\n{}",
        "100,000 headers": _GET + b"a:b\r\n" * 100_000 + b"\r\n",
        "a header of a megabyte": _GET + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n",
        "headers that never end": _GET + b"X: y\r\n",
        "length: negative": _LINE + _TYPE + b"Content-Length: -1\r\n\r\n{}",
        "length: text": _LINE + _TYPE + b"Content-Length: x\r\n\r\n{}",
        "length: plus": _LINE + _TYPE + b"Content-Length: +2\r\n\r\n{}",
        "length: superscript": _LINE + _TYPE + b"Content-Length: \xb2\r\n\r\n{}",
        "length: 5,000 digits": _LINE + _TYPE + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}",
        "length: 2**64": _LINE + _TYPE + b"Content-Length: 18446744073709551618\r\n\r\n{}",
        "length: 2**63, nothing sent": _LINE
        + _TYPE
        + b"Content-Length: 9223372036854775807\r\n\r\n",
        "length: 2 MB and a byte, nothing sent": _LINE + _TYPE + b"Content-Length: 2097153\r\n\r\n",
        "length: two": _LINE + _TYPE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "length: a list": _LINE + _TYPE + b"Content-Length: 2, 2\r\n\r\n{}",
        "length: too long": _LINE + _TYPE + b"Content-Length: 50\r\n\r\n{}",
        "length: too short": _LINE + _TYPE + b"Content-Length: 1\r\n\r\n{}GET",
        "length: none": _LINE + _TYPE + b"\r\n" + DECK,
        "length and chunks": _LINE
        + _TYPE
        + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunks: 3 MB": _CHUNKED + (size + b" " * (64 * 1024) + b"\r\n") * 48 + b"0\r\n\r\n",
        "chunks: a byte each": _CHUNKED
        + b"".join(b"1\r\n%c\r\n" % byte for byte in DECK)
        + b"0\r\n\r\n",
        "chunks: of gzip": _CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n",
        "chunks: unknown coding": _CHUNKED.replace(b"chunked", b"xchunked")
        + b"2\r\n{}\r\n0\r\n\r\n",
        "chunks: not last": _CHUNKED.replace(b"chunked", b"chunked, gzip")
        + b"2\r\n{}\r\n0\r\n\r\n",
        "chunks: a size that is none": _CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
        "chunks: a negative size": _CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
        "chunks: an endless size": _CHUNKED + b"f" * 5000 + b"\r\n",
        "chunks: an extension of 100 KB": _CHUNKED
        + b"2;"
        + b"a" * 100_000
        + b"\r\n{}\r\n0\r\n\r\n",
        "chunks: a wrong end": _CHUNKED + b"2\r\n{}XX0\r\n\r\n",
        "chunks: no end": _CHUNKED + b"2\r\n{}\r\n",
        "chunks: trailers": _CHUNKED
        + b"2\r\n{}\r\n0\r\nHost: evil\r\nX: "
        + b"y" * 70_000
        + b"\r\n\r\n",
        "chunks: over HTTP/1.0": _CHUNKED.replace(b"1.1", b"1.0") + b"2\r\n{}\r\n0\r\n\r\n",
        "expects to go on": _LINE + _TYPE + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
        "expects the unknown": _LINE + _TYPE + b"Expect: \xff\r\nContent-Length: 2\r\n\r\n{}",
        "a second request behind": _GET.replace(b"Connection: close\r\n", b"")
        + b"\r\n\0\0GARBAGE\r\n\r\n",
        "100 requests at once": (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n") * 99
        + _GET
        + b"\r\n",
        "a body behind GET": _GET + b"Content-Length: 5\r\n\r\nhello",
        "an upgrade to HTTP/2": _GET + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    }
    for name, wire in wires.items():
        yield Sent(name=f"framing: {name}", wire=wire, is_whole=False)


def bad_handshakes(known: Known) -> Iterator[Sent]:
    there = b"/api/slide/batch/%s/ws" % known.batch_id.encode()
    upgrade = b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    good = upgrade + b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + _KEY + b"\r\n"
    heads = {
        "unknown batch": b"GET /api/slide/batch/x/ws HTTP/1.1\r\n" + good,
        "another address": b"GET /healthz HTTP/1.1\r\n" + good,
        "no address": b"GET /nothing HTTP/1.1\r\n" + good,
        "after which number": b"GET " + there + b"?after=x HTTP/1.1\r\n" + good,
        "an address beyond ASCII": b"GET /\xff\xfe HTTP/1.1\r\n" + good,
        "a query beyond ASCII": b"GET " + there + b"?after=\xff&lang=\xc3 HTTP/1.1\r\n" + good,
        "300 headers": b"GET " + there + b" HTTP/1.1\r\n" + good + b"A: b\r\n" * 300,
        "a long header": b"GET " + there + b" HTTP/1.1\r\n" + good + b"A: " + b"b" * 9000 + b"\r\n",
        "no key": b"GET " + there + b" HTTP/1.1\r\n" + upgrade + b"Sec-WebSocket-Version: 13\r\n",
        "a short key": b"GET " + there + b" HTTP/1.1\r\n" + good.replace(_KEY, b"AA"),
        "a key that is none": b"GET " + there + b" HTTP/1.1\r\n" + good.replace(_KEY, b"\xff" * 24),
        "two keys": b"GET "
        + there
        + b" HTTP/1.1\r\n"
        + good
        + b"Sec-WebSocket-Key: "
        + _KEY
        + b"\r\n",
        "version 99": b"GET " + there + b" HTTP/1.1\r\n" + good.replace(b": 13", b": 99"),
        "no version": b"GET "
        + there
        + b" HTTP/1.1\r\n"
        + good.replace(b"Sec-WebSocket-Version", b"X"),
        "POST": b"POST " + there + b" HTTP/1.1\r\n" + good,
        "HTTP/1.0": b"GET " + there + b" HTTP/1.0\r\n" + good,
        "extensions": b"GET "
        + there
        + b" HTTP/1.1\r\n"
        + good
        + b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99, \xff;;;\r\n",
        "protocols": b"GET "
        + there
        + b" HTTP/1.1\r\n"
        + good
        + b"Sec-WebSocket-Protocol: \xff, ,\r\n",
        "another origin": b"GET "
        + there
        + b" HTTP/1.1\r\n"
        + good
        + b"Origin: http://evil.example\r\n",
        "an origin that is none": b"GET " + there + b" HTTP/1.1\r\n" + good + b"Origin: \xff[\r\n",
        "no Host": b"GET " + there + b" HTTP/1.1\r\n" + good.replace(b"Host: localhost\r\n", b""),
        "a body": b"GET " + there + b" HTTP/1.1\r\n" + good + b"Content-Length: 5\r\n",
        "another protocol": b"GET " + there + b" HTTP/1.1\r\n" + good.replace(b"websocket", b"tcp"),
    }
    tails = {
        "": b"",
        ", noise": random.Random(3).randbytes(300),
        ", an unmasked frame": b"\x81\x05hello",
        ", a frame of 2**63 bytes": b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        ", text that is none": b"\x81\x82\0\0\0\0\xff\xfe",
        ", a ping of 200 bytes": b"\x89\xfe\x00\xc8\0\0\0\0" + b"p" * 200,
        ", an end with a bad code": b"\x88\x82\0\0\0\0\x00\x01",
        ", 3,000 pieces of nothing": b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * 3000,
    }
    for name, head in heads.items():
        yield Sent(name=f"socket: {name}", wire=head + b"\r\n", is_whole=False)
    for name, tail in tails.items():
        wire = b"GET " + there + b" HTTP/1.1\r\n" + good + b"\r\n"
        yield Sent(name=f"socket{name}", wire=wire, then=tail, is_whole=False)
