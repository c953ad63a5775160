"""Requests that have made servers and proxies disagree about where one ends and the next begins.

Sources: RFC 9112 sections 2.2, 3.2, 5.2, 6.1, 6.3, 7.1 and 11.2; the smuggling families CL.TE,
TE.CL, TE.TE, CL.0, h2c and chunk extensions as they were published from 2019 on.
"""

_EVIL = "GET /evil HTTP/1.1\r\nHost: localhost\r\n\r\n"
"""What must never be served: each of its kind would be another answer."""


def _get(target: str = "/healthz", version: str = "HTTP/1.1", *lines: str) -> str:
    return "\r\n".join([f"GET {target} {version}", "Host: localhost", *lines, "", ""])


def _post(*lines: str, body: str = "") -> str:
    start = "POST /api/slide/batch/generate HTTP/1.1"
    kind = "Content-Type: application/json"
    return "\r\n".join([start, "Host: localhost", kind, *lines, "", body])


def _coded(coding: str, body: str = f"0\r\n\r\n{_EVIL}") -> str:
    return _post(f"Transfer-Encoding:{coding}", body=body)


def _chunked(body: str) -> str:
    return _coded(" chunked", body)


def _sized(*sizes: str, body: str = "{}" + _EVIL) -> str:
    return _post(*[f"Content-Length:{size}" for size in sizes], body=body)


_UPGRADE = ("Connection: upgrade", "Upgrade: websocket")

_REFUSED = {
    # Two lengths.
    "length and chunks": _post("Content-Length: 5", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
    "chunks and length": _post("Transfer-Encoding: chunked", "Content-Length: 5", body="0\r\n\r\n"),
    "two lengths, one of them right": _sized(" 2", " 0"),
    "two lengths that agree": _sized(" 2", " 2"),
    "list of lengths": _sized(" 2, 2"),
    # Lengths that are none.
    "length with a plus": _sized(" +2"),
    "length below zero": _sized(" -1"),
    "length in base 16": _sized(" 0x2"),
    "length with a blank": _sized(" 1 2"),
    "length with a fraction": _sized(" 2.0"),
    "length without a number": _sized(" "),
    "length beyond 64 bits": _sized(" 18446744073709551618"),
    "length behind a vertical tab": _sized(" \x0b2"),
    "length before a colon with a blank": _post("Content-Length : 2", body="{}" + _EVIL),
    # Codings that only look like chunks.
    "another coding": _coded(" xchunked"),
    "coding and parameter": _coded(" chunked;q=1"),
    "coding in quotes": _coded(' "chunked"'),
    "coding before a comma": _coded(" chunked,"),
    "no coding": _coded(" "),
    "identity": _coded(" identity"),
    "chunks, then another": _coded(" chunked, identity"),
    "chunks twice": _post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "two codings": _post("Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "coding behind a vertical tab": _coded("\x0bchunked"),
    "coding behind a zero byte": _coded("\x00chunked"),
    "coding on the next line": _coded("\r\n chunked"),
    "coding before a colon with a blank": _post("Transfer-Encoding : chunked", body="0\r\n\r\n"),
    "coding under a strange name": _post("Transfer\xadEncoding: chunked", body="0\r\n\r\n"),
    # Chunks.
    "chunk beyond 64 bits": _chunked("FFFFFFFFFFFFFFFFF\r\n{"),
    "chunk below zero": _chunked("-2\r\n{}\r\n0\r\n\r\n"),
    "chunk in C's way": _chunked("0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk with a blank": _chunked("2 \r\n{}\r\n0\r\n\r\n"),
    "chunk without a size": _chunked("\r\n{}\r\n0\r\n\r\n"),
    "chunk ended by a line feed": _chunked("2\n{}\r\n0\r\n\r\n"),
    "chunk longer than it says": _chunked("1\r\n{}\r\n0\r\n\r\n"),
    "chunk without its end": _chunked("2\r\n{}0\r\n\r\n"),
    "line feed in an extension": _chunked("2;a\n=b\r\n{}\r\n0\r\n\r\n"),
    "length as a trailer": _chunked(f"2\r\n{{}}\r\n0\r\nContent-Length: 9\r\n\r\n{_EVIL}"),
    # Ends of lines.
    "line feeds alone": "GET /healthz HTTP/1.1\nHost: localhost\n\n",
    "one line feed alone": "GET /healthz HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
    "carriage return alone": "GET /healthz HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
    "line feed at the end": "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\n",
    # Names and values.
    "zero byte in a name": _get("/healthz", "HTTP/1.1", "X\x00: y"),
    "zero byte in a value": _get("/healthz", "HTTP/1.1", "X: \x00"),
    "control byte in a value": _get("/healthz", "HTTP/1.1", "X: \x01"),
    "escape in a value": _get("/healthz", "HTTP/1.1", "User-Agent: \x1b[31m"),
    "delete in a value": _get("/healthz", "HTTP/1.1", "X: \x7f"),
    "high byte in a name": _get("/healthz", "HTTP/1.1", "X\xff: y"),
    "blank in a name": _get("/healthz", "HTTP/1.1", "X Y: z"),
    "no name": _get("/healthz", "HTTP/1.1", ": y"),
    "no colon": _get("/healthz", "HTTP/1.1", "X"),
    "folded value": _get("/healthz", "HTTP/1.1", "X: y", " z"),
    "fold before the first header": "GET /healthz HTTP/1.1\r\n Host: localhost\r\n\r\n",
    # Addresses.
    "address of another host": _get("http://evil.example/healthz"),
    "address with a user": _get("http://localhost@evil.example/healthz"),
    "address with our name as the user": _get("http://user@localhost/healthz"),
    "address without a path": _get("http://evil.example"),
    "other scheme": _get("file:///etc/passwd"),
    "address that begins with @": _get("@evil.example"),
    "address without a slash": _get("healthz"),
    "no address": "GET HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "blank in the address": _get("/healthz /evil"),
    "zero byte in the address": _get("/healthz\x00"),
    "control byte in the address": _get("/healthz\x01"),
    "high byte in the address": _get("/\xff"),
    # Versions, methods, other protocols.
    "HTTP/0.9": "GET /healthz HTTP/0.9\r\n\r\n",
    "HTTP/1.2": _get("/healthz", "HTTP/1.2"),
    "HTTP/1.10": _get("/healthz", "HTTP/1.10"),
    "HTTP/2.0": _get("/healthz", "HTTP/2.0"),
    "HTTP/2.0 that would be kept": _get("/healthz", "HTTP/2.0", "Connection: keep-alive"),
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version in small letters": _get("/healthz", "http/1.1"),
    "blank behind the version": _get("/healthz", "HTTP/1.1 "),
    "method in small letters": _get().replace("GET", "get"),
    "unknown method": _get().replace("GET", "FROB"),
    "tabs": "GET\t/healthz\tHTTP/1.1\r\nHost: localhost\r\n\r\n",
    "tunnel": f"CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost\r\n\r\n{_EVIL}",
    "tunnel to a path": f"CONNECT / HTTP/1.1\r\nHost: localhost\r\n\r\n{_EVIL}",
    "tunnel over WebSocket": _get("/", "HTTP/1.1", *_UPGRADE).replace("GET", "CONNECT"),
    "WebSocket with a body": _get("/", "HTTP/1.1", *_UPGRADE, "Content-Length: 2") + "{}" + _EVIL,
    "WebSocket by POST": _post(*_UPGRADE, "Content-Length: 2", body="{}" + _EVIL),
    "TLS": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 32,
    "SSH": "SSH-2.0-OpenSSH_9.2\r\n",
    "mail": "EHLO localhost\r\n",
    "PROXY protocol": f"PROXY TCP4 1.2.3.4 5.6.7.8 1 80\r\n{_get()}",
}
_SERVED = {
    "blanks around a length": (_sized("   2 \t", body="{}"), (422,)),
    "chunks in capitals": (_coded(" CHUNKED", "2\r\n{}\r\n0\r\n\r\n"), (422,)),
    "chunks behind a tab": (_coded("\tchunked", "2\r\n{}\r\n0\r\n\r\n"), (422,)),
    "extension in good order": (_chunked('2;a="b"\r\n{}\r\n0\r\nX: y\r\n\r\n'), (422,)),
    "packed chunks, read as they are": (_coded(" gzip, chunked", "2\r\n{}\r\n0\r\n\r\n"), (422,)),
    "empty lines before": (f"\r\n\r\n{_get()}", (200,)),
    "high byte in a value": (_get("/healthz", "HTTP/1.1", "X: \xff"), (200,)),
    "our address in full": (_get("http://LOCALHOST/healthz"), (200,)),
    "two slashes": (_get("//evil.example/healthz"), (404,)),
    "@ in the path": (_get("/@evil.example"), (404,)),
    "coded line break in the path": (_get("/%0d%0aSet-Cookie:%20a=b"), (404,)),
    "two in one piece": (_get() * 2, (200, 200)),
    "body that looks like a request": (_sized(f" {len(_EVIL)}", body=_EVIL), (400,)),
    "GET with a body": (
        _get("/healthz", "HTTP/1.1", f"Content-Length: {len(_EVIL)}") + _EVIL + _get(),
        (200, 200),
    ),
    "request behind the last one": (
        _get("/healthz", "HTTP/1.1", "Connection: close") + _EVIL,
        (200,),
    ),
    "request behind one of HTTP/1.0": (_get("/healthz", "HTTP/1.0") + _EVIL, (200,)),
    "wish for HTTP/2": (
        _get("/healthz", "HTTP/1.1", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"),
        (200,),
    ),
    "wish for HTTP/2, with a body": (
        _post("Connection: Upgrade", "Upgrade: h2c", "Content-Length: 2", body="{}") + _get(),
        (422, 200),
    ),
    "wish for another protocol, body in chunks": (
        _post(
            *("Connection: Upgrade", "Upgrade: TLS/1.0", "Transfer-Encoding: chunked"),
            body="2\r\n{}\r\n0\r\n\r\n",
        ),
        (422,),
    ),
}

REFUSED = {name: sent.encode("latin-1") for name, sent in _REFUSED.items()}
"""Each is answered once: 400, and the connection closed."""
SERVED = {name: (sent.encode("latin-1"), statuses) for name, (sent, statuses) in _SERVED.items()}
"""Each is taken as what it is, with these answers and no others."""
