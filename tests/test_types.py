"""The nouns: the nine tasks, and digests that no two different things share."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.errors import UnknownNameError
from omnireward.types import PAPER_TASKS, Comparison, Media, Modality, Role, Task, Text, Turn

PROMPT = (Turn("user", (Text("draw a cat"), Media("image", b"sketch"))),)
COMPARISON = Comparison(PROMPT, (Media("image", b"one"),), (Media("image", b"two"), Text("a cat")), "It should be red.")


@pytest.mark.parametrize(
    ("short", "long", "inputs", "output"),
    [
        ("T2T", "text_to_text", ("text",), "text"),
        ("TI2T", "text_image_to_text", ("text", "image"), "text"),
        ("TV2T", "text_video_to_text", ("text", "video"), "text"),
        ("TA2T", "text_audio_to_text", ("text", "audio"), "text"),
        ("T2I", "text_to_image", ("text",), "image"),
        ("T2V", "text_to_video", ("text",), "video"),
        ("T2A", "text_to_audio", ("text",), "audio"),
        ("T23D", "text_to_3D", ("text",), "mesh"),
        ("TI2I", "text_image_to_image", ("text", "image"), "image"),
    ],
)
def test_the_nine_tasks(short: str, long: str, inputs: tuple[Modality, ...], output: Modality) -> None:
    """Written out by hand from the names of Omni-RewardBench's nine configs."""
    task = Task.parse(short)
    assert task is Task.parse(long)
    assert (task.short, task.value, task.inputs, task.output) == (short, long, inputs, output)


def test_there_are_nine_tasks_in_the_papers_order() -> None:
    assert [task.short for task in PAPER_TASKS] == ["T2T", "TI2T", "TV2T", "TA2T", "T2I", "T2V", "T2A", "T23D", "TI2I"]


@pytest.mark.parametrize("name", ["", "t2t", "T3D", "text-to-text", "text_to_3d"])
def test_an_unknown_task_is_answered_with_all_that_exist(name: str) -> None:
    with pytest.raises(UnknownNameError) as raised:
        Task.parse(name)
    assert f"unknown task {name!r}" in str(raised.value)
    assert all(task.short in str(raised.value) and task.value in str(raised.value) for task in Task)


def test_nouns_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        COMPARISON.criterion = "another"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        PROMPT[0].role = "system"  # type: ignore[misc]


def test_media_are_made_of_one_piece_unless_they_are_a_tuple() -> None:
    assert Media("video", b"clip").pieces() == (b"clip",)
    assert Media("video", Path("clip.mp4")).pieces() == (Path("clip.mp4"),)
    assert Media("video", (b"frame 1", Path("2.png"))).pieces() == (b"frame 1", Path("2.png"))


def test_digest_of_media_by_hand() -> None:
    """SHA-256 over kind, shape and the bytes' own SHA-256, each after its length in 8 big-endian bytes."""
    pieces = (b"audio", b"single", hashlib.sha256(b"noise").digest())
    prefixed = b"".join(len(data).to_bytes(8, "big") + data for data in pieces)
    assert Media("audio", b"noise").digest() == hashlib.sha256(prefixed).hexdigest()


def test_media_digest_is_of_the_bytes_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"cat")
    assert Media("image", tmp_path / "cat.png").digest() == Media("image", b"cat").digest()
    (tmp_path / "cat.png").write_bytes(b"dog")
    assert Media("image", tmp_path / "cat.png").digest() != Media("image", b"cat").digest()


def test_files_that_a_mesh_names_count_and_others_do_not(tmp_path: Path) -> None:
    """Two equal OBJ files look different when the texture that they name does."""
    meshes = []
    for folder, colour in ((tmp_path / name, name) for name in ("red", "blue")):
        (folder / "textures").mkdir(parents=True)
        (folder / "cube.obj").write_text("mtllib cube.mtl")
        (folder / "cube.mtl").write_text("map_Kd textures/cube.png")
        (folder / "textures" / "cube.png").write_text(colour)
        meshes.append(Media("mesh", folder / "cube.obj").digest())
    assert meshes[0] != meshes[1]
    (tmp_path / "red" / "other.png").write_text("unnamed")
    assert Media("mesh", tmp_path / "red" / "cube.obj").digest() == meshes[0]
    (tmp_path / "red" / "textures" / "cube.png").write_text("blue")
    assert Media("mesh", tmp_path / "red" / "cube.obj").digest() == meshes[1]


def test_a_mesh_that_names_nothing_has_the_digest_of_its_bytes(tmp_path: Path) -> None:
    for name, content in (("a.glb", b"glTF whole"), ("a.ply", b"ply\nend_header\n"), ("a.obj", b"v 0 0 0\n")):
        (tmp_path / name).write_bytes(content)
        (tmp_path / "beside.png").write_bytes(b"picture")
        assert Media("mesh", tmp_path / name).digest() == Media("mesh", content).digest()


def test_different_media_have_different_digests() -> None:
    """Kind, a file or one frame, and where one frame ends and the next begins all count."""
    media = [
        Media("image", b"abc"),
        Media("video", b"abc"),
        Media("video", (b"abc",)),
        Media("video", (b"ab", b"c")),
        Media("video", (b"a", b"bc")),
        Media("video", (b"bc", b"a")),
        Media("video", (b"abc", b"")),
    ]
    assert len({one.digest() for one in media}) == len(media)


def test_swapping_exchanges_the_responses_and_nothing_else() -> None:
    swapped = COMPARISON.swap()
    assert swapped.response("a") == COMPARISON.response("b") == COMPARISON.response_b
    assert swapped.response("b") == COMPARISON.response("a") == COMPARISON.response_a
    assert (swapped.prompt, swapped.criterion) == (COMPARISON.prompt, COMPARISON.criterion)
    assert swapped.swap() == COMPARISON


def test_everything_that_a_judge_may_see_is_in_the_digest() -> None:
    others = [
        COMPARISON,
        COMPARISON.swap(),
        replace(COMPARISON, criterion=""),
        replace(COMPARISON, prompt=(Turn("assistant", PROMPT[0].content),)),
        replace(COMPARISON, prompt=(*PROMPT, *PROMPT)),
        replace(COMPARISON, prompt=(Turn("user", PROMPT[0].content[::-1]),)),
        replace(COMPARISON, prompt=(Turn("user", (Text("draw a "), Text("cat"), Media("image", b"sketch"))),)),
        replace(COMPARISON, response_a=(Media("image", b"one"), Media("image", b"two")), response_b=(Text("a cat"),)),
        replace(COMPARISON, response_a=(Media("video", b"one"),)),
        replace(COMPARISON, response_a=(Text("one"),)),
        replace(COMPARISON, response_a=(Text(Media("image", b"one").digest()),)),
    ]
    assert len({one.digest() for one in others}) == len(others)
    assert replace(COMPARISON).digest() == COMPARISON.digest()


def test_half_a_surrogate_pair_has_a_digest() -> None:
    """JSON can hold one; it must not stop a run."""
    broken = replace(COMPARISON, criterion="\ud800", response_a=(Text("\udfff"),))
    assert len(broken.digest()) == 64


_contents = st.lists(st.text("ab:", max_size=3).map(Text), max_size=3).map(tuple)
_roles: st.SearchStrategy[Role] = st.sampled_from(["user", "assistant"])
_comparisons = st.builds(
    Comparison,
    st.lists(st.builds(Turn, _roles, _contents), max_size=2).map(tuple),
    _contents,
    _contents,
    st.text("ab:", max_size=2),
)


@given(_comparisons, _comparisons)
def test_digests_agree_exactly_where_comparisons_do(one: Comparison, other: Comparison) -> None:
    assert (one.digest() == other.digest()) == (one == other)
