"""What each framework hands over becomes rows; what comes back has its form, and never a made-up number."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.adapters.made_up import MadeUp

from omnireward.adapters import easyr1, flow_grpo, ms_swift, source, trl, verl
from omnireward.adapters.pictures import picture
from omnireward.client import Client
from omnireward.errors import RecipeError, UnreadableMediaError
from omnireward.media import decode
from omnireward.serve.asking import Ask, Problem, Reward
from omnireward.serve.scoring import Row
from omnireward.types import Media, Text, Turn

WHERE = "http://127.0.0.1:8000"


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> MadeUp:
    """In place of every source, whatever its address."""
    found = MadeUp()
    for module in (trl, ms_swift, verl, easyr1, flow_grpo):
        monkeypatch.setattr(module, "rewarder", lambda *_args: found)
    return found


def _chat(words: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": words}]


def _said(words: str) -> list[dict[str, Any]]:
    return [{"role": "assistant", "content": words}]


@pytest.mark.parametrize("form", ["plain", "chats"])
def test_trl_gets_a_number_for_each_completion_and_none_where_there_is_no_reward(made_up: MadeUp, form: str) -> None:
    """Both forms of its datasets; the columns that it adds are of no concern."""
    prompts: list[Any] = ["ask one", "ask two", "ask one"]
    completions: list[Any] = ["say 1.5", "say nothing", "say -2"]
    if form == "chats":
        prompts, completions = [_chat(each) for each in prompts], [_said(each) for each in completions]
    function = trl.reward_func(WHERE, on_problem="none")
    found = function(prompts=prompts, completions=completions, completion_ids=[[1]] * 3, trainer_state=None, answer="x")
    assert found == [1.5, None, -2.0]
    assert made_up.words == [("ask one", "", ["say 1.5", "say -2"]), ("ask two", "", ["say nothing"])]


def test_trl_raises_or_logs_what_has_no_reward(made_up: MadeUp, caplog: pytest.LogCaptureFixture) -> None:
    """TRL may make 0 of a None, so None must be asked for."""
    with pytest.raises(source.NoRewardError, match=r"completion 1 has no reward \(failed\): made up"):
        trl.reward_func(WHERE)(["a", "b"], ["1", "nothing"])
    with caplog.at_level(logging.WARNING):
        trl.reward_func(WHERE, on_problem="none")(["a", "b"], ["1", "nothing"])
    assert "1 of 2 completions have no reward; the first (failed): made up." in caplog.text


def test_trl_reads_criteria_and_pictures_of_rows(made_up: MadeUp) -> None:
    red = Image.new("RGB", (4, 4), (200, 0, 0))
    place = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "what?"}]}]
    inside = [{"role": "user", "content": [{"type": "text", "text": "and this?"}, {"type": "image", "image": red}]}]
    function = trl.reward_func(WHERE, criterion="Be brief.")
    assert function(
        [place, "plain", inside], ["1", "2", "3"], images=[[red], [red, red], None], criterion=["Be red.", None, ""]
    ) == [1.0, 2.0, 3.0]
    assert made_up.words == [
        ("(image) what?", "Be red.", ["1"]),
        ("(image) (image) plain", "Be brief.", ["2"]),
        ("and this? (image)", "", ["3"]),
    ]


def test_messages_that_hold_pictures_hold_all_of_them(made_up: MadeUp) -> None:
    """TRL has put the column's there, and hands the column over as well."""
    red = Image.new("RGB", (4, 4), (200, 0, 0))
    filled = [{"role": "user", "content": [{"type": "image", "image": red}, {"type": "text", "text": "what?"}]}]
    assert trl.reward_func(WHERE)([filled], ["1"], images=[[red]]) == [1.0]
    assert made_up.words == [("(image) what?", "", ["1"])]


@pytest.mark.parametrize(
    ("prompt", "images", "message"),
    [
        ([{"role": "user", "content": [{"type": "image"}]}], None, "more places for pictures"),
        ([{"role": "user", "content": [{"type": "video"}]}], None, "of the type 'video'"),
        ([{"role": "narrator", "content": "x"}], None, "has the role 'narrator'"),
        ([{"role": "user", "content": None}], None, "has the content None"),
        ([{"role": "system", "content": "x"}], [b"picture"], "no user turn to show them in"),
        ("words", ["/etc/passwd"], "Paths are not opened"),
        ("words", [7], "got a int"),
    ],
)
def test_trl_rows_that_cannot_be_read_fail_alone(
    made_up: MadeUp, caplog: pytest.LogCaptureFixture, prompt: Any, images: Any, message: str
) -> None:
    assert trl.reward_func(WHERE, on_problem="none")([prompt, "fine"], ["1", "2"], images=[images, None]) == [None, 2.0]
    assert message in caplog.text


def test_trl_shows_the_functions_name_in_its_logs(made_up: MadeUp) -> None:
    assert trl.reward_func(WHERE).__name__ == "omnireward"
    assert trl.reward_func(WHERE, name="short").__name__ == "short"


@pytest.mark.parametrize("column", [["one"], [1, 2], 7])
def test_a_column_of_criteria_that_holds_something_else_is_an_error(made_up: MadeUp, column: Any) -> None:
    with pytest.raises(RecipeError, match="column `criterion`"):
        trl.reward_func(WHERE)(["a", "b"], ["1", "2"], criterion=column)


@pytest.mark.parametrize("arguments", [{}, {"args": object()}], ids=["older versions", "newer versions"])
def test_ms_swift_makes_its_function_and_finds_the_prompt_in_the_messages(
    made_up: MadeUp, arguments: dict[str, Any]
) -> None:
    made = ms_swift.orm(WHERE, on_problem="none")(**arguments)
    messages = [_chat("ask one") + _said("say 1"), _chat("ask two") + _said("say nothing"), _chat("ask three")]
    found = made(["say 1", "say nothing", "say 3"], messages=messages, images=[[], [{"bytes": b"picture"}], None])
    assert found == [1.0, None, 3.0]
    assert [prompt for prompt, _, _ in made_up.words] == ["ask one", "(image) ask two", "ask three"]
    with pytest.raises(RecipeError, match="gave no `messages`"):
        made(["say 1"])
    with pytest.raises(source.NoRewardError, match="completion 1 has no reward"):
        ms_swift.orm(WHERE)()(["say 1", "say nothing"], messages=messages[:2])


def test_ms_swift_marks_places_of_pictures_in_the_words(made_up: MadeUp) -> None:
    """As its rows hold them: one place for each picture; further marks are words, further pictures come first."""
    red = {"bytes": b"picture", "path": None}
    rows = [("<image>what<image>?", [red, red]), ("a<image>b<image>", [red]), ("<image>", None), ("c", [red])]
    made = ms_swift.orm(WHERE)()
    messages = [_chat(words) + _said("1") for words, _ in rows]
    assert made(["1"] * 4, messages=messages, images=[shown for _, shown in rows]) == [1.0] * 4
    prompts = [prompt for prompt, _, _ in made_up.words]
    assert prompts == ["(image) what (image) ?", "a (image) b<image>", "<image>", "(image) c"]


@pytest.mark.parametrize("kind", ["videos", "audios"])
def test_ms_swift_rows_with_other_media_are_an_error(made_up: MadeUp, kind: str) -> None:
    """Judging without them would give a number for another prompt."""
    made, messages = ms_swift.orm(WHERE)(), [_chat("a") + _said("1"), _chat("b") + _said("2")]
    with pytest.raises(RecipeError, match=f"rows hold `{kind}`"):
        made(["1", "2"], messages=messages, **{kind: [None, ["/tmp/a.mp4"]]})
    assert made(["1", "2"], messages=messages, **{kind: [None, []]}) == [1.0, 2.0]


@pytest.mark.parametrize("prompt", ["ask one", _chat("ask one")])
def test_verl_gets_a_number_under_the_rows_criterion(made_up: MadeUp, prompt: Any) -> None:
    row = {"question": prompt, "criterion": "Be red.", "index": 7}
    found = verl.compute_score("data", "say 2.5", "truth", row, where=WHERE, reward_router_address=None)
    assert found == 2.5
    assert verl.compute_score("data", "1", "", {"ask": "x"}, where=WHERE, prompt_key="ask", criterion="Short.") == 1.0
    assert made_up.words == [("ask one", "Be red.", ["say 2.5"]), ("x", "Short.", ["1"])]


def test_verl_without_a_reward_or_a_prompt_is_an_error(made_up: MadeUp) -> None:
    with pytest.raises(source.NoRewardError, match="a response of 'data' has no reward"):
        verl.compute_score("data", "nothing", "", {"question": "x"}, where=WHERE)
    with pytest.raises(RecipeError, match=r"has no 'question'; it has answer, index"):
        verl.compute_score("data", "1", "", {"index": 1, "answer": "x"}, where=WHERE)
    with pytest.raises(RecipeError, match=r"has no 'question'; it has nothing"):
        verl.compute_score("data", "1", "", where=WHERE)


def test_verl_awaits_the_same_numbers(made_up: MadeUp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its manager looks for a coroutine function. A server is asked by a client of the loop, of which there is one."""
    opened: list[str] = []

    class Waiting(OfALoop):
        async def __aenter__(self) -> Waiting:
            opened.append(self.where)
            return self

        async def ask(self, asks: list[Ask]) -> list[list[Reward]]:
            return made_up(asks)

    monkeypatch.setattr(verl, "AsyncClient", Waiting)
    assert inspect.iscoroutinefunction(verl.compute_score_async)
    row = {"question": "ask one", "criterion": "Be red."}

    async def several(where: str) -> list[float]:
        calls = [verl.compute_score_async("data", f"say {n}", "", row, where=where) for n in (1, 2)]
        return await asyncio.gather(*calls)

    for where in (WHERE, "reward:FOLDER"):
        assert asyncio.run(several(where)) == [1.0, 2.0]
        with pytest.raises(source.NoRewardError, match="a response of 'data' has no reward"):
            asyncio.run(verl.compute_score_async("data", "nothing", "", row, where=where))
    assert opened == [WHERE, WHERE]  # of two loops
    assert made_up.words[0] == ("ask one", "Be red.", ["say 1"])
    with pytest.raises(RecipeError, match="has no 'question'"):
        asyncio.run(verl.compute_score_async("data", "1", "", {}, where=WHERE))


class OfALoop:
    """In place of a client: whose loop is it, and was it closed before its loop?"""

    def __init__(self, where: str, discount: float = 0.0) -> None:
        self.where, self.loop, self.closed = where, asyncio.get_running_loop(), False

    async def __aenter__(self) -> Any:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = not self.loop.is_closed()

    async def ask(self, asks: list[Ask]) -> list[list[Reward]]:
        assert asyncio.get_running_loop() is self.loop
        return [[1.0] for _ in asks]


def test_verls_clients_end_with_their_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of `asyncio.run` are closed before. A loop that is only closed is forgotten when the next one asks."""
    opened: list[OfALoop] = []

    def client(where: str, discount: float) -> OfALoop:
        assert discount == 0
        opened.append(OfALoop(where))
        return opened[-1]

    monkeypatch.setattr(verl, "AsyncClient", client)

    async def one() -> float:
        return await verl.compute_score_async("data", "1", "", {"question": "x"}, where=WHERE)

    for _ in range(3):
        assert asyncio.run(one()) == 1.0
    assert [client.closed for client in opened] == [True] * 3
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(one()) == 1.0
    assert list(verl._CLIENTS) == [loop]
    loop.close()
    assert asyncio.run(one()) == 1.0
    assert loop not in verl._CLIENTS
    assert len(verl._CLIENTS) == 1


@pytest.mark.parametrize("name", ["criterium", "prompt_keys", "limits"])
def test_verl_refuses_a_name_that_it_does_not_know(made_up: MadeUp, name: str) -> None:
    """A misspelt criterion would train on overall quality. What verl itself adds is taken."""
    rest: dict[str, Any] = {"where": WHERE, name: "Be red.", "reward_model_tokenizer": None}
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        verl.compute_score("data", "1", "", {"question": "x"}, **rest)
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        asyncio.run(verl.compute_score_async("data", "1", "", {"question": "x"}, **rest))
    del rest[name]
    assert verl.compute_score("data", "1", "", {"question": "x"}, reward_router_address="a", **rest) == 1.0
    assert made_up.words == [("x", "", ["1"])]


@pytest.mark.parametrize("make", [trl.reward_func, ms_swift.orm, flow_grpo.scorer])
def test_what_is_not_known_is_refused_where_a_function_is_made(made_up: MadeUp, make: Callable[..., object]) -> None:
    """A misspelt `on_problem` would be as good as 0 for what has no reward."""
    with pytest.raises(RecipeError, match="on_problem is 'rais'; known are "):
        make(WHERE, on_problem="rais")
    with pytest.raises(TypeError, match="criterium"):
        make(WHERE, criterium="Be red.")


def _easy(response: str, answer: Any) -> dict[str, Any]:
    return {"response": response, "response_length": 3, "ground_truth": answer}


def test_easyr1_gets_an_overall_score_for_each_response(made_up: MadeUp) -> None:
    assert easyr1.REWARD_TYPE == "batch"
    batch = [
        _easy("say 1", json.dumps({"prompt": "ask one", "criterion": "Be red."})),
        _easy("say 2", {"prompt": _chat("ask two")}),
    ]
    assert easyr1.compute_score(batch, where=WHERE, criterion="Short.") == [
        {"overall": 1.0, "omnireward": 1.0},
        {"overall": 2.0, "omnireward": 2.0},
    ]
    assert made_up.words == [("ask one", "Be red.", ["say 1"]), ("ask two", "Short.", ["say 2"])]


@pytest.mark.parametrize("answer", ["42", "not json", '{"criterion": "x"}', None, ["prompt"], "[" * 100_000])
def test_easyr1_without_a_prompt_or_a_reward_is_an_error(made_up: MadeUp, answer: Any) -> None:
    with pytest.raises(RecipeError, match="the answer of response 0 is no object with `prompt`"):
        easyr1.compute_score([_easy("1", answer)], where=WHERE)
    with pytest.raises(source.NoRewardError, match="response 0 of the batch has no reward"):
        easyr1.compute_score([_easy("nothing", {"prompt": "a"})], where=WHERE)


def _noise(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)


def _tensor(array: Any, kind: str) -> Any:
    torch = pytest.importorskip("torch")
    return torch.from_numpy(array).to(getattr(torch, kind))


FORMS: dict[str, Callable[[Any], Any]] = {
    "nhwc uint8": lambda p: p,
    "nchw float32": lambda p: p.transpose(0, 3, 1, 2).astype(np.float32) / 255,
    "nchw float64": lambda p: p.transpose(0, 3, 1, 2) / 255,
    "nhwc uint8 tensor": lambda p: _tensor(p, "uint8"),
    "nchw float32 tensor": lambda p: _tensor(p.transpose(0, 3, 1, 2).astype(np.float32) / 255, "float32"),
    "PIL images": lambda p: [Image.fromarray(one) for one in p],
    "one array each": list,
}


@pytest.mark.parametrize("form", FORMS)
def test_flow_grpos_pictures_arrive_with_the_same_pixels(monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    asked: list[Ask] = []

    def keep(asks: list[Ask]) -> list[list[Reward]]:
        asked.extend(asks)
        return [[0.5] * len(ask.responses) for ask in asks]

    monkeypatch.setattr(flow_grpo, "rewarder", lambda *_args: keep)
    pixels = _noise()
    scores, info = flow_grpo.scorer(WHERE)(FORMS[form](pixels), ["one", "two"], [{"criterion": "Be red."}, {}])
    assert scores == [0.5, 0.5]
    assert info == {"errors": [None, None]}
    assert [ask.criterion for ask in asked] == ["Be red.", ""]
    assert asked[0].prompt == (Turn("user", (Text("one"),)),)
    for ask, expected in zip(asked, pixels, strict=True):
        (image,) = ask.responses[0]
        assert isinstance(image, Media)
        assert np.array_equal(decode(image), expected)


def test_flow_grpo_takes_half_precision_within_a_step_of_each_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 has 8 significant bits, so a colour near 255 can be off by half of 2**-8 of it: less than one step."""
    asked: list[Ask] = []

    def keep(asks: list[Ask]) -> list[list[Reward]]:
        asked.extend(asks)
        return [[0.5] * len(ask.responses) for ask in asks]

    monkeypatch.setattr(flow_grpo, "rewarder", lambda *_args: keep)
    pixels = _noise()
    floats = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).astype(np.float32) / 255
    flow_grpo.scorer(WHERE)(_tensor(floats, "bfloat16"), ["one", "two"], {})
    (image,) = asked[0].responses[0]
    assert isinstance(image, Media)
    assert np.abs(decode(image).astype(int) - pixels[0].astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 4, 4, 4), np.uint8), "must be"),
        (np.zeros((1, 4, 4, 3), np.float32), "must be"),
        (np.zeros((4, 4, 3), np.uint8), "must be"),
        (np.full((1, 3, 4, 4), 255.0), r"must lie in \[0, 1\]"),
        (np.full((1, 3, 4, 4), -1.0), r"must lie in \[0, 1\]"),
        (np.full((1, 3, 4, 4), np.nan), r"must lie in \[0, 1\]"),
        (["/etc/passwd"], "Paths are not opened"),
    ],
)
def test_flow_grpo_refuses_what_is_no_picture(made_up: MadeUp, images: Any, message: str) -> None:
    with pytest.raises(UnreadableMediaError, match=message):
        flow_grpo.scorer(WHERE)(images, ["one"], {})


def test_flow_grpo_without_a_reward_raises_or_gives_nan(made_up: MadeUp) -> None:
    """Of the made-up source, a picture has no number."""
    with pytest.raises(source.NoRewardError, match="image 0 has no reward"):
        flow_grpo.scorer(WHERE)(_noise(), ["one", "two"], [])
    scores, info = flow_grpo.scorer(WHERE, on_problem="nan")(_noise(), ["one", "two"])
    assert all(math.isnan(score) for score in scores)
    assert info["errors"] == ["failed: made up."] * 2
    with pytest.raises(RecipeError, match="2 images came with 1 prompts"):
        flow_grpo.scorer(WHERE)(_noise(), ["one"])


def test_pictures_of_any_mode_are_encoded() -> None:
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F"):
        assert decode(picture(Image.new(mode, (3, 2)))).shape == (2, 3, 3)


def test_rows_of_one_prompt_and_criterion_are_asked_together_and_come_back_in_their_places() -> None:
    rows = [
        Row((Turn("user", (Text(prompt),)),), (Text(f"{number}"),), criterion)
        for number, (prompt, criterion) in enumerate([("a", ""), ("b", ""), ("a", "x"), ("a", ""), ("b", "")])
    ]
    made_up = MadeUp()
    assert source.rewards_of(rows, made_up) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert made_up.words == [("a", "", ["0", "3"]), ("b", "", ["1", "4"]), ("a", "x", ["2"])]
    assert source.rewards_of([], made_up) == []


def test_a_number_is_the_reward_and_a_problem_is_an_error() -> None:
    assert source.number(0.5, "it") == 0.5
    with pytest.raises(source.NoRewardError, match=r"it has no reward \(media\): broken"):
        source.number(Problem("media", "broken"), "it")


def test_threads_that_ask_for_a_source_at_once_share_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening one waits for the others to open theirs, which they would if it were not shared."""
    opened: list[str] = []
    second = threading.Event()

    def client(where: str, **_limits: object) -> Client:
        opened.append(where)
        if len(opened) > 1:
            second.set()
        second.wait(0.2)
        return Client(where)

    monkeypatch.setattr(source, "Client", client)
    ready = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: (ready.wait(30), source.rewarder("http://shared:1"))[1], range(4)))
    assert opened == ["http://shared:1"]
    assert found == [found[0]] * 4


@pytest.mark.parametrize("where", ["longer", "127.0.0.1:8000", "out/run", ""])
def test_a_source_that_is_neither_server_nor_model_is_refused(where: str) -> None:
    with pytest.raises(RecipeError, match="as reward:FOLDER"):
        source.rewarder(where)
