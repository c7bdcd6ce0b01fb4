"""Draws docs/images/playground.png: ``python -m tests.web.picture FILE [URL]``, with the page of a server at URL.

Without URL the answers are made up by hand, and the picture calls the model an example.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from tests.web import browser
from tests.web.fake import Fake, faking

from omnireward.miniature.world import World, samples
from omnireward.types import Media, Part, Sample, Text

_CLUSTER = "T2I-8"
# Of the responses under the cluster's three criteria; the signs of their differences are those of its preferences.
_MADE_UP = ((-0.62, 1.84), (1.12, -0.35), (0.71, 0.18))


class _Example(Fake):
    """Answers by hand, in order."""

    def answer(self, path: str, body: Mapping[str, Any], authorization: str) -> tuple[int, Any]:
        self.asked.append((path, body))
        row = [{"value": value} for value in _MADE_UP[len(self.asked) - 1]]
        return 200, {"model": "an example, with made-up rewards", "revision": "", "rewards": [row], "raw": True}


def main(arguments: list[str]) -> None:
    """Ask about pictures of the miniature world under several criteria, one after another."""
    program = browser.find()
    assert program is not None, f"none of {', '.join(browser.NAMES)} is installed"
    asked = [sample for sample in samples(World(prompts=12), "test") if sample.cluster == _CLUSTER]
    first, criteria = asked[0], [sample.comparison.criterion for sample in asked]
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(arguments[1:]) as url,
        browser.running(program, Path(folder) / "profile") as started,
    ):
        tab = started.open(url, width=1180, height=820)
        _fill(tab, first, Path(folder))
        for count, criterion in enumerate(criteria, 1):
            tab.write("#criteria input", criterion)
            tab.press("Enter")
            tab.wait(f"document.querySelectorAll('.row').length === {count}")
        picture = Image.open(io.BytesIO(tab.picture())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(arguments[0], optimize=True)


@contextmanager
def _server(urls: list[str]) -> Iterator[str]:
    if urls:
        yield urls[0]
    else:
        with faking(_Example()) as fake:
            yield fake.url


def _fill(tab: browser.Tab, sample: Sample, folder: Path) -> None:
    said = [part.text for turn in sample.comparison.prompt for part in turn.content if isinstance(part, Text)]
    tab.write("#prompt textarea", "\n".join(said))
    for i, side in enumerate(("a", "b"), 1):
        parts: tuple[Part, ...] = sample.comparison.response_a if side == "a" else sample.comparison.response_b
        (medium,) = [part for part in parts if isinstance(part, Media)]
        (data,) = medium.pieces()
        file = folder / f"{side}.png"
        file.write_bytes(data if isinstance(data, bytes) else data.read_bytes())
        tab.choose(f"#responses .composer:nth-child({i}) input[type=file]", [file])
    tab.wait("[...document.querySelectorAll('.files img')].filter((image) => image.naturalWidth).length === 2")


if __name__ == "__main__":
    main(sys.argv[1:])
