"""A sample in words."""

from __future__ import annotations

from pathlib import Path

from omnireward.sample_text import describe
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn


def test_a_sample_in_words() -> None:
    prompt = (Turn("system", (Text("be kind"),)), Turn("user", (Media("image", Path("cat.png")), Text("what?"))))
    comparison = Comparison(prompt, (Text("a cat"),), (Text("a \x1b[31mdog"),))
    assert describe(Sample("s1", Task.TI2T, comparison, "tie", "c")) == (
        "s1  TI2T  preferred: tie  groups: none\n"
        "  criterion: (none: overall quality)\n"
        "  system: be kind\n"
        "  user: [image cat.png] what?\n"
        "  a: a cat\n"
        "  b: a \ufffd[31mdog"
    )
