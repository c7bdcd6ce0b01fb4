"""The files of the annotation page and what is vendored for it: complete, from no other place, inert. No browser."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from importlib.resources import files

import pytest
from tests.web.test_files import Elements

from omnireward.web import annotation, page

FILES = {path: (headers["Content-Type"], data) for path, (headers, data) in annotation.files().items()}
LIBRARY = "/vendor/model-viewer.min.js"
SCRIPTS = [path for path in FILES if path.endswith(".js") and path != LIBRARY]
VENDORED = files("omnireward.web").joinpath("vendor")


def text(path: str) -> str:
    return FILES[path][1].decode()


ELEMENTS = Elements(text("/"))


def test_all_that_the_page_loads_is_there_and_nothing_else() -> None:
    loaded = {f"/{a[n]}" for _, a in ELEMENTS.tags for n in ("src", "href") if n in a}
    for script in SCRIPTS:
        loaded |= {f"/annotate/{name}" for name in re.findall(r'^import .* from "\./(.*)";$', text(script), re.M)}
    assert loaded == set(FILES) - {"/", LIBRARY}
    assert f'"{LIBRARY}"' in text("/annotate/mesh.js")


def test_types_are_those_that_a_browser_insists_on() -> None:
    kinds = {path.rpartition(".")[2]: kind for path, (kind, _) in FILES.items() if path != "/"}
    assert kinds["css"] == "text/css; charset=utf-8"
    assert kinds["js"] == FILES[LIBRARY][0] == "text/javascript; charset=utf-8"
    assert FILES["/"][0] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/", *SCRIPTS])
def test_nothing_names_another_host_or_makes_html_of_text(path: str) -> None:
    assert re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\"'\s]*", text(path)) == []
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert re.findall(ways, text(path)) == []


def test_no_script_style_or_handler_stands_in_the_page() -> None:
    assert "<style" not in text("/")
    assert [a for tag, a in ELEMENTS.tags if tag == "script" and "src" not in a] == []
    assert [n for _, a in ELEMENTS.tags for n in a if n == "style" or n.startswith("on")] == []


def test_the_page_s_own_policy_is_that_of_its_headers() -> None:
    (own,) = [a["content"] or "" for tag, a in ELEMENTS.tags if tag == "meta" and "http-equiv" in a]
    assert annotation.HEADERS["Content-Security-Policy"] == f"{own}; frame-ancestors 'none'"
    assert "unsafe" not in own
    assert "script-src 'self';" in own


def test_ids_are_unique_and_what_refers_to_one_finds_it() -> None:
    ids = [a["id"] for _, a in ELEMENTS.tags if "id" in a]
    assert len(ids) == len(set(ids))
    names = ("for", "aria-controls", "aria-labelledby", "aria-describedby")
    assert {a[n] for _, a in ELEMENTS.tags for n in names if n in a} <= set(ids)
    made = {"end-figures", "note"}  # by scripts
    looked_up = {name for script in SCRIPTS for name in re.findall(r'byId\("([\w-]+)"\)', text(script))}
    assert looked_up - made <= set(ids)


def test_what_is_vendored_is_what_its_papers_say() -> None:
    packed = FILES[LIBRARY][1]
    library = gzip.decompress(packed)
    papers = VENDORED.joinpath("VENDORED.md").read_text("utf-8")
    assert hashlib.sha256(library).hexdigest() in papers
    assert f"{len(library):,} bytes" in papers
    assert packed[4:8] == bytes(4)  # no time of day: the same file packed again is the same
    assert len(packed) < 1_000_000
    assert "Apache License" in VENDORED.joinpath("LICENSE-model-viewer.txt").read_text("utf-8")
    bundled = VENDORED.joinpath("LICENSES-bundled.txt").read_text("utf-8")
    for name in ("three.js authors", "Arjun Barrett", "BSD 3-Clause", "MONOGRID", "Don McCurdy", "Kapoulkine"):
        assert name in bundled


def test_the_one_style_that_is_no_file_is_model_viewer_s() -> None:
    # The page's policy names its hash: a newer model-viewer with another style would be shown without any.
    found = re.findall(r"<style>(.*?)</style>", gzip.decompress(FILES[LIBRARY][1]).decode(), re.S)
    hashes = [hashlib.sha256(style.encode()).digest() for style in found]
    named = re.findall(r"'sha256-(.*?)'", annotation.HEADERS["Content-Security-Policy"])
    assert [base64.b64encode(one).decode() for one in hashes] == named


def test_the_page_is_small_and_its_icon_is_the_playground_s() -> None:
    # 120 kB uncompressed, beside 300 kB for model-viewer, which only 3D loads.
    assert sum(len(data) for path, (_, data) in FILES.items() if path != LIBRARY) < 120_000
    assert FILES["/annotate/icon.svg"][1] == page()["/web/icon.svg"][1]
