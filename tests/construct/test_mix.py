"""What a mixture holds, what it leaves out, and that it says the same each time."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tests.construct.mix_samples import asked, drawn, everything, folder, mixed, original, picture, seen, written

from omnireward.construct import mix_keys, mix_writing
from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.parts import Part
from omnireward.errors import BadRowError, JournalError, RecipeError, SourceError, UnknownNameError
from omnireward.fingerprints.texts import normalised
from omnireward.sources import BadRows
from omnireward.train.mixing import mix as read_for_training
from omnireward.types import Media, Sample, Task, Text, Turn

HOSTILE = "a\n| b |\t<script>alert(1)</script> [x](y) `` ` \u2028 \x00 é 𝕏 #7\n# Title\n---\n"


def numbered(count: int, **more: Any) -> list[Sample]:
    return [asked(f"Question {number} of {count}?", **more) for number in range(count)]


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


def random_world(seed: int, size: int) -> list[Sample]:
    """Samples that share prompts and media by chance, in chains."""
    rng = random.Random(seed)
    found: list[Sample] = []
    for number in range(size):
        kind = rng.randrange(3)
        name: dict[str, Any] = {"id": f"{seed}-{number}"}
        if kind == 0:
            found.append(asked(f"Q {rng.randrange(size)}", (f"{number}", "no"), **name))
        elif kind == 1:
            pictures = (f"p{rng.randrange(3 * size)}", f"p{rng.randrange(3 * size)} other")
            found.append(drawn(f"Draw {rng.randrange(size)}", pictures, **name))
        else:
            found.append(seen("Describe the image.", [f"p{rng.randrange(3 * size)}"], **name))
    return found


def content(media: Media) -> bytes:
    (piece,) = media.pieces()
    return piece if isinstance(piece, bytes) else piece.read_bytes()


def keys(sample: Sample) -> set[object]:
    """What two splits must not share, told another way than the code tells it."""
    comparison = sample.comparison
    asked_for = [part for turn in comparison.prompt for part in turn.content]
    parts = [*asked_for, *comparison.response_a, *comparison.response_b]
    words = "\n".join(part.text for part in asked_for if isinstance(part, Text))
    shown = tuple(content(part) for part in asked_for if isinstance(part, Media))
    return {("prompt", normalised(words), shown), *(content(part) for part in parts if isinstance(part, Media))}


def test_splits_share_nothing_and_have_their_shares(tmp_path: Path) -> None:
    """Brute force over all pairs of samples in different splits."""
    shares = {"train": 0.7, "validation": 0.2, "test": 0.1}
    found = mixed(tmp_path, random_world(1, 120), random_world(2, 120), splits=shares)
    parts = {split: written(tmp_path / "out", split) for split in shares}
    for one, other in combinations(parts, 2):
        for left in parts[one]:
            for right in parts[other]:
                assert not keys(left) & keys(right)
    for split, share in shares.items():
        assert len(parts[split]) == pytest.approx(share * found.samples, abs=0.06 * found.samples)


def test_generic_prompts_do_not_tie_their_pictures_together(tmp_path: Path) -> None:
    """All ask the same about different pictures: half of them can go anywhere. One picture in all of them cannot."""
    generic = [seen("Describe the image.", [f"{n}"], id=str(n)) for n in range(40)]
    mixed(tmp_path, generic, splits={"train": 0.5, "test": 0.5})
    assert len(written(tmp_path / "out", "test")) == 20
    glued = [seen(f"What is thing {n}?", ["same"], id=str(n)) for n in range(40)]
    mixed(tmp_path, glued, out="glued", splits={"train": 0.6, "test": 0.4})
    assert list((tmp_path / "glued").glob("*.jsonl")) == [tmp_path / "glued" / "samples-train.jsonl"]


def test_a_long_chain_stays_together(tmp_path: Path) -> None:
    """Sample n shares a picture with n + 1 and nothing else: 60 links, and 60 samples alone."""
    chain = [drawn(f"Draw {n}", (f"link {n}", f"link {n + 1}"), id=f"chain {n}") for n in range(60)]
    random.Random(0).shuffle(chain)
    mixed(tmp_path, [*chain, *numbered(60)], splits={"train": 0.75, "test": 0.25})
    chains = {split: sum("chain" in one.id for one in written(tmp_path / "out", split)) for split in ("train", "test")}
    assert chains == {"train": 60, "test": 0}
    assert len(written(tmp_path / "out", "test")) == 30


def test_large_components_are_split_to_within_half_of_one(tmp_path: Path) -> None:
    """Ten prompts of ten samples each: no cell has room for one in a split of 15, and one is nearest to 15 (or two)."""
    groups = [asked(f"Q{group}", (f"{n}", "no"), id=f"{group} {n}") for group in range(10) for n in range(10)]
    mixed(tmp_path, groups, splits={"train": 0.85, "test": 0.15})
    assert len(written(tmp_path / "out", "test")) in (10, 20)


def test_sides_are_balanced_to_within_one(tmp_path: Path) -> None:
    """Everywhere a is preferred, but for ties, which are left alone."""
    first = [asked(f"Q{n}", said="tie" if n % 5 == 0 else "a") for n in range(61)]
    second = [drawn(f"D{n}", (f"{n}", f"{n}'")) for n in range(33)]
    found = mixed(tmp_path, first, second, splits={"train": 0.7, "test": 0.3})
    assert all(abs(portion.a - portion.b) <= 1 for portion in found.portions)
    assert abs(sum(portion.a - portion.b for portion in found.portions)) <= 1
    samples = [*written(tmp_path / "out"), *written(tmp_path / "out", "test")]
    for one in samples:
        best = one.comparison.response_a if one.preference == "a" else one.comparison.response_b
        if one.task is Task.T2T and one.preference != "tie":
            assert best == (Text("yes"),)
        assert ("swapped" in one.provenance) == (one.preference == "b")
    assert sum(one.preference == "tie" for one in samples) == 13


def test_sides_can_be_left_alone(tmp_path: Path) -> None:
    assert mixed(tmp_path, numbered(9), balance=False).portions[0].a == 9


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


def test_same_command_and_other_order_give_the_same_bytes(tmp_path: Path) -> None:
    worlds = [random_world(seed, 30) for seed in (1, 2)]
    places = [folder(tmp_path / f"s{seed}", world) for seed, world in enumerate(worlds)]
    config = MixConfig(
        sources=dict.fromkeys(places, 1.0), out=tmp_path / "out", splits={"train": 0.8, "test": 0.2}, total=40
    )
    mix(config)
    before = everything(tmp_path / "out")
    mix(config)
    assert everything(tmp_path / "out") == before
    (tmp_path / "out").rename(tmp_path / "first")
    backwards: dict[str, Any] = {"sources": dict.fromkeys(reversed(places), 1.0), "splits": {"test": 0.2, "train": 0.8}}
    mix(replace(config, **backwards, workers=2))
    assert everything(tmp_path / "out") == before


def test_parquet_has_the_same_bytes_twice(tmp_path: Path) -> None:
    mixed(tmp_path, random_world(1, 30), form="parquet")
    before = everything(tmp_path / "out")
    mixed(tmp_path, random_world(1, 30), form="parquet")
    assert everything(tmp_path / "out") == before
    assert not (tmp_path / "out" / "media").exists()


def test_shards_give_the_bytes_of_one_process(tmp_path: Path) -> None:
    mixed(tmp_path, random_world(1, 40), out="whole")
    first = mixed(tmp_path, random_world(1, 40), out="shards", shard="1/2")
    assert first.waiting == (Part(0, 2),)
    assert (first.samples, [path.name for path in (tmp_path / "shards").glob("*.jsonl")]) == (0, [])
    mixed(tmp_path, random_world(1, 40), out="shards", shard="0/2")
    left = {name: data for name, data in everything(tmp_path / "shards").items() if not name.startswith(".mixing/")}
    whole = everything(tmp_path / "whole")
    for name in ("README.md", "config.yaml"):  # they name the folder
        left[name] = left[name].replace(b"shards", b"whole")
    assert left == whole


def test_a_changed_source_between_shards_is_noticed(tmp_path: Path) -> None:
    mixed(tmp_path, numbered(10), shard="0/2")
    with pytest.raises(JournalError, match="did not read the same"):
        mixed(tmp_path, numbered(11), shard="1/2")


def test_a_source_that_changes_between_the_passes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(*arguments: Any, **named: Any) -> Any:
        folder(tmp_path / "s0", list(reversed(numbered(10))))
        return write(*arguments, **named)

    write = mix_writing.write
    monkeypatch.setattr("omnireward.construct.mix.write", meanwhile)
    with pytest.raises(SourceError, match="changed while it was being mixed"):
        mixed(tmp_path, numbered(10))


KILLED = """
import os, signal, sys
from pathlib import Path
from omnireward.construct import mix, mix_config, mix_index, mix_parts, mix_writing

def run(out):
    shares = {"train": 0.9, "test": 0.1}
    mix.mix(mix_config.MixConfig(sources={sys.argv[1]: 1.0}, out=Path(out), splits=shares))

def dies(module, name, calls):
    usual = getattr(module, name)
    def instead(*arguments, **named):
        nonlocal calls
        calls -= 1
        if not calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*arguments, **named)
    setattr(module, name, instead)

for moment in [(mix_parts, "keys_of", 50), (mix_parts, "finish", 1), (mix_index, "join", 1),
               (mix_writing, "_final", 50), (mix, "dataset_card", 1), (mix, "save", 1)]:
    child = os.fork()
    if not child:
        dies(*moment)
        run(sys.argv[2])
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
run(sys.argv[2])
"""


def test_killed_in_the_middle_and_run_again(tmp_path: Path) -> None:
    """SIGKILL in either pass, and while files are put in their place; the next run gives the usual bytes."""
    mixed(tmp_path, random_world(1, 100), splits={"train": 0.9, "test": 0.1})
    whole = everything(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "whole")
    words = [sys.executable, "-c", KILLED, f"samples:{tmp_path / 's0'}", str(tmp_path / "out")]
    subprocess.run(words, check=True)
    assert everything(tmp_path / "out") == whole


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
