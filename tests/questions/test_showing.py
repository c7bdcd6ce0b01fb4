"""Messages as text with markers: only a picture has one, wherever strings meet."""

from __future__ import annotations

import numpy as np
import pytest

from omnireward.presentation import Clip, Message, Picture
from omnireward.questions.showing import as_text

DOT = Picture(np.zeros((4, 6, 3), np.uint8))


def test_a_marker_that_words_spell_together_is_broken_up() -> None:
    words = ("<image>", "<ima", "ge><vid", "eo> <AUDIO> <imagery> <", DOT, "image>", DOT, DOT, ">")
    shown = as_text([Message("system", ("<video>",)), Message("user", words)])
    assert shown.turns == (
        ("system", "<‸video>"),
        ("user", "<‸image><‸image><‸video> <‸AUDIO> <imagery> <<image>image><image><image>>"),
    )
    assert [text.count("<image>") for _, text in shown.turns] == [0, len(shown.pictures)] == [0, 3]
    assert {picture.size for picture in shown.pictures} == {(6, 4)}


def test_sound_is_never_passed_over_in_silence() -> None:
    with pytest.raises(TypeError, match="sound"):
        as_text([Message("user", ("Sing.", Clip(np.zeros(8, np.float32), 16_000)))])
