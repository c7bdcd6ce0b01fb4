"""A GPU in bfloat16: rewards, and tokens a second without vocabulary logits (ours) against with them (the reference).

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.gpu

Two MiniCPM-o models with random weights, made on the GPU: the tiny one, and a middle-sized one with the published
vocabulary of 151,700. First, rewards of texts, pictures and sounds must agree with those of the same weights in fp32 on
the CPU, as far as bfloat16 goes. Then rows of random tokens go through the language model, forward alone and forward
with backward. Ours gives the head the last token's hidden state. The reference way, as the published training does,
also runs an LM head over every token and turns its logits into fp32; no gradient flows through them.

Takes about 24 GiB of GPU memory. Without a CUDA device it says so and measures nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from perf.rounds import Times, interleaved
from torch import Tensor, nn

from omnireward.backbones import Row
from omnireward.backbones._minicpm_o_config import AudioConfig, LanguageConfig, MiniCPMOConfig, VisionConfig
from omnireward.backbones._minicpm_o_text import ChatTokenizer
from omnireward.backbones._minicpm_o_tiny import tiny_config, tiny_preprocessing, train_tokenizer
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.media import decode, encode
from omnireward.reward_model import RewardModel
from omnireward.train.losses import bradley_terry
from omnireward.types import Comparison, Media, Text, Turn

ROUNDS = 10
WORDS = ("Which answer is better?", "A short answer.", "A longer answer about tea, and rain, and bread.")


@dataclass(frozen=True, slots=True)
class Load:
    """What one pass holds: `pairs` pairs of rows of `length` tokens."""

    pairs: int
    length: int

    @property
    def tokens(self) -> int:
        return 2 * self.pairs * self.length


def middle_config() -> MiniCPMOConfig:
    """About a seventh of the published parameters: 12 layers of 2,048, and small towers."""
    return MiniCPMOConfig(
        language=LanguageConfig(
            vocab_size=151_700,
            hidden_size=2_048,
            intermediate_size=8_192,
            num_hidden_layers=12,
            num_attention_heads=16,
            num_key_value_heads=4,
            rope_theta=1_000_000.0,
        ),
        vision=VisionConfig(hidden_size=512, intermediate_size=2_048, num_hidden_layers=6, num_attention_heads=8),
        audio=AudioConfig(d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2_048),
        drop_vision_last_layer=False,
    )


def new_model(config: MiniCPMOConfig, tokenizer: ChatTokenizer, device: torch.device) -> RewardModel:
    """Random weights in bfloat16, made on the device; the head in fp32, as always."""
    preprocessing = tiny_preprocessing()
    torch.manual_seed(0)
    # Not `.to(bfloat16)` afterwards: that would round the frequencies of the rotary embedding too.
    torch.set_default_dtype(torch.bfloat16)
    try:
        with device:
            backbone = MiniCPMO(config, tokenizer, preprocessing, partial(decode, options=preprocessing.decoding()))
            return RewardModel(backbone, "minicpm_o", "natural")
    finally:
        torch.set_default_dtype(torch.float32)


def comparisons() -> list[Comparison]:
    """A pair of texts, of pictures and of sounds."""
    rng = np.random.default_rng(0)
    pictures = [Media("image", encode.png(rng.integers(0, 256, (96, 128, 3), dtype=np.uint8))) for _ in range(2)]
    waves = [(0.1 * rng.standard_normal(24_000)).astype(np.float32) for _ in range(2)]
    sounds = [Media("audio", encode.wav(wave, 16_000)) for wave in waves]
    prompt = (Turn("user", (Text(WORDS[0]),)),)
    pairs = [Comparison(prompt, (a,), (b,)) for a, b in (pictures, sounds)]
    return [Comparison(prompt, (Text(WORDS[1]),), (Text(WORDS[2]),)), *pairs]


def largest_difference(model: RewardModel) -> float:
    """Between the rewards of a model and those of the same weights in fp32 on the CPU."""
    ours, exact = model.rewards(comparisons()), copy.deepcopy(model).cpu().float().rewards(comparisons())
    assert ours.isfinite().all(), ours
    return float((ours - exact).abs().max())


def last_hidden(model: RewardModel, rows: list[Row]) -> Tensor:
    """Ours: (rows, hidden)."""
    states: Tensor = model.backbone(rows, [[] for _ in rows])
    return states


def last_hidden_and_logits(model: RewardModel, lm_head: nn.Linear, rows: list[Row]) -> tuple[Tensor, Tensor]:
    """The reference way: (rows, hidden), and fp32 logits of every token (rows, length, vocabulary)."""
    backbone = model.backbone
    assert isinstance(backbone, MiniCPMO)
    states = backbone.hidden_states(rows, [[] for _ in rows])
    return states[:, -1], lm_head(states).float()


def forward(model: RewardModel, lm_head: nn.Linear | None, rows: list[Row]) -> None:
    """Rewards of the rows, nothing kept for a backward pass."""
    with torch.no_grad():
        if lm_head is None:
            hidden = last_hidden(model, rows)
        else:
            hidden, _logits = last_hidden_and_logits(model, lm_head, rows)
        model.head(hidden.float())
    _wait(model)


def forward_backward(model: RewardModel, lm_head: nn.Linear | None, rows: list[Row]) -> None:
    """Equation 1 over the first and the second half of the rows, and its gradients."""
    if lm_head is None:
        hidden = last_hidden(model, rows)
    else:
        hidden, _logits = last_hidden_and_logits(model, lm_head, rows)  # held until the gradients are there
    chosen, rejected = model.head(hidden.float()).squeeze(-1).chunk(2)
    torch.autograd.backward(bradley_terry(chosen, rejected))
    model.zero_grad(set_to_none=True)
    _wait(model)


def speeds(model: RewardModel, load: Load) -> list[str]:
    """Lines of a Markdown table: thousands of tokens a second, and GiB at the peak (the LM head's weights in both)."""
    backbone = model.backbone
    assert isinstance(backbone, MiniCPMO)
    language, device = backbone.config.language, model.head.weight.device
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(0, language.vocab_size, (2 * load.pairs, load.length), generator=generator)
    rows = [Row(ids, ()) for ids in drawn]
    lm_head = nn.Linear(language.hidden_size, language.vocab_size, bias=False, device=device, dtype=torch.bfloat16)
    lines = []
    for name, step in (("forward", forward), ("forward and backward", forward_backward)):
        ways: dict[str, Callable[[], object]] = {
            "ours": partial(step, model, None, rows),
            "reference": partial(step, model, lm_head, rows),
        }
        peaks = {way: _peak(run, device) for way, run in ways.items()}
        times = interleaved(ways, ROUNDS)
        lines.append(_line(f"{name}, {2 * load.pairs} rows of {load.length:,}", times, peaks, load))
    return lines


def _line(what: str, times: dict[str, Times], peaks: dict[str, float], load: Load) -> str:
    ours, reference = (load.tokens / times[way].wall / 1000 for way in ("ours", "reference"))
    memory = f"{peaks['ours']:.1f} | {peaks['reference']:.1f}"
    return f"| {what} | {ours:,.0f} | {reference:,.0f} | {ours / reference:.2f} | {memory} |"


def _peak(run: Callable[[], object], device: torch.device) -> float:
    """GiB that were allocated at most in one run; the first, so it warms up too."""
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return torch.cuda.max_memory_allocated(device) / 2**30


def _wait(model: RewardModel) -> None:
    if model.head.weight.is_cuda:
        torch.cuda.synchronize(model.head.weight.device)


def main() -> None:
    torch.set_num_threads(1)
    if not torch.cuda.is_available():
        print("no CUDA device: not measured")
        return
    device = torch.device("cuda")
    print(f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}, bfloat16\n")
    tokenizer = ChatTokenizer(train_tokenizer(WORDS * 20))
    tiny, middle = tiny_config(tokenizer.vocab_size), middle_config()
    for name, config, load in (("tiny", tiny, Load(16, 512)), ("middle", middle, Load(4, 1_024))):
        model = new_model(config, tokenizer, device)
        numbers = sum(parameter.numel() for parameter in model.parameters())
        off = largest_difference(model)
        print(f"{name}: {numbers:,} parameters; rewards differ from fp32 on the CPU by at most {off:.4f}\n")
        print("| what | ours, 1000 tokens/s | reference | ratio | ours, peak GiB | reference |")
        print("|---|--:|--:|--:|--:|--:|", *speeds(model, load), sep="\n", end="\n\n")


if __name__ == "__main__":
    main()
