"""Qwen2.5-VL and Qwen3-VL: folders that transformers reads too, with the same states; and folders that anyone made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from tests.backbones.conftest import WORDS, Gallery
from tokenizers import Tokenizer
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen3VLForConditionalGeneration

from omnireward import plugins
from omnireward.backbones import BackboneFamily, Prepared, Row
from omnireward.backbones._qwen_config import build
from omnireward.backbones._qwen_pictures import patches
from omnireward.backbones._qwen_preprocessing import Pixels
from omnireward.backbones._qwen_vl import PICTURE, SPECIAL_TOKENS, VIDEO, QwenVL
from omnireward.errors import CheckpointError, MediaError, UnreadableMediaError
from omnireward.types import Media, Part, Text, Turn

ORACLES: dict[str, Any] = {
    "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
    "qwen3_vl": Qwen3VLForConditionalGeneration,
}
NUMBERED = np.random.default_rng(0)


@dataclass(frozen=True)
class Subject:
    """A family's tiny model, its folder, and what transformers made of that folder."""

    name: str
    family: BackboneFamily
    model: QwenVL
    gallery: Gallery
    folder: Path
    oracle: Any
    loading: dict[str, Any]


@pytest.fixture(scope="module", params=list(ORACLES))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    name: str = request.param
    family = plugins.load("backbones", name)
    assert isinstance(family, BackboneFamily)
    model, gallery, folder = family.tiny(WORDS * 40, 0), Gallery(), tmp_path_factory.mktemp(name)
    assert isinstance(model, QwenVL)
    model.save(folder)
    oracle, loading = ORACLES[name].from_pretrained(folder, output_loading_info=True)
    model.decode = gallery
    return Subject(name, family, model.eval(), gallery, folder, oracle.eval(), loading)


def _noise(*shape: int) -> NDArray[np.uint8]:
    return NUMBERED.integers(0, 256, shape, dtype=np.uint8)


def _row(subject: Subject, user: list[Part], assistant: list[Part]) -> tuple[Row, list[Prepared]]:
    media = [subject.model.prepare(part) for part in [*user, *assistant] if isinstance(part, Media)]
    return subject.model.tokenize((Turn("user", tuple(user)), Turn("assistant", tuple(assistant))), media), media


def _mixed(subject: Subject) -> tuple[Row, list[Prepared]]:
    """Two images, a video of an odd number of frames, and a mesh, with text between them."""
    add = subject.gallery.add
    user: list[Part] = [
        Text("Look: "),
        add("image", _noise(70, 40, 3)),
        add("video", _noise(5, 64, 90, 3)),
        Text(" and here."),
    ]
    return _row(subject, user, [add("mesh", _noise(3, 50, 50, 3)), Text("yes"), add("image", _noise(31, 99, 3))])


def _given(subject: Subject, media: list[Prepared]) -> dict[str, Tensor]:
    """The same media as transformers' models take them: all slices of a kind, one grid for each medium."""
    found: dict[str, Tensor] = {}
    for kind, pixels, grid in (
        (False, "pixel_values", "image_grid_thw"),
        (True, "pixel_values_videos", "video_grid_thw"),
    ):
        chosen = [medium for medium in media if medium.pattern.startswith("video") == kind]
        slices = [each for medium in chosen for each in medium.inputs or ()]
        found[pixels] = torch.cat([patches(each, subject.model.preprocessing) for each in slices])
        grids = [(len(m.sizes), *m.sizes[0]) for m in chosen] if kind else [(1, *s) for m in chosen for s in m.sizes]
        found[grid] = torch.tensor(grids)
    return found


def test_transformers_finds_every_weight_in_our_folder_but_the_vocabulary_head(subject: Subject) -> None:
    assert {key for key in subject.loading["missing_keys"] if key != "lm_head.weight"} == set()
    assert not subject.loading["unexpected_keys"]
    assert not subject.loading["mismatched_keys"]


def test_states_are_those_of_transformers(subject: Subject) -> None:
    """Qwen3-VL's with positions of its own; Qwen2.5-VL's with ours, see `test_qwen_positions` for where they differ."""
    row, media = _mixed(subject)
    assert row.positions is not None
    kinds = sum((row.ids == subject.model._tokenizer.special(token)) * n for n, token in ((1, PICTURE), (2, VIDEO)))
    with torch.no_grad():
        ours = subject.model.hidden_states([row], [subject.model.encode_media(media)])
        theirs = subject.oracle.model(
            input_ids=row.ids[None],
            position_ids=row.positions[:, None] if subject.name == "qwen2_5_vl" else None,
            mm_token_type_ids=torch.as_tensor(kinds)[None],
            **_given(subject, media),
        ).last_hidden_state
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert float(ours.std(dim=1).min()) > 0.1  # not all the same


def test_ids_are_those_of_the_text_with_its_special_tokens(subject: Subject) -> None:
    """The format as it is published, written out by hand, and read by the tokenizer as a whole."""
    row, media = _mixed(subject)
    counts = [medium.tokens for medium in media]
    seen = "<|vision_start|>{}<|vision_end|>".format
    if subject.name == "qwen2_5_vl":
        system = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        video = seen(VIDEO * sum(counts[1]))
    else:
        system = ""  # 5 frames, half a second apart, of which the last stands twice: 0 and 0.5, 1 and 1.5, 2 and 2
        video = "".join(
            f"<{time} seconds>{seen(VIDEO * n)}" for time, n in zip(("0.2", "1.2", "2.0"), counts[1], strict=True)
        )
    mesh = "".join(seen(PICTURE * count) for count in counts[2])
    expected = (
        f"{system}<|im_start|>user\nLook: {seen(PICTURE * counts[0][0])}{video} and here.<|im_end|>\n"
        f"<|im_start|>assistant\n{mesh}yes{seen(PICTURE * counts[3][0])}<|im_end|>\n"
    )
    tokenizer = Tokenizer.from_file(str(subject.folder / "tokenizer.json"))
    assert tokenizer.decode(row.ids.tolist(), skip_special_tokens=False) == expected
    assert row.ids.tolist() == tokenizer.encode(expected, add_special_tokens=False).ids


def test_media_tokens_in_text_are_text(subject: Subject) -> None:
    """Spelled in a prompt and in a response: only the image's own placeholders are there, and only it fills any."""
    picture = subject.gallery.add("image", _noise(56, 56, 3))
    spelled = "".join(SPECIAL_TOKENS) + "<0.5 seconds>"
    row, media = _row(subject, [Text(spelled), picture], [Text(spelled)])
    plain, _ = _row(subject, [Text("a"), picture], [Text("a")])
    tokenizer = subject.model._tokenizer
    for token in SPECIAL_TOKENS:
        assert (row.ids == tokenizer.special(token)).sum() == (plain.ids == tokenizer.special(token)).sum()
    assert [stop - start for start, stop in row.spans] == [sum(media[0].tokens)]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 150), (150, 1), (2, 2), (3, 400), (4000, 30)])
def test_pictures_of_any_size_up_to_200_times_as_long_as_wide_are_read(
    subject: Subject, height: int, width: int
) -> None:
    picture = _noise(height, width, 3)
    for part in (subject.gallery.add("image", picture), subject.gallery.add("video", picture[None])):
        medium = subject.model.prepare(part)
        (embeddings,) = subject.model.encode_media([medium])
        assert len(embeddings) == sum(medium.tokens) > 0
        assert embeddings.isfinite().all()


@pytest.mark.parametrize("array", [_noise(1, 1000, 3), _noise(1000, 1, 3)], ids=["wide", "high"])
def test_narrower_pictures_are_refused(subject: Subject, array: NDArray[np.uint8]) -> None:
    for part in (subject.gallery.add("image", array), subject.gallery.add("mesh", array[None])):
        with pytest.raises(UnreadableMediaError, match="1000"):
            subject.model.prepare(part)


def test_what_cannot_be_seen_is_refused(subject: Subject) -> None:
    for medium in (subject.gallery.add("audio", np.zeros(9)), subject.gallery.add("video", _noise(0, 9, 9, 3))):
        with pytest.raises(MediaError):
            subject.model.prepare(medium)
    kept = subject.model.prepare(subject.gallery.add("image", _noise(9, 9, 3)))
    with pytest.raises(MediaError, match="Prepare it again"):
        subject.model.encode_media([Prepared(kept.tower, None, kept.sizes, kept.tokens, kept.pattern)])


def test_folders_that_transformers_saved_are_read(subject: Subject, tmp_path: Path) -> None:
    """Its config has other fields, and its weights a vocabulary head; the preprocessing is all in one file."""
    subject.oracle.save_pretrained(tmp_path)
    shutil.copy(subject.folder / "tokenizer.json", tmp_path)
    parts = {"image_processor": "preprocessor_config.json", "video_processor": "video_preprocessor_config.json"}
    both = {name: json.loads((subject.folder / file).read_text()) for name, file in parts.items()}
    (tmp_path / "processor_config.json").write_text(json.dumps(both))
    _same(subject, subject.family.load(tmp_path))


@pytest.mark.parametrize("named", ["model.visual. model.language_model.", "visual. language_model.", "visual. model."])
def test_all_ways_of_naming_weights_are_read(subject: Subject, tmp_path: Path, named: str) -> None:
    shutil.copytree(subject.folder, tmp_path, dirs_exist_ok=True)
    visual, language = named.split()
    weights = {
        f"{visual}{name.removeprefix('visual.')}" if name.startswith("visual.") else language + name[6:]: value
        for name, value in subject.model.state_dict().items()
    }
    save_file(weights | {"lm_head.weight": torch.zeros(3, 3)}, tmp_path / "model.safetensors")
    _same(subject, subject.family.load(tmp_path))


def _same(subject: Subject, loaded: object) -> None:
    assert isinstance(loaded, QwenVL)
    wanted = subject.model.state_dict()
    assert loaded.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())
    for ours, theirs in zip(subject.model.buffers(), loaded.buffers(), strict=True):
        assert torch.equal(ours, theirs)  # frequencies, which no file holds
    assert repr(loaded.preprocessing) == repr(subject.model.preprocessing)


def test_weights_are_read_in_another_type_and_frequencies_stay_exact(subject: Subject) -> None:
    loaded = subject.model.load(subject.folder, dtype=torch.bfloat16, decode=subject.gallery)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert {buffer.dtype for buffer in loaded.buffers()} == {torch.float32}
    row, media = _mixed(subject)
    with torch.no_grad():
        found = loaded([row], [loaded.encode_media(media)]).float()
        wanted = subject.model([row], [subject.model.encode_media(media)])
    assert torch.cosine_similarity(found, wanted) > 0.99


def test_layers_that_compute_again_have_the_same_gradients(subject: Subject) -> None:
    row, media = _mixed(subject)
    found = []
    subject.model.train()
    parts: list[Any] = [subject.model.visual, subject.model.model]
    for again in (False, True):
        for part in parts:
            part.activation_checkpointing_enable() if again else part.activation_checkpointing_disable()
        subject.model.zero_grad()
        subject.model([row], [subject.model.encode_media(media)]).square().sum().backward()
        found.append([parameter.grad.clone() for parameter in subject.model.parameters() if parameter.grad is not None])
    for part in parts:
        part.activation_checkpointing_disable()
    subject.model.eval().zero_grad()
    assert len(found[0]) == len(list(subject.model.parameters()))
    for plain, computed in zip(*found, strict=True):
        torch.testing.assert_close(computed, plain)


def test_settings_name_what_decides_features_and_nothing_for_a_strange_decoder(subject: Subject) -> None:
    assert subject.model.settings() is None
    first, second = (subject.model.load(subject.folder) for _ in range(2))
    assert first.settings() == second.settings()
    path = subject.folder / "preprocessor_config.json"
    content = path.read_text()
    other = json.loads(content)
    other["size"]["longest_edge"] *= 2
    path.write_text(json.dumps(other))
    try:
        assert subject.model.load(subject.folder).settings() != first.settings()
    finally:
        path.write_text(content)


Change = Callable[[dict[str, Any]], object]
LAYERS = ["fullatt_block_indexes", "deepstack_visual_indexes"]
WRONG = [0, -1, 2**40, 10**400, 1.5, float("nan"), "7", True, [], {}, None]
SIZES = {
    "": ["hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size"],
    "vision_config": ["depth", "hidden_size", "num_heads", "intermediate_size", "out_hidden_size", "patch_size"],
}


@pytest.mark.parametrize(("section", "name"), [(section, name) for section, names in SIZES.items() for name in names])
def test_sizes_that_are_no_sizes_are_refused_by_name(subject: Subject, section: str, name: str) -> None:
    for value in WRONG:
        config = json.loads((subject.folder / "config.json").read_text())
        (config[section] if section else config.get("text_config", config))[name] = value
        with pytest.raises(CheckpointError, match=name):
            subject.model.check(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("vision_config"), "vision_config must be an object"),
        (lambda c: c["vision_config"].update(num_heads=5), "not a multiple"),
        (lambda c: c["vision_config"].update(out_hidden_size=64), "out_hidden_size 64"),
        (lambda c: c["vision_config"].update(hidden_act="none"), "hidden_act"),
        (lambda c: c["vision_config"].update(patch_size=7), "patch_size"),
        (lambda c: c["vision_config"].update(spatial_merge_size=0), "spatial_merge_size"),
        (lambda c: [c["vision_config"].pop(name, None) for name in LAYERS], "numbers of layers below"),
        (lambda c: c["vision_config"].update(fullatt_block_indexes=[9], deepstack_visual_indexes=[9]), "below"),
        (lambda c: c["vision_config"].update(fullatt_block_indexes=[1, 0], deepstack_visual_indexes=[1, 0]), "increa"),
        (lambda c: _text(c).update(rope_scaling={"mrope_section": [1, 1, 1]}), "mrope_section"),
        (lambda c: _text(c).update(rope_scaling={"mrope_section": None}), "mrope_section"),
        (lambda c: _text(c).update(rope_scaling=None), "rope_scaling must be"),
        (lambda c: _text(c)["rope_scaling"].update(rope_type="yarn"), "yarn"),
        (lambda c: _text(c).update(rope_theta=0), "rope_theta"),
        (lambda c: _text(c).update(rms_norm_eps="x"), "rms_norm_eps"),
        (lambda c: _text(c).update(use_sliding_window=True), "use_sliding_window"),
        (lambda c: _text(c).update(vocab_size=10), "vocab_size is 10"),
        (lambda c: _text(c).update(initializer_range="much"), "initializer_range"),
        (lambda c: _text(c).update(rope_scaling={"rope_type": [1], "mrope_section": [4, 6, 6]}), "unknown"),
        (lambda c: c.update(image_token_id=1), "one model"),
    ],
)
def test_configs_that_do_not_fit_are_refused(subject: Subject, tmp_path: Path, change: Change, message: str) -> None:
    shutil.copytree(subject.folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    change(config)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        subject.family.load(tmp_path)


def test_fields_that_nothing_here_reads_are_kept_and_not_obeyed(subject: Subject, tmp_path: Path) -> None:
    """The classes of transformers would fail at each of these, some of them only when the model runs."""
    shutil.copytree(subject.folder, tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    strange = {"attn_implementation": 7, "dtype": [], "pad_token_id": 10**9, "attention_dropout": 3, "auto_map": "x.py"}
    for part in (config, _text(config), config["vision_config"]):
        part.update(strange)
    config["vision_config"]["head_dim"] = -1
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = subject.model.load(tmp_path, decode=subject.gallery)
    _same(subject, loaded)
    row, media = _mixed(subject)
    with torch.no_grad():
        found = loaded([row], [loaded.encode_media(media)])
        assert torch.equal(found, subject.model([row], [subject.model.encode_media(media)]))
    loaded.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == config


def _text(config: dict[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = config.get("text_config", config)
    return text


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("preprocessor_config.json", lambda c: c.pop("image_mean"), "image_mean"),
        ("preprocessor_config.json", lambda c: c.update(image_std=[0.5, 0.5, 0]), "image_std"),
        ("preprocessor_config.json", lambda c: c.update(patch_size=0), "patch_size"),
        ("preprocessor_config.json", lambda c: c.update(min_pixels=0), "min_pixels"),
        ("preprocessor_config.json", lambda c: c.update(max_pixels=10**12), "max_pixels"),
        ("preprocessor_config.json", lambda c: c["size"].update(longest_edge=1), "at most 1"),
        ("preprocessor_config.json", lambda c: c.update(size=[1]), "size must be an object"),
        ("preprocessor_config.json", lambda c: c.update(do_normalize=False), "do_normalize"),
        ("preprocessor_config.json", lambda c: c["preprocessing"].update(frames=0), "frames"),
        ("video_preprocessor_config.json", lambda c: c.update(patch_size=3), "patch_size must be"),
        ("video_preprocessor_config.json", lambda c: c.update(image_mean=[0, 0, 0]), "image_mean must be"),
        ("tokenizer.json", lambda c: c["added_tokens"].pop(), "lacks the tokens"),
    ],
)
def test_other_files_that_do_not_fit_are_refused(
    subject: Subject, tmp_path: Path, file: str, change: Change, message: str
) -> None:
    shutil.copytree(subject.folder, tmp_path, dirs_exist_ok=True)
    content = json.loads((tmp_path / file).read_text())
    change(content)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=message):
        subject.family.load(tmp_path)


def test_a_folder_without_preprocessing_is_refused(subject: Subject, tmp_path: Path) -> None:
    shutil.copytree(subject.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json"):
        subject.family.load(tmp_path)


def test_where_no_file_speaks_of_videos_they_have_the_published_bounds(subject: Subject, tmp_path: Path) -> None:
    """Qwen2.5-VL: 128 to 768 tokens of 28 x 28 pixels for a frame. Qwen3-VL: its file's, for all frames together."""
    shutil.copytree(subject.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "video_preprocessor_config.json").unlink()
    bounds = subject.model.load(tmp_path).preprocessing.video
    wanted = {"qwen2_5_vl": Pixels(128 * 28 * 28, 768 * 28 * 28), "qwen3_vl": Pixels(4_096, 25_165_824)}
    assert bounds == wanted[subject.name]


def test_a_weight_of_another_shape_is_refused(subject: Subject, tmp_path: Path) -> None:
    shutil.copytree(subject.folder, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    name = next(name for name in weights if ".merger." in f".{name}" and name.endswith(".bias"))
    save_file(weights | {name: torch.zeros(3)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=name):
        subject.family.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "config", "parameters"),
    [
        (
            "qwen2_5_vl",
            {
                "model_type": "qwen2_5_vl",
                "hidden_size": 3584,
                "intermediate_size": 18944,
                "max_window_layers": 28,
                "num_attention_heads": 28,
                "num_hidden_layers": 28,
                "num_key_value_heads": 4,
                "rms_norm_eps": 1e-06,
                "rope_theta": 1000000.0,
                "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
                "sliding_window": 32768,
                "use_sliding_window": False,
                "vocab_size": 152064,
                "vision_config": {
                    "depth": 32,
                    "hidden_size": 1280,
                    "intermediate_size": 3420,
                    "num_heads": 16,
                    "in_chans": 3,
                    "out_hidden_size": 3584,
                    "patch_size": 14,
                    "window_size": 112,
                    "fullatt_block_indexes": [7, 15, 23, 31],
                },
            },
            8_292_166_656,
        ),
        (
            "qwen3_vl",
            {
                "model_type": "qwen3_vl",
                "text_config": {
                    "head_dim": 128,
                    "hidden_size": 4096,
                    "intermediate_size": 12288,
                    "num_attention_heads": 32,
                    "num_hidden_layers": 36,
                    "num_key_value_heads": 8,
                    "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
                    "rope_theta": 5000000,
                    "vocab_size": 151936,
                },
                "vision_config": {
                    "deepstack_visual_indexes": [8, 16, 24],
                    "depth": 27,
                    "hidden_size": 1152,
                    "intermediate_size": 4304,
                    "num_heads": 16,
                    "out_hidden_size": 4096,
                    "patch_size": 16,
                },
            },
            8_767_123_696,
        ),
    ],
)
def test_a_model_of_the_published_size_has_as_many_parameters(
    name: str, config: dict[str, Any], parameters: int
) -> None:
    """Those that the Hub counts for Qwen2.5-VL-7B-Instruct and Qwen3-VL-8B-Instruct, less the vocabulary head."""
    family: Any = plugins.load("backbones", name)
    kind = family.load.__self__
    kind.check(config)
    built = build(kind.CONFIG, config)
    with torch.device("meta"):
        parts = kind.TOWER(built.vision_config), kind.LANGUAGE(built.text_config)
    found = sum(parameter.numel() for part in parts for parameter in part.parameters())
    assert found + built.text_config.vocab_size * built.text_config.hidden_size == parameters
