"""Methods, addresses and header lines that nobody expects."""

from collections.abc import Iterator

from tests.support.nasty.requests import DECK, Known, Sent, list_routes, to_wire

HEADER_NAMES = (
    *(b"Idempotency-Key", b"X-Request-Id", b"traceparent", b"tracestate", b"Last-Event-ID"),
    *(b"Prefer", b"If-None-Match", b"If-Modified-Since", b"If-Range", b"Range", b"Accept"),
    *(b"Accept-Language", b"Accept-Encoding", b"Origin", b"Referer", b"Cookie", b"Authorization"),
    *(b"Sec-Fetch-Site", b"X-Forwarded-For", b"X-Forwarded-Host", b"X-HTTP-Method-Override"),
    *(b"Access-Control-Request-Method", b"Access-Control-Request-Headers", b"Forwarded"),
)
HEADER_VALUES = (
    *(b"", b" ", b"\t", b",", b";", b"=", b'"', b'""', b'"a', b"*", b"-", b"-1", b"0", b"null"),
    *(
        b"9" * 5000,
        b"a" * 8000,
        b"caf\xe9",
        b"\xff\xfe",
        "字".encode(),
        b"\xc2\xb2",
        b"\xed\xa0\x80",
    ),
    *(b"1e999", b"nan", b"inf", b"0x10", b"99999999999999999999", b"\xb2", b"\xb9\xb2\xb3", b"1_0"),
    *(b"en;q=nan", b"zh;q=inf", b"zh;q=-1", b"zh;q=1e999,en;q=" + b"9" * 400, b"," * 5000),
    *(b"bytes=0-0", b"bytes=-0", b"bytes=5-2", b"bytes=99999999-", b"bytes=-", b"bytes=a-b"),
    *(b"items=0-1", b"bytes=" + b"0-1," * 500, b"bytes=0-" + b"9" * 400, b"bytes=-" + b"9" * 5000),
    *(
        b"bytes=\xb2-\xb3",
        b"bytes=0-1,1-2,-5",
        b"bytes 0-1/2",
        b"bytes=" + b",".join([b"0-"] * 1300),
    ),
    *(b"respond-async", b"respond-async, wait=0", b"wait=99999999999", b'W/"1-en"', b'W/"' * 500),
    *(
        b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
        b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00",
    ),
    *(b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", b"k=v," * 500, b"k@v=\x7f", b"00-zz"),
    *(b"http://evil.example", b"http://localhost:1", b"file://", b"http://[", b"http://\xff"),
    *(b"Bearer", b"Bearer ", b"Bearer " + b"x" * 5000, b"Basic !!!", b"Basic " + b"QQ==" * 500),
    *(
        b'slideloom_token="' + b"\\" * 15_000,
        b"slideloom_token=" + b"a" * 64,
        b"slideloom_token=\xff;",
    ),
    *(b"a=1; a=2; =; ;;;", b"slideloom=" + b"x" * 4000, b"$Version=1", b"gzip;q=0, *;q=0", b"br"),
    *(
        b"a\x00b",
        b"a\x1b[31mb",
        b"a\x7fb",
        b"a\x0bb",
        b"\x85",
        b"a\r\n b",
        b"Mon, 99 Foo 0000 99:99",
    ),
    *(b"Thu, 01 Jan 1970 00:00:00 GMT", b"Fri, 31 Dec 999999 23:59:59 GMT", b"cross-site", b"PUT"),
    *(b"${jndi:ldap://x}", b"() { :; }; echo", b"{0}", b"%s%n%00", b"../../etc/passwd"),
)
_READ_BY = {
    b"Idempotency-Key": b"POST /api/slide/batch/generate",
    b"Prefer": b"POST /api/slide/batch/generate",
    b"Cookie": b"GET /api/sign-in",
    b"Authorization": b"GET /api/sign-in",
    b"Last-Event-ID": b"GET /api/slide/batch/unknown/events",
    b"If-None-Match": b"GET /api/slide/batch/%(batch)s",
    b"If-Modified-Since": b"GET /static/page.css",
    b"If-Range": b"GET /assets/%(picture)s",
    b"Range": b"GET /assets/%(picture)s",
    b"Accept-Encoding": b"GET /static/page.css",
    b"Access-Control-Request-Method": b"OPTIONS /api/slide/batch/generate",
    b"Access-Control-Request-Headers": b"OPTIONS /api/slide/batch/generate",
}
"""Where a header counts; the others everywhere."""


def bad_headers(known: Known) -> Iterator[Sent]:
    there = {b"batch": known.batch_id.encode(), b"picture": known.picture.encode()}
    for name in HEADER_NAMES:
        method, _, path = _READ_BY.get(name, b"GET /api/slide/batch").partition(b" ")
        target = path % there
        body = DECK if method == b"POST" else None
        more = [(b"Origin", b"http://localhost:5173")] if method == b"OPTIONS" else []
        for value in map(one_line, HEADER_VALUES):
            lines = ((name, value), *more)
            wire = to_wire(target, *lines, method=method, body=body)
            yield Sent(name=f"{name.decode()}: {value[:40]!r}", wire=wire)
        twice = (name, one_line(HEADER_VALUES[0])), (name, b"1")
        wire = to_wire(target, *twice, *more, method=method, body=body)
        yield Sent(name=f"{name.decode()} twice", wire=wire)
    many = [(b"X-%d" % number, b"x" * 50) for number in range(500)]
    yield Sent(name="500 headers", wire=to_wire(b"/healthz", *many))
    yield Sent(name="a header of 60 KB", wire=to_wire(b"/healthz", (b"X", b"x" * 60_000)))
    yield Sent(
        name="HEAD with a range",
        is_head=True,
        wire=to_wire(b"/assets/%(picture)s" % there, (b"Range", b"bytes=-0"), method=b"HEAD"),
    )


PATH_PARTS = (
    *(b"%00", b"%", b"%2", b"%zz", b"%2f", b"%2F%2e%2e", b"..", b"../..", b"%2e%2e%2f", b"..%5c"),
    *(
        b"%252e",
        b"%c0%ae",
        b"%ff",
        b"%ed%a0%80",
        b"%e2%80%a8",
        b"%0a",
        b"%0d%0aX:%20y",
        b"%20",
        b"+",
    ),
    *(
        b"//",
        b"\\",
        b";a=b",
        b"?",
        b"%3f",
        b"@x",
        b":80",
        b"[::1]",
        b"~",
        b"*",
        b".",
        b"...",
        b"CON",
    ),
    *(b"%D9%A1", b"\xff", "字".encode(), b"a" * 3000, b"%61" * 1000, b"/" * 1000, b"%F0%9F%98%80"),
    *(b"null", b"undefined", b"NaN", b"-1", b"0", b"1e9", b"9" * 400, b"' OR 1=1--", b"{batch_id}"),
    *(
        b"generate",
        b"status",
        b"estimate",
        b"active-count",
        b"events",
        b"ws",
        b"export.exe",
        b"%2e",
    ),
)
QUERIES = (
    *(
        b"limit=",
        b"limit=0",
        b"limit=-1",
        b"limit=201",
        b"limit=1e2",
        b"limit=%D9%A3",
        b"limit=%C2%B2",
    ),
    *(
        b"limit=" + b"9" * 4000,
        b"limit=1&limit=x",
        b"limit=NaN",
        b"limit=%00",
        b"limit=1%00",
        b"limit=+1",
    ),
    *(
        b"cursor=",
        b"cursor=x",
        b"cursor=_",
        b"cursor=1_",
        b"cursor=nan_x",
        b"cursor=inf_",
        b"cursor=-1_a",
    ),
    *(b"cursor=1e5_x", b"cursor=" + b"9" * 12 + b"." + b"9" * 12 + b"_x", b"cursor=%D9%A1_x"),
    *(b"cursor=1_%00", b"cursor=1_%ff", b"cursor=1_%ed%a0%80", b"cursor=" + b"9" * 4000 + b"_a"),
    *(
        b"after=-1",
        b"after=x",
        b"after=9999999999",
        b"after=%D9%A1",
        b"after=" + b"9" * 4000,
        b"lang=xx",
    ),
    *(
        b"slides_count=",
        b"slides_count=0",
        b"slides_count=201",
        b"slides_count=3.0",
        b"slides_count[]=1",
    ),
    *(
        b"w=320",
        b"w=-1",
        b"w=320&w=640",
        b"w=%00",
        b"download=1",
        b"download=%0d%0aX:y",
        b"v=" + b"x" * 8000,
    ),
    *(
        b"%",
        b"%zz",
        b"&&&&",
        b"=&=&=",
        b"a" * 30_000,
        b"a=1&" * 8000,
        b"\xff\xfe",
        b"a=\"'<>`{}|^",
        b"??",
    ),
)


def bad_targets(known: Known) -> Iterator[Sent]:
    batch = b"/api/slide/batch/"
    for part in PATH_PARTS:
        for target, method in (
            (batch + part, b"GET"),
            (batch + part + b"/cancel", b"POST"),
            (batch + known.batch_id.encode() + b"/slides/" + part + b"/regenerate", b"POST"),
            (
                batch + known.batch_id.encode() + b"/slides/s1/versions/" + part + b"/restore",
                b"POST",
            ),
            (batch + part + b"/export.pdf", b"GET"),
            (b"/api/sessions/" + part + b"/logs", b"GET"),
            (b"/assets/" + part, b"GET"),
            (b"/static/" + part, b"GET"),
            (b"/static/v-000000000000/" + part, b"GET"),
            (b"/" + part, b"GET"),
        ):
            wire = to_wire(target, method=method, body=None)
            yield Sent(name=f"{method.decode()} {target[:80]!r}", wire=wire)
    for query in QUERIES:
        for path in (
            *(b"/api/slide/batch", b"/api/slide/batch/config/optimal", b"/", b"/static/page.css"),
            *(b"/api/slide/batch/unknown/events", b"/assets/" + known.picture.encode()),
        ):
            yield Sent(name=f"{path[:40]!r} ?{query[:40]!r}", wire=to_wire(path + b"?" + query))


METHODS = (
    *(b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"PROPFIND", b"SEARCH", b"PURGE"),
    *(
        b"get",
        b"Post",
        b"CONNECT",
        b"PRI",
        b"M-SEARCH",
        b"X",
        b"G" * 3000,
        b"GET\xff",
        b"G\0T",
        b"QUERY",
    ),
)


def bad_methods(known: Known) -> Iterator[Sent]:
    for method in METHODS:
        for target, _, body in list_routes(known):
            wire = to_wire(target, method=method, body=body)
            yield Sent(
                name=f"{method[:20]!r} {target[:60]!r}", wire=wire, is_head=method == b"HEAD"
            )


def one_line(value: bytes) -> bytes:
    """A value that ends no header: what goes on behind one is in the framing's corpus."""
    return value.replace(b"\r", b" ").replace(b"\n", b" ")
