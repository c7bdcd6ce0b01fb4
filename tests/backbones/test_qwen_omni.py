"""Qwen2.5-Omni and Qwen3-Omni: what is saved is what transformers' own thinker reads, and it gives the same states.

The oracle gets what its own front ends make of the media, and computes positions and places itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.backbones.conftest import WORDS, Gallery
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from omnireward import plugins
from omnireward.backbones import BackboneFamily, Prepared, Row
from omnireward.backbones._qwen_audio_thinker import Thinker
from omnireward.backbones._qwen_pictures import patches, spacing, video_pattern
from omnireward.errors import CheckpointError, MediaError
from omnireward.types import Media, Text, Turn

FAMILIES = ("qwen2_5_omni", "qwen3_omni")
TOLERANCE = 1e-5
LONG = 17_000  # samples; in one call Qwen3-Omni's encoder is told of sounds of a second or more only


@dataclass(frozen=True)
class Subject:
    """A tiny model, the folder that it was saved in, and the oracle that transformers loaded from there."""

    model: Thinker
    folder: Path
    oracle: Any
    missing: set[str]
    left_over: set[str]


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    family = plugins.load("backbones", request.param)
    assert isinstance(family, BackboneFamily)
    model = family.tiny(WORDS * 40, 0)
    assert isinstance(model, Thinker)
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder)
    kind: Any = getattr(transformers, model.ARCHITECTURE)
    oracle, info = kind.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    return Subject(model, folder, oracle.eval(), set(info["missing_keys"]), set(info["unexpected_keys"]))


def test_the_published_class_finds_every_weight_but_the_vocabulary_head(subject: Subject) -> None:
    assert subject.missing == {"lm_head.weight"}
    assert subject.left_over == set()


@pytest.mark.parametrize("seed", range(4))
def test_states_are_those_of_the_published_class(subject: Subject, gallery: Gallery, seed: int) -> None:
    """All tokens of rows in which text, images, videos and sounds stand in any order; float32, within 1e-5."""
    rng = random.Random(seed)
    turns, media = _conversation(rng, gallery, ["image", "video", "audio", "image", "audio", "video"])
    subject.model.decode = gallery
    prepared = [subject.model.prepare(medium) for medium in media]
    told = [video_pattern(4, rng.uniform(0.1, 9)) for _ in prepared]  # a fake decoder tells no times
    prepared = [
        replace(each, pattern=pattern) if spacing(each.pattern) else each
        for each, pattern in zip(prepared, told, strict=True)
    ]
    with torch.no_grad():
        row = subject.model.tokenize(turns, prepared)
        states = subject.model.hidden_states([row], [subject.model.encode_media(prepared)])[0]
        given = _published_inputs(subject, row, prepared, media, gallery)
        wanted = subject.oracle.model(**given).last_hidden_state[0]
    torch.testing.assert_close(states, wanted, rtol=0, atol=TOLERANCE)


def test_the_state_of_a_short_sound_is_that_of_the_published_class(subject: Subject, gallery: Gallery) -> None:
    """Less than a window of either encoder, and alone."""
    sound = np.random.default_rng(0).normal(0, 0.1, 5_003).astype(np.float32)
    media = [gallery.add("audio", sound)]
    turns = (Turn("user", (Text("hear"), media[0])), Turn("assistant", (Text("yes"),)))
    subject.model.decode = gallery
    prepared = [subject.model.prepare(medium) for medium in media]
    with torch.no_grad():
        row = subject.model.tokenize(turns, prepared)
        states = subject.model.hidden_states([row], [subject.model.encode_media(prepared)])[0]
        wanted = subject.oracle.model(**_published_inputs(subject, row, prepared, media, gallery)).last_hidden_state[0]
    torch.testing.assert_close(states, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("seed", range(40))
def test_positions_are_those_of_the_published_class(subject: Subject, seed: int) -> None:
    """Random media of random sizes and spacings, one at least of them seen."""
    rng = random.Random(seed)
    prepared = [_made_up(rng, rng.choice(["image", "video", "audio"])) for _ in range(rng.randint(0, 5))]
    prepared = [_with_tokens(subject.model, each) for each in prepared]
    prepared.insert(rng.randint(0, len(prepared)), _made_up(rng, "image"))
    parts: list[Any] = [Media("audio" if each.tower == "audio" else "image", b"") for each in prepared]
    for _ in range(rng.randint(0, 4)):
        parts.insert(rng.randint(0, len(parts)), Text("some words " * rng.randint(1, 3)))
    row = subject.model.tokenize((Turn("user", tuple(parts)), Turn("assistant", (Text("yes"),))), prepared)
    ids = row.ids[None]
    grids = _grids(prepared)
    frames = [each.sizes[0][0] for each in prepared if each.tower == "audio"]
    wanted, _ = subject.oracle.model.get_rope_index(
        ids,
        grids["image_grid_thw"],
        grids.get("video_grid_thw"),
        torch.ones_like(ids),
        audio_seqlens=torch.tensor(frames) if frames else None,
        second_per_grids=grids.get("video_second_per_grid"),
    )
    assert row.positions is not None
    assert row.positions.dtype == wanted.dtype
    torch.testing.assert_close(row.positions, wanted[:, 0], rtol=1e-6, atol=1e-4)


def test_positions_of_text_count_up_whatever_it_spells(subject: Subject) -> None:
    """Transformers counts start tokens and trusts them: a literal one without its medium ends in a crash there."""
    spelled = "".join(subject.model.SPECIAL_TOKENS)
    turns = (Turn("system", (Text(spelled),)), Turn("user", (Text(spelled),)), Turn("assistant", (Text(spelled),)))
    row = subject.model.tokenize(turns, [])
    assert row.positions is not None
    assert row.positions.tolist() == [list(range(len(row.ids)))] * 3
    ids = row.ids.tolist()
    marks = set(subject.model.TOKEN_FIELDS.values())
    assert not {subject.model._tokenizer.special(token) for token in marks} & set(ids)


def test_a_later_moment_of_a_video_has_a_later_position(subject: Subject) -> None:
    """By hand: slices of two frames, frames 0.9 s apart, so 1.8 s x 25 = 45 or 1.8 s x 13 = 23.4."""
    video = Prepared("vision", None, ((4, 4),) * 2, (4, 4), video_pattern(4, 2.7))
    row = subject.model.tokenize((Turn("user", (Media("video", b""),)), Turn("assistant", (Text("yes"),))), [video])
    assert row.positions is not None
    start, stop = row.spans[0]
    time = row.positions[0]
    assert float(time[start + 4] - time[start]) == pytest.approx(
        45 if subject.model.PER_SECOND == 25 else 23.4, abs=1e-4
    )
    assert float(time[stop] - time[stop - 1]) == 1


def test_the_number_of_embeddings_of_a_sound_is_that_of_the_published_class(subject: Subject) -> None:
    """Up to 35 s, frame by frame."""
    frames = torch.arange(1, 3_501)
    kind = type(subject.model.audio_tower).__module__
    module: Any = __import__(kind, fromlist=["_"])
    formula = getattr(module, "_get_feat_extract_output_lengths", None)
    if formula is None:
        wanted = subject.oracle.model.audio_tower._get_feat_extract_output_lengths(frames)[1].clamp(min=0)
    else:
        wanted = formula(frames)
    assert [subject.model.sound_tokens(int(n)) for n in frames] == wanted.tolist()


@pytest.mark.parametrize("layout", ["whole", "in memory", "whole in memory", "base"])
def test_every_layout_of_weights_is_read(subject: Subject, tmp_path: Path, layout: str) -> None:
    """The whole model's as published, and three as newer transformers name the parts."""
    renamed = _renamed(load_file(subject.folder / "model.safetensors"), layout)
    _write(subject, tmp_path, renamed, whole=layout.startswith("whole"))
    loaded = type(subject.model).load(tmp_path)
    wanted = subject.model.state_dict()
    assert loaded.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())


def test_what_transformers_saves_is_read(subject: Subject, tmp_path: Path) -> None:
    subject.oracle.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "preprocessor_config.json", "video_preprocessor_config.json"):
        (tmp_path / name).write_bytes((subject.folder / name).read_bytes())
    loaded = type(subject.model).load(tmp_path)
    wanted = subject.model.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())


def test_a_whole_model_is_saved_as_a_thinker(subject: Subject, tmp_path: Path) -> None:
    """Talker, vocoder and vocabulary head are gone; nothing else differs from the thinker that it was."""
    _write(subject, tmp_path / "whole", _renamed(load_file(subject.folder / "model.safetensors"), "whole"), whole=True)
    type(subject.model).load(tmp_path / "whole").save(tmp_path / "again")
    assert (tmp_path / "again/model.safetensors").read_bytes() == (subject.folder / "model.safetensors").read_bytes()
    for name in ("config.json", "preprocessor_config.json"):
        again, before = (json.loads((folder / name).read_text()) for folder in (tmp_path / "again", subject.folder))
        assert again == before


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("part", ["model.norm.weight", "audio_tower.ln_post.weight", "visual.merger.mlp.0.bias"])
def test_a_missing_and_a_left_over_weight_are_named(subject: Subject, tmp_path: Path, part: str, whole: bool) -> None:
    weights = load_file(subject.folder / "model.safetensors")
    name = part if part in weights else "visual.merger.ln_q.weight"
    weights["strange.weight"] = weights.pop(name)
    prefix = "thinker." if whole else ""
    _write(subject, tmp_path, {f"{prefix}{each}": value for each, value in weights.items()}, whole=whole)
    with pytest.raises(CheckpointError, match=rf"Missing: {prefix}{name}. Left over: {prefix}strange.weight"):
        type(subject.model).load(tmp_path)


@pytest.mark.parametrize(
    ("section", "change", "words"),
    [
        ("audio_config", {"d_model": 0}, "d_model"),
        ("audio_config", {"d_model": 66}, "not a multiple of 4"),
        ("audio_config", {"num_mel_bins": 10**9}, "num_mel_bins"),
        ("audio_config", {"num_mel_bins": 80}, "feature_size"),
        ("audio_config", {"output_dim": 64}, "output_dim 64 is not the language model's hidden_size"),
        ("audio_config", {"activation_function": "exec"}, "activation_function"),
        ("audio_config", {"max_source_positions": 10}, "max_source_positions"),
        ("audio_config", {"n_window": "100"}, "n_window"),
        ("audio_config", None, "audio_config must be an object"),
        ("text_config", {"rope_scaling": {"mrope_section": [1, 2, 3]}}, "mrope_section"),
        ("vision_config", {"out_hidden_size": 64}, "out_hidden_size"),
        (None, {"position_id_per_seconds": 0}, "position_id_per_seconds"),
        (None, {"audio_start_token_id": 3}, "audio_start_token_id"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(
    subject: Subject, tmp_path: Path, section: str | None, change: dict[str, Any] | None, words: str
) -> None:
    config = json.loads((subject.folder / "config.json").read_text())
    if section is None:
        config |= change or {}
    else:
        config[section] = change and config[section] | change
    _write(subject, tmp_path, load_file(subject.folder / "model.safetensors"), config=config)
    with pytest.raises(CheckpointError, match=words):
        type(subject.model).load(tmp_path)


def test_a_whole_model_without_a_thinker_is_refused(subject: Subject, tmp_path: Path) -> None:
    _write(subject, tmp_path, {}, config={"model_type": subject.model.WHOLE_MODEL})
    with pytest.raises(CheckpointError, match="thinker_config must be an object"):
        type(subject.model).load(tmp_path)


def test_positions_a_second_are_read_from_the_config(subject: Subject, tmp_path: Path) -> None:
    config = json.loads((subject.folder / "config.json").read_text()) | {"position_id_per_seconds": 100}
    _write(subject, tmp_path, load_file(subject.folder / "model.safetensors"), config=config)
    loaded = type(subject.model).load(tmp_path)
    video = Prepared("vision", None, ((4, 4),) * 2, (4, 4), video_pattern(4, 3.0))
    row = loaded.tokenize((Turn("user", (Media("video", b""),)), Turn("assistant", (Text("yes"),))), [video])
    assert row.positions is not None
    start = row.spans[0][0]
    assert float(row.positions[0][start + 4] - row.positions[0][start]) == 200  # two seconds


def test_a_field_that_is_null_is_as_one_that_is_missing(subject: Subject, tmp_path: Path) -> None:
    config = json.loads((subject.folder / "config.json").read_text()) | {"position_id_per_seconds": None}
    config["audio_config"] |= {"max_source_positions": None, "n_window_infer": None}
    _write(subject, tmp_path, load_file(subject.folder / "model.safetensors"), config=config)
    video = Prepared("vision", None, ((4, 4),) * 2, (4, 4), video_pattern(4, 3.0))
    turns = (Turn("user", (Media("video", b""),)), Turn("assistant", (Text("yes"),)))
    found, wanted = (
        model.tokenize(turns, [video]).positions for model in (subject.model.load(tmp_path), subject.model)
    )
    assert found is not None
    assert wanted is not None
    assert torch.equal(found, wanted)


def test_what_decides_embeddings_of_sound_is_told(subject: Subject, tmp_path: Path) -> None:
    """Else features that are kept on disk would pass for those of another audio tower."""
    config = json.loads((subject.folder / "config.json").read_text())
    told = []
    for activation in ("gelu", "relu"):
        config["audio_config"] |= {"activation_function": activation}
        _write(subject, tmp_path, load_file(subject.folder / "model.safetensors"), config=config)
        told.append(type(subject.model).load(tmp_path).settings())
    assert None not in told
    assert told[0] != told[1]
    assert type(subject.model).load(tmp_path, decode=Gallery()).settings() is None


def test_sounds_whose_inputs_were_dropped_are_refused(subject: Subject) -> None:
    with pytest.raises(MediaError, match="Prepare it again"):
        subject.model.encode_media([_made_up(random.Random(0), "audio")])


def _conversation(rng: random.Random, gallery: Gallery, kinds: Sequence[str]) -> tuple[tuple[Turn, ...], list[Media]]:
    """A turn with a medium of each kind, in any order, with and without words between; and an answer with a sound."""
    numbers = np.random.default_rng(rng.randint(0, 10**6))
    number = count()

    def medium(kind: str) -> Media:
        next(number)
        height, width = rng.randint(20, 90), rng.randint(20, 90)
        if kind == "image":
            return gallery.add("image", numbers.integers(0, 256, (height, width, 3), dtype=np.uint8))
        if kind == "video":
            frames = rng.randint(1, 5)
            return gallery.add("video", numbers.integers(0, 256, (frames, height, width, 3), dtype=np.uint8))
        return gallery.add("audio", numbers.normal(0, 0.1, rng.randint(LONG, 3 * LONG)).astype(np.float32))

    media = [medium(kind) for kind in rng.sample(list(kinds), len(kinds))]
    parts: list[Any] = []
    for each in media:
        parts += [Text("a red dot "), each] if rng.random() < 0.5 else [each]
    media.append(medium("audio"))
    answer = (Text("It is "), media[-1], Text(" so"))
    return (Turn("user", tuple(parts)), Turn("assistant", answer)), media


def _published_inputs(
    subject: Subject, row: Row, prepared: Sequence[Prepared], media: Sequence[Media], gallery: Gallery
) -> dict[str, Any]:
    """What the published class takes, made by its own front ends; a video's patches are cut as an image's are."""
    given = subject.model.preprocessing
    see: Any = Qwen2VLImageProcessorPil.from_pretrained(subject.folder)
    images, videos, sounds = [], [], []
    for each, medium in zip(prepared, media, strict=True):
        if medium.kind == "image":
            images.append(see(gallery(medium), return_tensors="pt")["pixel_values"])
        elif medium.kind == "video":
            videos += [patches(each_slice, given) for each_slice in each.inputs or ()]
        else:
            sounds.append(_published_frames(subject, gallery(medium)))
    inputs: dict[str, Any] = {"input_ids": row.ids[None], "attention_mask": torch.ones_like(row.ids)[None]}
    inputs |= _grids(prepared)
    if images:
        inputs["pixel_values"] = torch.cat(images)
    if videos:
        inputs["pixel_values_videos"] = torch.cat(videos)
    if sounds:
        inputs["input_features"] = pad_sequence([frames.T for frames in sounds], batch_first=True).transpose(1, 2)
        lengths = torch.tensor([frames.shape[1] for frames in sounds])
        mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
        inputs["feature_attention_mask"] = mask.long()
    return inputs


def _published_frames(subject: Subject, sound: Any) -> Tensor:
    """As each processor calls its feature extractor, for one sound."""
    extract: Any = transformers.WhisperFeatureExtractor.from_pretrained(subject.folder)
    how = {"padding": "max_length"} if subject.model.SILENT_END else {"padding": True, "truncation": False}
    made = extract([sound], sampling_rate=16_000, return_attention_mask=True, return_tensors="pt", **how)
    cut: Tensor = made["input_features"][0][:, made["attention_mask"][0].bool()]
    return cut


def _grids(prepared: Sequence[Prepared]) -> dict[str, Tensor]:
    """Grids of images and of videos, and the seconds between a video's slices."""
    images = [(1, *each.sizes[0]) for each in prepared if each.tower == "vision" and spacing(each.pattern) is None]
    videos = [(len(each.sizes), *each.sizes[0]) for each in prepared if spacing(each.pattern) is not None]
    seconds = [2 * gap for each in prepared if (gap := spacing(each.pattern)) is not None]
    found = {"image_grid_thw": torch.tensor(images)} if images else {}
    if videos:
        found |= {"video_grid_thw": torch.tensor(videos), "video_second_per_grid": torch.tensor(seconds)}
    return found


def _made_up(rng: random.Random, kind: str) -> Prepared:
    """A medium of random size, without what a tower would read."""
    if kind == "audio":
        return Prepared("audio", None, ((rng.randint(3, 500), 0),), (0,), "")
    size = (2 * rng.randint(1, 4), 2 * rng.randint(1, 4))
    tokens = size[0] * size[1] // 4
    if kind == "image":
        return Prepared("vision", None, (size,), (tokens,), "image")
    slices = rng.randint(1, 4)
    return Prepared(
        "vision", None, (size,) * slices, (tokens,) * slices, video_pattern(2 * slices, rng.uniform(0.1, 9))
    )


def _with_tokens(model: Thinker, medium: Prepared) -> Prepared:
    """A made-up sound with as many embeddings as the model makes of it."""
    return replace(medium, tokens=(model.sound_tokens(medium.sizes[0][0]),)) if medium.tower == "audio" else medium


def _renamed(weights: dict[str, Tensor], layout: str) -> dict[str, Tensor]:
    """The same weights under other names, with a head and speech where the whole model has them."""
    if layout == "whole":
        found = {f"thinker.{name}": value for name, value in weights.items()}
    elif layout == "base":
        found = {name.replace("model.", "language_model.", 1): value for name, value in weights.items()}
    else:
        moved = {
            name.replace("model.", "model.language_model.", 1) if name.startswith("model.") else f"model.{name}": value
            for name, value in weights.items()
        }
        found = {("thinker." if layout.startswith("whole") else "") + name: value for name, value in moved.items()}
    if layout.startswith("whole"):
        found |= {
            f"{name}.weight": torch.zeros(2) for name in ("thinker.lm_head", "talker.x", "token2wav.y", "code2wav.z")
        }
    else:
        found["lm_head.weight"] = torch.zeros(2)
    return found


def _write(
    subject: Subject,
    folder: Path,
    weights: dict[str, Tensor],
    *,
    whole: bool = False,
    config: dict[str, Any] | None = None,
) -> None:
    """A folder with these weights; `whole`: with the config of a model that also speaks."""
    folder.mkdir(exist_ok=True)
    for path in subject.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    save_file(weights, folder / "model.safetensors")
    own = config or json.loads((subject.folder / "config.json").read_text())
    if whole:
        own = {
            "architectures": ["AWholeModel"],
            "model_type": subject.model.WHOLE_MODEL,
            "talker_config": {"vocab_size": 10**12},
            "thinker_config": own | {"architectures": None},
        }
    (folder / "config.json").write_text(json.dumps(own))
