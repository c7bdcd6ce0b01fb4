"""A chat model that runs here: what cannot be asked is told, and the others are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omnireward.construct.chats import Local, LocalChat
from omnireward.construct.writer_wording import writing
from omnireward.construct.writing import NoAnswer
from omnireward.journal import Journal
from omnireward.judges import JudgeOptions
from omnireward.prompts import Answer
from omnireward.types import Comparison, Media, Text, Turn


def _asking(response: Text | Media) -> Comparison:
    return Comparison((Turn("user", (Text("Draw."),)),), (response,), (Text("No."),))


def test_a_file_that_is_gone_fails_alone_and_for_now(tmp_path: Path) -> None:
    """The other answer is in the journal, so no model is needed."""
    asked = [(writing(_asking(part), {"a": 1}), 0) for part in (Media("image", tmp_path / "gone.png"), Text("Yes."))]
    model: Local[Any] = Local(None, lambda _: "", "made-up", lambda: None)  # type: ignore[arg-type]
    options, path = JudgeOptions(), tmp_path / "answers.jsonl"
    chat = LocalChat(model, options, path, 4)
    key = chat._key(*asked[1])
    chat.close()
    with Journal(path) as journal:
        journal.append([{"key": key, "text": "A: It should agree.", "cut_off": False}])
    chat = LocalChat(model, options, path, 4)
    gone, answer = chat.answers(asked)
    chat.close()
    assert isinstance(gone, NoAnswer)
    assert ("gone.png" in gone.reason, gone.lasting) == (True, False)
    assert answer == Answer("A: It should agree.", cut_off=False)
