"""The page's files: both languages whole, nothing inline, nothing from elsewhere, and light."""

import base64
import gzip
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "static"
VENDOR = STATIC / "vendor"
PAGES = [STATIC / "index.html", STATIC / "docs.html"]
VIEWER = {"docs.js", "docs.css"}
"""Files of the API viewer's page, which the page itself never loads."""

MODULES = sorted(path for path in STATIC.glob("*.js") if path.name not in VIEWER)
STYLES = sorted(path for path in STATIC.glob("*.css") if path.name not in VIEWER)
WORDS = {lang: STATIC / f"words-{lang}.js" for lang in ("en", "zh")}
"""A reader loads one of them; the page names the English ones, the service the reader's."""
MAX_GZIPPED_BYTES = 60_000
MAX_MODULE_LINES = 250

WORD = re.compile(r'^  "([\w.]+)": "(.*)",$', re.MULTILINE)
IMPORT = re.compile(r'(?:from|import) "(\./[\w./-]+)"')
PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text inside `script` and `style`."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline_code = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in {"script", "style"}:
            self.inline_code += data.strip()


def read_tags(page: Path) -> Tags:
    tags = Tags()
    tags.feed(page.read_text("utf-8"))
    return tags


def read_words(lang: str) -> dict[str, str]:
    words = WORD.findall((STATIC / f"words-{lang}.js").read_text("utf-8"))
    assert len(words) == len(dict(words)), f"words-{lang}.js has a key twice"
    return dict(words)


def read_code() -> str:
    return "\n".join(path.read_text("utf-8") for path in MODULES if "words-" not in path.name)


def imported_by(module: Path) -> set[Path]:
    return {(module.parent / name).resolve() for name in IMPORT.findall(module.read_text("utf-8"))}


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    en, zh = read_words("en"), read_words("zh")
    assert len(en) > 100
    assert list(en) == list(zh)
    for key, text in en.items():
        assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(zh[key])), key


def test_no_line_of_the_word_files_escapes_this_test() -> None:
    for lang in ("en", "zh"):
        lines = (STATIC / f"words-{lang}.js").read_text("utf-8").splitlines()
        assert sum(line.startswith("  ") for line in lines) == len(read_words(lang))


def test_every_key_used_exists_and_every_key_is_used() -> None:
    words, code = set(read_words("en")), read_code()
    plain = set(re.findall(r'\bt\(\s*"([\w.]+)"', code))
    plurals = {
        f"{key}.{n}" for key in re.findall(r'\btn\("([\w.]+)"', code) for n in ("one", "other")
    }
    assert plain | plurals <= words
    families = set(re.findall(r"`(\w+\.)\$\{", code))
    quoted = set(re.findall(r'"([a-z]\w*\.[\w.]+)"', code))
    unused = {
        key
        for key in words - plurals - quoted
        if not any(key.startswith(family) for family in families)
    }
    assert not unused


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_nothing_inline_and_nothing_from_another_host(page: Path) -> None:
    read = read_tags(page)
    assert not read.inline_code
    for tag, attributes in read.tags:
        assert tag != "style"
        assert tag != "base"
        for name, value in attributes.items():
            assert name != "style", f"<{tag}>"
            assert not name.startswith("on"), f"<{tag} {name}>"
            if name in {"src", "href", "srcset", "action"}:
                assert "//" not in (value or ""), f"<{tag} {name}>"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_static_file_a_page_names_is_there(page: Path) -> None:
    for _, attributes in read_tags(page).tags:
        for name in ("src", "href"):
            address = attributes.get(name) or ""
            if address.startswith("/static/"):
                assert (STATIC / address.removeprefix("/static/")).is_file(), address


def test_code_and_styles_load_nothing_from_another_host() -> None:
    for path in [*MODULES, *STYLES, STATIC / "docs.js", STATIC / "docs.css"]:
        loads = re.findall(
            r"""(?:url\(|@import|fetch\(|import\(|from|src=)\s*["'`]?\w*:?//""",
            path.read_text("utf-8"),
        )
        assert not loads, path.name


def test_the_page_never_builds_html_or_code_from_strings() -> None:
    html = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet"
    forbidden = html + r"|\beval\(|new Function"
    assert not re.search(forbidden, read_code())


def test_the_page_preloads_exactly_the_modules_it_imports() -> None:
    seen: set[Path] = set()
    waiting = {STATIC / "main.js"}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        if module.name == "i18n.js":
            waiting |= set(WORDS.values())
        if module.parent == STATIC:
            waiting |= imported_by(module) - seen
    preloaded = {
        STATIC / (attributes["href"] or "").removeprefix("/static/")
        for tag, attributes in read_tags(STATIC / "index.html").tags
        if tag == "link" and attributes.get("rel") == "modulepreload"
    }
    assert preloaded == seen - {STATIC / "main.js", WORDS["zh"]}
    assert {path for path in seen if path.parent == STATIC} == set(MODULES), (
        "a module nobody imports"
    )


@pytest.mark.parametrize("lang", WORDS)
def test_scripts_and_styles_weigh_at_most_60_kb_gzipped(lang: str) -> None:
    words = WORDS[lang]
    files = {*MODULES, *STYLES, VENDOR / "htm-preact.js"} - {*WORDS.values()} | {words}
    weight = sum(len(gzip.compress(path.read_bytes(), 9)) for path in files)
    assert weight <= MAX_GZIPPED_BYTES


def test_every_module_tells_one_short_story() -> None:
    for path in [*MODULES, STATIC / "docs.js"]:
        text = path.read_text("utf-8")
        assert text.startswith("/**"), path.name
        assert len(text.splitlines()) <= MAX_MODULE_LINES, path.name


def test_vendored_files_are_recorded_with_version_licence_and_their_own_hash() -> None:
    readme = (VENDOR / "README.md").read_text("utf-8")
    for path in sorted(VENDOR.rglob("*")):
        if path.is_dir() or path.name == "README.md":
            continue
        name = path.relative_to(VENDOR).as_posix()
        assert f"`{name}`" in readme, f"{name} is not in the README"
        if path.suffix == ".js":
            digest = base64.b64encode(hashlib.sha384(path.read_bytes()).digest()).decode()
            row = next(line for line in readme.splitlines() if digest in line)
            assert row.startswith(f"| `{name}` | `sha384-")
            assert re.search(r"`sha512-[A-Za-z0-9+/]{86}==` \|$", row)
            origin = next(
                line for line in readme.splitlines() if line.startswith(f"| `{name}` | `")
            )
            assert re.search(r"\| \d+\.\d+\.\d+ \| [^|]*(MIT|Apache-2\.0|BSD)", origin)
