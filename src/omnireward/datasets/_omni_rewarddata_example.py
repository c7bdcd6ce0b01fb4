"""The smallest folder in Omni-RewardData's format: one row for each shape that its tasks take."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omnireward.media.encode import mp4, png, wav

_CRITERION = {"from": "system", "value": "The brighter or louder response is better."}


def write_example(folder: Path) -> None:
    """Write one JSON file per shape, each of one row, and media of a few kilobytes, into an empty folder."""
    (folder / "media").mkdir()
    pictures = [_save(folder, f"media/{i}.png", png(_picture(i))) for i in range(6)]
    sounds = [_save(folder, f"media/{i}.wav", wav(_tone(i), 16_000)) for i in (1, 2)]
    clip = _save(folder, "media/0.mp4", mp4(np.stack([_picture(i) for i in range(4)]), 4))
    sky = ("A bright sky.", "A bright sky.")  # the prompt, repeated as both "responses" of a media pair
    darker = ("Make it darker.", "Make it darker.")
    sets = {
        "example_t2t": _row("Describe the sky.", ("It is bright and blue.", "Dark.")),
        "example_ti2t": _row("<image>What is this?", ("A bright sky.", "A cave."), images=pictures[:1]),
        "example_t2i": _row("<image>", sky, images=pictures[:2]),
        "example_t2v": _row("<image><image><image>", sky, images=pictures),
        "example_eval_t23d": _row("<image>", sky, images=pictures[:2], label=1),
        "example_eval_tv2t": _row("<video>What is this?", ("A sky.", "A cave."), videos=[clip], label=1),
        "example_eval_ta2t": _row("<audio>What is this?", ("A horn.", "A cat."), audios=sounds[:1], label=1),
        "example_eval_t2a": _row("<audio>", sky, audios=sounds, label=0),
        "example_eval_ti2i": _row("<image><image>", darker, images=[pictures[i] for i in (0, 1, 0, 2)], label=-1),
    }
    for name, row in sets.items():
        _save(folder, f"{name}.json", (json.dumps([row], indent=1) + "\n").encode())


def _row(asked: str, answers: tuple[str, str], **more: object) -> dict[str, object]:
    chosen, rejected = ({"from": "gpt", "value": answer} for answer in answers)
    conversations = [_CRITERION, {"from": "human", "value": asked}]
    return {"conversations": conversations, "chosen": chosen, "rejected": rejected, **more}


def _save(folder: Path, name: str, data: bytes) -> str:
    (folder / name).write_bytes(data)
    return name


def _picture(level: int) -> npt.NDArray[np.uint8]:
    return np.full((32, 32, 3), 240 - 40 * level, np.uint8)


def _tone(level: int) -> npt.NDArray[np.float32]:
    return (np.sin(np.arange(4_000) / 6) / (1 + level)).astype(np.float32)
