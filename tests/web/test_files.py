"""The files that the page is made of: complete, from no other place, inert, small. No browser is needed."""

from __future__ import annotations

import posixpath
import re
from html.parser import HTMLParser

import pytest

from omnireward.web import HEADERS, page

FILES = page()
SCRIPTS = [path for path in FILES if path.endswith(".js")]


class Elements(HTMLParser):
    """Start tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def text(path: str) -> str:
    return FILES[path][1].decode()


ELEMENTS = Elements(text("/"))


def test_types_are_those_that_a_browser_insists_on() -> None:
    # With nosniff, a module or a style sheet of another type is refused.
    kinds = {path.rpartition(".")[2]: kind for path, (kind, _) in FILES.items() if path != "/"}
    assert kinds == {
        "css": "text/css; charset=utf-8",
        "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml; charset=utf-8",
    }
    assert FILES["/"][0] == "text/html; charset=utf-8"


def test_all_that_the_page_loads_is_there_and_relative() -> None:
    loaded = {a[n] or "" for _, a in ELEMENTS.tags for n in ("src", "href") if n in a}
    for script in SCRIPTS:
        loaded |= {
            posixpath.normpath(f"web/{name}") for name in re.findall(r'^import .* from "(.*)";$', text(script), re.M)
        }
    assert {f"/{path}" for path in loaded} == set(FILES) - {"/"}


@pytest.mark.parametrize("path", FILES)
def test_no_file_names_another_host(path: str) -> None:
    urls = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\"'\s]*", text(path))
    assert [url for url in urls if url != "http://www.w3.org/2000/svg"] == []


def test_no_script_style_or_handler_stands_in_the_page() -> None:
    assert "<style" not in text("/")
    assert [a for tag, a in ELEMENTS.tags if tag == "script" and "src" not in a] == []
    assert [n for _, a in ELEMENTS.tags for n in a if n == "style" or n.startswith("on")] == []


@pytest.mark.parametrize("path", SCRIPTS)
def test_no_script_makes_html_of_text_or_keeps_anything(path: str) -> None:
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|Storage|indexedDB|\.cookie"
    assert re.findall(ways, text(path)) == []


def test_the_page_s_own_policy_is_that_of_its_headers() -> None:
    (own,) = [a["content"] or "" for tag, a in ELEMENTS.tags if tag == "meta" and "http-equiv" in a]
    # A page cannot forbid its own framing: browsers ignore that word outside of headers, and complain.
    assert HEADERS["Content-Security-Policy"] == f"{own}; frame-ancestors 'none'"
    assert "unsafe" not in own


def test_ids_are_unique_and_what_refers_to_one_finds_it() -> None:
    ids = [a["id"] for _, a in ELEMENTS.tags if "id" in a]
    assert len(ids) == len(set(ids))
    names = ("for", "aria-controls", "aria-labelledby", "aria-describedby")
    assert {a[n] for _, a in ELEMENTS.tags for n in names if n in a} <= set(ids)
    looked_up = {
        name for script in SCRIPTS for name in re.findall(r'(?:byId|getElementById)\("([\w-]+)"\)', text(script))
    }
    assert looked_up <= set(ids)


def test_the_whole_is_small() -> None:
    # 60 kB: less than one of its own screenshots. It is sent uncompressed.
    assert sum(len(data) for _, data in FILES.values()) < 60_000
