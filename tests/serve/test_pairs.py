"""Probabilities between pairs: what the server gives with a tie threshold and without, and what the client believes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.serve.running import Running, part_body, picture, serving, values, words

from omnireward.client import AsyncClient, Client
from omnireward.client.replies import Pair, parsed
from omnireward.client.wire import pairs_call
from omnireward.errors import CallFailedError, RecipeError
from omnireward.judges import open_judge
from omnireward.judges.reward import RewardJudge
from omnireward.metrics import pair_probabilities, tie_log_odds
from omnireward.serve.asking import SCHEMA, Ask
from omnireward.serve.replies import JudgementReply, RewardsReply, UploadReply
from omnireward.serve.schema import MOST_PAIRS
from omnireward.types import Text, Turn

THRESHOLD = 0.25
DRINKS = ("tea", "a cup of coffee", "water")
COMPARED = {"prompt": [{"role": "user", "content": "Which drink?"}], "response_a": DRINKS[0], "response_b": DRINKS[1]}


@pytest.fixture(scope="module")
def tied(judge: RewardJudge) -> Iterator[Running]:
    """A server that knows what counts as a tie."""
    with serving(judge, tie_threshold=THRESHOLD) as one:
        yield one


def test_each_two_responses_have_the_probabilities_of_their_margin(tied: Running) -> None:
    reply = tied.client.post("/v1/rewards", json=words(*DRINKS, criteria=["short", "hot"], pairs=True)).json()
    assert (reply["tie_threshold"], reply["ties"]) == (THRESHOLD, "threshold")
    for rewards, pairs in zip(reply["rewards"], reply["pairs"], strict=True):
        found = [one["value"] for one in rewards]
        assert [(pair["a"], pair["b"]) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
        for pair in pairs:
            assert pair["margin"] == found[pair["a"]] - found[pair["b"]]
            expected = pair_probabilities(pair["margin"], tie_log_odds(THRESHOLD))
            assert pair["probabilities"] == pytest.approx(expected._asdict(), abs=1e-12)
            # The tiny model's margins are all below the threshold.
            assert max(pair["probabilities"], key=pair["probabilities"].get) == "tie"


def test_without_a_threshold_they_are_bradley_terrys_and_the_reply_says_that_nobody_measured_ties(
    running: Running,
) -> None:
    reply = running.client.post("/v1/rewards", json=words(*DRINKS, pairs=True)).json()
    assert "tie_threshold" in reply
    assert (reply["tie_threshold"], reply["ties"]) == (None, None)
    for pair in reply["pairs"][0]:
        probabilities = pair["probabilities"]
        assert probabilities["tie"] == 0
        assert probabilities["a"] + probabilities["b"] == pytest.approx(1)
        assert (probabilities["a"] > 0.5) == (pair["margin"] > 0)


def test_pairs_are_there_only_where_they_are_asked_for(tied: Running) -> None:
    for body in (words(*DRINKS), words(*DRINKS, pairs=False)):
        assert not {"pairs", "ties", "tie_threshold"} & tied.client.post("/v1/rewards", json=body).json().keys()
    alone = tied.client.post("/v1/rewards", json=words("tea", pairs=True)).json()
    assert alone["pairs"] == [[]]
    for wrong in ("yes", 1, None):
        refused = tied.client.post("/v1/rewards", json=words("tea", pairs=wrong))
        assert (refused.status_code, refused.json()["error"]["field"]) == (422, "pairs")


def test_a_response_without_a_reward_is_in_no_pair(tied: Running) -> None:
    broken = {"type": "image", "base64": "bm90IGEgcGljdHVyZQ=="}  # "not a picture"
    body = {**words(prompt="Draw tea.", pairs=True), "responses": [[part_body(picture(70))], [broken], "tea"]}
    reply = tied.client.post("/v1/rewards", json=body).json()
    assert [(pair["a"], pair["b"]) for pair in reply["pairs"][0]] == [(0, 2)]


def test_more_pairs_than_the_most_are_refused_before_anything_is_computed(tied: Running) -> None:
    """91 responses have 91 * 90 / 2 = 4,095 pairs, 92 have 4,186; of 20 responses one criterion has 190 pairs."""
    assert MOST_PAIRS == 4096
    refused = tied.client.post("/v1/rewards", json=words(*["tea"] * 92, pairs=True))
    assert refused.status_code == 413
    assert refused.json()["error"]["message"] == "pairs: 4,186 are asked for; at most 4,096 are given."
    refused = tied.client.post("/v1/rewards", json=words(*["tea"] * 20, criteria=["x"] * 22, pairs=True))
    assert refused.status_code == 413
    assert values(tied.client.post("/v1/rewards", json=words(*["tea"] * 92)))
    most = tied.client.post("/v1/rewards", json=words(*["tea"] * 91, pairs=True)).json()
    assert len(most["pairs"][0]) == 4095
    assert {pair["margin"] for pair in most["pairs"][0]} == {0.0}


def test_a_judgement_has_the_probabilities_of_the_same_pair_where_ties_are_known(tied: Running) -> None:
    (pair,) = tied.client.post("/v1/rewards", json=words(*DRINKS[:2], pairs=True)).json()["pairs"][0]
    reply = tied.client.post("/v1/judgements", json=COMPARED).json()
    assert reply["judgement"]["probabilities"] == pytest.approx(pair["probabilities"], abs=1e-6)
    assert reply["judgement"]["margin"] == pytest.approx(pair["margin"], abs=1e-5)
    assert (reply["tie_threshold"], reply["ties"]) == (THRESHOLD, "threshold")


def test_a_judgement_has_none_where_no_threshold_was_told(running: Running) -> None:
    reply = running.client.post("/v1/judgements", json=COMPARED).json()
    assert "probabilities" not in reply["judgement"]
    assert not {"ties", "tie_threshold"} & reply.keys()


def test_a_threshold_is_of_reward_models_only() -> None:
    with (
        pytest.raises(RecipeError, match="tie_threshold is of a reward model"),
        serving(open_judge("longer"), name="longer", tie_threshold=0.5),
    ):
        pass


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/v1/rewards", words("tea"), RewardsReply),
        ("/v1/rewards", words(*DRINKS, pairs=True), RewardsReply),
        ("/v1/rewards", {**words("tea"), "prompt": [{"role": "assistant", "content": "Hi."}]}, RewardsReply),
        ("/v1/judgements", COMPARED, JudgementReply),
        ("/v1/judgements", {**COMPARED, "prompt": [{"role": "assistant", "content": "Hi."}]}, JudgementReply),
    ],
)
@pytest.mark.parametrize("server", ["running", "tied"])
def test_replies_are_of_the_schema_that_they_name_and_that_the_description_has(
    request: pytest.FixtureRequest, server: str, path: str, body: dict[str, Any], model: Any
) -> None:
    one: Running = request.getfixturevalue(server)
    reply = one.client.post(path, json=body)
    assert reply.json()["schema"] == SCHEMA
    TypeAdapter(model).validate_json(reply.content, strict=True, extra="forbid")
    content = one.client.get("/openapi.json").json()["paths"][path]["post"]["responses"]["200"]["content"]
    assert content["application/json"]["schema"]["$ref"] == f"#/components/schemas/{model.__name__}"


def test_the_reply_to_an_upload_is_of_the_schema(running: Running) -> None:
    reply = running.client.post("/v1/uploads", content=b"x", headers={"Content-Type": "application/octet-stream"})
    TypeAdapter(UploadReply).validate_json(reply.content, strict=True, extra="forbid")
    described = running.client.get("/openapi.json").json()
    schema = described["paths"]["/v1/uploads"]["post"]["responses"]["201"]["content"]["application/json"]["schema"]
    assert described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["required"] == [
        "schema",
        "id",
        "bytes",
        "expires_in_s",
    ]


ASK = Ask((Turn("user", (Text("Which drink?"),)),), tuple((Text(drink),) for drink in DRINKS), "hot")


def _waiting(running: Running) -> list[Pair]:
    with Client(str(running.client.base_url), "") as client:
        return client.pairs("Which drink?", DRINKS, "hot")


def _looping(running: Running) -> list[Pair]:
    async def run() -> list[Pair]:
        async with AsyncClient(str(running.client.base_url), "") as client:
            return await client.pairs("Which drink?", DRINKS, "hot")

    return asyncio.run(run())


@pytest.mark.parametrize("read", [_waiting, _looping], ids=["Client", "AsyncClient"])
def test_the_clients_read_what_the_server_says_of_pairs(
    running: Running, tied: Running, read: Callable[[Running], list[Pair]]
) -> None:
    with_ties, without = read(tied), read(running)
    assert [(pair.a, pair.b) for pair in with_ties] == list(combinations(range(3), 2))
    assert {(pair.ties, pair.tie_threshold) for pair in with_ties} == {("threshold", THRESHOLD)}
    assert {(pair.ties, pair.tie_threshold) for pair in without} == {(None, None)}
    for pair in with_ties:
        assert pair.probabilities == pytest.approx(pair_probabilities(pair.margin, tie_log_odds(THRESHOLD)), abs=1e-12)


SOUND: dict[str, Any] = {
    "schema": SCHEMA,
    "rewards": [[{"value": 1.0}, {"problem": {"kind": "media", "message": "broken."}}, {"value": 0.5}]],
    "pairs": [[{"a": 0, "b": 2, "margin": 0.5, "probabilities": {"a": 0.5, "tie": 0.25, "b": 0.25}}]],
    "raw": True,
    "tie_threshold": 0.1,
}
PAIR: dict[str, Any] = SOUND["pairs"][0][0]


@pytest.mark.parametrize(
    "said",
    [
        {"pairs": None},
        {"pairs": [[]]},
        {"pairs": [[PAIR, PAIR]]},
        {"pairs": [[PAIR], [PAIR]]},
        {"pairs": [[None]]},
        {"pairs": [[{**PAIR, "b": 1}]]},
        {"pairs": [[{**PAIR, "margin": 0.4}]]},
        {"pairs": [[{**PAIR, "margin": None}]]},
        {"pairs": [[{**PAIR, "probabilities": None}]]},
        {"pairs": [[{**PAIR, "probabilities": {"a": 0.5, "b": 0.5}}]]},
        {"pairs": [[{**PAIR, "probabilities": {"a": 0.5, "tie": 0.5, "b": 0.5}}]]},
        {"pairs": [[{**PAIR, "probabilities": {"a": 1.5, "tie": -0.75, "b": 0.25}}]]},
        {"tie_threshold": "0.1"},
        {"ties": "head"},  # beside a threshold
        {"ties": None},
        {"ties": "threshold", "tie_threshold": None},
        {"ties": "elsewhere", "tie_threshold": None},
        {"ties": ["head"], "tie_threshold": None},
        {"raw": False},
        {"rewards": [[{"value": 1.0}, {"value": 1.0}, {"value": 0.5}]]},
        {"schema": "omnireward/2"},
    ],
)
def test_the_client_believes_no_pairs_that_cannot_be(said: dict[str, Any]) -> None:
    call = pairs_call(ASK, {})
    assert call.read(parsed(json.dumps(SOUND).encode())) == [Pair(0, 2, 0.5, (0.5, 0.25, 0.25), 0.1, "threshold")]
    with pytest.raises(CallFailedError, match="the server sent"):
        call.read(parsed(json.dumps({**SOUND, **said}).encode()))


def test_the_client_reads_a_server_of_before_and_one_with_a_tie_head() -> None:
    call = pairs_call(ASK, {})
    for said, expected in (
        ({"tie_threshold": None}, (None, None)),  # neither says where a tie's probability comes from
        ({"ties": None, "tie_threshold": None}, (None, None)),
        ({"ties": "head", "tie_threshold": None}, (None, "head")),
        ({"ties": "threshold"}, (0.1, "threshold")),
    ):
        (pair,) = call.read(parsed(json.dumps({**SOUND, **said}).encode()))
        assert (pair.tie_threshold, pair.ties) == expected
