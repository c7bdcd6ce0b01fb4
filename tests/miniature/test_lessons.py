"""Lessons say what is there, never which response is better, and come from the training split alone."""

from __future__ import annotations

import pytest

from omnireward.miniature.families import FAMILIES
from omnireward.miniature.lessons import LESSONS, Lesson, lessons
from omnireward.miniature.world import World, samples, scenes
from omnireward.types import PAPER_TASKS, Media


@pytest.fixture(scope="module", params=[1, 3], ids=["one turn", "up to three turns"])
def taught(request: pytest.FixtureRequest) -> list[Lesson]:
    return list(lessons(World(prompts=3, turns=request.param)))


def test_the_same_seed_gives_the_same_lessons() -> None:
    first, again, other = (list(lessons(World(prompts=2, seed=seed, turns=2))) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_prompts_have_at_most_as_many_turns_as_the_world_and_as_often_fewer() -> None:
    asked = [sum(turn.role == "user" for turn in lesson.comparison.prompt) for lesson in lessons(World(3, turns=3))]
    assert {count: asked.count(count) for count in set(asked)} == dict.fromkeys((1, 2, 3), len(asked) / 3)


def test_lessons_show_the_items_of_the_training_split(taught: list[Lesson]) -> None:
    """So each medium is made and decoded once for both."""
    made = list(samples(World(prompts=3), "train"))
    responses = {part for sample in made for part in (*sample.comparison.response_a, *sample.comparison.response_b)}
    assert {part for lesson in taught for part in lesson.comparison.response_a} == responses


def test_a_lesson_compares_nothing(taught: list[Lesson]) -> None:
    for lesson in taught:
        assert lesson.comparison.response_a == lesson.comparison.response_b


def test_no_label_says_whether_a_response_is_right(taught: list[Lesson]) -> None:
    """What relates a response to its prompt or criterion is left to preferences."""
    names = {name for lesson in taught for name in lesson.labels} | {n for x in taught for m in x.media for n in m}
    assert not names & {"match", "general", "kept", "topic", "right"}
    assert all(0.0 <= value <= 1.0 for lesson in taught for value in lesson.labels.values())


def test_each_medium_has_labels_of_its_own(taught: list[Lesson]) -> None:
    for lesson in taught:
        comparison = lesson.comparison
        shown = [part for turn in comparison.prompt for part in turn.content if isinstance(part, Media)]
        media = [*shown, *(part for part in comparison.response_a if isinstance(part, Media))]
        assert len(lesson.media) == len(media)
        assert all(labels for labels in lesson.media)


def test_criteria_are_of_trained_families_in_seen_wordings(taught: list[Lesson]) -> None:
    trained = {
        criterion
        for task in PAPER_TASKS
        for family in FAMILIES[task]
        if not family.held_out
        for direction in (1, -1)
        for criterion in family.wordings(direction, task, "seen")
    }
    assert {lesson.comparison.criterion for lesson in taught} <= trained


def test_each_response_has_its_share_of_lessons_and_the_asked_value_is_its_truth(taught: list[Lesson]) -> None:
    """The criterion's family and direction are looked up among all wordings."""
    items = [item for _, _, scene, _ in scenes(World(prompts=3), "train") for item in scene.responses * LESSONS]
    tasks = [task for task, _, scene, _ in scenes(World(prompts=3), "train") for _ in scene.responses * LESSONS]
    for lesson, item, task in zip(taught, items, tasks, strict=True):
        assert lesson.comparison.response_a == (item.part,)
        ((family, direction),) = [
            (family, direction)
            for family in FAMILIES[task]
            for direction in (1, -1)
            if lesson.comparison.criterion in family.wordings(direction, task, "seen")
        ]
        assert lesson.asked == item.truth[family.truth]
        assert lesson.labels["more"] == float(direction > 0)
        assert [name for name, value in lesson.labels.items() if name.startswith("about ") and value] == [
            f"about {family.truth}"
        ]
