"""The API judge against a scripted endpoint: what is asked, what is read, and what failures become."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.calls.scripted import Body, Fault, Scripted, seeded, words_of

from omnireward import waits
from omnireward.errors import JournalError
from omnireward.judges import Estimate, JudgeOptions, PatientJudge, api, open_judge
from omnireward.judges.api import ApiJudge
from omnireward.types import Comparison, Judgement, Media, Text, Turn

Open = Callable[..., ApiJudge]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(waits, "FIRST", 0.01)


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Open]:
    """Opens judges that write to one file of calls; closed at the end."""
    with ExitStack() as stack:

        def open_one(server: Scripted, **options: Any) -> ApiJudge:
            given: dict[str, Any] = {"base_url": server.url, "calls": tmp_path / "calls.jsonl", "timeout": 5.0}
            opened = open_judge("api:org/model:tag", JudgeOptions(**(given | options)))
            assert isinstance(opened, ApiJudge)
            assert isinstance(opened, PatientJudge)
            stack.callback(opened.close)
            return opened

        yield open_one


def texts(number: int | str, criterion: str = "Be kind.") -> Comparison:
    prompt = (Turn("user", (Text(f"question {number}"),)),)
    return Comparison(prompt, (Text("one answer"),), (Text("another"),), criterion)


def picture(red: int) -> Media:
    file = io.BytesIO()
    Image.new("RGB", (48, 32), (red, 0, 0)).save(file, "PNG")
    return Media("image", file.getvalue())


def clip(seconds: float) -> Media:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes((np.sin(np.arange(round(seconds * 16_000)) / 9) * 9_000).astype("<i2").tobytes())
    return Media("audio", file.getvalue())


def parts(body: Body) -> list[str]:
    return [part["type"] for part in body["messages"][1]["content"]]


@pytest.mark.parametrize(
    ("options", "says", "judgement"),
    [
        ({}, "It is.\nVERDICT: B", Judgement(-1.0, verdict="b", rationale="It is.\nVERDICT: B")),
        ({"critique": False}, "VERDICT: TIE", Judgement(0.0, verdict="tie", rationale="VERDICT: TIE")),
        ({"ties": False}, "VERDICT: TIE", Judgement(None, rationale="VERDICT: TIE")),
        ({}, "who knows?", Judgement(None, rationale="who knows?")),
        ({}, "", Judgement(None)),
    ],
)
def test_a_verdict_or_none_is_read(judge: Open, options: dict[str, Any], says: str, judgement: Judgement) -> None:
    with Scripted(lambda _: says) as server:
        assert judge(server, **options)([texts(0)]) == [judgement]


def test_pointwise_asks_about_each_response(judge: Open) -> None:
    with Scripted(lambda body: f"SCORE: {9 if 'one answer' in words_of(body) else 4}") as server:
        (judgement,) = judge(server, mode="pointwise")([texts(0)])
        assert (judgement.rewards, judgement.margin, judgement.verdict) == ((9, 4), 5, "a")
        assert len(server.bodies) == 2
        assert not any("one answer" in words_of(body) and "another" in words_of(body) for body in server.bodies)


def test_one_failed_half_of_a_pointwise_question_is_no_verdict(judge: Open) -> None:
    plan = lambda body, _: Fault(status=400) if "another" in words_of(body) else None  # noqa: E731
    with Scripted(lambda _: "SCORE: 9", plan=plan) as server:
        (judgement,) = judge(server, mode="pointwise")([texts(0)])
        assert (judgement.margin, judgement.rewards, judgement.rationale) == (None, None, "")
        assert judgement.error.startswith("CallRefusedError: org/model:tag refused the call: HTTP 400")


def letter(body: Body) -> Body:
    top = [{"token": "A", "logprob": float(np.log(0.6))}, {"token": " C", "logprob": float(np.log(0.3))}]
    entries = [{"token": "\n", "logprob": -0.1}, {**top[0], "top_logprobs": top}]
    return {"message": {"content": "\nA"}, "finish_reason": "length", "logprobs": {"content": entries}}


def test_letters_become_probabilities(judge: Open) -> None:
    """0.6 and 0.3 of 0.9: 2/3 and 1/3."""
    with Scripted(letter) as server:
        (judgement,) = judge(server, logprobs=True)([texts(0)])
        assert judgement.probabilities == pytest.approx((2 / 3, 1 / 3, 0))
        assert judgement.verdict == "a"
        assert judgement.margin == pytest.approx(2 / 3)
        assert {name: server.bodies[0][name] for name in ("logprobs", "top_logprobs", "max_tokens")} == {
            "logprobs": True,
            "top_logprobs": 20,
            "max_tokens": 8,
        }


def test_an_endpoint_without_logprobs_gives_errors(judge: Open) -> None:
    with Scripted(lambda _: "A") as server:
        (judgement,) = judge(server, logprobs=True)([texts(0)])
        assert judgement.margin is None
        assert "gave no log-probabilities" in judgement.error


def test_samples_are_calls_with_seeds_of_their_own_and_vote(judge: Open) -> None:
    """Seeds 7, 8, 9, 10: two say B, one A, one nothing; the second vote is seeds 11 to 14."""
    says = {7: "VERDICT: B", 8: "VERDICT: A", 9: "Well.", 10: "VERDICT: B"}
    with Scripted(lambda body: says.get(body["seed"], "VERDICT: TIE")) as server:
        opened = judge(server, samples=4, temperature=0.5, seed=7)
        (found,) = opened([texts(0)])
        assert found.probabilities == pytest.approx((1 / 3, 0, 2 / 3))
        assert found.verdict == "b"
        assert found.margin == pytest.approx(-1 / 3)
        assert found.rationale == "VERDICT: B\n(Of 4 answers: 1 A, 0 TIE, 2 B, 1 without a verdict.)"
        assert opened.submit(texts(0), 1).result().verdict == "tie"
        assert sorted(body["seed"] for body in server.bodies) == list(range(7, 15))
        estimate = opened.estimate(texts(0))
        assert (estimate.calls, estimate.paid) == (4, 4)


def test_half_of_the_samples_are_asked_with_the_responses_exchanged(judge: Open) -> None:
    """Always the first place: one for each, so no preference."""
    with Scripted(lambda _: "VERDICT: A") as server:
        (found,) = judge(server, samples=2, swap_half=True)([texts(0)])
        assert (found.probabilities, found.verdict, found.margin) == ((0.5, 0.0, 0.5), "tie", 0.0)
        first = [words_of(body).index("one answer") < words_of(body).index("another") for body in server.bodies]
        assert sorted(first) == [False, True]


def test_a_sample_whose_call_fails_is_counted_and_the_others_vote(judge: Open) -> None:
    plan = lambda body, _: Fault(status=400) if body["seed"] == 1 else None  # noqa: E731
    with Scripted(lambda _: "VERDICT: A", plan=plan) as server:
        (found,) = judge(server, samples=3, temperature=1)([texts(0)])
        assert (found.verdict, found.error) == ("a", "")
        assert found.rationale.endswith("(Of 3 answers: 2 A, 0 TIE, 0 B, 1 failed.)")


def test_media_are_shown_in_reading_order(judge: Open) -> None:
    comparison = Comparison(
        (Turn("user", (Text("Edit "), picture(1), Text(" please"))),), (picture(2),), (picture(3), Text("done"))
    )
    with Scripted() as server:
        judge(server)([comparison])
        assert parts(server.bodies[0]) == ["text", "image_url"] * 3 + ["text"]


def test_two_clips_are_two_parts_unless_asked(judge: Open) -> None:
    comparison = Comparison((Turn("user", (Text("a beep"),)),), (clip(0.5),), (clip(0.25),))
    with Scripted() as server:
        judge(server)([comparison])
        assert parts(server.bodies[0]).count("input_audio") == 2
        judge(server, join_audio=1.0, calls=None)([comparison])
        assert parts(server.bodies[1]) == ["text", "input_audio"]
        assert "1 s of silence" in server.bodies[1]["messages"][1]["content"][0]["text"]


def test_what_cannot_be_shown_is_an_error_and_stops_nobody(judge: Open) -> None:
    gone = Comparison((Turn("user", (Text("draw"),)),), (Media("image", Path("/nowhere/a.png")),), (picture(1),))
    broken = Comparison((Turn("user", (Text("draw"),)),), (Media("image", b"no picture"),), (picture(1),))
    empty = Comparison((), (Text("a"),), (Text("b"),))
    with Scripted() as server:
        first, second, third, last = judge(server)([gone, broken, empty, texts(0)])
        for judgement, kind in ((first, "FileNotFoundError"), (second, "UnreadableMediaError"), (third, "PromptError")):
            assert judgement.margin is None
            assert judgement.error.startswith(f"{kind}: ")
        assert not last.error
        assert server.requests == 1


def test_faults_change_no_judgement(judge: Open, tmp_path: Path) -> None:
    comparisons = [texts(number) for number in range(60)]
    with Scripted() as server:
        sound = judge(server)(comparisons)
    with Scripted(plan=seeded(0.2)) as server:
        assert judge(server, calls=tmp_path / "faults.jsonl", timeout=0.5)(comparisons) == sound
        assert server.requests > 60
    assert {judgement.verdict for judgement in sound} == {"a", "b"}


def test_more_than_the_window_are_judged_in_order(judge: Open) -> None:
    with Scripted() as server:
        opened = judge(server, concurrency=2)
        assert opened.window == 4
        assert opened([texts(number) for number in range(40)]) == [opened([texts(n)])[0] for n in range(40)]
        assert server.requests == 40
        assert server.most_under_way <= 2


def test_a_repeat_is_another_call_with_another_seed(judge: Open) -> None:
    with Scripted(lambda body: f"VERDICT: {'AB'[body['seed'] % 2]}") as server:
        opened = judge(server, seed=4)
        assert [opened.submit(texts(0), repeat).result(60).verdict for repeat in (0, 1, 2, 0)] == ["a", "b", "a", "a"]
        assert [body["seed"] for body in server.bodies] == [4, 5, 6]


def test_a_spent_budget_is_an_error_for_each_comparison_that_is_left(judge: Open) -> None:
    with Scripted(usage=(1000, 1000)) as server:
        opened = judge(server, concurrency=1, max_tokens=1000, budget=0.005, price_in=1.0, price_out=1.0)
        judgements = opened([texts(number) for number in range(10)])
        paid = [judgement for judgement in judgements if not judgement.error]
        assert len(paid) == server.requests
        assert 0 < len(paid) < 4
        assert all("BudgetError" in judgement.error for judgement in judgements if judgement not in paid)
        assert opened.usage.cost == pytest.approx(0.002 * len(paid))


def test_an_estimate_sends_nothing_and_knows_what_is_paid(judge: Open) -> None:
    with Scripted() as server:
        opened = judge(server, mode="pointwise", max_tokens=100, price_in=1e6, price_out=2e6)
        before = opened.estimate(texts(0))
        assert (before.calls, before.paid, before.answer_tokens, server.requests) == (2, 0, 200, 0)
        assert before.cost == before.prompt_tokens + 400
        opened([texts(0)])
        assert opened.estimate(texts(0)) == Estimate(2, 2, 0, 0, 0.0)
        assert opened.estimate(texts(0), repeat=1).paid == 0
        assert judge(server, calls=None).estimate(texts(0)).cost is None
        words = sum(len(message["content"]) for message in server.bodies[0]["messages"])
        assert before.prompt_tokens >= 2 * words / 4  # English takes about four characters for a token


def test_the_fingerprint_names_what_answers_depend_on_and_nothing_else(judge: Open) -> None:
    with Scripted() as server, Scripted() as moved:
        first = judge(server, calls=None).fingerprint
        for same in (
            {"concurrency": 3, "timeout": 9.0},
            {"price_in": 1.0, "price_out": 1.0, "budget": 9.0},
            {"tries": 1},
        ):
            assert judge(moved, calls=None, **same).fingerprint == first
        others: list[dict[str, Any]] = [
            {"seed": 1}, {"temperature": 1.0}, {"max_tokens": 9}, {"mode": "pointwise"}, {"critique": False},
            {"ties": False}, {"logprobs": True}, {"frames": 3}, {"views": 2}, {"picture_side": 99}, {"join_audio": 1.0},
        ]  # fmt: skip
        found = {judge(server, calls=None, **other).fingerprint for other in others}
        assert len(found | {first}) == len(others) + 1
        other_model = open_judge("api:other", JudgeOptions(base_url=server.url))
        assert other_model.fingerprint not in found | {first}


def test_closing_ends_everything_with_errors(judge: Open) -> None:
    with Scripted(plan=lambda *_: Fault("hang")) as server:
        opened = judge(server, concurrency=4, timeout=60.0)
        futures = [opened.submit(texts(number)) for number in range(8)]
        while not server.requests:
            time.sleep(0.005)
        opened.close()
        opened.close()
        assert all(future.result(60).error for future in futures)
        assert opened([texts(9)])[0].error


def test_what_nobody_expects_is_raised_and_not_lost(judge: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    with Scripted() as server:
        opened = judge(server)
        with monkeypatch.context() as patch:
            patch.setattr(api, "judged", bug)
            assert isinstance(opened.submit(texts(0)).exception(60), ZeroDivisionError)
        with monkeypatch.context() as patch:
            patch.setattr(api, "asked_of", bug)
            assert isinstance(opened.submit(texts(1)).exception(60), ZeroDivisionError)
        assert opened([texts(2)])[0].verdict is not None


def test_a_journal_that_cannot_be_written_stops_the_run(judge: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    from omnireward.calls.ledger import Ledger

    with Scripted() as server:
        opened = judge(server)
        monkeypatch.setattr(Ledger, "_append", lambda self, _: setattr(self, "_broken", JournalError("no space left")))
        with pytest.raises(JournalError, match="no space left"):
            opened([texts(0)])
