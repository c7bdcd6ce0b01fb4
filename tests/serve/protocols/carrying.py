"""Samples written as each shape of `serve.protocols` asks for them; nothing where a shape cannot carry a sample.

* vllm's paths, and sglang's ``/v1/classify`` and ``/v1/embeddings``: everything.
* openrlhf: pictures in prompts alone, before the words; responses are text. Nothing of video, sound and 3D.
* unirl: a picture or a clip as the response, and pictures before the prompt's words. No text, sound or 3D as a
  response, and no clip or sound in a prompt to text.
* flow_grpo: a picture as the response to words alone.
* tei, llama_factory, and sglang's ``/classify``: words alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tests.serve.protocols.plain import fractions
from tests.serve.running import part_body

from omnireward.types import PAPER_TASKS, Media, Part, Sample, Task, Text


@dataclass(frozen=True)
class Send:
    """A request, what it asks, and the rewards in its reply, in the order of what it asks."""

    path: str
    body: dict[str, Any]
    read: Callable[[Any], list[float]]
    responses: tuple[int, ...] = (0, 1)


Url = Callable[[Media], str]  # a data: URL, or that of an upload
Write = Callable[[Sample, Url], list[Send]]  # nothing where the shape cannot carry it


def base64_of(media: Part) -> str:
    assert isinstance(media, Media)
    return part_body(media)["base64"]


def data_url(media: Media) -> str:
    return f"data:application/octet-stream;base64,{base64_of(media)}"


def _media(parts: Sequence[Part]) -> list[Media]:
    return [part for part in parts if isinstance(part, Media)]


def _parts(parts: Sequence[Part], url: Url) -> list[dict[str, Any]]:
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": f"{part.kind}_url", f"{part.kind}_url": {"url": url(part)}}
        for part in parts
    ]


def _prompt(sample: Sample) -> tuple[list[Media], str]:
    """Media and words of the one turn of a prompt, in which they stand in this order."""
    (turn,) = sample.comparison.prompt
    *media, words = turn.content
    assert isinstance(words, Text)
    return _media(media), words.text


def _responses(sample: Sample) -> tuple[Sequence[Part], Sequence[Part]]:
    return sample.comparison.response_a, sample.comparison.response_b


def _said(sample: Sample) -> list[str]:
    """The responses, where they are words alone; else nothing."""
    return [one[0].text for one in _responses(sample) if len(one) == 1 and isinstance(one[0], Text)]


def _chats(path: str, read: Callable[[Any], float]) -> Write:
    def write(sample: Sample, url: Url) -> list[Send]:
        (turn,) = sample.comparison.prompt
        asked = {"role": "user", "content": _parts(turn.content, url)}
        answers = [{"role": "assistant", "content": _parts(one, url)} for one in _responses(sample)]
        return [Send(path, {"messages": [asked, one]}, lambda r: [read(r)], (i,)) for i, one in enumerate(answers)]

    return write


def _scores(path: str) -> Write:
    def write(sample: Sample, url: Url) -> list[Send]:
        (turn,) = sample.comparison.prompt
        documents = [{"content": _parts(one, url)} for one in _responses(sample)]
        body = {"queries": {"content": _parts(turn.content, url)}, "documents": documents}
        return [Send(path, body, lambda r: [one["score"] for one in r["data"]])]

    return write


def _ranks(path: str) -> Write:
    def write(sample: Sample, url: Url) -> list[Send]:
        (turn,) = sample.comparison.prompt
        documents = [{"content": _parts(one, url)} for one in _responses(sample)]
        body = {"query": {"content": _parts(turn.content, url)}, "documents": documents}
        return [Send(path, body, lambda r: _in_place(r["results"], "relevance_score"))]

    return write


def _in_place(ranked: list[dict[str, Any]], key: str) -> list[float]:
    """What a reply gives best first, in the order of what was asked."""
    return [one[key] for one in sorted(ranked, key=lambda one: cast(int, one["index"]))]


def _whole(path: str, key: str, read: Callable[[Any], list[float]]) -> Write:
    """Texts to which the client has applied its template, for words alone."""

    def write(sample: Sample, _url: Url) -> list[Send]:
        (media, words), said = _prompt(sample), _said(sample)
        if media or not said:
            return []
        texts = [f"<|im_start|>user\n{words}<|im_end|>\n<|im_start|>assistant\n{one}<|im_end|>\n" for one in said]
        return [Send(path, {key: texts}, read)]

    return write


def _openrlhf(path: str) -> Write:
    def write(sample: Sample, _url: Url) -> list[Send]:
        (media, words), said = _prompt(sample), _said(sample)
        if not said or any(one.kind != "image" for one in media):
            return []
        texts = {"query": [words + one for one in said], "prompts": [words, words]}
        return [Send(path, texts | {"images": [[base64_of(one) for one in media]] * 2}, lambda r: list(r["rewards"]))]

    return write


def _pairs(sample: Sample, _url: Url) -> list[Send]:
    (media, words), said = _prompt(sample), _said(sample)
    if media or not said:
        return []
    return [
        Send("/predict", {"inputs": [[words, one] for one in said]}, lambda r: [one[0]["score"] for one in r]),
        Send("/rerank", {"query": words, "texts": said}, lambda r: _in_place(r, "score")),
    ]


def _unirl(sample: Sample, _url: Url) -> list[Send]:
    media, words = _prompt(sample)
    items = [(*media, *_media(one)) for one in _responses(sample)]
    keys = {"image": "image_b64", "video": "video_b64"}
    if any(not _media(one) for one in _responses(sample)) or any(m.kind not in keys for one in items for m in one):
        return []
    requests = [
        {
            "history": [{"text": words, keys[one.kind]: base64_of(one)} for one in shown],
            "required_rewards": [f"omnireward:{sample.comparison.criterion}"],
        }
        for shown in items
    ]
    return [Send("/score", {"requests": requests}, lambda r: fractions(r["results"]))]


def _pictures(sample: Sample, _url: Url) -> list[Send]:
    media, words = _prompt(sample)
    shown = [one for response in _responses(sample) for one in _media(response)]
    if media or len(shown) != 2 or any(one.kind != "image" for one in shown):
        return []
    body = {"images": [base64_of(one) for one in shown], "prompts": [words] * 2}
    return [Send("/flow_grpo", body, lambda r: list(r["scores"]))]


def _probs(reply: Any) -> list[float]:
    return [one["probs"][0] for one in reply["data"]]


ALL, WORDS = frozenset(PAPER_TASKS), frozenset({Task.T2T})
CARRIED: dict[str, list[tuple[Write, frozenset[Task]]]] = {
    "vllm": [
        (_chats("/classify", lambda r: _probs(r)[0]), ALL),
        (_chats("/pooling", lambda r: cast(float, r["data"][0]["data"][0])), ALL),
        *((_scores(path), ALL) for path in ("/score", "/v1/score")),
        *((_ranks(path), ALL) for path in ("/rerank", "/v1/rerank", "/v2/rerank")),
    ],
    "sglang": [
        (_chats("/v1/classify", lambda r: _probs(r)[0]), ALL),
        (_chats("/v1/embeddings", lambda r: cast(float, r["data"][0]["embedding"][0])), ALL),
        (_whole("/classify", "text", lambda r: [one["embedding"][0] for one in r]), WORDS),
    ],
    "openrlhf": [
        (_openrlhf("/get_reward"), frozenset({Task.T2T, Task.TI2T})),
        (_openrlhf("/get_reward_mllm"), frozenset({Task.T2T, Task.TI2T})),
    ],
    "unirl": [(_unirl, frozenset({Task.T2I, Task.T2V, Task.TI2I}))],
    "flow_grpo": [(_pictures, frozenset({Task.T2I}))],
    "tei": [(_pairs, WORDS)],
    "llama_factory": [(_whole("/v1/score/evaluation", "messages", lambda r: list(r["scores"])), WORDS)],
}


def sends(name: str, write: Write, sample: Sample, url: Url) -> list[Send]:
    criterion = {"criterion": sample.comparison.criterion}
    return [Send(one.path, one.body | criterion, one.read, one.responses) for one in write(sample, url)]
