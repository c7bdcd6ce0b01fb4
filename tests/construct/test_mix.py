"""What a mixture holds and what it leaves out."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.construct.mix_samples import (
    asked,
    drawn,
    folder,
    mixed,
    numbered,
    original,
    picture,
    random_world,
    seen,
    written,
)

from omnireward import sources
from omnireward.construct import mix_keys
from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.mix_index import Entry, Index
from omnireward.errors import BadRowError, JournalError, RecipeError, SourceError, UnknownNameError
from omnireward.sources import BadRows
from omnireward.train.mixing import mix as read_for_training
from omnireward.types import Sample, Task, Text, Turn

HOSTILE = "a\n| b |\t<script>alert(1)</script> [x](y) `` ` \u2028 \x00 é 𝕏 #7\n# Title\n---\n"


def reasons(found: Any) -> dict[str, int]:
    return dict(found.reasons())


def test_everything_is_taken_once_and_says_where_it_comes_from(tmp_path: Path) -> None:
    found = mixed(tmp_path, numbered(5), [drawn("Draw.", ("one", "two"))])
    assert (found.samples, reasons(found), found.files) == (6, {}, ("samples-train.jsonl",))
    samples = written(tmp_path / "out")
    assert sorted(map(original, samples)) == sorted(one.id for one in (*numbered(5), drawn("Draw.", ("", ""))))
    assert len({one.id for one in samples}) == 6
    assert {one.provenance["place"] for one in samples} == {"samples:s0", "samples:s1"}
    assert all(one.provenance["source"] == one.provenance["place"] for one in samples)
    assert not (tmp_path / "out" / ".mixing").exists()


def test_the_source_that_a_sample_names_stays(tmp_path: Path) -> None:
    found = mixed(tmp_path, [asked("Q", provenance={"source": "rlaif_v", "row": "3"})])
    (one,) = written(tmp_path / "out")
    assert one.provenance.items() >= {"source": "rlaif_v", "row": "3", "place": "samples:s0"}.items()
    assert [(origin.name, origin.samples) for origin in found.origins] == [("rlaif_v", 1)]


def test_ids_are_like_no_other(tmp_path: Path) -> None:
    """The same id twice in a source, in two sources, and one that looks like what a second one is called."""
    twice = [asked(f"Q{number}", id=name) for number, name in enumerate(["x", "x", "x#1", "x#0", "y"])]
    mixed(tmp_path, twice, [asked("other", id="x")])
    ids = [one.id for one in written(tmp_path / "out")]
    assert len(set(ids)) == 6
    assert sorted(name.partition(":")[2] for name in ids) == ["x", "x#0", "x#0#3", "x#1", "x#1#2", "y"]


def test_the_order_is_mixed_and_any_source_may_come_first(tmp_path: Path) -> None:
    """Also where little is taken of one: the ranks of what is taken are low, and must not order it."""
    mixed(tmp_path, numbered(300), [asked(f"Other {n}") for n in range(300)], total=60, source_caps={})
    places = [one.provenance["place"] for one in written(tmp_path / "out")]
    mixed(tmp_path, numbered(300), [asked(f"Other {n}") for n in range(30)], out="second")
    rare = [n for n, one in enumerate(written(tmp_path / "second")) if one.provenance["place"] == "samples:s1"]
    assert Counter(places) == {"samples:s0": 30, "samples:s1": 30}
    assert 8 < sum(place == "samples:s0" for place in places[:30]) < 22
    assert 100 < sum(rare) / len(rare) < 230  # of 330; the middle is 165


def test_caps_and_weights_in_the_files(tmp_path: Path) -> None:
    """By hand: 40 T2T and 20 T2I in the first source, 20 T2T in the second, of weight 0.5; T2I is capped at 5."""
    first = [*numbered(40), *(drawn(f"Draw {n}", (f"{n}a", f"{n}b")) for n in range(20))]
    second = [asked(f"Other {n}") for n in range(20)]
    places = {folder(tmp_path / "s0", first): 1.0, folder(tmp_path / "s1", second): 0.5}
    found = mix(MixConfig(sources=places, out=tmp_path / "out", task_caps={"T2I": 5}))
    counts = Counter((one.provenance["place"], one.task) for one in written(tmp_path / "out"))
    assert counts == {("samples:s0", Task.T2T): 40, ("samples:s0", Task.T2I): 5, ("samples:s1", Task.T2T): 10}
    assert reasons(found) == {"over the weights and caps": 25}


def test_more_of_a_source_keeps_what_was_taken(tmp_path: Path) -> None:
    for total in (10, 30):
        mixed(tmp_path, numbered(50), out=f"{total}", total=total)
    few, many = ({original(one) for one in written(tmp_path / f"{total}")} for total in (10, 30))
    assert (len(few), len(many), few <= many) == (10, 30, True)


def test_another_seed_is_another_selection(tmp_path: Path) -> None:
    drawn_by = [
        {original(one) for one in written(tmp_path / f"{seed}")}
        for seed in (0, 1)
        if mixed(tmp_path, numbered(50), out=f"{seed}", total=10, seed=seed)
    ]
    assert drawn_by[0] != drawn_by[1]


def test_duplicates_are_taken_once_whichever_side_they_show_first(tmp_path: Path) -> None:
    one = asked("Q", id="one")
    swapped = replace(one, id="swapped", comparison=one.comparison.swap(), preference="b")
    other = replace(one, id="other", comparison=replace(one.comparison, criterion="Be kind."))
    found = mixed(tmp_path, [one, swapped, other], [one])
    assert sorted(map(original, written(tmp_path / "out"))) == ["one", "other"]
    assert reasons(found) == {"the same comparison stands elsewhere": 2}


def test_what_is_contradicted_is_not_taken_at_all(tmp_path: Path) -> None:
    one = asked("Q", id="one")
    swapped = replace(one, id="swapped", comparison=one.comparison.swap())  # prefers the other answer
    tie = asked("T", id="tie", said="tie")
    found = mixed(tmp_path, [one, swapped, tie], [replace(tie, preference="b"), asked("fine")])
    assert list(map(original, written(tmp_path / "out"))) == ["fine"]
    assert reasons(found) == {"the same comparison has another preference elsewhere": 4}


def test_a_preference_between_equal_responses_is_not_taken(tmp_path: Path) -> None:
    equal = asked("Q", ("same", "same"))
    found = mixed(tmp_path, [equal, replace(equal, id="tie", preference="tie"), asked("fine")])
    assert sorted(map(original, written(tmp_path / "out"))) == ["fine", "tie"]
    assert reasons(found) == {"prefers one of two equal responses": 1}


def test_what_is_in_a_benchmark_is_left_out(tmp_path: Path) -> None:
    """A prompt in other letters and under a system turn; a picture, wherever it stands. Words alone are none."""
    benchmark = [asked("Who are you?"), seen("Describe the image.", ["secret"]), drawn("Draw a cat.", ("x", "y"))]
    loud = asked("  who ARE you", ("I am.", "No."), id="loud")
    system = Turn("system", (Text("Be brief."),))
    told = replace(loud, id="told", comparison=replace(loud.comparison, prompt=(system, *loud.comparison.prompt)))
    samples = [
        loud,
        told,
        drawn("Draw.", ("secret", "new"), id="answered"),
        seen("What else?", ["secret"], id="asked about"),
        drawn("draw a cat", ("new", "newer"), id="drawn again"),
        seen("Describe the image.", ["another"], id="fine"),
        asked("Describe the image.", id="words alone"),
    ]
    place = folder(tmp_path / "bench", benchmark)
    found = mixed(tmp_path, samples, benchmarks=(place,))
    assert sorted(map(original, written(tmp_path / "out"))) == ["fine", "words alone"]
    assert reasons(found) == {
        "its prompt is in samples:bench": 3,
        "one of its media is in samples:bench": 2,
    }
    assert found.kept_out == {"samples:bench": 3}


def test_benchmark_in_its_own_form(tmp_path: Path) -> None:
    """The training split of the made-up world has prompts that its test split has; no sample with one is left."""
    config = MixConfig(
        sources={"miniature:prompts=2": 1.0}, out=tmp_path / "out", benchmarks=("miniature:prompts=2",), total=50
    )
    found = mix(config)
    assert sum(left.samples for left in found.left_out if left.reason == "its prompt is in miniature:prompts=2") > 0


def test_training_reads_it_as_one_dataset(tmp_path: Path) -> None:
    found = mixed(tmp_path, random_world(1, 60), [asked("T", said="tie")], splits={"train": 0.8, "test": 0.2})
    alone, named, test = (
        read_for_training({place: 1.0}, BadRows())
        for place in (
            str(tmp_path / "out"),
            f"samples:{tmp_path / 'out'}?split=train",
            f"samples:{tmp_path / 'out'}?split=test",
        )
    )
    assert [one.id for one in alone.samples] == [one.id for one in named.samples]
    assert len(alone.samples) + alone.ties + len(test.samples) + test.ties == found.samples
    assert all(one.preference == "a" for one in alone.samples)


def test_hostile_text_comes_through(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    hostile = asked(
        HOSTILE,
        (long, HOSTILE),
        id=HOSTILE,
        cluster=HOSTILE,
        groups=(HOSTILE,),
        provenance={"source": HOSTILE, HOSTILE: long[:9]},
    )
    for form in ("samples", "parquet"):
        mixed(tmp_path, [hostile, asked(long)], out=form, form=form, balance=False)
        found = {original(one): one for one in written(tmp_path / form)}[HOSTILE]
        assert found.comparison == hostile.comparison
        assert found.provenance.items() >= hostile.provenance.items()
        assert found.groups == hostile.groups


def test_a_long_origin_is_cut(tmp_path: Path) -> None:
    """A thousand of them are counted, each of which could fill the memory."""
    found = mixed(tmp_path, [asked("Q", provenance={"source": "x" * 10_000})])
    assert [(origin.name, origin.samples) for origin in found.origins] == [("x" * 200, 1)]
    assert written(tmp_path / "out")[0].provenance["source"] == "x" * 10_000


def test_text_that_is_no_unicode_is_left_out_whatever_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own sources refuse such rows; another's plug-in may not."""

    def careless(*where: Any) -> Any:
        yield from usual(*where)
        for wrong in ({"id": "\ud800"}, {"comparison": replace(asked("Q").comparison, criterion="\ud800")}):
            yield asked("Q", **wrong)
        yield asked("Q", ("\ud800", "no"))

    usual = sources.read_place
    for module in ("mix_parts", "mix_writing"):
        monkeypatch.setattr(f"omnireward.construct.{module}.read_place", careless)
    found = mixed(tmp_path, numbered(3))
    assert (found.samples, reasons(found)) == (3, {"its text is not valid Unicode": 3})


def test_many_that_are_the_same_take_no_longer_each(tmp_path: Path) -> None:
    """In the order that is worst for a search: 8,000 took 6 s when each looked at all before it."""
    known: dict[str, Any] = {
        "benchmark": False,
        "source": 0,
        "task": "T2T",
        "side": 1,
        "says": 1,
        "criterion": False,
        "why": "",
    }
    entries = [
        Entry(**known, number=n, name=f"{n:032x}", same="0" * 32, prompt="1" * 32, media=())
        for n in reversed(range(20_000))
    ]
    begun = time.process_time()
    with Index(tmp_path / "index", 0) as index:
        index.load(entries)
        index.clean(())
        index.split(["s"], {"train": 1.0})
        assert [one.number for one in index.taken(0)] == [0]
    assert time.process_time() - begun < 5


def test_bad_rows_stop_or_are_counted(tmp_path: Path) -> None:
    place = folder(tmp_path / "s0", numbered(3))
    lines = (tmp_path / "s0" / "samples.jsonl").read_text().splitlines()
    (tmp_path / "s0" / "samples.jsonl").write_text("\n".join([lines[0], "{", *lines[1:], '{"id": 3}']) + "\n")
    config = MixConfig(sources={place: 1.0}, out=tmp_path / "out")
    with pytest.raises(BadRowError, match="row 1"):
        mix(config)
    found = mix(replace(config, out=tmp_path / "skipped", skip_bad_rows=True))
    assert (found.samples, found.read, found.bad_rows) == (3, {"samples:s0": 3}, {"samples:s0": 2})
    assert len(found.first_bad) == 2


def test_what_of_a_benchmark_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A medium that goes after its row was read: an error, or a number in the card; each shard sees its own."""

    def gone(sample: Sample) -> mix_keys.Keys:
        if sample.id.startswith("D"):
            raise FileNotFoundError(2, "No such file", "one.png")
        return keys_of(sample)

    keys_of = mix_keys.keys_of
    monkeypatch.setattr("omnireward.construct.mix_parts.keys_of", gone)
    place = folder(tmp_path / "bench", [drawn(f"D{n}", (f"{n}", f"{n}'")) for n in range(5)])
    with pytest.raises(SourceError, match=r"sample 0 \('D0'\): .*No such file"):
        mixed(tmp_path, numbered(5), benchmarks=(place,))
    for shard in ("0/2", "1/2"):
        found = mixed(tmp_path, numbered(5), benchmarks=(place,), skip_bad_rows=True, out="skipped", shard=shard)
    assert (found.not_compared, found.samples) == (5, 5)
    assert "5 of these could not be read" in (tmp_path / "skipped" / "README.md").read_text()


def test_a_dry_run_counts_the_same_and_writes_nothing(tmp_path: Path) -> None:
    options: dict[str, Any] = {"splits": {"train": 0.8, "test": 0.2}, "total": 30}
    tried = mixed(tmp_path, random_world(1, 40), dry_run=True, **options)
    assert not (tmp_path / "out").exists()
    found = mixed(tmp_path, random_world(1, 40), **options)
    assert (tried.portions, tried.left_out, tried.read) == (found.portions, found.left_out, found.read)
    assert tried.files == ()


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    mixed(tmp_path, numbered(5))
    with pytest.raises(JournalError, match="another mixture: its seed is 0, this one's is 1"):
        mixed(tmp_path, numbered(5), seed=1)
    with pytest.raises(JournalError, match="not empty"):
        mixed(tmp_path, numbered(5), out="s0")
    (tmp_path / "out" / "mix.json").write_text("[]")
    with pytest.raises(JournalError, match=r"mix\.json is not what mixing writes"):
        mixed(tmp_path, numbered(5))


def test_nothing_left_is_an_error_that_says_why(tmp_path: Path) -> None:
    place = folder(tmp_path / "bench", numbered(5))
    with pytest.raises(SourceError, match="5 samples were read: 5 its prompt is in samples:bench"):
        mixed(tmp_path, numbered(5), benchmarks=(place,))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sources": {}}, "no source"),
        ({"sources": {"a": 0.0}}, "must be positive"),
        ({"sources": {"a": float("nan")}}, "must be positive"),
        ({"task_weights": {"T2T": -1.0}}, "must be positive"),
        ({"splits": {}}, "splits is empty"),
        ({"splits": {"../x": 1.0}}, "letters, digits"),
        ({"splits": {"t23d": 1.0}, "form": "omni-rewarddata"}, "renders"),
        ({"source_caps": {"miniatur": 3.0}}, "Did you mean miniature"),
        ({"task_caps": {"T2T": 1.5}}, "whole number"),
        ({"total": 0}, "at least 1"),
        ({"dry_run": True, "shard": "0/2"}, "leave out --shard"),
        ({"shard": "2/2"}, "i from 0"),
        ({"workers": 0}, "workers must be"),
    ],
)
def test_wrong_wishes(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        mix(MixConfig(**{"sources": {"miniature": 1.0}, "out": tmp_path / "out", **wrong}))


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="T2X"):
        mix(MixConfig(sources={"miniature": 1.0}, out=tmp_path / "out", task_weights={"T2X": 1.0}))
    with pytest.raises(UnknownNameError, match="miniature"):
        mix(MixConfig(sources={"minature": 1.0}, out=tmp_path / "out"))


def test_the_counts_are_kept_beside_the_data(tmp_path: Path) -> None:
    found = mixed(tmp_path, numbered(5))
    told = json.loads((tmp_path / "out" / "mix.json").read_text())
    assert told["portions"] == [
        {"source": "samples:s0", "task": "T2T", "split": "train", "samples": 5, "a": 3, "ties": 0, "criteria": 0}
    ]
    assert told["files"] == list(found.files)
    assert picture("x").digest() not in json.dumps(told)
