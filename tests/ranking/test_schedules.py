"""Laws of every schedule that there is, and what each promises of its own."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Callable

import pytest

from omnireward import plugins
from omnireward.errors import UnknownNameError
from omnireward.metrics.bradley_terry import bradley_terry
from omnireward.ranking.parts import parts_of
from omnireward.ranking.schedules import Field, Pair, Share, Steps, every, schedule, together

NAMES = plugins.names("ranking.schedules")
Answer = Callable[[Pair], Share]


def _played(name: str, field: Field, answer: Answer) -> list[list[tuple[Pair, Share]]]:
    """Pairs and answers, round by round."""
    steps = schedule(name).steps(field)
    rounds: list[list[tuple[Pair, Share]]] = []
    try:
        pairs = next(steps)
        while True:
            rounds.append([(pair, answer(pair)) for pair in pairs])
            pairs = steps.send([share for _, share in rounds[-1]])
    except StopIteration:
        return rounds


def _field(players: int, seed: int = 0, pairs: int | None = None, reference: int | None = None) -> Field:
    return Field(players, pairs, reference, random.Random(seed))


def _wins(players: int, rounds: list[list[tuple[Pair, Share]]]) -> list[list[float]]:
    wins = [[0.0] * players for _ in range(players)]
    for (one, other), share in itertools.chain(*rounds):
        if share is not None:
            wins[one][other] += share
            wins[other][one] += 1 - share
    return wins


def _by_number(pair: Pair) -> float:
    """The greater number is better."""
    return float(pair[0] > pair[1])


def _drawn(seed: int) -> Answer:
    rng = random.Random(seed)
    return lambda _: rng.choice([0.0, 0.5, 1.0, 0.3])


def test_the_five_are_there() -> None:
    assert {"all", "anchor", "sample", "sort", "swiss"} <= set(NAMES)
    with pytest.raises(UnknownNameError, match="Did you mean sort"):
        schedule("srt")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("players", [2, 3, 4, 5, 8, 13])
def test_no_pair_comes_twice_all_are_connected_and_the_most_is_kept(name: str, players: int) -> None:
    """Whatever the answers, as long as there are some."""
    found = schedule(name)
    budgets = [None, players - 1, players, every(players), every(players) + 5] if found.reads_calls else [None]
    for seed, pairs in itertools.product(range(8), budgets):
        rounds = _played(name, _field(players, seed, pairs), _drawn(seed))
        asked = [frozenset(pair) for pair, _ in itertools.chain(*rounds)]
        assert all(rounds)
        assert len(asked) == len(set(asked)) <= found.most(players, pairs)
        assert all(len(pair) == 2 for pair in asked)
        assert len(parts_of(_wins(players, rounds))) == 1


@pytest.mark.parametrize("name", NAMES)
def test_without_any_verdict_a_schedule_ends(name: str) -> None:
    found = schedule(name)
    rounds = _played(name, _field(9), lambda _: None)
    assert 0 < sum(map(len, rounds)) <= found.most(9, None)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_asks_the_same(name: str) -> None:
    first, again, other = (_played(name, _field(8, seed), _by_number) for seed in (1, 1, 2))
    assert first == again
    assert name == "all" or first != other


def test_all_asks_every_pair_at_once() -> None:
    ((*asked,),) = _played("all", _field(5), _by_number)
    assert {frozenset(pair) for pair, _ in asked} == {frozenset(pair) for pair in itertools.combinations(range(5), 2)}


@pytest.mark.parametrize("players", [4, 5, 8, 9, 16])
def test_a_sample_is_even_and_one_round(players: int) -> None:
    """Who meets most meets at most one more than who meets least; two more where one player is odd."""
    for pairs, seed in itertools.product(range(players - 1, every(players) + 1), range(5)):
        (asked,) = _played("sample", _field(players, seed, pairs), _by_number)
        met = Counter(player for pair, _ in asked for player in pair)
        assert len(asked) == pairs
        assert max(met.values()) - min(met[player] for player in range(players)) <= 1 + players % 2


def test_an_anchor_meets_everyone_and_a_reference_is_it() -> None:
    (asked,) = _played("anchor", _field(6, reference=4), _by_number)
    assert [pair for pair, _ in asked] == [(0, 4), (1, 4), (2, 4), (3, 4), (5, 4)]
    (drawn,) = _played("anchor", _field(6), _by_number)
    assert len({pair[1] for pair, _ in drawn}) == 1


def test_sort_finds_each_order_of_five_in_8_and_the_most_is_reached() -> None:
    """All 120 orders. Merge sort's worst case, by the formula of its docstring: 5 ceil(log2 5) - 8 + 1 = 8."""
    needed = set()
    for order in itertools.permutations(range(5)):
        rounds = _played("sort", _field(5), lambda pair, order=order: float(order[pair[0]] > order[pair[1]]))  # type: ignore[misc]
        strengths = bradley_terry(_wins(5, rounds)).strengths
        assert sorted(range(5), key=lambda player: strengths[player]) == sorted(range(5), key=lambda p: order[p])
        needed.add(sum(map(len, rounds)))
    assert max(needed) == schedule("sort").most(5, None) == 8


@pytest.mark.parametrize(
    ("players", "most"), [(2, 1), (3, 3), (4, 5), (5, 8), (6, 11), (7, 14), (8, 17), (16, 49), (32, 129)]
)
def test_the_most_of_sort_is_the_worst_of_a_merge_sort(players: int, most: int) -> None:
    """By recursion: both halves, and all but one of a merge."""

    def worst(count: int) -> int:
        return 0 if count == 1 else worst(count // 2) + worst(count - count // 2) + count - 1

    assert schedule("sort").most(players, None) == most == worst(players)


def test_sort_of_8_takes_at_most_11_rounds() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        place = rng.sample(range(8), 8)
        rounds = _played("sort", _field(8, seed), lambda pair, place=place: float(place[pair[0]] > place[pair[1]]))  # type: ignore[misc]
        assert len(rounds) <= 11
        assert sum(map(len, rounds)) <= 17


def test_swiss_lets_those_of_like_strength_meet() -> None:
    """With a right judge of 16, neighbours in the true order meet more often than those far apart."""
    apart: Counter[int] = Counter()
    for seed in range(20):
        rounds = _played("swiss", _field(16, seed), _by_number)
        assert sum(map(len, rounds)) == 48
        assert all(len(pairs) >= 6 for pairs in rounds[:-1])  # at most four have met all who are left
        apart.update(abs(a - b) for (a, b), _ in itertools.chain(*rounds))
    near = sum(apart[distance] for distance in (1, 2, 3)) / (15 + 14 + 13)
    far = sum(apart[distance] for distance in (10, 11, 12, 13, 14, 15)) / (6 + 5 + 4 + 3 + 2 + 1)
    assert near > 2 * far


def test_swiss_connects_all_as_soon_as_it_can() -> None:
    """Four rounds of 16, whatever the answers: each halves the number of parts."""
    for seed in range(30):
        rounds = _played("swiss", _field(16, seed, pairs=32), _drawn(seed))
        assert len(parts_of(_wins(16, rounds))) == 1


def test_generators_side_by_side_get_their_own_answers() -> None:
    def asks(first: int, times: int) -> Steps[list[Share]]:
        heard: list[Share] = []
        for turn in range(times):
            heard += yield [(first, turn)] * first
        return heard

    ends: list[list[Share]] = []

    def kept() -> Steps[None]:
        ends.extend((yield from together([asks(1, 3), asks(2, 1), asks(1, 0)])))

    steps = kept()
    asked = [next(steps)]
    with contextlib.suppress(StopIteration):
        while True:
            asked.append(steps.send([10.0 * one + other for one, other in asked[-1]]))
    assert ends == [[10.0, 11.0, 12.0], [20.0, 20.0], []]
    assert asked == [[(1, 0), (2, 0), (2, 0)], [(1, 1)], [(1, 2)]]
