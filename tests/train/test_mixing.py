"""What an epoch shows: how often, in which order, and what the order depends on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Literal, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.errors import BadRowError, RecipeError, UnknownNameError
from omnireward.sources import BadRows
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import Mixture, SeededOrder, Wanted, chosen_first, mix, texts
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]
MakeSamples = Callable[[Sequence[str]], list[Sample | BadRowError]]
Criteria = Literal["all", "with", "without"]
TEN = [f"sample {n}" for n in range(10)]


def _ids(mixture: Mixture, seed: int = 0, epoch: int = 0) -> list[str]:
    return [mixture.samples[i].id for i in mixture.order(seed, epoch)]


def test_the_preferred_response_comes_first_and_ties_are_counted(places: Places, make_sample: MakeSample) -> None:
    places["x"] = [
        make_sample("one", "a"),
        make_sample("two", "tie"),
        make_sample("three", "b"),
        make_sample("4", "tie"),
    ]
    mixture = mix({"x": 1.0}, BadRows())
    assert mixture.ties == 2
    assert [(sample.id, sample.preference) for sample in mixture.samples] == [("one", "a"), ("three", "a")]
    assert mixture.samples[0].comparison.response_a == (Text("good"),)
    assert mixture.samples[1].comparison.response_a == (Text("bad"),)
    assert mixture.samples[1].comparison.response_b == (Text("good"),)


def test_chosen_first_changes_sides_only(make_sample: MakeSample) -> None:
    sample = make_sample("x", "b", criterion="short")
    turned = chosen_first(sample)
    assert turned.comparison == sample.comparison.swap()
    assert (turned.id, turned.cluster, turned.preference) == (sample.id, sample.cluster, "a")
    assert chosen_first(turned) == turned


@pytest.mark.parametrize(
    ("weight", "counts"),
    [(1.0, {1: 10}), (2.0, {2: 10}), (0.5, {1: 5}), (2.5, {2: 5, 3: 5}), (0.1, {1: 1}), (1.04, {1: 10})],
)
def test_a_weight_is_how_often_an_epoch_shows_each_sample(
    places: Places, make_samples: MakeSamples, weight: float, counts: dict[int, int]
) -> None:
    """By hand for ten samples: 2.5 shows five of them three times and five twice, 25 in all."""
    places["x"] = make_samples(TEN)
    mixture = mix({"x": weight}, BadRows())
    shown = Counter(_ids(mixture))
    assert Counter(shown.values()) == counts
    assert len(SeededOrder(mixture, 0)) == round(weight * 10) == len(list(SeededOrder(mixture, 0)))


def test_epochs_and_seeds_have_orders_of_their_own(places: Places, make_samples: MakeSamples) -> None:
    """Of 10! orders, that two agree is no accident. Half of a dataset is another half in another epoch."""
    places["x"] = make_samples(TEN)
    whole, half = (mix({"x": weight}, BadRows()) for weight in (1.0, 0.5))
    orders = [tuple(_ids(whole, seed, epoch)) for seed in range(2) for epoch in range(3)]
    assert len(set(orders)) == 6
    assert all(sorted(order) == TEN for order in orders)
    assert set(_ids(half, 0, 0)) != set(_ids(half, 0, 1))
    assert {name for epoch in range(20) for name in _ids(half, 0, epoch)} == set(TEN)


def test_the_order_hangs_on_ids_not_on_positions(places: Places, make_samples: MakeSamples) -> None:
    places["x"] = make_samples(TEN)
    places["y"] = make_samples(random.Random(0).sample(TEN, 10))
    expected = _ids(mix({"x": 1.0}, BadRows()), seed=3, epoch=1)
    places["x"] = places["y"]
    assert _ids(mix({"x": 1.0}, BadRows()), seed=3, epoch=1) == expected


def test_one_sample_less_leaves_the_order_of_the_others(places: Places, make_samples: MakeSamples) -> None:
    places["x"] = make_samples(TEN)
    expected = _ids(mix({"x": 1.0}, BadRows()))
    places["x"] = make_samples(TEN[1:])
    assert _ids(mix({"x": 1.0}, BadRows())) == [name for name in expected if name != TEN[0]]


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.0])
def test_another_dataset_leaves_the_order_of_the_first(
    places: Places, make_samples: MakeSamples, weight: float
) -> None:
    others = [f"other {n}" for n in range(7)]
    places |= {"x": make_samples(TEN), "y": make_samples(others)}
    alone = _ids(mix({"x": weight}, BadRows()), seed=5)
    for datasets in ({"x": weight, "y": 3.0}, {"y": 3.0, "x": weight}):
        mixed = _ids(mix(datasets, BadRows()), seed=5)
        assert [name for name in mixed if name in TEN] == alone
        assert Counter(name for name in mixed if name in others) == dict.fromkeys(others, 3)
    # Really mixed: with 21 of one kind shuffled in, the other kind is not in one piece.
    assert mixed.index(alone[0]) + len(alone) - 1 < len(mixed) - 1 - mixed[::-1].index(alone[-1])


def test_places_with_the_same_ids_have_orders_of_their_own(places: Places, make_samples: MakeSamples) -> None:
    places |= {"x": make_samples(TEN), "y": make_samples(TEN)}
    mixture = mix({"x": 1.0, "y": 1.0}, BadRows())
    order = mixture.order(0, 0)
    assert [i for i in order if i < 10] != [i - 10 for i in order if i >= 10]


def _runs(names: Sequence[str]) -> list[str]:
    """Each name once for each unbroken run of it."""
    return [name for name, _ in groupby(names)]


@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_samples_of_one_prompt_and_criterion_stay_together(
    places: Places, make_sample: MakeSample, weight: float
) -> None:
    """Three prompts under two criteria, four pairs of each, read in an order that mixes them; another dataset beside.

    That 24 samples come in six runs by accident has a chance of 6! 4!^6 / 24!, 2e-13. With a weight of 2 each sample
    comes twice, in two runs that may touch.
    """
    kinds = [(prompt, criterion) for prompt in ("tea", "rain", "bread") for criterion in ("short", "true")]
    read = [
        replace(make_sample(prompt, criterion=criterion), id=f"{n} {criterion} {prompt}")
        for n in range(4)
        for prompt, criterion in kinds
    ]
    places |= {"x": list(read), "y": [make_sample(f"other {n}") for n in range(20)]}
    mixture = mix({"x": weight, "y": 1.0}, BadRows())
    orders = set()
    for epoch in range(3):
        shown = [mixture.samples[i] for i in mixture.order(0, epoch)]
        runs = _runs([f"{one.cluster}, {one.comparison.criterion}" for one in shown])
        mine = [run for run in runs if not run.startswith("cluster other")]
        assert set(mine) == {f"cluster {prompt}, {criterion}" for prompt, criterion in kinds}
        assert max(Counter(mine).values()) <= weight
        orders.add(tuple(one.id for one in shown))
    assert len(orders) == 3


def test_the_sampler_follows_the_epoch(places: Places, make_samples: MakeSamples) -> None:
    places["x"] = make_samples(TEN)
    mixture = mix({"x": 1.0}, BadRows())
    sampler = SeededOrder(mixture, seed=2)
    assert list(sampler) == mixture.order(2, 0) == list(sampler)
    sampler.set_epoch(4)
    assert list(sampler) == mixture.order(2, 4)


@given(st.lists(st.tuples(st.integers(1, 12), st.floats(0.1, 4.0)), min_size=1, max_size=3), st.integers(0, 99))
def test_no_sample_is_shown_twice_more_than_another(parts: list[tuple[int, float]], epoch: int) -> None:
    """Within a dataset, and the totals are the weights times the sizes, rounded."""
    ranges: list[tuple[str, float, range]] = []
    samples: list[Sample] = []
    empty = Comparison((), (), ())
    for number, (size, weight) in enumerate(parts):
        ranges.append((str(number), weight, range(len(samples), len(samples) + size)))
        samples += [Sample(f"{number}-{n}", Task.T2T, empty, "a", "") for n in range(size)]
    shown = Counter(Mixture(tuple(samples), tuple(ranges), 0).order(1, epoch))
    for _, weight, where in ranges:
        counts = [shown[i] for i in where]
        assert sum(counts) == round(weight * len(where))
        assert max(counts) - min(counts) <= 1


def test_a_limit_is_of_samples_read_from_each_dataset(places: Places, make_sample: MakeSample) -> None:
    """Three of each are read; a tie is one of them."""
    places["x"] = [make_sample("1", "tie"), *(make_sample(str(n)) for n in range(2, 9))]
    places["y"] = [make_sample(f"y{n}") for n in range(9)]
    mixture = mix({"x": 1.0, "y": 1.0}, BadRows(), limit=3)
    assert [sample.id for sample in mixture.samples] == ["2", "3", "y0", "y1", "y2"]
    assert mixture.ties == 1
    assert mixture.parts == (("x", 1.0, range(2)), ("y", 1.0, range(2, 5)))


def test_tasks_and_criteria_choose_samples_and_count_the_others(places: Places, make_sample: MakeSample) -> None:
    """By hand: of T2T with and without a criterion and T2I without; a limit is of those that are wanted."""
    with_one = [make_sample(f"with {n}", criterion="short") for n in range(2)]
    without = [make_sample(f"without {n}") for n in range(3)]
    pictures = [replace(make_sample(f"picture {n}"), task=Task.T2I) for n in range(2)]
    places["x"] = [*pictures, *with_one, *without]
    for tasks, criteria, expected in (
        ((), "all", [*pictures, *with_one, *without]),
        (("T2I", "text_to_video"), "all", pictures),
        (("T2T",), "with", with_one),
        ((), "without", [*pictures, *without]),
    ):
        mixture = mix({"x": 1.0}, BadRows(), wanted=Wanted.of(tasks, cast(Criteria, criteria)))
        assert list(mixture.samples) == expected
        assert mixture.unwanted == 7 - len(expected)
    assert len(mix({"x": 1.0}, BadRows(), 1, Wanted.of(("T2T",), "without")).samples) == 1
    with pytest.raises(
        RecipeError, match=r"gives no sample to train on: 0 .* Of other tasks or criteria than asked for: 7"
    ):
        mix({"x": 1.0}, BadRows(), wanted=Wanted.of(("T2A",), "all"))
    with pytest.raises(UnknownNameError, match="unknown task 'T2X'"):
        TrainConfig(out=Path("run"), tasks=("T2X",))


def test_bad_rows_stop_the_run_or_are_counted(places: Places, make_sample: MakeSample) -> None:
    places["x"] = [make_sample("1"), BadRowError("x.json", 1, "label", "is 'c'."), make_sample("2")]
    with pytest.raises(BadRowError, match=r"x\.json, row 1, field 'label'"):
        mix({"x": 1.0}, BadRows())
    bad_rows = BadRows(skip=True)
    assert len(mix({"x": 1.0}, bad_rows).samples) == 2
    assert len(bad_rows.errors) == 1


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_must_be_positive(places: Places, make_samples: MakeSamples, weight: float) -> None:
    places["x"] = make_samples(TEN)
    with pytest.raises(RecipeError, match="the weight of 'x' must be positive"):
        mix({"x": weight}, BadRows())


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_must_be_positive(places: Places, make_samples: MakeSamples, limit: int) -> None:
    places["x"] = make_samples(TEN)
    with pytest.raises(RecipeError, match=f"the limit must be at least 1; got {limit}"):
        mix({"x": 1.0}, BadRows(), limit)


def test_a_dataset_that_gives_nothing_is_refused(
    places: Places, make_sample: MakeSample, make_samples: MakeSamples
) -> None:
    """Only ties, no rows at all, or a weight under which an epoch shows none: 0.04 of ten rounds to none."""
    places |= {"ties": [make_sample("1", "tie")], "empty": [], "ten": make_samples(TEN)}
    for place, weight in (("ties", 1.0), ("empty", 1.0), ("ten", 0.04)):
        with pytest.raises(RecipeError, match=f"'{place}' gives no sample to train on"):
            mix({place: weight}, BadRows())


def test_no_dataset_is_refused() -> None:
    with pytest.raises(RecipeError, match="no dataset was given"):
        mix({}, BadRows())


def test_a_tokenizer_is_trained_on_every_text(make_sample: MakeSample) -> None:
    sample = make_sample("tea", a="one", b="two", criterion="short")
    picture = Media("image", b"")
    shown = Comparison((Turn("user", (picture, Text("what?"))),), (Text("x"), picture), (picture,), "")
    found = list(texts([sample, Sample("p", Task.TI2T, shown, "a", "")]))
    assert found == ["short", "Write about tea.", "one", "two", "", "what?", "x"]
