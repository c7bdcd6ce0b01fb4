"""What keeping the outputs of frozen towers on disk brings, against decoding and encoding anew each time.

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.feature_cache

The model is that of perf._ways: a language model of hidden 512 and 6 layers, and a frozen vision tower of hidden 192
and 4 layers that sees views of 448 x 448 pixels. Media are made up here: clips of 10 s, 1280 x 720 pixels, 30 fps,
H.264; pictures of 1024 x 1024 pixels, PNG. Everything runs in this process on one thread, so that decoding and the
thread that writes to disk count. A training step is a pair's forward and backward pass; an optimizer's step, which at
7 B is one in many pairs, is left out of all ways.

What is saved depends on what decoding and the towers cost beside the language model, so the shares are printed. At 7 B
a view costs what 74 tokens cost, by its operations; here, on a CPU, it is more. Decoding, which no GPU makes faster,
weighs less here than beside a GPU.

A second epoch finds nothing in memory, only on disk. The reference decodes and encodes each medium once for each pair;
the row `for each row` is the published trainer's way, which does so for both rows of a pair. The language model's part
is the same in all ways: packed. A miss is scoring (no backward pass, so that a cache has nothing to hide behind) from
an empty disk against no cache at all: writing counts, and so does hashing the towers' weights, which a run does once.
The last case is one where keeping features pays little: a picture under long texts. Losses and rewards must be equal
before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from perf._ways import HEAD_SHARE_OF_7B, backbone_of, new_model, small_config
from perf.rounds import Times, interleaved, last_line, table_head, table_row
from torch import Tensor

from omnireward.encoded import Encoded
from omnireward.feature_store import FeatureStore
from omnireward.media import DecodeOptions, Decoder, decode, encode
from omnireward.media.dispatch import Array
from omnireward.prompts import conversation
from omnireward.reward_model import RewardModel
from omnireward.train.losses import bradley_terry
from omnireward.types import Comparison, Media, Side, Text, Turn

SIDES: tuple[Side, ...] = ("a", "b")
ROUNDS, ROUNDS_OF_A_MISS = 3, 7
ROOM = 10**10
Way = Callable[[RewardModel, Comparison], list[Encoded]]


class Here(Decoder):
    """Decodes in this process, whose time is measured."""

    def __call__(self, media: Media) -> Array:
        return decode(media, self.options)


def decode_here(model: RewardModel, frames: int) -> None:
    """Give a model such a decoder. What a decoder of one's own does is not known, so nothing would be kept on disk.

    What this one does is known: its options decide it. So the model's settings are told here.
    """
    backbone, here = backbone_of(model), Here(DecodeOptions(frames=frames))
    backbone.decode = here
    told = f"decoded in this process: {here.options}, {backbone.preprocessing}, {backbone.config}"
    backbone.settings = lambda: told  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True)
class Case:
    """Pairs that an epoch trains on, and how many frames of a clip are seen."""

    what: str
    name: str
    pairs: Sequence[Comparison]
    frames: int


def texture(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Coloured blocks of 16 x 16 pixels."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return np.kron(coarse, np.ones((16, 16, 1), np.uint8))


def clip(seed: int) -> Media:
    """A camera that moves over blocks for 10 s."""
    sheet = texture(720 + 640, 1280 + 960, seed)
    return Media(
        "video", encode.mp4(np.stack([sheet[2 * i : 2 * i + 720, 3 * i : 3 * i + 1280] for i in range(300)]), 30)
    )


def picture(seed: int) -> Media:
    """Blocks under a little noise, so that the file is not smaller than a photograph's."""
    noise = np.random.default_rng(seed).integers(0, 8, (1024, 1024, 3), dtype=np.uint8)
    return Media("image", encode.png(texture(1024, 1024, seed) // 2 + noise))


def cases() -> list[Case]:
    """Answers of about 40 words, and of about 400 where texts are long."""
    clips, pictures = [clip(seed) for seed in range(3)], [picture(seed) for seed in range(4)]
    short, other = Text("A longer answer about tea, and rain. " * 6), Text("A short answer about bread. " * 8)
    long = (Text(short.text * 10), Text(other.text * 10))
    asked = Text("Which answer is better?")
    return [
        Case(
            "TV2T, 10 frames",
            "tv2t",
            [Comparison((Turn("user", (clips[0], asked)),), (short,), (other,))],
            10,
        ),
        Case(
            "T2V, 4 frames, 3 clips in 3 pairs",
            "shared_media",
            [Comparison((Turn("user", (asked,)),), (a,), (b,)) for a, b in combinations(clips, 2)],
            4,
        ),
        Case(
            "T2I, 4 pictures in 6 pairs",
            "shared_pictures",
            [Comparison((Turn("user", (asked,)),), (a,), (b,)) for a, b in combinations(pictures, 2)],
            4,
        ),
        Case(
            "TI2T, long texts",
            "text_heavy",
            [Comparison((Turn("user", (pictures[0], asked)),), (long[0],), (long[1],))],
            4,
        ),
    ]


def kept(model: RewardModel, comparison: Comparison) -> list[Encoded]:
    """Ours."""
    return [model.encode(comparison, side) for side in SIDES]


def anew(model: RewardModel, comparison: Comparison, *, rows_share: bool) -> list[Encoded]:
    """No cache, not even a digest: media are told apart by where they are in memory."""
    backbone = model.backbone
    made: dict[str, tuple[object, Tensor]] = {}
    rows: list[Encoded] = []
    for side in SIDES:
        turns = conversation(comparison, side, model.layout)
        media = [part for turn in turns for part in turn.content if isinstance(part, Media)]
        if not rows_share:
            made = {}
        prepared = {str(id(part)): backbone.prepare(part) for part in media if str(id(part)) not in made}
        with torch.no_grad():
            made |= {name: (one, backbone.encode_media([one])[0]) for name, one in prepared.items()}
        names = tuple(str(id(part)) for part in media)
        row = backbone.tokenize(turns, [made[name][0] for name in names])  # type: ignore[misc]
        rows.append(Encoded(row, tuple(made[name][0] for name in names), names, {n: made[n][1] for n in names}))  # type: ignore[misc]
    return rows


def epoch(model: RewardModel, way: Way, pairs: Sequence[Comparison]) -> list[float]:
    """A training pass over the pairs, one in a step; the losses."""
    losses = []
    model.features.embeddings.clear()  # what is not on disk is not known
    for pair in pairs:
        rewards = model(way(model, pair))
        loss = bradley_terry(rewards[:1], rewards[1:])
        model.zero_grad()
        torch.autograd.backward(loss)
        losses.append(loss.item())
    return losses


@torch.no_grad()
def scored(model: RewardModel, way: Way, pairs: Sequence[Comparison]) -> list[float]:
    """Rewards of all responses."""
    return [float(reward) for pair in pairs for reward in model(way(model, pair))]


def a_miss(model: RewardModel, folder: Path, pairs: Sequence[Comparison]) -> list[float]:
    """Scoring with an empty disk behind an empty memory, until all is written."""
    with TemporaryDirectory(dir=folder) as fresh:
        model.features.store = FeatureStore(Path(fresh), ROOM)
        rewards = scored(model, kept, pairs)
        model.features.store.flush()
        assert list(Path(fresh).glob("*/*.safetensors"))
    return rewards


def measured(model: RewardModel, case: Case, folder: Path) -> dict[str, Times]:
    """Epochs from a filled disk, and of the references."""
    model.features.store = FeatureStore(folder / case.name, ROOM)
    ways: dict[str, Way] = {"kept": kept, "anew": partial(anew, rows_share=True)}
    if any(isinstance(part, Media) for turn in case.pairs[0].prompt for part in turn.content):
        ways["for each row"] = partial(anew, rows_share=False)
    first = epoch(model, kept, case.pairs)
    model.features.store.flush()
    for way in ways.values():
        assert epoch(model, way, case.pairs) == first, case.what
    return interleaved({name: partial(epoch, model, way, case.pairs) for name, way in ways.items()}, ROUNDS)


def miss(model: RewardModel, folder: Path, pairs: Sequence[Comparison]) -> dict[str, Times]:
    """Scoring that fills, and scoring without a cache."""
    once = partial(anew, rows_share=True)
    filling, plain = partial(a_miss, model, folder, pairs), partial(scored, model, once, pairs)
    assert filling() == plain()
    return interleaved({"filling": filling, "plain": plain}, ROUNDS_OF_A_MISS)


def shares(model: RewardModel, pair: Comparison) -> str:
    """What the parts of a step with ten frames cost, in a sentence."""
    backbone = backbone_of(model)
    medium = pair.prompt[0].content[0]
    assert isinstance(medium, Media)
    prepared = backbone.prepare(medium)
    with torch.no_grad():
        embeddings = backbone.encode_media([prepared])[0]
    rows = [backbone.tokenize(conversation(pair, side, model.layout), [prepared]) for side in SIDES]
    encoded = [Encoded(row, (prepared,), ("clip",), {"clip": embeddings}) for row in rows]

    def step() -> None:
        rewards = model(encoded)
        torch.autograd.backward(bradley_terry(rewards[:1], rewards[1:]))

    @torch.no_grad()
    def encode() -> None:
        backbone.encode_media([prepared])

    parts = interleaved({"prepare": partial(backbone.prepare, medium), "encode": encode, "step": step}, ROUNDS)
    return (
        f"A step of {' and '.join(str(len(row.ids)) for row in rows)} tokens, CPU s: decoding and cutting "
        f"{parts['prepare'].cpu:.2f}, vision tower {parts['encode'].cpu:.2f}, language model forward and backward "
        f"{parts['step'].cpu:.2f}."
    )


def main() -> None:
    torch.set_num_threads(1)
    model = new_model(small_config(HEAD_SHARE_OF_7B))
    ratios: dict[str, float | None] = {}
    print(table_head())
    found = cases()
    with TemporaryDirectory() as folder:
        for case in found:
            decode_here(model, case.frames)
            times = measured(model, case, Path(folder))
            for way in list(times)[1:]:
                row = ", for each row" if way == "for each row" else ""
                print(table_row(f"{case.what}: second epoch{row}", times["kept"], times[way]), flush=True)
                name = f"{case.name}_second_epoch" + ("_each_row" if row else "")
                ratios[name] = times[way].cpu / times["kept"].cpu
                ratios[f"{name}_wall"] = times[way].wall / times["kept"].wall
        pictures = [picture(seed) for seed in range(16)]
        for what, name, pairs in (
            ("16 pictures in 8 pairs", "miss", _apart(pictures)),
            ("10 frames of a clip", "miss_tv2t", found[0].pairs),
        ):
            decode_here(model, 10)
            times = miss(model, Path(folder), pairs)
            print(table_row(f"{what}: a miss", times["filling"], times["plain"]), flush=True)
            ratios[name] = times["plain"].cpu / times["filling"].cpu
            ratios[f"{name}_wall"] = times["plain"].wall / times["filling"].wall
    print(f"\n{shares(model, found[0].pairs[0])}\n")
    print(last_line(ratios))


def _apart(media: Sequence[Media]) -> list[Comparison]:
    """Pairs that share nothing."""
    turn = Turn("user", (Text("Which answer is better?"),))
    return [Comparison((turn,), (a,), (b,)) for a, b in zip(media[::2], media[1::2], strict=True)]


if __name__ == "__main__":
    main()
