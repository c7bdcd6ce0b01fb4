"""Draws docs/images/annotate.png: ``python -m tests.web.picture_annotate FILE``, a vote on two made-up 3D objects.

Counts and names on it are examples.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from tests.web import browser
from tests.web.fake_annotate import Study, studying, text, vote
from tests.web.visitor import visiting

from omnireward.miniature.solids import Solid, glb

_LEFT = Solid(colour="orange", form="cylinder", tall=0.35, light=1.0, stripes=1.0, plate=True, turn=0.4)
_RIGHT = Solid(colour="blue", form="cone", tall=1.0, light=1.0, stripes=0.0, plate=True, turn=0.9)
_CRITERION = "The object should stand safely: low and wide rather than tall, and on a base that carries it."
_DONE = 17  # items that the example's person has done


def main(arguments: list[str]) -> None:
    """Show one item of several, once both objects are drawn."""
    program = browser.find()
    assert program is not None, f"none of {', '.join(browser.NAMES)} is installed"
    browser._PATIENCE = 120.0  # without a graphics card the first object takes its time
    media = {f"{name}.glb": ("model/gltf-binary", glb(solid)) for name, solid in (("l", _LEFT), ("r", _RIGHT))}
    left, right = ({"kind": "mesh", "url": f"/media/{name}.glb", "views": []} for name in "lr")
    asked = [{"role": "user", "content": [text("Make a 3D model of a sturdy garden ornament with a base.")]}]
    items = [vote(f"v{i}", [left], [right], task="T23D", criterion=_CRITERION, prompt=asked) for i in range(50)]
    study = Study(items, media)
    study.answers = {str(i): (f"v{i}", {"side": "left"}, 9.0) for i in range(_DONE)}
    with (
        tempfile.TemporaryDirectory() as folder,
        studying(study),
        browser.running(program, Path(folder)) as started,
        visiting(started) as visitor,
    ):
        visitor.goto(study.link)
        visitor.ready()
        visitor.wait("document.querySelectorAll('.mesh > .mesh[data-shown=object]').length === 2", 120)
        visitor.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = Image.open(io.BytesIO(visitor.picture())).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(arguments[0], optimize=True)


if __name__ == "__main__":
    main(sys.argv[1:])
