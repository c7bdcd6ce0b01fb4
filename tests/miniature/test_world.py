"""Samples of the made-up world: seeded, split, and with the preference that the truth gives.

Nothing here counts on how much is asked or in which words, so that the world can be tuned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import combinations, islice

import pytest

from omnireward.errors import RecipeError
from omnireward.miniature.families import FAMILIES, Wording
from omnireward.miniature.items import Split
from omnireward.miniature.scenes import Scene
from omnireward.miniature.world import RESPONSES, TOLERANCE, World, samples, scenes
from omnireward.sources import BadRows, SourceFolder, read_place
from omnireward.types import PAPER_TASKS, Media, Part, Sample, Task

PROMPTS: dict[Split, int] = {"train": 24, "test": 72}
SPLITS: tuple[Split, ...] = ("train", "test")
_ONLY = ("", "general", "criteria")


@pytest.fixture(scope="module")
def made() -> dict[Split, list[Sample]]:
    return {split: list(samples(World(prompts=PROMPTS[split]), split)) for split in SPLITS}


@pytest.fixture(scope="module")
def behind() -> dict[Split, dict[str, Scene]]:
    """The scenes behind the samples, by cluster."""
    return {
        split: {f"{task.short}-{number}": scene for task, number, scene, _ in scenes(World(PROMPTS[split]), split)}
        for split in SPLITS
    }


def _gap(scene: Scene, sample: Sample, truth: str) -> float:
    """How much more of a truth `response_a` has than `response_b`. Equal responses of a scene have equal truth."""
    truths = {item.part: item.truth[truth] for item in scene.responses}
    (a,), (b,) = sample.comparison.response_a, sample.comparison.response_b
    return truths[a] - truths[b]


Compared = tuple[str, tuple[Part, ...], tuple[Part, ...]]


def _of_pair(made: Iterable[Sample]) -> dict[Compared, list[Sample]]:
    """Samples of the same two responses to the same prompt."""
    found: dict[Compared, list[Sample]] = defaultdict(list)
    for sample in made:
        found[sample.cluster, sample.comparison.response_a, sample.comparison.response_b].append(sample)
    return found


@cache
def _meaning(task: Task, criterion: str) -> tuple[str, int, Wording] | None:
    """Truth, direction and wording of a criterion, found by looking through all that can be asked."""
    kinds: tuple[Wording, ...] = ("seen", "unseen")
    found = [
        (family.truth, direction, wording)
        for family in FAMILIES[task]
        for direction in (1, -1)
        for wording in kinds
        if criterion in family.wordings(direction, task, wording)
    ]
    assert len(found) == (1 if criterion else 0), criterion
    return found[0] if found else None


def _asked(sample: Sample) -> tuple[str, int, Wording] | None:
    return _meaning(sample.task, sample.comparison.criterion)


def _opposite(preference: str) -> str:
    return {"a": "b", "b": "a", "tie": "tie"}[preference]


def _contents(made: Iterable[Sample]) -> set[str]:
    """What may not be shared: every response, and every medium of a prompt. Prompts repeat, as requests do."""
    parts = set()
    for sample in made:
        comparison = sample.comparison
        shown = [part for turn in comparison.prompt for part in turn.content if isinstance(part, Media)]
        for part in (*shown, *comparison.response_a, *comparison.response_b):
            parts.add(part.digest() if isinstance(part, Media) else part.text)
    return parts


@pytest.mark.parametrize("split", SPLITS)
def test_the_same_seed_makes_the_same_bytes(split: Split) -> None:
    first, again = (list(samples(World(prompts=2), split)) for _ in range(2))
    assert first == again
    assert [s.comparison.digest() for s in first] == [s.comparison.digest() for s in again]


@pytest.mark.parametrize("split", SPLITS)
def test_another_seed_makes_other_items(split: Split) -> None:
    """Answers of a few words may come up twice."""
    one, other = (_contents(samples(World(prompts=2, seed=seed), split)) for seed in (0, 1))
    assert len(one & other) <= 0.1 * len(one)


@pytest.mark.parametrize("split", SPLITS)
def test_a_larger_world_begins_with_the_smaller(split: Split) -> None:
    small = list(samples(World(prompts=1), split))
    assert list(islice(samples(World(prompts=3), split), len(small))) == small


def test_every_task_is_among_the_first_27_of_the_benchmark() -> None:
    assert {sample.task for sample in islice(samples(World(prompts=9), "test"), 27)} == set(PAPER_TASKS)


@pytest.mark.parametrize("split", SPLITS)
def test_each_two_responses_of_a_prompt_are_compared_once_under_each_criterion(
    made: dict[Split, list[Sample]], behind: dict[Split, dict[str, Scene]], split: Split
) -> None:
    """Six pairs of a training prompt's four responses, and the one pair of a test prompt."""
    asked: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in made[split]:
        asked[sample.cluster, sample.id.removeprefix(sample.cluster).split("-")[1]].append(sample)
    for (cluster, _), found in asked.items():
        parts = [item.part for item in behind[split][cluster].responses]
        assert len(parts) == RESPONSES[split]
        assert len({sample.comparison.criterion for sample in found}) == 1
        compared = [(*sample.comparison.response_a, *sample.comparison.response_b) for sample in found]
        assert compared == list(combinations(parts, 2))
    assert len({sample.id for sample in made[split]}) == len(made[split])
    assert len(asked) == 9 * PROMPTS[split] * (6 if split == "train" else 3)


def test_splits_never_share_an_item(made: dict[Split, list[Sample]]) -> None:
    assert not _contents(made["train"]) & _contents(made["test"])


def test_splits_of_different_seeds_never_share_an_item(made: dict[Split, list[Sample]]) -> None:
    """The training split takes its seed from the user; the benchmark's stays."""
    assert not _contents(samples(World(prompts=PROMPTS["train"] // 2, seed=1), "train")) & _contents(made["test"])


@pytest.mark.parametrize("split", SPLITS)
def test_preferences_are_those_of_the_truth(
    made: dict[Split, list[Sample]], behind: dict[Split, dict[str, Scene]], split: Split
) -> None:
    """Brute force: the criterion is looked up among all wordings, the truth among the items'."""
    for sample in made[split]:
        asked = _asked(sample)
        truth, direction = (asked[0], asked[1]) if asked else ("general", 1)
        gap = direction * _gap(behind[split][sample.cluster], sample, truth)
        expected = "tie" if abs(gap) <= TOLERANCE else "a" if gap > 0 else "b"
        assert sample.preference == expected, sample.id


@pytest.mark.parametrize("split", SPLITS)
def test_each_preference_occurs_and_neither_side_is_the_better_one(
    made: dict[Split, list[Sample]], split: Split
) -> None:
    """Of the samples of nine tasks; a judge that looks at positions only must stay near chance.

    Ties are rarer in the benchmark: a training prompt's criterion tells some of its four responses apart, not all.
    """
    most = 0.6 if split == "train" else 0.3
    for task in PAPER_TASKS:
        preferences = [sample.preference for sample in made[split] if sample.task is task]
        assert 0 < preferences.count("tie") < most * len(preferences)
        assert 0.4 < preferences.count("a") / (len(preferences) - preferences.count("tie")) < 0.6, task


@pytest.mark.parametrize("split", SPLITS)
def test_each_pair_is_asked_about_in_opposite_directions(made: dict[Split, list[Sample]], split: Split) -> None:
    """So a judge that ignores the criterion has one of the two wrong."""
    for same in _of_pair(made[split]).values():
        asked = {found: sample for sample in same if (found := _asked(sample))}
        opposites = [
            (one.preference, other.preference)
            for (truth, direction, _), one in asked.items()
            for (again, back, _), other in asked.items()
            if (truth, direction) == (again, -back)
        ]
        assert opposites, same[0].id
        assert all(preference == _opposite(other) for preference, other in opposites)


@pytest.mark.parametrize("split", SPLITS)
def test_groups_say_what_a_sample_measures(made: dict[Split, list[Sample]], split: Split) -> None:
    for sample in made[split]:
        asked = _asked(sample)
        if asked is None:
            assert sample.groups == ("general",)
        else:
            truth, _, wording = asked
            assert sample.groups[:2] == (f"{wording} wording", f"family {truth}")
            assert set(sample.groups[2:]) <= {"shifted", "invariant"}


@pytest.mark.parametrize("split", SPLITS)
def test_shifted_samples_want_the_opposite_of_the_general_preference(
    made: dict[Split, list[Sample]], behind: dict[Split, dict[str, Scene]], split: Split
) -> None:
    seen = set()
    for sample in made[split]:
        if not sample.comparison.criterion:
            continue
        gap = _gap(behind[split][sample.cluster], sample, "general")
        general = "tie" if abs(gap) <= TOLERANCE else "a" if gap > 0 else "b"
        if "tie" in (general, sample.preference):
            expected: tuple[str, ...] = ()
        else:
            expected = ("invariant",) if sample.preference == general else ("shifted",)
        assert sample.groups[2:] == expected, sample.id
        seen |= set(expected)
    assert seen == {"shifted", "invariant"}


@pytest.mark.parametrize("split", SPLITS)
def test_samples_without_a_criterion_carry_the_general_preference(
    made: dict[Split, list[Sample]], split: Split
) -> None:
    """From the samples alone: what is invariant agrees with its pair's general sample, what is shifted does not."""
    compared = 0
    for same in _of_pair(made[split]).values():
        general = [sample.preference for sample in same if "general" in sample.groups]
        for sample in same if general else []:
            if "invariant" in sample.groups:
                assert sample.preference == general[0]
            elif "shifted" in sample.groups:
                assert sample.preference == _opposite(general[0])
            compared += bool({"shifted", "invariant"} & set(sample.groups))
    assert compared > 20


def test_unseen_wordings_are_in_the_benchmark_only(made: dict[Split, list[Sample]]) -> None:
    wordings = {split: [found[2] for sample in made[split] if (found := _asked(sample))] for split in SPLITS}
    assert set(wordings["train"]) == {"seen"}
    share = wordings["test"].count("unseen") / len(wordings["test"])
    assert 0.4 < share < 0.6
    assert not {s.comparison.criterion for s in made["train"]} & {
        s.comparison.criterion for s in made["test"] if "unseen wording" in s.groups
    }


@pytest.mark.parametrize("split", SPLITS)
def test_held_out_families_are_asked_about_only_on_request(made: dict[Split, list[Sample]], split: Split) -> None:
    held_out = {(task, family.truth) for task in PAPER_TASKS for family in FAMILIES[task] if family.held_out}
    assert not {(s.task, found[0]) for s in made[split] if (found := _asked(s))} & held_out
    unseen = list(samples(World(prompts=8, families="unseen"), split))
    assert {(s.task, found[0]) for s in unseen if (found := _asked(s))} <= held_out
    assert {s.task for s in unseen} == set(PAPER_TASKS)
    assert all(sample.comparison.criterion for sample in unseen)


def test_training_and_benchmark_ask_about_all_trained_families(made: dict[Split, list[Sample]]) -> None:
    trained = {(task, family.truth) for task in PAPER_TASKS for family in FAMILIES[task] if not family.held_out}
    for split in SPLITS:
        assert {(s.task, found[0]) for s in made[split] if (found := _asked(s))} == trained


def test_settings_are_read_over_the_default() -> None:
    default = World(prompts=5, seed=6)
    assert World.parse("", default) == default
    assert World.parse("seed=3", default) == World(prompts=5, seed=3)
    assert World.parse("families=unseen,prompts=9", default) == World(prompts=9, seed=6, families="unseen")


@pytest.mark.parametrize("split", SPLITS)
def test_turns_before_the_last_change_nothing_else(split: Split) -> None:
    """What is asked last, the responses and the preferences are those of a world of one turn."""
    single, several = (list(samples(World(prompts=2, turns=turns), split)) for turns in (1, 3))
    for one, other in zip(single, several, strict=True):
        roles = [turn.role for turn in other.comparison.prompt]
        assert roles == ["user", "assistant", "user", "assistant", "user"]
        assert other.comparison.prompt[-1:] == one.comparison.prompt
        assert replace(other, comparison=one.comparison) == one
        assert (other.comparison.response_a, other.comparison.criterion) == (
            one.comparison.response_a,
            one.comparison.criterion,
        )
    earlier = {turn for sample in several for turn in sample.comparison.prompt[:-1]}
    assert len(earlier) > len({sample.cluster for sample in several})  # conversations differ


def test_only_leaves_out_what_has_a_criterion_or_what_has_none() -> None:
    every, general, criteria = (list(samples(World(prompts=4, only=only), "train")) for only in _ONLY)
    assert general
    assert [sample for sample in every if not sample.comparison.criterion] == general
    assert [sample for sample in every if sample.comparison.criterion] == criteria


def test_conflicts_are_as_many_as_asked_for_and_nothing_else_is_left_out() -> None:
    every, some, none = (list(samples(World(prompts=24, conflicts=share), "train")) for share in (100, 25, 0))
    shifted = [sample.id for sample in every if "shifted" in sample.groups]
    kept = [sample.id for sample in some if "shifted" in sample.groups]
    assert kept == [name for name in shifted if name in set(kept)]
    assert abs(len(kept) / len(shifted) - 0.25) < 4 * (0.25 * 0.75 / len(shifted)) ** 0.5  # four standard errors
    assert [sample for sample in every if "shifted" not in sample.groups] == none


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("prompt=3", "no setting 'prompt'. Did you mean prompts"),
        ("nonsense", "no setting 'nonsense'. Known: prompts, seed, families"),
        ("prompts=", "'prompts' is a whole number; got ''"),
        ("prompts=-1", "'prompts' is a whole number; got '-1'"),
        ("prompts=1.5", "'prompts' is a whole number; got '1.5'"),
        ("seed=x", "'seed' is a whole number; got 'x'"),
        ("prompts", "'prompts' is a whole number; got ''"),
        ("families=all", "families is 'trained' or 'unseen'; got 'all'"),
        ("only=ties", "only is 'criteria' or 'general'; got 'ties'"),
        ("turns=0", "turns is 1 to 16; got 0"),
        ("turns=99999", "turns is 1 to 16; got 99999"),
        ("conflicts=101", "conflicts is at most 100; got 101"),
    ],
)
def test_settings_that_cannot_be_used_say_why(settings: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        World.parse(settings, World())


@pytest.mark.parametrize(("folder", "split"), [("datasets", "train"), ("benchmarks", "test")])
def test_the_dataset_is_one_split_and_the_benchmark_the_other(folder: SourceFolder, split: Split) -> None:
    found = list(read_place(folder, "miniature:prompts=1,seed=4", BadRows()))
    assert found == list(samples(World(prompts=1, seed=4), split))
