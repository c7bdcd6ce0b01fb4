"""Answers by vLLM inside the training process, in place of `speaking`: many times faster for large models on a GPU.

It has not been run on a GPU. What vLLM does with a question was read, and tried with its own preprocessing, in 0.30.

vLLM wants one placeholder for a medium and writes the others itself, so a question's are taken out before. It is given
the embeddings that our towers made, not pictures: nothing is resized or cut twice, videos keep their true times, and
what vLLM keeps of media is never of older towers. Its reading comes back with each answer, and another than ours ends
the run. Weights go over by their published names before each round, adapters added, one tensor after another.

vLLM computes with other kernels than ours, so what it draws from is not quite the policy. TRL's truncated importance
weights correct that: log-probabilities as drawn go along with the answers, and those of the policy are computed anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from omnireward import lora
from omnireward.backbones._qwen_pictures import spacing
from omnireward.backbones._qwen_vl import QwenVL
from omnireward.checkpoint_json import read_json
from omnireward.encoded import Encoded
from omnireward.errors import MissingExtraError, RecipeError, TrainingError
from omnireward.hub import find
from omnireward.on_base import base_of
from omnireward.policy import Policy
from omnireward.speaking import Said
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.together import world
from omnireward.train.tuning import BASE
from omnireward.vocabulary_head import apart, is_tied, name_for

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "text")
_UNHEARD = -1e4  # is added to the logit of a token that no answer holds
_MOST_UNHEARD = 1_024  # such tokens that vLLM takes for a request; a later one is a fault of the answer
_BATCHED_TOKENS = 4_096  # of a pass: vLLM's own guess of the memory that a pass needs grows with it (as in TRL)


class VLLMSpeaker:
    """An engine of vLLM, and the policy that it speaks for.

    Args:
        policy: already tuned.
        config: of the run.

    Raises:
        RecipeError: vLLM cannot speak for this policy.
        MissingExtraError: it is not installed.
    """

    def __init__(self, policy: Policy, config: GRPOConfig) -> None:
        self._policy = policy
        folder = _folder(policy, config)
        try:
            from vllm import LLM, SamplingParams
        except ImportError as error:
            raise MissingExtraError("the engine `vllm`", "vllm") from error
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # weights are handed over, not sent
        self._params = SamplingParams
        media = {"enable_mm_embeds": True} if isinstance(policy.backbone, QwenVL) else {}
        self._engine: Any = LLM(
            model=folder,
            dtype="bfloat16" if config.bf16 else "float32",
            gpu_memory_utilization=config.vllm_memory,
            max_model_len=min(policy.most, config.max_tokens + config.max_answer),
            max_num_batched_tokens=_BATCHED_TOKENS,
            logprobs_mode="processed_logprobs",  # at the temperature, and without what is never said
            generation_config="vllm",  # a folder's own would draw otherwise
            seed=config.seed,
            **media,
        )

    def sync_weights(self) -> None:
        """Give the engine the policy's weights. TRL calls this by this name, before the first round of a step."""
        self._engine.apply_model(lambda model: model.load_weights(weights_of(self._policy)) and None)
        self._engine.reset_prefix_cache()  # keys and values of older weights

    def speak(
        self,
        policy: Policy,
        asked: Sequence[Encoded],
        which: Sequence[int],
        seeds: Sequence[int],
        *,
        temperature: float,
        max_tokens: int,
    ) -> list[Said]:
        """Write answers, as `speaking.speak` does; other seeds give other answers, but not those that it writes.

        Raises:
            RecipeError: a question has a medium that cannot be handed over.
            TrainingError: vLLM read a question otherwise than the policy does.
        """
        questions = [_question(policy, one) for one in asked]
        unheard = dict.fromkeys(policy.silent.tolist()[:_MOST_UNHEARD], _UNHEARD)
        params = [
            self._params(
                temperature=temperature,
                seed=seed,
                max_tokens=max_tokens,
                logprobs=0,  # of the token that was drawn alone
                logit_bias=unheard,
                stop_token_ids=list(policy.ends),
                ignore_eos=True,  # the ends above are all
                detokenize=False,
            )
            for seed in seeds
        ]
        with torch.autocast(policy.backbone.device.type, enabled=False):  # it has types of its own
            given = self._engine.generate([questions[i] for i in which], params, use_tqdm=False)
        return [_said(policy, asked[i], one) for i, one in zip(which, given, strict=True)]


def weights_of(policy: Policy) -> Iterator[tuple[str, Tensor]]:
    """All that a whole checkpoint of the policy holds, by name; one at a time, since adapters are added here."""
    backbone = policy.backbone
    for ours, tensor in lora.merged(backbone):
        named = backbone.written({ours: tensor}) if isinstance(backbone, QwenVL) else {ours: tensor}
        yield from named.items()
    if not is_tied(policy.head, backbone):
        yield name_for(backbone), policy.head.weight.detach()


def _folder(policy: Policy, config: GRPOConfig) -> str:
    """What vLLM opens: the model's own folder, or that of the base. Its weights are replaced before the first round."""
    if policy.family not in FAMILIES:
        raise RecipeError(
            f"the engine `vllm` writes for {', '.join(FAMILIES)}, not for {policy.family}: vLLM opens whole models of "
            "that family only, and a policy is the part that thinks. Leave --engine at `own`."
        )
    if world() > 1:
        raise RecipeError(f"the engine `vllm` takes one process; this run has {world()}. Leave --engine at `own`.")
    folder = find(config.model).folder
    if policy.on_base:
        folder = base_of(config.out if policy.on_base.place == BASE else folder, policy.on_base.place)
    told = read_json(folder / "config.json")
    if not is_tied(policy.head, policy.backbone) and apart(told, policy.backbone) != told:
        raise RecipeError(
            f"{folder} says that vocabulary head and embeddings are one, and its weights say otherwise, so vLLM would "
            "leave the head out. Write it anew first: omnireward convert FOLDER OUT --to published"
        )
    return str(folder)


def _question(policy: Policy, asked: Encoded) -> dict[str, Any]:
    """A question as vLLM takes it: one placeholder where a stretch of them stands, and embeddings."""
    row, ids, done = asked.row, asked.row.ids.tolist(), 0
    short: list[int] = []
    for start, stop in row.spans:
        short += ids[done : start + 1]
        done = stop
    media = {"multi_modal_data": _media(policy, asked)} if asked.media else {}
    return {"prompt_token_ids": short + ids[done:]} | media


@torch.no_grad()
def _media(policy: Policy, asked: Encoded) -> dict[str, dict[str, Tensor]]:
    """Embeddings of images and videos, apart, and their grids: (slices, height, width) in patches."""
    backbone = cast(QwenVL, policy.backbone)
    found: dict[str, dict[str, Any]] = {}
    for medium, embeddings in zip(asked.media, policy.media_of([asked])[0], strict=True):
        gap = spacing(medium.pattern)
        if gap is None:  # of a mesh, each view
            some = found.setdefault("image", {"embeds": [], "grid_thw": []})
            some["grid_thw"] += [(1, *size) for size in medium.sizes]
        else:
            if policy.family == "qwen3_vl":
                raise RecipeError(
                    "the engine `vllm` shows Qwen3-VL no videos: vLLM writes the times between their slices itself. "
                    "Leave --engine at `own`, or give --tasks without videos."
                )
            some = found.setdefault("video", {"embeds": [], "grid_thw": [], "seconds": []})
            some["grid_thw"].append((len(medium.sizes), *medium.sizes[0]))
            some["seconds"].append(gap * backbone.preprocessing.temporal_patch_size)
        some["embeds"].append(embeddings.cpu())
    return {
        kind: {f"{kind}_embeds": torch.cat(some["embeds"]), f"{kind}_grid_thw": torch.tensor(some["grid_thw"])}
        | ({"second_per_grid_ts": torch.tensor(some["seconds"], dtype=torch.float64)} if kind == "video" else {})
        for kind, some in found.items()
    }


def _said(policy: Policy, asked: Encoded, given: Any) -> Said:
    if list(given.prompt_token_ids) != asked.row.ids.tolist():
        raise TrainingError(
            f"vLLM read a question as {len(given.prompt_token_ids):,} tokens, and the policy reads "
            f"{len(asked.row.ids):,}, or others: its answers would be to something else. Take a version of vLLM that "
            "the extra `vllm` allows, or leave --engine at `own`."
        )
    answer = given.outputs[0]
    ids = tuple(answer.token_ids)
    logps = tuple(float(told[token].logprob) for token, told in zip(ids, answer.logprobs, strict=True))
    return Said(ids, logps, bool(ids) and ids[-1] in policy.ends)
