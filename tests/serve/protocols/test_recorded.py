"""What each client sends, word for word, and the reply that it reads. The shapes are the clients' own documents'."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import pytest
from tests.serve.protocols.plain import SERVED, PlainInline

from omnireward.serve.asking import Ask, Problem, RequestError, Reward, Route
from omnireward.serve.protocols import by_path, choose, shapes
from omnireward.types import Media, Part, Text, Turn

RED, BLUE = (base64.b64encode(name).decode() for name in (b"red picture", b"blue picture"))
CHAT = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\nRed.<|im_end|>\n"


def _route(path: str, body: dict[str, Any], method: str = "POST") -> Route:
    found = by_path(shapes())[method, path]
    return found[choose(found, body)]


def _asks(path: str, body: dict[str, Any]) -> list[Ask]:
    return list(_route(path, body).read(body, PlainInline()))


def _reply(path: str, body: dict[str, Any], rewards: Sequence[Sequence[Reward]]) -> Any:
    return _route(path, body).write(body, rewards, SERVED)


def _user(*parts: Part | str) -> tuple[Turn, ...]:
    return (Turn("user", tuple(Text(part) if isinstance(part, str) else part for part in parts)),)


def _text(words: str) -> tuple[Part, ...]:
    return (Text(words),)


RED_PICTURE, BLUE_PICTURE = Media("image", b"red picture"), Media("image", b"blue picture")


def test_openrlhf_sends_whole_texts_and_reads_rewards_and_scores() -> None:
    body = {"query": ["Name a colour. Red.", "1+1=2"], "prompts": ["Name a colour.", "1+1="], "labels": ["", "2"]}
    assert _asks("/get_reward", body) == [
        Ask(_user("Name a colour."), (_text(" Red."),)),
        Ask(_user("1+1="), (_text("2"),)),
    ]
    reply = _reply("/get_reward", body, [[0.25], [-1.5]])
    assert reply["rewards"] == reply["scores"] == [0.25, -1.5]
    assert reply["raw"] is True


def test_lmm_r1_sends_the_problem_apart_from_the_template_that_the_query_has() -> None:
    """Its prompts are the bare problems, so no query begins with one; the query's own turns tell them apart."""
    body = {"query": [CHAT], "prompts": ["Name a colour."]}
    assert _asks("/get_reward_mllm", body) == [Ask(_user("Name a colour."), (_text("Red."),))]
    assert _reply("/get_reward_mllm", body, [[0.5]])["rewards"] == [0.5]


def test_a_query_that_its_prompt_does_not_begin_is_refused_with_its_place() -> None:
    body = {"query": ["Name a colour. Red.", "Blue."], "prompts": ["Name a colour.", "Name another."]}
    with pytest.raises(RequestError, match=r"query\[1\]: must begin with the prompt") as raised:
        _asks("/get_reward", body)
    assert raised.value.status == 422


def test_align_anything_sends_prompts_and_responses() -> None:
    body = {"prompts": ["Name a colour."], "responses": ["Red."]}
    assert _asks("/get_reward", body) == [Ask(_user("Name a colour."), (_text("Red."),))]
    assert _reply("/get_reward", body, [[2.0]])["rewards"] == [2.0]


def test_lightrft_sends_pictures_of_each_prompt() -> None:
    body = {
        "queries": ["What is it? A square.", "And this? A dot.", "Why? So."],
        "prompts": ["What is it?", "And this?", "Why?"],
        "references": ["", "", ""],
        "images": [[RED, BLUE], RED, None],
    }
    assert _asks("/get_reward", body) == [
        Ask(_user(RED_PICTURE, BLUE_PICTURE, "What is it?"), (_text(" A square."),)),
        Ask(_user(RED_PICTURE, "And this?"), (_text(" A dot."),)),
        Ask(_user("Why?"), (_text(" So."),)),
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": ["Name a colour."]}, "prompts: has 1 items where 2 are needed"),
        ({"images": [[RED]]}, "images: has 1 items where 2 are needed"),
        ({"criterion": ["red"]}, "criterion: has 1 items where 2 are needed"),
        ({"responses": ["a", "b"]}, "send exactly one of query, queries, responses; 2 of them were sent"),
        ({"images": [[RED], ["?"]]}, r"images\[1\]\[0\]: is not base64"),
        ({"query": [1, "b"]}, r"query\[0\]: must be a string, not a whole number"),
    ],
)
def test_lists_that_do_not_fit_each_other_are_refused(change: dict[str, Any], message: str) -> None:
    body = {"query": ["ab", "b"], "prompts": ["a", ""]} | change
    with pytest.raises(RequestError, match=message):
        _asks("/get_reward", body)


@pytest.mark.parametrize(("given", "count"), [(CHAT, 1), ([CHAT, CHAT], 2)])
def test_vllm_classifies_texts(given: str | list[str], count: int) -> None:
    body = {"model": "m", "input": given}
    assert _asks("/classify", body) == [Ask(_user("Name a colour."), (_text("Red."),))] * count
    assert _reply("/classify", body, [[0.5]] * count) == {
        "id": "classify-request-1",
        "object": "list",
        "created": 1_700_000_000,
        "model": "tiny",
        "data": [{"index": i, "label": "LABEL_0", "probs": [0.5], "num_classes": 1} for i in range(count)],
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
        "raw": True,
    }


def test_vllm_classifies_a_chat_with_media_on_both_sides() -> None:
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Make it red."},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BLUE}"}},
                    {"type": "input_audio", "input_audio": {"data": RED, "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "content": [{"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}}],
            },
        ],
        "mm_processor_kwargs": {"fps": 1},
        "use_activation": False,
    }
    inline = PlainInline()
    (ask,) = _route("/classify", body).read(body, inline)
    assert ask.prompt == (
        Turn("system", _text("Be brief.")),
        *_user("Make it red.", BLUE_PICTURE, Media("audio", b"red picture")),
    )
    assert ask.responses == ((Media("video", b"https://example.com/a.mp4"),),)
    assert [kind for kind, _ in inline.urls] == ["image", "video"]  # whether a URL is fetched, the server says


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([{"role": "user", "content": "hi"}], r"messages\[0\]: must be the response, with the role assistant"),
        ([{"role": "assistant", "content": "hi"}], "must hold a message of the user before"),
        ([{"role": "tool", "content": "hi"}], r"messages\[0\].role: is 'tool'; known are system"),
        ([{"role": "user", "content": [{"type": "image_embeds"}]}], r"content\[0\].type: is 'image_embeds'"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], r"content\[0\].image_url: is missing"),
    ],
)
def test_a_chat_that_holds_no_response_or_an_unknown_part_is_refused(messages: list[Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        _asks("/classify", {"messages": messages})


@pytest.mark.parametrize("key", ["use_activation", "activation"])
@pytest.mark.parametrize("path", ["/classify", "/pooling", "/v1/classify"])
def test_a_sigmoid_runs_only_where_the_client_says_so_and_the_reply_says_which(path: str, key: str) -> None:
    """1 / (1 + 1/3) is 0.75: the reward is log 3, by hand."""
    plain = {"model": "m", "input": CHAT}
    raw, squeezed = 1.0986122886681098, pytest.approx(0.75)
    for body, expected in ((plain, raw), (plain | {key: False}, raw), (plain | {key: True}, squeezed)):
        reply = _reply(path, body, [[raw]])
        assert reply["data"][0].get("probs", reply["data"][0].get("data")) == [expected]
        assert reply["raw"] is (expected == raw)


def test_a_sigmoid_both_asked_for_and_declined_is_refused() -> None:
    body = {"input": CHAT, "use_activation": True, "activation": False}
    with pytest.raises(RequestError, match="use_activation and activation: contradict each other"):
        _reply("/classify", body, [[1.0]])


@pytest.mark.parametrize(
    ("queries", "documents"), [("queries", "documents"), ("text_1", "items"), ("data_1", "data_2")]
)
def test_vllm_scores_documents_under_one_query(queries: str, documents: str) -> None:
    body = {"model": "m", queries: "Name a colour.", documents: ["Red.", "A table."]}
    assert _asks("/score", body) == [Ask(_user("Name a colour."), (_text("Red."), _text("A table.")))]
    reply = _reply("/score", body, [[0.5, -0.5]])
    assert reply["data"] == [
        {"index": 0, "object": "score", "score": 0.5},
        {"index": 1, "object": "score", "score": -0.5},
    ]


def test_vllm_scores_each_document_under_its_own_query_with_media() -> None:
    picture = {"content": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{RED}"}}]}
    body = {"text_1": ["A red square.", "A dot."], "text_2": [picture, "no"]}
    assert _asks("/score", body) == [
        Ask(_user("A red square."), ((RED_PICTURE,),)),
        Ask(_user("A dot."), (_text("no"),)),
    ]


def test_vllm_score_refuses_queries_and_documents_that_do_not_pair_up() -> None:
    with pytest.raises(RequestError, match="2 queries and 3 documents"):
        _asks("/score", {"queries": ["a", "b"], "documents": ["c", "d", "e"]})
    with pytest.raises(RequestError, match="send exactly one of documents, items, text_2, data_2; 0"):
        _asks("/score", {"queries": "a"})


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_vllm_ranks_documents_best_first(path: str) -> None:
    """What its class `RerankRequest` writes, and its class `RerankResponse` reads."""
    body: dict[str, Any] = {
        "model": "m",
        "request_id": "made up",
        "priority": 0,
        "max_tokens_per_query": 0,
        "max_tokens_per_doc": 0,
        "query": "Name a colour.",
        "documents": ["A table.", {"content": [{"type": "image_url", "image_url": {"url": f"data:;base64,{RED}"}}]}],
        "top_n": 0,
    }
    assert _asks(path, body) == [Ask(_user("Name a colour."), (_text("A table."), (RED_PICTURE,)))]
    best, last = (
        {"index": 1, "document": {"text": None}, "relevance_score": 2.0},
        {"index": 0, "document": {"text": "A table."}, "relevance_score": -1.0},
    )
    assert _reply(path, body, [[-1.0, 2.0]]) == {
        "id": "rerank-request-1",
        "model": "tiny",
        "usage": {"prompt_tokens": 0, "total_tokens": 0},
        "results": [best, last],
        "raw": True,
    }
    assert _reply(path, body | {"top_n": 1}, [[-1.0, 2.0]])["results"] == [best]
    assert _reply(path, body | {"top_n": 9}, [[-1.0, 2.0]])["results"] == [best, last]
    with pytest.raises(RequestError, match="top_n: must be a whole number, 0 or more"):
        _asks(path, body | {"top_n": -1})


@pytest.mark.parametrize(
    ("path", "query", "documents"),
    [
        ("/rerank", {"query": None}, "texts"),
        ("/rerank", {"query": None}, "documents"),
        ("/score", {"queries": None}, "documents"),
        ("/v1/score", {"text_1": None}, "text_2"),
    ],
)
def test_a_document_is_scored_as_the_same_pair_of_predict(path: str, query: dict[str, None], documents: str) -> None:
    """What the query begins of the answer is a part of it, and the mark of its end is not."""
    begun = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\n<think>plan"
    said = ["x", "x<|im_end|>", "<|im_end|>x"]
    (found,) = _asks(path, {**dict.fromkeys(query, begun), documents: said})
    pairs = _asks("/predict", {"inputs": [[begun, each] for each in said]})
    assert [(found.prompt, (response,)) for response in found.responses] == [(p.prompt, p.responses) for p in pairs]
    assert found.responses == (_text("<think>planx"), _text("<think>planx"), _text("<think>plan<|im_end|>x"))


def test_vllms_instruction_is_the_criterion_where_there_is_none_of_ours() -> None:
    """Its class repeats the instruction under `chat_template_kwargs`, which is not read."""
    body: dict[str, Any] = {"queries": ["q", "p"], "documents": ["a", "b"], "instruction": "Be brief."}
    body["chat_template_kwargs"] = {"instruction": "Be brief."}
    assert [ask.criterion for ask in _asks("/v1/score", body)] == ["Be brief."] * 2
    assert [ask.criterion for ask in _asks("/v1/score", body | {"criterion": ["x", ""]})] == ["x", ""]
    ranked = {"query": "q", "documents": ["a"], "instruction": "Be brief."}
    assert _asks("/rerank", ranked)[0].criterion == "Be brief."


def test_tei_and_vllm_share_a_path_and_are_told_apart() -> None:
    assert _reply("/rerank", {"query": "q", "texts": ["a"]}, [[0.5]]) == [{"index": 0, "score": 0.5}]
    assert _reply("/rerank", {"query": "q", "documents": ["a"]}, [[0.5]])["results"][0]["relevance_score"] == 0.5
    with pytest.raises(RequestError, match=r"texts \(tei\); documents \(vllm\). The body has none of them"):
        _asks("/rerank", {"query": "q"})


@pytest.mark.parametrize(("path", "key"), [("/v1/embeddings", "embedding"), ("/pooling", "data")])
def test_base64_holds_a_float32_as_openais_client_reads_it(path: str, key: str) -> None:
    """0.5 is the bits 0x3f000000, by hand."""
    body = {"model": "m", "input": [CHAT], "encoding_format": "base64"}
    (one,) = _reply(path, body, [[0.5]])["data"]
    assert base64.b64decode(one[key]) == b"\x00\x00\x00\x3f"
    assert _reply(path, body | {"encoding_format": "float"}, [[0.5]])["data"][0][key] == [0.5]
    with pytest.raises(RequestError, match="encoding_format: is 'bytes'; known are float and base64"):
        _reply(path, body | {"encoding_format": "bytes"}, [[0.5]])


def test_hugging_faces_client_names_the_function_to_apply() -> None:
    """As above: the sigmoid of log 3 is 3/4. One class has no softmax."""
    body: dict[str, Any] = {"inputs": "I like you.", "parameters": {}}
    raw = 1.0986122886681098
    assert _reply("/predict", body, [[raw]])[0]["score"] == raw
    for function, expected in (("none", raw), ("sigmoid", pytest.approx(0.75))):
        applied = body | {"parameters": {"function_to_apply": function}}
        assert _reply("/predict", applied, [[raw]])[0]["score"] == expected
    with pytest.raises(RequestError, match=r"parameters.function_to_apply: is 'softmax'"):
        _asks("/predict", body | {"parameters": {"function_to_apply": "softmax"}})


def test_vllm_pools_to_one_number() -> None:
    body = {"model": "m", "input": [CHAT], "task": "classify", "use_activation": False}
    assert _reply("/pooling", body, [[-3.5]])["data"] == [{"index": 0, "object": "pooling", "data": [-3.5]}]


def test_sglang_answers_a_list_with_a_list_and_one_with_one() -> None:
    body = {"model": "m", "text": [CHAT]}
    assert _asks("/classify", body) == [Ask(_user("Name a colour."), (_text("Red."),))]
    (found,) = _reply("/classify", body, [[0.5]])
    assert found == {"embedding": [0.5], "meta_info": {"id": "request-1-0"}}
    assert _reply("/classify", body | {"text": CHAT}, [[0.5]]) == found


def test_verl_reads_the_last_number_of_the_last_embedding() -> None:
    reply = _reply("/v1/embeddings", {"model": "m", "input": CHAT}, [[-0.25]])
    assert reply["data"][-1]["embedding"][-1] == -0.25


def test_verl_reads_the_last_number_of_the_last_class_under_the_older_name() -> None:
    reply = _reply("/classify", {"model": "m", "input": CHAT, "activation": False}, [[-0.25]])
    assert reply["data"][-1]["probs"][-1] == -0.25


@pytest.mark.parametrize(
    ("inputs", "asked", "batch"),
    [
        ("I like you.", [("", "I like you.")], False),
        (["Name a colour.", "Red."], [("Name a colour.", "Red.")], False),
        ([["I like you."], ["Name a colour.", "Red."]], [("", "I like you."), ("Name a colour.", "Red.")], True),
    ],
)
def test_tei_predicts_a_text_a_pair_or_a_batch_of_both(inputs: Any, asked: list[tuple[str, str]], batch: bool) -> None:
    body = {"inputs": inputs, "raw_scores": True}
    assert _asks("/predict", body) == [Ask(_user(prompt), (_text(response),)) for prompt, response in asked]
    rewards = [[float(i)] for i in range(len(asked))]
    classes = [[{"score": float(i), "label": "LABEL_0"}] for i in range(len(asked))]
    assert _reply("/predict", body, rewards) == (classes if batch else classes[0])


def test_tei_ranks_best_first_and_shows_texts_where_asked() -> None:
    body: dict[str, Any] = {"query": "Name a colour.", "texts": ["A table.", "Red."]}
    assert _asks("/rerank", body) == [Ask(_user("Name a colour."), (_text("A table."), _text("Red.")))]
    assert _reply("/rerank", body, [[-1.0, 2.0]]) == [{"index": 1, "score": 2.0}, {"index": 0, "score": -1.0}]
    shown = _reply("/rerank", body | {"return_text": True}, [[-1.0, 2.0]])
    assert [one["text"] for one in shown] == ["Red.", "A table."]


def test_tei_squeezes_scores_only_where_raw_ones_are_declined() -> None:
    """As above: the sigmoid of log 3 is 3/4."""
    body = {"query": "q", "texts": ["a"]}
    assert _reply("/rerank", body, [[1.0986122886681098]])[0]["score"] == 1.0986122886681098
    squeezed = _reply("/rerank", body | {"raw_scores": False}, [[1.0986122886681098]])
    assert squeezed[0]["score"] == pytest.approx(0.75)


def test_llama_factory_sends_templated_texts() -> None:
    body = {"model": "m", "messages": [CHAT, CHAT], "max_length": 512}
    assert _asks("/v1/score/evaluation", body) == [Ask(_user("Name a colour."), (_text("Red."),))] * 2
    reply = _reply("/v1/score/evaluation", body, [[0.123456789], [2.0]])
    assert reply["object"] == "score.evaluation"
    assert reply["scores"] == [0.123456789, 2.0]  # not rounded


def test_unirl_asks_for_a_picture_under_several_criteria_in_one_request() -> None:
    body = {
        "requests": [
            {
                "history": [{"text": "A red square.", "image_b64": RED}],
                "required_rewards": ["omnireward", "clip", "omnireward:It should be large."],
                "metadata": {"any": 1},
            }
        ]
    }
    assert _asks("/score", body) == [
        Ask(_user("A red square."), ((RED_PICTURE,),), ""),
        Ask(_user("A red square."), ((RED_PICTURE,),), "It should be large."),
    ]
    reply = _reply("/score", body, [[0.5], [Problem("deadline", "too late.")]])
    assert reply["results"] == [{"omnireward": {"score": 0.5}}]
    assert reply["errors"] == [
        {
            "clip": "not served here; the one reward is omnireward, or omnireward:CRITERION.",
            "omnireward:It should be large.": "deadline: too late.",
        }
    ]


def test_unirl_shows_what_an_edit_starts_from_in_the_prompt() -> None:
    history = [{"text": "Make it red.", "image_b64": BLUE}, {"text": "Make it red.", "image_b64": RED}]
    body = {"requests": [{"history": history, "required_rewards": ["omnireward"]}]}
    assert _asks("/score", body) == [Ask(_user(BLUE_PICTURE, "Make it red."), ((RED_PICTURE,),))]
    history[0]["text"] = "Draw a square."
    assert _asks("/score", body)[0].prompt == _user("Draw a square.", BLUE_PICTURE, "Make it red.")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"text": "a", "video_path": "/etc/passwd"}, r"history\[0\].video_path: paths are not read"),
        ({"text": "a"}, r"history\[0\]: must have one medium, image_b64 or video_b64; it has 0"),
        ({"text": "a", "image_b64": RED, "video_b64": RED}, "it has 2"),
    ],
)
def test_unirl_items_without_one_medium_of_their_own_are_refused(item: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        _asks("/score", {"requests": [{"history": [item], "required_rewards": ["omnireward"]}]})


def test_unirl_lists_its_rewards() -> None:
    assert _route("/rewards", {}, "GET").write({}, [], SERVED) == {"rewards": ["omnireward"]}
    assert _route("/health", {}, "GET").write({}, [], SERVED)["status"] == "ok"


def test_flow_grpo_sends_pictures_and_is_told_which_has_no_score() -> None:
    body = {
        "images": [RED, BLUE],
        "prompts": ["A red square.", "A blue dot."],
        "criterion": ["", "It should be large."],
    }
    assert _asks("/flow_grpo", body) == [
        Ask(_user("A red square."), ((RED_PICTURE,),)),
        Ask(_user("A blue dot."), ((BLUE_PICTURE,),), "It should be large."),
    ]
    reply = _reply("/flow_grpo", body, [[0.5], [Problem("media", "broken.")]])
    assert reply["scores"] == [0.5, None]
    assert reply["errors"] == [None, "media: broken."]
