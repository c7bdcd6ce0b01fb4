"""What vLLM is given and asked for, against a stand-in for it: vLLM itself needs a GPU.

The stand-in does what vLLM's own preprocessing does (0.30): it puts as many placeholders in the place of one as the
grid of its medium wants, and tells the tokens that it read.
"""

from __future__ import annotations

import copy
import math
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.speakers import Speaker, made, media, question, speaker
from tests.train import scripted
from tests.train.scripted import BARE_A, LOST, RIGHT_A, RIGHT_B
from torch import Tensor

from omnireward import lora
from omnireward.backbones import Row
from omnireward.encoded import Encoded
from omnireward.errors import MissingExtraError, RecipeError, TrainingError
from omnireward.lora import Lora, linear_layers
from omnireward.media import encode
from omnireward.on_base import OnBase
from omnireward.policy import Policy
from omnireward.speaking import Said
from omnireward.train.grpo import grpo
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.vllm_speaking import VLLMSpeaker, weights_of
from omnireward.types import Media, Part, Text
from omnireward.vocabulary_head import tied

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "text")
Answer = Callable[[list[int], int], tuple[Sequence[int], Sequence[float]]]
Play = Callable[..., scripted.Script]


@dataclass
class Engine:
    """In place of vLLM. `answer` is told the tokens that were read and the place of an answer among those asked for."""

    answer: Answer = lambda _ids, _place: ([], [])
    placeholders: dict[str, int] = field(default_factory=dict)
    made: dict[str, Any] = field(default_factory=dict)
    loads: list[dict[str, Tensor]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    prompts: list[dict[str, Any]] = field(default_factory=list)
    params: list[SimpleNamespace] = field(default_factory=list)

    def start(self, **given: Any) -> Engine:
        self.made = given
        return self

    def apply_model(self, function: Callable[[Any], None]) -> list[None]:
        self.calls.append("weights")
        function(self)
        return [None]

    def load_weights(self, weights: Iterable[tuple[str, Tensor]]) -> set[str]:
        given = list(weights)
        assert len({name for name, _ in given}) == len(given)
        self.loads.append({name: tensor.clone() for name, tensor in given})
        return set(self.loads[-1])

    def reset_prefix_cache(self) -> None:
        self.calls.append("forget")

    def generate(self, prompts: list[dict[str, Any]], params: list[SimpleNamespace], *, use_tqdm: bool) -> list[Any]:
        assert not use_tqdm
        self.calls.append("generate")
        self.prompts, self.params = prompts, params
        return [self._answered(prompt, place) for place, prompt in enumerate(prompts)]

    def _answered(self, prompt: dict[str, Any], place: int) -> Any:
        read: list[int] = []
        grids = {
            token: iter(prompt.get("multi_modal_data", {}).get(kind, {}).get(f"{kind}_grid_thw", ()))
            for kind, token in self.placeholders.items()
        }
        for token in prompt["prompt_token_ids"]:
            read += [token] * (int(next(grids[token]).prod()) // 4 if token in grids else 1)
        assert not any(left for grid in grids.values() for left in grid)
        ids, logps = self.answer(read, place)
        told = [{id: SimpleNamespace(logprob=logp)} for id, logp in zip(ids, logps, strict=True)]
        return SimpleNamespace(prompt_token_ids=read, outputs=[SimpleNamespace(token_ids=list(ids), logprobs=told)])


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    found, module = Engine(), ModuleType("vllm")
    told = {"LLM": found.start, "SamplingParams": SimpleNamespace}
    monkeypatch.setitem(sys.modules, "vllm", module)
    for name, value in told.items():
        monkeypatch.setattr(module, name, value, raising=False)
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    return found


@pytest.fixture(scope="module", params=FAMILIES)
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    name = str(request.param)
    return speaker(name, tmp_path_factory.mktemp(name))


def _config(folder: Path, **more: Any) -> GRPOConfig:
    return GRPOConfig(out=folder.parent / "run", model=str(folder), engine="vllm", **more)


def _asked(given: Speaker) -> list[Encoded]:
    """Two pictures, one of them twice, and where a family is shown them so a video between; and a question of texts."""
    if given.name == "text":
        return given.asked("One.", "Two.")
    return [given.policy.ask(question(*_shown(given))), given.policy.ask(question(Text("Two.")))]


def _shown(given: Speaker) -> tuple[Part, ...]:
    draw = np.random.default_rng(1)
    other = Media("image", encode.png(draw.integers(0, 256, (70, 30, 3), dtype=np.uint8)))
    first, video = media(given.name)[:2]
    return (first, Text(" or "), *((video, Text(" or ")) if given.name == "qwen2_5_vl" else ()), other, first)


def _placeholders(policy: Policy) -> dict[str, int]:
    control = policy.backbone.tokenizer.control
    return {kind: control[f"<|{kind}_pad|>"] for kind in ("image", "video") if f"<|{kind}_pad|>" in control}


def _speak(engine: VLLMSpeaker, policy: Policy, asked: list[Encoded], which: list[int]) -> list[Said]:
    seeds = [2**62 + place for place in range(len(which))]
    return engine.speak(policy, asked, which, seeds, temperature=0.7, max_tokens=9)


def test_questions_arrive_whole_and_answers_come_back(each: Speaker, engine: Engine) -> None:
    policy, asked = each.policy, _asked(each)
    answers = [([40, policy.end], [-1.0, -2.0]), ([41, 42], [-3.0, -4.0]), ([policy.end], [-0.5])]
    engine.answer, engine.placeholders = (lambda _, place: answers[place]), _placeholders(policy)
    found = _speak(VLLMSpeaker(policy, _config(each.folder)), policy, asked, [0, 1, 0])
    assert found == [
        Said((40, policy.end), (-1.0, -2.0), ended=True),
        Said((41, 42), (-3.0, -4.0), ended=False),
        Said((policy.end,), (-0.5,), ended=True),
    ]
    first = asked[0].row.ids.tolist()
    short = engine.prompts[0]["prompt_token_ids"]
    assert len(first) - len(short) == sum(stop - start - 1 for start, stop in asked[0].row.spans)
    assert engine.prompts[2]["prompt_token_ids"] == short
    assert set(engine.prompts[1]) == {"prompt_token_ids"}


def test_what_is_asked_for(each: Speaker, engine: Engine) -> None:
    policy = each.policy
    speaker_ = VLLMSpeaker(policy, _config(each.folder, max_answer=50, vllm_memory=0.4, max_tokens=100, seed=3))
    engine.placeholders = _placeholders(policy)
    _speak(speaker_, policy, _asked(each), [0, 1])
    for params, seed in zip(engine.params, (2**62, 2**62 + 1), strict=True):
        told = vars(params)
        assert told.pop("logit_bias") == dict.fromkeys(policy.silent.tolist(), -1e4)
        wanted = {"temperature": 0.7, "seed": seed, "max_tokens": 9, "logprobs": 0, "stop_token_ids": [policy.end]}
        assert told == wanted | {"ignore_eos": True, "detokenize": False}
    given = engine.made
    assert (given["model"], given["dtype"], given["seed"]) == (str(each.folder), "float32", 3)
    assert (given["max_model_len"], given["gpu_memory_utilization"]) == (min(policy.most, 150), 0.4)
    assert given.get("enable_mm_embeds", False) == (each.name != "text")
    assert (given["logprobs_mode"], given["generation_config"]) == ("processed_logprobs", "vllm")


def test_media_are_the_embeddings_that_the_policy_reads(engine: Engine, tmp_path: Path) -> None:
    """A video's slices hold two frames, so they are twice as far apart as frames, of which nobody told the times."""
    given = speaker("qwen2_5_vl", tmp_path / "judge")
    engine.placeholders = _placeholders(given.policy)
    (asked, _) = _asked(given)
    _speak(VLLMSpeaker(given.policy, _config(given.folder)), given.policy, [asked], [0])
    told = engine.prompts[0]["multi_modal_data"]
    backbone, shown = given.policy.backbone, question(*_shown(given)).turns[1].content
    with torch.no_grad():
        first, video, other, again = backbone.encode_media(
            [backbone.prepare(part) for part in shown if isinstance(part, Media)]
        )
    torch.testing.assert_close(told["image"]["image_embeds"], torch.cat([first, other, again]))
    torch.testing.assert_close(told["video"]["video_embeds"], video)
    assert told["image"]["image_grid_thw"].tolist() == [[1, *asked.media[i].sizes[0]] for i in (0, 2, 3)]
    assert told["video"]["video_grid_thw"].tolist() == [[2, *asked.media[1].sizes[0]]]
    assert told["video"]["second_per_grid_ts"].tolist() == [2 * 0.5]
    assert not told["image"]["image_embeds"].requires_grad


def _same(given: dict[str, Tensor], folder: Path) -> None:
    wanted = load_file(folder / "model.safetensors")
    assert given.keys() == wanted.keys()
    assert all(torch.equal(given[name], tensor) for name, tensor in wanted.items())


def test_weights_are_those_of_the_saved_folder_by_its_names(each: Speaker, engine: Engine) -> None:
    VLLMSpeaker(each.policy, _config(each.folder)).sync_weights()
    _same(engine.loads[0], each.folder)
    assert engine.calls == ["weights", "forget"]


def test_a_head_that_is_the_embeddings_is_not_sent(tmp_path: Path) -> None:
    policy = made("text")
    policy.head = tied(policy.backbone)
    policy.save(tmp_path)
    _same(dict(weights_of(policy)), tmp_path)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "text"])
def test_adapters_are_added_and_stay_apart_in_the_policy(name: str, tmp_path: Path) -> None:
    policy = made(name)
    layers = tuple(layer for layer in linear_layers(policy.backbone) if "q_proj" in layer or "up_proj" in layer)
    Lora(2, 4.0, 0.0, layers).inject(policy.backbone)
    for number, weight in enumerate(lora.parameters(policy.backbone).values()):
        torch.nn.init.normal_(weight, generator=torch.Generator().manual_seed(number))
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    given = dict(weights_of(policy))
    assert all(torch.equal(before[key], value) for key, value in policy.state_dict().items())
    plain = copy.deepcopy(policy)
    lora.merge(plain.backbone)
    plain.save(tmp_path)
    _same(given, tmp_path)
    changed = [key for key in given if "q_proj.weight" in key and "visual" not in key]
    assert changed
    assert not any(
        torch.equal(given[key], tensor) for key, tensor in dict(weights_of(made(name))).items() if key in changed
    )


def test_what_vllm_cannot_speak_for_is_refused(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="qwen2_5_vl, qwen3_vl, text, not for qwen2_5_omni"):
        VLLMSpeaker(made("qwen2_5_omni"), _config(tmp_path))
    given = speaker("qwen3_vl", tmp_path / "judge")
    speaker_ = VLLMSpeaker(given.policy, _config(given.folder))
    with pytest.raises(RecipeError, match="shows Qwen3-VL no videos"):
        _speak(speaker_, given.policy, given.asked("One."), [0])
    engine.placeholders = {}  # as if media stood for one token each
    with pytest.raises(TrainingError, match="vLLM read a question as"):
        _speak(speaker_, given.policy, _asked(given), [0])
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RecipeError, match="takes one process; this run has 2"):
        VLLMSpeaker(given.policy, _config(given.folder))
    monkeypatch.delenv("WORLD_SIZE")
    given.policy.head = made("qwen3_vl").head  # apart, where the folder says that it is not
    told = (given.folder / "config.json").read_text()
    (given.folder / "config.json").write_text(
        told.replace('"tie_word_embeddings": false', '"tie_word_embeddings": true')
    )
    with pytest.raises(RecipeError, match="vocabulary head and embeddings are one"):
        VLLMSpeaker(given.policy, _config(given.folder))


@pytest.mark.parametrize("own", [True, False], ids=["made by the run", "elsewhere"])
def test_of_adapters_the_base_is_opened(own: bool, engine: Engine, text_judge: Path, tmp_path: Path) -> None:
    policy, config = Policy.load(text_judge), replace(_config(text_judge), out=tmp_path / "run")
    base = shutil.copytree(text_judge, config.out / "base" if own else tmp_path / "elsewhere")
    kept = Lora(2, 4.0, 0.0, ("model.layers.0.self_attn.q_proj",))
    policy.on_base = OnBase("base" if own else str(base), {}, "fp32", "none", kept, ())
    VLLMSpeaker(policy, config)
    assert engine.made["model"] == str(base)


def test_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, text_judge: Path) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingExtraError, match=r"omnireward\[vllm\]"):
        VLLMSpeaker(Policy.load(text_judge), _config(text_judge))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"vllm_memory": 1.0}, "vllm_memory is a share"),
        ({"quantize": "4bit", "lora_rank": 2}, "quantize is `none`"),
        ({"temperature": 0.001}, "0.01 or more"),
    ],
    ids=["memory", "4 bits", "cold"],
)
def test_settings_that_do_not_go_together(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=message):
        _config(tmp_path, **changed)


def _texts(place: int) -> str:
    return (RIGHT_A, RIGHT_B, LOST, BARE_A)[place % 4]


def _drawn(folder: Path, less: float) -> Answer:
    """Answers in turn, as if each token had been drawn with the policy's log-probability less so much."""
    policy = Policy.load(folder)

    @torch.no_grad()
    def answer(read: list[int], place: int) -> tuple[Sequence[int], Sequence[float]]:
        ids = scripted.ids_of(policy, _texts(place))
        spoken = policy([Encoded(Row(torch.tensor(read), ()), (), ())], [torch.tensor(ids)])
        return ids, (spoken.logps - less).tolist()

    return answer


def test_a_step_is_that_of_the_own_engine_where_both_draw_alike(
    grpo_config: GRPOConfig, play: Play, engine: Engine
) -> None:
    """All importance weights are 1. Had a token been drawn with a quarter of its probability, 4 would be cut to 2."""
    play(lambda _text, place, _seed: _texts(place))
    own = replace(grpo_config, steps=1, kl=0.0)
    grpo(own)
    lines = {}
    for name, less in (("same", 0.0), ("quarter", math.log(4))):
        engine.answer = _drawn(Path(own.model), less)
        config = replace(own, out=own.out.parent / name, engine="vllm")
        grpo(config)
        lines[name] = scripted.log(config.out)[0]
    wanted = scripted.log(own.out)[0]
    for key in ("loss", "grad_norm", "reward", "tokens", "entropy"):
        assert lines["same"][key] == pytest.approx(wanted[key], rel=1e-4), key
    assert abs(wanted["loss"]) > 1e-3
    assert lines["quarter"]["loss"] == pytest.approx(2 * wanted["loss"], rel=1e-4)
    for key, tensor in load_file(own.out / "model.safetensors").items():
        torch.testing.assert_close(
            load_file(own.out.parent / "same" / "model.safetensors")[key], tensor, rtol=0, atol=1e-4
        )  # of 1e-3


def test_each_step_is_answered_by_the_weights_of_the_step_before(
    grpo_config: GRPOConfig, play: Play, engine: Engine
) -> None:
    play(lambda *_: RIGHT_A)  # not asked
    engine.answer = _drawn(Path(grpo_config.model), 0.0)
    config = replace(grpo_config, steps=3, batch_size=1, accumulation=2, engine="vllm")
    grpo(config)
    assert engine.calls == ["weights", "forget", "generate"] * 3
    assert len(engine.prompts) == 2 * config.rollouts  # a whole round at once
    _same(engine.loads[0], Path(config.model))
    head = [weights["lm_head.weight"] for weights in engine.loads]
    assert not torch.equal(head[0], head[1])
    assert not torch.equal(head[1], head[2])


def test_a_media_token_and_silence_teach_nothing(grpo_config: GRPOConfig, play: Play, engine: Engine) -> None:
    play(lambda *_: RIGHT_A)
    policy = Policy.load(grpo_config.model)
    right = scripted.ids_of(policy, RIGHT_A)
    told = [(*right[:2], int(policy.silent[0]), *right[2:]), (policy.end,), right[:-1], right]
    engine.answer = lambda _, place: (told[place % 4], [-1.0] * len(told[place % 4]))
    config = replace(grpo_config, steps=1, engine="vllm")
    grpo(config)
    (line,) = scripted.log(config.out)
    assert line["media_tokens"] == line["empty"] == line["cut_off"] == 0.25
    assert math.isfinite(line["loss"])
