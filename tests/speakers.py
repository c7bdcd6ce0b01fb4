"""Tiny policies of every family, questions with media made on the fly, and a second implementation of what they write.

The second implementation is transformers' own whole class, loaded from the folder that a policy was saved in; of
MiniCPM-o, which transformers lacks, its language model, with the media's embeddings put in by hand.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers import Qwen2ForCausalLM

from omnireward import plugins
from omnireward.backbones import BackboneFamily, Prepared
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.backbones._qwen_pictures import patches, spacing
from omnireward.encoded import Encoded
from omnireward.media import encode
from omnireward.policy import Policy, answered
from omnireward.prompts import Form, Question
from omnireward.types import Media, Part, Text, Turn

FAMILIES = ("minicpm_o", "qwen2_5_omni", "qwen2_5_vl", "qwen3_omni", "qwen3_vl", "text")
FORM = Form("pairwise", critique=True, ties=True)
WORDS = ["Which answer is better?", "a red dot on a white sheet", "VERDICT: A\nVERDICT: B\nVERDICT: TIE", "été\n\n"]
ASKED = "Which of both answers is better, and why? Look at what is shown, and end with a verdict. "


@dataclass(frozen=True)
class Speaker:
    """A policy, and the folder that it was saved in."""

    name: str
    policy: Policy
    folder: Path

    def asked(self, *texts: str) -> list[Encoded]:
        """Questions with all media that the family reads, one for each text."""
        return [self.policy.ask(question(*media(self.name), Text(text))) for text in texts]


def made(name: str) -> Policy:
    """With larger weights than a new one has, so that words depend on all that was read, and some are much likelier."""
    policy = Policy.new(cast(DecoderBackbone, family(name).tiny(WORDS * 20, 0)), name, seed=1, form=FORM)
    for weight in cast(Any, policy.backbone.decoder).layers.parameters():
        weight.data.mul_(3.0)
    policy.head.weight.data.mul_(10.0)
    return policy.eval()


def speaker(name: str, folder: Path) -> Speaker:
    """A made policy, saved."""
    policy = made(name)
    policy.save(folder)
    policy.freeze(policy.towers)
    return Speaker(name, policy, folder)


def family(name: str) -> BackboneFamily:
    """By its name."""
    return cast(BackboneFamily, plugins.load("backbones", name))


def media(name: str) -> list[Part]:
    """An image, a short video and a sound, of those that a family reads."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 40, 56, 3), dtype=np.uint8)
    sound = (rng.standard_normal(12_000) * 0.1).astype(np.float32)
    made: list[Media] = [
        Media("image", encode.png(frames[0])),
        Media("video", tuple(encode.png(frame) for frame in frames[1:])),
        Media("audio", encode.wav(sound, 16_000)),
    ]
    return [medium for medium in made if medium.kind in family(name).kinds]


def question(*parts: Part) -> Question:
    """A question of one turn, under a system turn."""
    given = tuple("prompt" for part in parts if isinstance(part, Media))
    return Question(FORM, (Turn("system", (Text("Be fair."),)), Turn("user", (Text(ASKED), *parts))), given)  # type: ignore[arg-type]


def drawn(policy: Policy, lengths: Sequence[int], seed: int = 0) -> list[Tensor]:
    """Answers of random words, each with its end: int64."""
    draw = torch.Generator().manual_seed(seed)
    words = torch.tensor(sorted({*range(policy.head.weight.shape[0])} - {*policy.silent.tolist(), policy.end}))
    return [
        torch.cat((words[torch.randint(0, len(words), (n - 1,), generator=draw)], torch.tensor([policy.end])))
        for n in lengths
    ]


class Oracle:
    """Transformers' own class on the files of a speaker."""

    def __init__(self, given: Speaker) -> None:
        self._name, self._policy = given.name, given.policy
        if given.name == "minicpm_o":
            self.model: Any = _language_model(given.policy)
        else:
            kind = json.loads((given.folder / "config.json").read_text())["architectures"][0]
            self.model, told = getattr(transformers, kind).from_pretrained(
                given.folder, output_loading_info=True, dtype=torch.float32
            )
            assert not any(told[what] for what in ("missing_keys", "unexpected_keys", "mismatched_keys")), told
        self.model.eval()

    def logps(self, asked: Encoded, answer: Tensor, temperature: float) -> Tensor:
        """Of an answer's tokens, where silent ones are left out of what could be said: (tokens,) float64."""
        return self.every(asked, answer, temperature).gather(-1, answer.unsqueeze(-1)).squeeze(-1)

    def every(self, asked: Encoded, answer: Tensor, temperature: float) -> Tensor:
        """Of all that could stand where an answer's tokens do: (tokens, vocabulary) float64."""
        ids = torch.cat((asked.row.ids, answer))
        given = self._given(asked, ids)
        if self._name == "qwen2_5_vl":  # counts a video's positions otherwise, see tests/backbones/test_qwen_positions
            positions = answered(asked, answer).row.positions
            assert positions is not None
            given["position_ids"] = positions[:, None]
        if self._name == "minicpm_o":
            given["inputs_embeds"] = torch.cat((given["inputs_embeds"], self._embedded(answer)), dim=1)
        logits = self.model(**given).logits[0].double()
        logits[:, self._policy.silent] = -torch.inf
        return torch.log_softmax(logits / temperature, dim=-1)[len(asked.row.ids) - 1 : -1]

    def greedy(self, asked: Encoded, max_tokens: int) -> list[int]:
        """What it writes without chance: ids."""
        given = self._given(asked, asked.row.ids)
        written = self.model.generate(
            **given,
            do_sample=False,
            max_new_tokens=max_tokens,
            suppress_tokens=self._policy.silent.tolist(),
            eos_token_id=self._policy.end,
            pad_token_id=self._policy.end,
        )[0].tolist()
        return cast("list[int]", written if "inputs_embeds" in given else written[len(asked.row.ids) :])

    def _given(self, asked: Encoded, ids: Tensor) -> dict[str, Any]:
        if self._name == "minicpm_o":
            return {"inputs_embeds": _embeddings(self._policy, asked)}
        given: dict[str, Any] = {"input_ids": ids[None], "attention_mask": torch.ones_like(ids)[None]}
        if self._name == "text":
            return given
        if "omni" not in self._name:
            given["mm_token_type_ids"] = _kinds(self._policy, ids)[None]
        return given | self._shown(asked.media)

    def _shown(self, shown: Sequence[Prepared]) -> dict[str, Any]:
        backbone = cast(Any, self._policy.backbone)
        given: dict[str, Any] = {}
        seen = [medium for medium in shown if medium.tower == "vision"]
        images = [medium for medium in seen if spacing(medium.pattern) is None]
        videos = [medium for medium in seen if spacing(medium.pattern) is not None]
        for some, pixels, grid in (
            (images, "pixel_values", "image_grid_thw"),
            (videos, "pixel_values_videos", "video_grid_thw"),
        ):
            slices = [each for medium in some for each in medium.inputs or ()]
            if not slices:
                continue
            given[pixels] = torch.cat([patches(each, backbone.preprocessing) for each in slices])
            given[grid] = torch.tensor([(len(medium.sizes), *medium.sizes[0]) for medium in some])
        if "omni" in self._name:
            mel = next(medium for medium in shown if medium.tower == "audio").inputs or ()
            given |= {"input_features": mel[0][None], "feature_attention_mask": torch.ones(1, mel[0].shape[1]).long()}
        if videos and self._name != "qwen3_vl":
            gap = torch.tensor([2.0 * (spacing(medium.pattern) or 0) for medium in videos])
            given["video_second_per_grid" if "omni" in self._name else "second_per_grid_ts"] = gap
        return given

    def _embedded(self, ids: Tensor) -> Tensor:
        return cast(Tensor, self.model.get_input_embeddings()(ids)[None])


def _kinds(policy: Policy, ids: Tensor) -> Tensor:
    control = policy.backbone.tokenizer.control
    found = torch.zeros_like(ids)
    found[ids == control["<|image_pad|>"]] = 1
    found[ids == control["<|video_pad|>"]] = 2
    return found


def _language_model(policy: Policy) -> Qwen2ForCausalLM:
    backbone = cast(Any, policy.backbone)
    model = Qwen2ForCausalLM(backbone.decoder.config)
    model.model.load_state_dict(backbone.decoder.state_dict())
    model.lm_head.weight.data.copy_(policy.head.weight)
    return model


def _embeddings(policy: Policy, asked: Encoded) -> Tensor:
    """(1, tokens, hidden), with media where their places are."""
    backbone: DecoderBackbone = policy.backbone
    embedded = cast(Any, backbone.decoder).embed_tokens(asked.row.ids).clone()
    values = torch.cat(list(backbone.encode_media(asked.media))) if asked.media else embedded[:0]
    places = [place for start, stop in asked.row.spans for place in range(start, stop)]
    embedded[places] = values
    return cast(Tensor, embedded[None])
