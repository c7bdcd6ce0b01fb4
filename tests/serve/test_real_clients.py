"""Other projects' own clients, of those that are installed here, get the model's rewards. More are in `perf`."""

from __future__ import annotations

import asyncio

import huggingface_hub
import openai
import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from tests.serve.running import KEY, Running, serving

from omnireward.judges.reward import RewardJudge
from omnireward.types import Text, Turn

PROMPT, RESPONSES = "Name a colour.", ("Red.", "A table, or\nso.")
WHOLE = [f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n{each}<|im_end|>\n" for each in RESPONSES]


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks nobody where its library is told to be offline, as it is in tests; not even this machine."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture(scope="module")
def expected(judge: RewardJudge) -> list[float]:
    """The model's own."""
    prompt = (Turn("user", (Text(PROMPT),)),)
    found: list[float] = judge.model.candidate_rewards(prompt, [(Text(each),) for each in RESPONSES]).tolist()
    return found


def _url(running: Running, path: str) -> str:
    return f"http://127.0.0.1:{running.port}{path}"


def test_openais_client_reads_rewards_as_embeddings(running: Running, expected: list[float]) -> None:
    """By itself it asks for base64, and reads that and a list alike."""

    async def awaited() -> list[float]:
        async with openai.AsyncOpenAI(base_url=_url(running, "/v1"), api_key="none") as client:
            reply = await client.embeddings.create(model="m", input=WHOLE)
        return [one.embedding[0] for one in reply.data]

    with openai.OpenAI(base_url=_url(running, "/v1"), api_key="none") as client:
        plain = client.embeddings.create(model="m", input=WHOLE)
        listed = client.embeddings.create(model="m", input=WHOLE, encoding_format="float")
        raw = client.embeddings.with_raw_response.create(model="m", input=WHOLE[0])
        assert isinstance(raw.http_response.json()["data"][0]["embedding"], str)
        assert plain.usage.total_tokens == 0
    for found in (plain, listed):
        assert [one.embedding[0] for one in found.data] == pytest.approx(expected, abs=1e-5)
    assert asyncio.run(awaited()) == pytest.approx(expected, abs=1e-5)


def test_openais_client_sends_a_criterion_and_a_key(judge: RewardJudge) -> None:
    prompt = (Turn("user", (Text(PROMPT),)),)
    wanted = judge.model.candidate_rewards(prompt, [(Text(RESPONSES[0]),)], "Be brief.").tolist()
    with serving(judge, (KEY,)) as running:
        with openai.OpenAI(base_url=_url(running, "/v1"), api_key=KEY) as client:
            reply = client.embeddings.create(model="m", input=WHOLE[0], extra_body={"criterion": "Be brief."})
        with (
            openai.OpenAI(base_url=_url(running, "/v1"), api_key="another") as nobody,
            pytest.raises(openai.AuthenticationError, match="an API key is needed"),
        ):
            nobody.embeddings.create(model="m", input=WHOLE[0])
    assert reply.data[0].embedding == pytest.approx(wanted, abs=1e-5)


@pytest.mark.usefixtures("online")
def test_hugging_faces_client_reads_rewards_as_classes(running: Running, expected: list[float]) -> None:
    """The reply is the one class of one text, as text-embeddings-inference sends it."""

    async def awaited() -> list[float]:
        async with AsyncInferenceClient(_url(running, "/predict")) as client:
            return [(await client.text_classification(each)).score for each in WHOLE]

    client = InferenceClient(_url(running, "/predict"))
    found = [client.text_classification(each).score for each in WHOLE]  # type: ignore[attr-defined]
    assert found == pytest.approx(expected, abs=1e-5)
    assert asyncio.run(awaited()) == pytest.approx(expected, abs=1e-5)


@pytest.mark.usefixtures("online")
def test_hugging_faces_client_gets_a_sigmoid_where_it_asks_for_one(running: Running, expected: list[float]) -> None:
    """With 1 / (1 + exp(-x)), by hand."""
    client = InferenceClient(_url(running, "/predict"))
    squeezed = client.text_classification(WHOLE[0], function_to_apply="sigmoid")
    raw = client.text_classification(WHOLE[0], function_to_apply="none")
    assert squeezed.score == pytest.approx(1 / (1 + 2.718281828459045 ** -expected[0]))  # type: ignore[attr-defined]
    assert raw.score == pytest.approx(expected[0], abs=1e-5)  # type: ignore[attr-defined]
    with pytest.raises(huggingface_hub.errors.HfHubHTTPError, match="422"):
        client.text_classification(WHOLE[0], function_to_apply="softmax")
