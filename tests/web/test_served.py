"""The page as our own server gives it, with a judge that writes and with a reward model: no answer is made up."""

from __future__ import annotations

from pathlib import Path

from tests.serve.running import picture, serving
from tests.served import tiny_chat_model
from tests.web.browser import Browser, Tab
from tests.web.test_playground import ask, fill, rows

from omnireward.judges import open_judge
from omnireward.judges.reward import JUDGE, RewardJudge
from omnireward.metrics import pair_probabilities, tie_log_odds
from omnireward.types import Comparison, Text, Turn

PROMPT = (Turn("user", (Text("Draw tea."),)),)


def _with_picture(tab: Tab, folder: Path) -> Comparison:
    """A form whose first response is words and whose second is a picture, and what it asks."""
    (data,) = (shown := picture(90)).pieces()
    assert isinstance(data, bytes)
    (folder / "tea.png").write_bytes(data)
    fill(tab, "Draw tea.", ["A cup of tea.", ""], "It should be hot.")
    tab.choose("#responses .composer:nth-child(2) input[type=file]", [folder / "tea.png"])
    tab.wait("document.querySelector('.files img')?.naturalWidth")
    return Comparison(PROMPT, (Text("A cup of tea."),), (shown,), "It should be hot.")


def test_the_rationale_of_a_judge_that_writes_is_shown(chromium: Browser, tmp_path: Path) -> None:
    folder = tiny_chat_model(tmp_path / "chat")
    judge = open_judge(f"generative:{folder}")
    with serving(judge, name=f"generative:{folder}") as one:
        tab = chromium.open(str(one.client.base_url))
        (own,) = judge([_with_picture(tab, tmp_path)])
        ask(tab)
        assert tab.text(".rationale") == own.rationale
        words = {"a": "Response A is better", "b": "Response B is better", "tie": "Neither is better: a tie"}
        assert tab.text(".verdict") == words[str(own.verdict)]
        assert tab.text("#ask") == "Ask for a verdict"
        assert tab.text("#served").startswith(f"chat · revision {judge.fingerprint[:12]}")
        assert tab.complaints() == []


def test_a_reward_model_shows_rewards_and_their_chances(chromium: Browser, tmp_path: Path) -> None:
    assert JUDGE.example is not None
    judge = open_judge(f"reward:{JUDGE.example(tmp_path / 'run')}")
    assert isinstance(judge, RewardJudge)
    with serving(judge, name="reward:run", tie_threshold=0.5) as one:
        tab = chromium.open(str(one.client.base_url))
        asked = _with_picture(tab, tmp_path)
        ask(tab)
        (row,) = rows(tab)
        ((a, b),) = judge.model.rewards([asked]).tolist()
        chances = pair_probabilities(a - b, tie_log_odds(0.5))
        assert f"A {a:.3f} B {b:.3f}".replace("-", "−") in row
        assert row.endswith(
            f"A better {chances.a * 100:.0f} %, tie {chances.tie * 100:.0f} %, B better {chances.b * 100:.0f} %"
        )
        assert tab.complaints() == []
