"""Texts that are scripts where a page takes them for HTML, and what shows that one did.

Source: reliability R20; the families are those of OWASP's cheat sheet on filter evasion.
"""

from collections.abc import Sequence
from typing import Any, Final

from playwright.async_api import BrowserContext, Page

SCRIPTS: Final = (
    "<script>hit()</script>",
    "<script src=data:text/javascript,hit()></script>",
    "</script><script>hit()</script>",
    "</title><script>hit()</script>",
    "</textarea><script>hit()</script>",
    "</style><script>hit()</script>",
    "</pre></code><script>hit()</script>",
    "<img class=hit src=x onerror=hit()>",
    '"><img class=hit src=x onerror=hit()>',
    "'><img class=hit src=x onerror=hit()>",
    "--><img class=hit src=x onerror=hit()>",
    "]]><img class=hit src=x onerror=hit()>",
    "`><img class=hit src=x onerror=hit()>",
    '" onmouseover="hit()" onfocus="hit()" autofocus x="',
    "' onmouseover='hit()' onfocus='hit()' autofocus x='",
    "<svg class=hit onload=hit()>",
    "<svg/onload=hit()//",
    "<svg class=hit><script>hit()</script></svg>",
    "<svg class=hit><animate onbegin=hit() attributeName=x dur=1s>",
    "<svg><style><img class=hit src=x onerror=hit()></style></svg>",
    "<math class=hit><mglyph><style><img src=x onerror=hit()></style></mglyph></math>",
    '<noscript><p title="</noscript><img class=hit src=x onerror=hit()>">',
    "<iframe class=hit srcdoc='<script>parent.hit()</script>'></iframe>",
    "<iframe class=hit src=javascript:parent.hit()></iframe>",
    "<object class=hit data=javascript:hit()></object>",
    "<embed class=hit src=javascript:hit()>",
    "<a class=hit href=javascript:hit()>x</a>",
    "<form class=hit><button formaction=javascript:hit()>x</button></form>",
    "<details class=hit open ontoggle=hit()>",
    "<video class=hit><source onerror=hit()></video>",
    "<audio class=hit src=x onerror=hit()>",
    "<body onload=hit()>",
    "<input class=hit autofocus onfocus=hit()>",
    "<marquee class=hit onstart=hit()>x</marquee>",
    "<base href=//evil.test/>",
    '<meta http-equiv=refresh content="0;url=javascript:hit()">',
    "<link rel=stylesheet href=data:text/css,*{display:none}>",
    "<style>*{display:none!important}</style>",
    "<template class=hit><script>hit()</script></template>",
    "<x-hit class=hit>",
    "&lt;img class=hit src=x onerror=hit()&gt;",
    "&#60;img class=hit src=x onerror=hit()&#62;",
    "\\u003cimg class=hit src=x onerror=hit()\\u003e",
    "%3Cimg%20class=hit%20src=x%20onerror=hit()%3E",
    "+ADw-script+AD4-hit()+ADw-/script+AD4-",
    "<scr\u200bipt>hit()</scr\u200bipt><\u0130mg src=x onerror=hit()>",
    "javascript:hit()",
    "java\tscript:hit()",
    "JaVaScRiPt://%0ahit()",
    "data:text/html,<script>parent.hit()</script>",
    "vbscript:hit()",
    "//evil.test/x.js",
    "[x](javascript:hit()) ![x](javascript:hit()) <javascript:hit()>",
    '![x"onerror="hit()](x)',
    "{{constructor.constructor('hit()')()}} ${hit()} #{hit()} <%= hit() %>",
    '"};hit();//',
    "';hit();//",
    "`;hit();//${hit()}",
    "#112233;background:url(javascript:hit())",
    "expression(hit()) #ffffff} *{display:none}",
    '{"__proto__":{"dangerouslySetInnerHTML":{"__html":"<img class=hit src=x onerror=hit()>"}}}',
)
_LISTEN: Final = """
window.hits = [];
window.hit = (...told) => { hits.push("script " + told); };
for (const name of ["alert", "confirm", "prompt", "print", "open"]) {
  window[name] = (...told) => { hits.push(name + " " + told); return null; };
}
addEventListener("securitypolicyviolation", event => {
  hits.push(`policy ${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""
_LOOK: Final = """() => {
  const faults = [...hits];
  const roots = [document];
  for (let root; (root = roots.pop()); ) {
    for (const one of root.querySelectorAll("*")) {
      if (one.shadowRoot) roots.push(one.shadowRoot);
      const name = one.localName;
      const isForeign = one.matches(".hit") || ["iframe", "object", "embed", "base", "x-hit",
        "marquee", "math", "audio", "video", "template"].includes(name);
      if (isForeign) faults.push("element " + one.outerHTML.slice(0, 200));
      if (name === "script" && !one.src) faults.push("script " + one.outerHTML.slice(0, 200));
      if (name === "meta" && one.httpEquiv) faults.push("meta " + one.outerHTML);
      for (const { name: key, value } of one.attributes) {
        if (/^on/i.test(key)) faults.push(`attribute ${key} ${value}`);
        const isAddress = ["href", "src", "action", "formaction", "data"].includes(key);
        const wanted = /^(#|\\/|blob:|data:image\\/|https?:\\/\\/)/;
        if (isAddress && value && !wanted.test(value)) faults.push(`address ${value}`);
        if (isAddress && value.includes("evil.test")) faults.push(`address ${value}`);
      }
    }
  }
  return faults;
}"""


_VISIT: Final = """async ([places, wait_ms]) => {
  const look = LOOK;
  const faults = [];
  for (const place of places) {
    location.hash = place;
    await new Promise(resume => setTimeout(resume, wait_ms));
    faults.push(...look().map(fault => `${place}: ${fault}`));
  }
  return faults;
}""".replace("LOOK", _LOOK)


async def listen(context: BrowserContext) -> None:
    """Have every page of the context note what runs."""
    await context.add_init_script(_LISTEN)


async def find_hits(page: Page) -> list[str]:
    """Scripts that ran, and elements, handlers and addresses that no text may make."""
    found: Any = await page.evaluate(_LOOK)
    return [str(one) for one in found]


async def visit(page: Page, places: Sequence[str], *, wait_ms: int) -> list[str]:
    """The same at one place of the page after another."""
    found: Any = await page.evaluate(_VISIT, [list(places), wait_ms])
    return [str(one) for one in found]
