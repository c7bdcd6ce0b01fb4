"""Our own trainer on the pairs of `peers`: its steps, passes, packing, loss and optimizer are those of `train`.

    python -m perf._peers_ours FOLDER LENGTHS STEPS

Two things are not: token ids are read off the texts, because the peers have no criterion and other chat templates, and
the pairs come in their given order.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch
from perf._peers_clock import Clock
from perf._peers_setting import LANGUAGE, Pair, read
from safetensors.torch import load_file

from omnireward.backbones import Row
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._minicpm_o_config import AudioConfig, MiniCPMOConfig, VisionConfig
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS
from omnireward.backbones._minicpm_o_tiny import tiny_preprocessing
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones.minicpm_o import MiniCPMO
from omnireward.encoded import Encoded
from omnireward.media import decode
from omnireward.reward_model import RewardModel
from omnireward.sources import BadRows
from omnireward.train.bradley_terry import BradleyTerryTrainer
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import Mixture
from omnireward.types import Comparison, Part, Sample, Side, Task, Text, Turn


class IdsModel(RewardModel):
    """A reward model that reads token ids written as text."""

    def encode(self, comparison: Comparison, side: Side) -> Encoded:
        parts = [part for turn in comparison.prompt for part in turn.content] + list(comparison.response(side))
        return Encoded(Row(torch.tensor([i for part in parts for i in _ids(part)]), ()), (), ())


class InOrder(Mixture):
    """Samples in their given order."""

    def order(self, seed: int, epoch: int) -> list[int]:  # noqa: ARG002 - an order that depends on neither
        return list(range(len(self.samples)))


def _ids(part: Part) -> list[int]:
    assert isinstance(part, Text)
    return [int(word) for word in part.text.split()]


def _part(ids: list[int]) -> tuple[Text]:
    return (Text(" ".join(map(str, ids))),)


def sample(number: int, pair: Pair) -> Sample:
    """The chosen response is `a`."""
    comparison = Comparison((Turn("user", _part(pair.prompt)),), _part(pair.chosen), _part(pair.rejected))
    return Sample(str(number), Task.T2T, comparison, "a", str(number))


def new_model(classifier: Path) -> IdsModel:
    """The classifier's weights; the towers, which see nothing here, are as small as they can be."""
    config = MiniCPMOConfig(
        language=LANGUAGE,
        vision=VisionConfig(hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=1),
        audio=AudioConfig(d_model=64, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=256),
        drop_vision_last_layer=False,
    )
    preprocessing = tiny_preprocessing()
    tokenizer = ChatTokenizer(train_tokenizer(["word"], SPECIAL_TOKENS), SPECIAL_TOKENS)
    backbone = MiniCPMO(config, tokenizer, preprocessing, partial(decode, options=preprocessing.decoding()))
    model = IdsModel(backbone, "minicpm_o", "natural")
    weights = load_file(classifier / "model.safetensors")
    language = {name.removeprefix("model."): each for name, each in weights.items() if name.startswith("model.")}
    backbone.decoder.load_state_dict(language)
    model.head.load_state_dict({"weight": weights["score.weight"], "bias": torch.zeros(1)})
    return model


def main(folder: Path, lengths: str, steps: int) -> None:
    torch.set_num_threads(1)
    shared = json.loads((folder / "shared.json").read_text())
    samples = tuple(sample(number, pair) for number, pair in enumerate(read(folder, lengths)))
    with tempfile.TemporaryDirectory() as out:
        config = TrainConfig(
            Path(out),
            accumulation=shared["pairs"],
            steps=steps,
            learning_rate=shared["learning_rate"],
            weight_decay=shared["weight_decay"],
            warmup=0.0,
            log_every=1,
        )
        model = new_model(folder / "classifier")
        model.freeze(config.freeze)
        model.packing = config.packing
        mixture = InOrder(samples, ((lengths, 1.0, range(len(samples))),), 0)
        trainer = BradleyTerryTrainer(model, config, mixture, BadRows(skip=False), {})
        clock = Clock()
        trainer.add_callback(clock)
        trainer.train()
        trainer.bar.close()
        trainer.ahead.close()
    clock.report()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
