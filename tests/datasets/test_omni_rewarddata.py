"""Omni-RewardData: the shape of each task, the authors' dispatch by counts, and what it would misread."""

import json
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from omnireward.datasets.omni_rewarddata import DATASET
from omnireward.errors import BadRowError, OutsideRootError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "real" / "omni_rewarddata_sample"
FILES = ("0.png", "1.png", "2.png", "3.png", "4.png", "5.png")


def _row(asked: str = "q", chosen: str = "good", rejected: str = "bad", **more: object) -> dict[str, object]:
    return {
        "conversations": [{"from": "human", "value": asked}],
        "chosen": {"from": "gpt", "value": chosen},
        "rejected": {"from": "gpt", "value": rejected},
        **more,
    }


def _turns(*said: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": role, "value": value} for role, value in said]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with six files whose names are their only content."""
    for name in FILES:
        (tmp_path / name).write_text(name)
    return tmp_path


def _write(root: Path, table: Sequence[dict[str, object]], name: str = "set.json") -> None:
    (root / name).write_text(json.dumps(list(table)))


def _read(root: Path, *table: dict[str, object], name: str = "set.json") -> list[Sample]:
    _write(root, table, name)
    return list(DATASET.read(str(root), BadRows()))


def _bad(root: Path, row: dict[str, object], name: str = "set.json") -> BadRowError:
    """The one error of a table with a good row on each side of the bad one."""
    _write(root, [_row(), row, _row()], name)
    bad_rows = BadRows(skip=True)
    assert len(list(DATASET.read(str(root), bad_rows))) == 2
    (error,) = bad_rows.errors
    assert (error.file, error.row) == (name, 1)
    return error


def _told(parts: Sequence[Text | Media]) -> list[str]:
    """Parts in short: text as it is, media as kind and file names."""
    told = []
    for part in parts:
        if isinstance(part, Text):
            told.append(part.text)
        else:
            told.append(f"{part.kind}:{','.join(p.name for p in part.pieces() if isinstance(p, Path))}")
    return told


def test_general_text_row(root: Path) -> None:
    (sample,) = _read(root, _row())
    assert (sample.id, sample.task, sample.preference) == ("set.json:0", Task.T2T, "a")
    assert sample.comparison.prompt == (Turn("user", (Text("q"),)),)
    assert (sample.comparison.response_a, sample.comparison.response_b) == ((Text("good"),), (Text("bad"),))
    assert (sample.comparison.criterion, sample.groups) == ("", ("set",))


def test_system_turn_is_the_criterion(root: Path) -> None:
    (sample,) = _read(root, _row() | {"conversations": _turns(("system", "be brief"), ("human", "q"))})
    assert sample.comparison.criterion == "be brief"
    assert sample.comparison.prompt == (Turn("user", (Text("q"),)),)


def test_criterion_does_not_change_the_cluster(root: Path) -> None:
    with_criterion = _row() | {"conversations": _turns(("system", "be brief"), ("human", "q"))}
    one, two, three = _read(root, _row(), with_criterion, _row("other"))
    assert one.cluster == two.cluster != three.cluster


def test_turns_keep_their_roles(root: Path) -> None:
    (sample,) = _read(root, _row() | {"conversations": _turns(("human", "a"), ("gpt", "b"), ("human", "c"))})
    assert [(turn.role, _told(turn.content)) for turn in sample.comparison.prompt] == [
        ("user", ["a"]),
        ("assistant", ["b"]),
        ("user", ["c"]),
    ]


@pytest.mark.parametrize(("label", "preference"), [(1, "a"), (0, "tie"), (-1, "b"), (None, "a")])
def test_label_decides(root: Path, label: int | None, preference: str) -> None:
    assert _read(root, _row(label=label))[0].preference == preference


@pytest.mark.parametrize(
    ("asked", "media", "task", "shown"),
    [
        ("<image>What?", {"images": ["0.png"]}, Task.TI2T, ["image:0.png", "What?"]),
        ("Look: <image> What?", {"images": ["0.png"]}, Task.TI2T, ["Look: ", "image:0.png", " What?"]),
        ("What?", {"images": ["0.png"]}, Task.TI2T, ["image:0.png", "What?"]),
        ("What?", {"images": "0.png"}, Task.TI2T, ["image:0.png", "What?"]),
        (
            "<image><image>a<image>",
            {"images": ["0.png", "1.png", "2.png"]},
            Task.TI2T,
            ["image:0.png", "image:1.png", "a", "image:2.png"],
        ),
        ("<video>What?", {"videos": ["0.png"]}, Task.TV2T, ["video:0.png", "What?"]),
        ("<audio>What?", {"audios": ["0.png"], "images": []}, Task.TA2T, ["audio:0.png", "What?"]),
        ("<audio>is <image> a tag?", {"audios": ["0.png"]}, Task.TA2T, ["audio:0.png", "is <image> a tag?"]),
    ],
)
def test_media_of_the_prompt_stand_where_their_placeholders_were(
    root: Path, asked: str, media: dict[str, object], task: Task, shown: list[str]
) -> None:
    (sample,) = _read(root, _row(asked) | media)
    assert sample.task is task
    assert _told(sample.comparison.prompt[0].content) == shown
    assert _told(sample.comparison.response_a) == ["good"]


def test_placeholders_of_earlier_turns_count_and_those_of_answers_are_words(root: Path) -> None:
    turns = _turns(("human", "<image>a"), ("gpt", "an <image>?"), ("human", "b"))
    (sample,) = _read(root, _row(images=["0.png"]) | {"conversations": turns})
    assert [_told(turn.content) for turn in sample.comparison.prompt] == [
        ["image:0.png", "a"],
        ["an <image>?"],
        ["b"],
    ]


def test_media_without_placeholder_stand_before_the_first_words(root: Path) -> None:
    turns = _turns(("human", "a"), ("gpt", "b"), ("human", "c"))
    (sample,) = _read(root, _row(images=["0.png"]) | {"conversations": turns})
    assert [_told(turn.content) for turn in sample.comparison.prompt] == [["image:0.png", "a"], ["b"], ["c"]]


def test_placeholder_in_a_text_row_is_words(root: Path) -> None:
    (sample,) = _read(root, _row("how do I write <image> in HTML?", "use <image>"))
    assert sample.comparison.prompt[0].content == (Text("how do I write <image> in HTML?"),)
    assert sample.comparison.response_a == (Text("use <image>"),)


@pytest.mark.parametrize(
    ("asked", "media", "task", "shown", "chosen", "rejected"),
    [
        ("<image>", {"images": ["0.png", "1.png"]}, Task.T2I, ["P"], "image:0.png", "image:1.png"),
        (" <image>\n", {"images": ["0.png", "1.png"]}, Task.T2I, ["P"], "image:0.png", "image:1.png"),
        ("", {"images": [["0.png"], ["1.png"]]}, Task.T2I, ["P"], "image:0.png", "image:1.png"),
        ("<video>", {"videos": ["0.png", "1.png"]}, Task.T2V, ["P"], "video:0.png", "video:1.png"),
        ("<audio>", {"audios": ["0.png", "1.png"]}, Task.T2A, ["P"], "audio:0.png", "audio:1.png"),
        (
            "<image>" * 3,
            {"images": list(FILES)},
            Task.T2V,
            ["P"],
            "video:0.png,1.png,2.png",
            "video:3.png,4.png,5.png",
        ),
        (
            "<image>" * 2,
            {"images": list(FILES[:4])},
            Task.T2V,
            ["P"],
            "video:0.png,1.png",
            "video:2.png,3.png",
        ),
        (
            "<image><image>",
            {"images": ["0.png", "1.png", "0.png", "2.png"]},
            Task.TI2I,
            ["image:0.png", "P"],
            "image:1.png",
            "image:2.png",
        ),
        (
            "<image><image>",
            {"images": [["0.png", "1.png"], ["0.png", "2.png"]]},
            Task.TI2I,
            ["image:0.png", "P"],
            "image:1.png",
            "image:2.png",
        ),
    ],
)
def test_equal_texts_are_the_prompt_and_media_the_responses(
    root: Path, asked: str, media: dict[str, object], task: Task, shown: list[str], chosen: str, rejected: str
) -> None:
    (sample,) = _read(root, _row(asked, "P", "P") | media)
    assert sample.task is task
    assert _told(sample.comparison.prompt[0].content) == shown
    assert _told(sample.comparison.response_a) == [chosen]
    assert _told(sample.comparison.response_b) == [rejected]


def test_name_of_the_set_says_that_pictures_are_renders(root: Path) -> None:
    (sample,) = _read(root, _row("<image>", "P", "P", images=["0.png", "1.png"]), name="omni_t23d.json")
    assert sample.task is Task.T23D
    assert sample.comparison.response_a == (Media("mesh", (root / "0.png",)),)


@pytest.mark.parametrize(
    ("row", "field", "problem"),
    [
        (_row("<image><image>", images=["0.png", "1.png"]), "images", "question with two answers"),
        (_row("<image>", images=[["0.png"], ["1.png"]]), "images", "question with two answers"),
        (_row(chosen="same", rejected="same"), "chosen", "equals rejected"),
        (_row("<image>", "P", "P", images=["0.png"]), "chosen", "equals rejected"),
        (_row("<video>" * 4, "P", "P", videos=list(FILES[:4])), "chosen", "equals rejected"),
        (_row("<image>", "P", "P", images=list(FILES[:3])), "images", "odd number"),
        (_row("<image>", "P", "P", images=list(FILES)), "conversations", "has 1 <image> for 3"),
        (_row("<image><image>", "P", "P", images=["0.png", "1.png"]), "conversations", "has 2 <image> for 1"),
        (_row("<image><image>x", images=["0.png"]), "conversations", "has 2 <image> for 1"),
        (_row("<image>Draw!", "P", "P", images=["0.png", "1.png"]), "conversations", "words beside"),
        (
            _row("", "P", "P", images=["0.png", "1.png"])
            | {"conversations": _turns(("human", "a"), ("gpt", "b"), ("human", "<image>"))},
            "conversations",
            "must have one",
        ),
        (_row("", "P", "P", images=[["0.png"], ["1.png", "2.png"]]), "images", "must be as many"),
        (_row("", "P", "P", images=[["0.png"], []]), "images", "must be two"),
        (_row("", "P", "P", images=[["0.png"], "1.png"]), "images", "must be two"),
        (_row("", "P", "P", images=[["0.png"], ["1.png"], ["2.png"]]), "images", "must be two"),
        (_row("", "P", "P", videos=[["0.png", "1.png"], ["2.png", "3.png"]]), "videos", "a response is one video"),
        (_row("<image><video>", images=["0.png"], videos=["1.png"]), "videos", "beside images"),
        (_row("<image>x", images=["gone.png"]), "images", "no file 'gone.png'"),
        (_row("<image>x", images=["/etc/passwd"]), "images", "is not a path below"),
        (_row("<image>x", images=["train_data//etc/passwd"]), "images", "is not a path below"),
        (_row("<image>x", images=["x/../../secret"]), "images", "is not a path below"),
        (_row("<image>x", images=[None]), "images", "holds no media"),
        (_row() | {"conversations": _turns(("human", "a"), ("gpt", "b"))}, "conversations", "must alternate"),
        (_row() | {"conversations": _turns(("human", "a"), ("human", "b"), ("human", "c"))}, "conversations", "altern"),
        (_row() | {"conversations": _turns(("system", "c"))}, "conversations", "it is empty"),
        (_row() | {"conversations": []}, "conversations", "it is empty"),
        (_row() | {"conversations": "q"}, "conversations", "not a list of turns"),
        (_row() | {"conversations": _turns(("tool", "a"))}, "conversations", "turns are from human, gpt, system"),
        (_row() | {"conversations": [{"from": ["human"], "value": "a"}]}, "conversations", "turns are from"),
        (_row() | {"conversations": [{"from": "human"}]}, "conversations", "not text"),
        (_row() | {"chosen": "good"}, "chosen", "not {"),
        (_row() | {"rejected": {"from": "human", "value": "x"}}, "rejected", "not {"),
        (_row() | {"rejected": {"from": "gpt", "value": None}}, "rejected", "not text"),
        (_row(label=2), "label", "known are 1"),
        (_row(label=True), "label", "known are 1"),
        (_row(label="1"), "label", "known are 1"),
    ],
)
def test_rows_that_would_be_misread_are_refused(root: Path, row: dict[str, object], field: str, problem: str) -> None:
    error = _bad(root, row)
    assert error.field == field
    assert problem in error.problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["human", "gpt", "<image>", "0.png", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["from", "value", "bytes", "path"]), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = st.sampled_from(["conversations", "chosen", "rejected", "images", "videos", "audios", "label"])


@hypothesis.given(changes=st.dictionaries(FIELDS, JSON, max_size=3))
@hypothesis.settings(max_examples=300, deadline=None)
def test_whatever_a_row_holds_it_is_a_sample_or_a_bad_row(
    tmp_path_factory: pytest.TempPathFactory, changes: dict[str, object]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_data_row"
    folder.mkdir(exist_ok=True)
    (folder / "0.png").touch()
    _write(folder, [_row("<image>") | changes])
    bad_rows = BadRows(skip=True)
    assert len(list(DATASET.read(str(folder), bad_rows))) + len(bad_rows.errors) == 1


def test_ties_may_have_equal_texts(root: Path) -> None:
    (sample,) = _read(root, _row(chosen="same", rejected="same", label=0))
    assert sample.preference == "tie"


@pytest.mark.parametrize("given", ["train_data/set/a/0.png", "set/a/0.png", "a/0.png", "other/set/a/0.png"])
@pytest.mark.parametrize("where", ["set/a", "train_data/set/a", "a"])
def test_media_paths_are_tried_with_and_without_their_first_folders(tmp_path: Path, given: str, where: str) -> None:
    """What each pair should do, by hand: a name may lose train_data and one folder, a place may have train_data."""
    (tmp_path / where).mkdir(parents=True)
    (tmp_path / where / "0.png").touch()
    found = {
        "train_data/set/a/0.png": {"set/a", "train_data/set/a", "a"},
        "set/a/0.png": {"set/a", "train_data/set/a", "a"},
        "a/0.png": {"a"},
        "other/set/a/0.png": {"set/a", "train_data/set/a"},
    }[given]
    _write(tmp_path, [_row("<image>x", images=[given])])
    bad_rows = BadRows(skip=True)
    assert len(list(DATASET.read(str(tmp_path), bad_rows))) == (where in found)
    assert len(bad_rows.errors) == (where not in found)


def test_parquet_rows_of_either_nesting(tmp_path: Path) -> None:
    """Turns as a list of structs, or as the struct of lists that older writers made; images as structs with bytes."""
    cell = {"bytes": b"data", "path": "nowhere.png"}
    row = _row("<image>x", images=[cell])
    (tmp_path / "Omni-RLAIF-V").mkdir()
    for shard, turns in enumerate((row["conversations"], {"from": ["human"], "value": ["<image>x"]})):
        table = pa.Table.from_pylist([row | {"conversations": turns}])
        pq.write_table(table, tmp_path / "Omni-RLAIF-V" / f"train-{shard}.parquet")
    one, two = DATASET.read(str(tmp_path), BadRows())
    assert one.comparison == two.comparison
    assert one.comparison.prompt[0].content == (Media("image", b"data"), Text("x"))
    assert one.groups == ("Omni-RLAIF-V",)
    assert one.cluster == two.cluster
    assert DATASET.recognises(tmp_path)


def test_unequal_lists_of_roles_and_values_are_refused(tmp_path: Path) -> None:
    turns = {"from": ["human", "gpt"], "value": ["x"]}
    assert "of one length" in _bad(tmp_path, _row() | {"conversations": turns}).problem


def test_one_file_alone_can_be_read(root: Path) -> None:
    _write(root, [_row()], "a.json")
    _write(root, [_row()], "b.json")
    assert [sample.id for sample in DATASET.read(str(root / "b.json"), BadRows())] == ["b.json:0"]
    assert [sample.id for sample in DATASET.read(str(root), BadRows())] == ["a.json:0", "b.json:0"]


def _index(root: Path, **entries: object) -> None:
    (root / "dataset_info.json").write_text(json.dumps(entries))


COLUMNS = {"messages": "conversations", "chosen": "chosen", "rejected": "rejected", "images": "images"}
ENTRY = {"file_name": "a.json", "formatting": "sharegpt", "ranking": True, "columns": COLUMNS}


def test_index_says_which_files_are_rankings(root: Path) -> None:
    _write(root, [_row()], "a.json")
    (root / "sft.json").write_text('[{"instruction": "not a ranking"}]')
    _index(
        root, a=ENTRY, gone=ENTRY | {"file_name": "gone.json"}, sft={"file_name": "sft.json"}, hub={"hf_hub_url": "x"}
    )
    assert [sample.id for sample in DATASET.read(str(root), BadRows())] == ["a.json:0"]


@pytest.mark.parametrize(
    "change",
    [
        {"formatting": "alpaca"},
        {"tags": {"role_tag": "role"}},
        {"columns": COLUMNS | {"chosen": "best"}},
        {"columns": 3},
    ],
)
def test_index_entries_of_other_formats_are_refused(root: Path, change: dict[str, object]) -> None:
    _write(root, [_row()], "a.json")
    _index(root, a=ENTRY | change)
    with pytest.raises(SourceError, match="entry 'a'"):
        next(DATASET.read(str(root), BadRows()))


def test_index_must_not_name_files_outside(root: Path) -> None:
    _index(root, a=ENTRY | {"file_name": "../a.json"})
    with pytest.raises(OutsideRootError):
        next(DATASET.read(str(root), BadRows()))


@pytest.mark.parametrize("content", ["[", "[]", '{"a": 1}'])
def test_broken_index(root: Path, content: str) -> None:
    (root / "dataset_info.json").write_text(content)
    with pytest.raises(SourceError, match=r"dataset_info\.json"):
        next(DATASET.read(str(root), BadRows()))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real sample beside the checkout")
def test_real_sample() -> None:
    """300 rows as the sample's description states; 80 begin with a system turn, counted with a separate script."""
    samples = list(DATASET.read(str(REAL), BadRows()))
    assert len(samples) == 300
    assert sum(bool(sample.comparison.criterion) for sample in samples) == 80
    assert {sample.task for sample in samples} == {Task.T2T}
    assert {sample.preference for sample in samples} == {"a"}
    assert DATASET.recognises(REAL)
