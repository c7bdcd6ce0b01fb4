"""Judges that write, served: what comes back is what the judge says in this process, its rationale with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.serve.running import Running, part_body, serving, turns_body
from tests.served import serving as chat_serving
from tests.served import tiny_chat_model

from omnireward.backbones.minicpm_o import tiny
from omnireward.client import Client
from omnireward.judges import Judge, JudgeOptions, open_judge
from omnireward.judges._policy_judge import PolicyJudge
from omnireward.miniature.world import World, samples
from omnireward.policy import Policy
from omnireward.prompts import Form
from omnireward.serve.config import ServeConfig
from omnireward.types import PAPER_TASKS, Comparison, Judgement

UNSURE = "Who can tell?"
# After a line's end the tiny model begins another of them, so answers are of one line or of several.
LINES = (
    "A says more of what was asked. VERDICT: A",
    "B is the shorter one.\nVERDICT: B",
    "Both say the same. VERDICT: TIE",
    UNSURE,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_chat_model(tmp_path_factory.mktemp("written") / "chat", LINES)


@pytest.fixture(scope="module")
def writer(folder: Path) -> Judge:
    return open_judge(f"generative:{folder}")


@pytest.fixture(scope="module")
def served(folder: Path, writer: Judge) -> Iterator[Running]:
    with serving(writer, name=f"generative:{folder}") as one:
        yield one


def _asked(sound: bool) -> list[Comparison]:
    """The last of each task of the paper's nine, with sound or without."""
    last = {sample.task: sample.comparison for sample in samples(World(prompts=1), "test")}
    return [last[task] for task in PAPER_TASKS if ("audio" in (*task.inputs, *task.outputs)) == sound]


@pytest.fixture(scope="module")
def own(writer: Judge) -> list[Judgement]:
    """Of `_asked(sound=False)`, in this process."""
    found = writer(_asked(sound=False))
    assert {judgement.verdict for judgement in found} == {
        "a",
        "b",
        "tie",
        None,
    }  # or one in another's place would not show
    return found


def _body(comparison: Comparison) -> dict[str, Any]:
    return {
        "prompt": turns_body(comparison.prompt),
        "response_a": [part_body(part) for part in comparison.response_a],
        "response_b": [part_body(part) for part in comparison.response_b],
        "criterion": comparison.criterion,
    }


def _found(reply: httpx.Response) -> dict[str, Any]:
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()["judgement"]
    return found


def _said(judgement: Judgement) -> dict[str, Any]:
    """As the reply says it: what the judge does not have is left out."""
    said = {"verdict": judgement.verdict, "rationale": judgement.rationale}
    return {"margin": judgement.margin} | {name: value for name, value in said.items() if value}


def _shuffled(one: Running, comparisons: Sequence[Comparison], seed: int) -> list[httpx.Response]:
    """Asked by eight threads in another order; replies in the order given."""
    order = np.random.default_rng(seed).permutation(len(comparisons)).tolist()
    bodies = [_body(comparison) for comparison in comparisons]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda i: one.client.post("/v1/judgements", json=bodies[i]), order))
    return [reply for _, reply in sorted(zip(order, replies, strict=True), key=lambda pair: pair[0])]


def test_text_pictures_video_and_3d_are_judged_as_in_this_process(
    served: Running, writer: Judge, own: list[Judgement]
) -> None:
    for reply, judgement in zip(_shuffled(served, _asked(sound=False), 0), own, strict=True):
        assert _found(reply) == _said(judgement)
        assert reply.json()["revision"] == writer.fingerprint


def test_the_client_reads_the_same_judgement_with_media_uploaded_ahead(
    served: Running, own: list[Judgement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 0)
    with Client(str(served.client.base_url)) as client, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(client.judge, _asked(sound=False))) == own


def test_a_rationale_without_a_verdict_is_shown_without_a_number(tmp_path: Path) -> None:
    unsure = tiny_chat_model(tmp_path / "chat", (UNSURE,))
    with serving(open_judge(f"generative:{unsure}"), name="generative:unsure") as one:
        reply = one.client.post("/v1/judgements", json=_body(_asked(sound=False)[0]))
    assert _found(reply) == {"margin": None, "rationale": UNSURE}


def test_what_the_model_cannot_take_is_a_problem_and_fails_alone(served: Running, writer: Judge) -> None:
    comparisons = [*_asked(sound=True), *_asked(sound=False)[:2]]
    replies = [reply.json() for reply in _shuffled(served, comparisons, 1)]
    for reply, judgement in zip(replies, writer(comparisons), strict=True):
        assert ("problem" in reply) == bool(judgement.error)
        if judgement.error:
            assert "judgement" not in reply
            assert (reply["problem"]["kind"], reply["problem"]["message"]) == ("failed", judgement.error)
            assert "takes no sound" in judgement.error
    assert 0 < sum("problem" in reply for reply in replies) < len(replies)


def test_a_broken_picture_is_a_problem(served: Running) -> None:
    body = _body(_asked(sound=False)[0]) | {"response_b": [{"type": "image", "base64": "bm9uZQ=="}]}
    reply = served.client.post("/v1/judgements", json=body)
    assert reply.status_code == 200
    assert "not a readable image" in reply.json()["problem"]["message"]


def test_it_has_no_rewards_and_says_where_to_ask(served: Running) -> None:
    reply = served.client.post("/v1/rewards", json={"prompt": [{"role": "user", "content": "Hi."}], "responses": ["a"]})
    assert reply.status_code == 501
    assert "'generative' compares two responses" in reply.json()["error"]["message"]


@pytest.mark.slow
def test_a_model_behind_an_endpoint_is_served_as_the_same_model_from_its_folder(
    folder: Path, own: list[Judgement], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`transformers serve` has the folder; our server asks it over HTTP, with default options and many at once."""
    with chat_serving(folder) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        name = f"api:{folder}"
        with serving(open_judge(name), name=name) as one:
            replies = _shuffled(one, _asked(sound=False), 2)
    assert [_found(reply) for reply in replies] == [_said(judgement) for judgement in own]


def test_several_samples_vote_as_in_this_process_and_their_shares_are_served(folder: Path) -> None:
    options = ServeConfig(
        judge=f"generative:{folder}", samples=4, swap_half=True, temperature=3.0, max_tokens=24
    ).options
    writer = open_judge(f"generative:{folder}", options)
    asked = _asked(sound=False)[:2]
    with serving(writer, name="generative:chat") as one:
        replies = _shuffled(one, asked, 2)
    for reply, judgement in zip(replies, writer(asked), strict=True):
        assert judgement.probabilities is not None
        shares = dict(zip(("a", "tie", "b"), judgement.probabilities, strict=True))
        assert _found(reply) == _said(judgement) | {"probabilities": shares}


def test_a_judge_that_was_trained_here_is_served_and_keeps_nothing_of_strangers_on_disk(tmp_path: Path) -> None:
    words = ["Tell me of tea. Here is a picture."] * 9
    Policy.new(tiny(words, 0), "minicpm_o", 0, Form("pairwise", critique=True, ties=True)).save(tmp_path)
    judge = open_judge(f"generative:{tmp_path}", JudgeOptions(max_tokens=6))
    assert isinstance(judge, PolicyJudge)
    judge.model.features.store = "somewhere"  # type: ignore[assignment]
    asked = [comparison for comparison in _asked(sound=False) if comparison.response_a != comparison.response_b][3:5]
    with serving(judge, name=f"generative:{tmp_path}") as one:
        assert judge.model.features.store is None
        found = [_found(reply) for reply in _shuffled(one, asked, 3)]
    assert found == [{"margin": None, "rationale": one.rationale} for one in judge(asked)]
    judge.close()
