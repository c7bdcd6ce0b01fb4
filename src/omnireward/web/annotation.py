"""The annotation page: on which people write criteria, check them, and vote which of two responses is better.

    annotate ── files() ──▶ a browser ── /api/… ──▶ annotate

Plain HTML, CSS and JavaScript as package data, like the playground: no build step and nothing from another host. What
others wrote reaches the page as text only, and `HEADERS` allow no script but these files. The one style that is not a
file is model-viewer's own, named by its hash.

Unusual: model-viewer lies here compressed and is sent so. Every browser that can show the page takes gzip.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files as resources

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; "
        "style-src 'self' 'sha256-PXtZZkJMMyc18o/DN1ZEFOJ2qEGq95IQbVaJFMOXOb0='; "
        "img-src 'self' blob:; media-src 'self'; connect-src 'self' blob:; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""What each file of the page should be sent with. The page holds the same policy itself, as far as a page can."""

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_VENDORED = "model-viewer.min.js.gz"


def files() -> Mapping[str, tuple[Mapping[str, str], bytes]]:
    """The files by path: the page at ``/``, its own below ``/annotate/``; each its headers and its bytes.

    >>> files()["/vendor/model-viewer.min.js"][0]["Content-Encoding"]
    'gzip'
    """
    found = {}
    for file in sorted(resources("omnireward.web").joinpath("annotate").iterdir(), key=lambda file: file.name):
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None and file.is_file():  # an editor's leftovers are not served
            path = "/" if file.name == "index.html" else f"/annotate/{file.name}"
            found[path] = {**HEADERS, "Content-Type": f"{kind}; charset=utf-8"}, file.read_bytes()
    library = resources("omnireward.web").joinpath("vendor", _VENDORED).read_bytes()
    headers = {**HEADERS, "Content-Type": "text/javascript; charset=utf-8", "Content-Encoding": "gzip"}
    found[f"/vendor/{_VENDORED.removesuffix('.gz')}"] = headers, library
    return found
