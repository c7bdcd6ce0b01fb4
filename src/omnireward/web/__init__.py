"""The playground: a page on which a person tries prompts, responses and criteria against a running server.

    serve ── page() ──▶ a browser ── POST v1/rewards ──▶ serve

Plain HTML, CSS and JavaScript as package data: no build step, nothing from another host, nothing kept. The files say
nothing of the model, so they may be given to a caller without a key; the page asks for one when the server wants it.
What a user types reaches the page as text only, and `HEADERS` allow no script but the page's own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src blob:; "
        "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""What each file of the page should be sent with. The page holds the same policy itself, as far as a page can."""

_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def page() -> Mapping[str, tuple[str, bytes]]:
    """The files by path: the page itself at ``/``, what it loads below ``/web/``; each a content type and bytes.

    >>> page()["/"][0]
    'text/html; charset=utf-8'
    """
    found = {}
    for file in sorted(files("omnireward.web").joinpath("page").iterdir(), key=lambda file: file.name):
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind is not None and file.is_file():  # an editor's leftovers are not served
            path = "/" if file.name == "index.html" else f"/web/{file.name}"
            found[path] = (f"{kind}; charset=utf-8", file.read_bytes())
    return found
