"""Packing: what rows share is found, tokens keep their places, and tiles hold each query with all that it may see."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from omnireward.packing import Node, Plan, cut, plan, row_keys, tree
from omnireward.tiling import MOST_KEYS, Ints

# Few different tokens and short rows: much is shared at many depths, rows repeat and begin one another.
ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12), min_size=1, max_size=9)
SHORTEST = st.integers(1, 4)


def _keys(rows: Sequence[Sequence[int]]) -> list[Ints]:
    return [np.array(row, np.int64) for row in rows]


def _path(nodes: Sequence[Node], number: int | None) -> list[Node]:
    """From the root down."""
    return [] if number is None else [*_path(nodes, nodes[number].parent), nodes[number]]


@given(ROWS, SHORTEST)
def test_a_path_of_the_tree_spells_its_row_and_each_row_has_a_leaf(rows: list[list[int]], shortest: int) -> None:
    nodes = tree(_keys(rows), shortest)
    parents = {node.parent for node in nodes}
    leaves = [number for number in range(len(nodes)) if number not in parents]
    assert sorted(nodes[leaf].row for leaf in leaves) == list(range(len(rows)))
    for number, node in enumerate(nodes):
        assert node.parent is None or node.parent < number
        assert node.stop > node.start
        assert number in leaves or node.stop - node.start >= shortest
    for leaf in leaves:
        path = _path(nodes, leaf)
        assert [node.start for node in path] == [0, *(node.stop for node in path[:-1])]
        assert [t for node in path for t in rows[node.row][node.start : node.stop]] == rows[nodes[leaf].row]


def test_pairs_and_prompts_under_two_criteria_share_what_they_can() -> None:
    """By hand: a head of 3, then two criteria of 4 with two responses each, and one row that is alone."""
    head, one, other = [1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]
    rows = [[*head, *one, 7], [*head, *one, 8, 8], [*head, *other, 7], [*head, *other, 9], [4, 4]]
    nodes = tree(_keys(rows), 3)
    assert nodes == [
        Node(0, 0, 3, None),
        Node(0, 3, 7, 0),
        Node(0, 7, 8, 1),
        Node(1, 7, 9, 1),
        Node(2, 3, 7, 0),
        Node(2, 7, 8, 4),
        Node(3, 7, 8, 4),
        Node(4, 0, 2, None),
    ]
    assert len(plan(_keys(rows), 3).rows) == 3 + 4 + 1 + 2 + 4 + 1 + 1 + 2


def test_equal_rows_keep_a_token_of_their_own() -> None:
    assert [node.stop - node.start for node in tree(_keys([[5] * 9, [5] * 9]), 4)] == [8, 1, 1]


def test_a_row_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="row 1 has no tokens"):
        plan(_keys([[1], []]))


def _seen(made: Plan, row_keys: Sequence[Ints]) -> dict[int, list[tuple[int, int]]]:
    """For each place of the sequence, the (row, column) of all that its query sees; read from the tiles."""
    taken = list(zip(made.rows.tolist(), made.columns.tolist(), strict=True))
    outputs: list[tuple[int, list[tuple[int, int]]]] = []
    for tile in made.tiles:
        count, queries = tile.queries.shape
        for i in range(count):
            for q in range(queries):
                row = range(q + 1) if tile.mask is None else torch.nonzero(tile.mask[i, 0, q]).flatten().tolist()
                assert row  # a query that sees nothing is NaN, on padding too
                outputs.append((int(tile.queries[i, q]), [taken[int(tile.keys[i, k])] for k in row]))
    found = [outputs[at] for at in made.order.tolist()]
    assert [place for place, _ in found] == list(range(len(taken)))
    return dict(found)


@given(ROWS, SHORTEST, st.floats(0, 2))
def test_every_query_sees_its_row_up_to_itself_and_nothing_else(
    rows: list[list[int]], shortest: int, waste: float
) -> None:
    keys = _keys(rows)
    made = plan(keys, shortest, waste)
    seen = _seen(made, keys)
    assert sorted(seen) == list(range(len(made.rows)))
    for place, (row, column) in enumerate(zip(made.rows.tolist(), made.columns.tolist(), strict=True)):
        assert [rows[r][c] for r, c in seen[place]] == rows[row][: column + 1]
        assert [c for _, c in seen[place]] == list(range(column + 1))
    ends = [(int(made.rows[at]), int(made.columns[at])) for at in made.last.tolist()]
    assert ends == [(row, len(rows[row]) - 1) for row in range(len(rows))]


@given(ROWS, SHORTEST)
def test_last_tiles_see_whole_rows(rows: list[list[int]], shortest: int) -> None:
    made = plan(_keys(rows), shortest)
    tokens = [rows[r][c] for r, c in zip(made.rows.tolist(), made.columns.tolist(), strict=True)]
    found: list[tuple[int, list[int]]] = []
    for tile in made.last_tiles:
        count, queries = tile.queries.shape
        for i in range(count):
            for q in range(queries):
                keys = tile.keys[i] if tile.mask is None else tile.keys[i][tile.mask[i, 0, q]]
                found.append((int(tile.queries[i, q]), [tokens[int(k)] for k in keys]))
    assert [found[at] for at in made.last_order.tolist()] == list(enumerate(rows))


@given(ROWS, SHORTEST)
def test_tokens_and_media_are_taken_from_the_right_places(rows: list[list[int]], shortest: int) -> None:
    """Each row's second half stands for media; embeddings are numbered over all rows."""
    made = plan(_keys(rows), shortest)
    flat = torch.tensor([token for row in rows for token in row])
    assert made.taken(flat).tolist() == [
        rows[r][c] for r, c in zip(made.rows.tolist(), made.columns.tolist(), strict=True)
    ]
    spans = [[(len(row) // 2, len(row))] if len(row) > 1 else [] for row in rows]
    number = {
        (r, c): n
        for n, (r, c) in enumerate((r, c) for r, row in enumerate(spans) for low, high in row for c in range(low, high))
    }
    where, which = made.filled(spans)
    wanted = [
        (at, number[r, c])
        for at, (r, c) in enumerate(zip(made.rows.tolist(), made.columns.tolist(), strict=True))
        if (r, c) in number
    ]
    assert list(zip(where.tolist(), which.tolist(), strict=True)) == wanted


def test_padding_stays_within_the_waste_that_is_allowed() -> None:
    rng = np.random.default_rng(0)
    keys = [rng.integers(0, 1000, rng.integers(5, 200)) for _ in range(40)]
    made = plan(keys, waste=0.2)
    start = 0
    for tile in made.tiles:
        count, longest = tile.queries.shape
        used = (made.order >= start) & (made.order < start + count * longest)
        lengths = np.bincount((made.order[used] - start).numpy() // longest, minlength=count)
        start += count * longest
        assert tile.queries.numel() * tile.keys.shape[1] <= 1.2 * float((lengths**2).sum()) + 1e-6


def test_keys_tell_media_apart_by_digest_and_place() -> None:
    """Placeholders have equal ids; rows 0 and 1 show the same picture, row 2 another, row 3 words alone."""
    ids = [torch.tensor([5, 9, 9, 6])] * 3 + [torch.tensor([5, 9, 9, 6])]
    spans = [[(1, 3)]] * 3 + [[]]
    same, again, other, words = row_keys(ids, spans, [["p"], ["p"], ["q"], []], {"p": 2, "q": 2})
    assert same.tolist() == again.tolist()
    assert same[1] != same[2]
    assert set(same[1:3].tolist()).isdisjoint(other[1:3].tolist())
    assert words.tolist() == [5, 9, 9, 6]
    assert (same[1:3] < 0).all()
    assert ids[0].tolist() == [5, 9, 9, 6]  # the rows' own ids are left alone


@given(ROWS, st.integers(1, 40))
def test_passes_hold_all_rows_in_order_and_no_more_tokens_than_are_allowed(rows: list[list[int]], budget: int) -> None:
    """Brute force: a row's tokens that the row before does not begin with, but one at least for what it sees."""
    keys = _keys(rows)
    passes = cut(keys, budget)
    assert [i for each in passes for i in each] == list(range(len(rows)))

    def tokens(some: range) -> int:
        before: list[int] = []
        total = 0
        for i in some:
            total += max(1, sum(rows[i][: n + 1] != before[: n + 1] for n in range(len(rows[i]))))
            before = rows[i]
        return total

    for number, each in enumerate(passes):
        assert tokens(each) <= budget or len(each) == 1
        if number:  # the first row of a pass did not fit into the one before
            assert tokens(range(passes[number - 1].start, each.start + 1)) > budget


def test_no_rows_need_no_pass() -> None:
    assert cut([], 10) == []


@pytest.mark.parametrize(("prompt", "count", "response"), [(4_000, 200, 20), (2_000, 60, 100), (1_280, 2, 128)])
def test_what_attention_gathers_grows_with_the_tokens_not_with_the_prompt_for_each_row(
    prompt: int, count: int, response: int
) -> None:
    """A bundle has own keys of a fifth of its ancestors' or more (the waste), so at most six keys for each token."""
    shared = np.zeros(prompt, np.int64)
    made = plan([np.concatenate([shared, np.full(response, n + 1)]) for n in range(count)])
    assert len(made.rows) == prompt + count * response
    for tiles in (made.tiles, made.last_tiles):
        assert sum(tile.keys.numel() for tile in tiles) <= 6 * 1.2 * len(made.rows)
        assert all(tile.keys.numel() <= MOST_KEYS for tile in tiles)


def test_rows_that_each_begin_the_next_one_nest_as_deep_as_they_like() -> None:
    """As rewards after each word of an answer do; deeper than Python's stack."""
    whole = np.arange(3_000)
    made = plan([whole[: n + 1] for n in range(0, 3_000, 2)], shortest=1)
    assert len(made.rows) == 2_999 + 1_499  # each row keeps one token of its own, also where the next one has it too


def test_equal_rows_and_rows_that_see_much_count_for_a_pass() -> None:
    """By hand: the first of the rows of 640 tokens counts 640, each further one 640 / 64."""
    assert cut([np.zeros(640, np.int64)] * 30, budget=700) == [
        range(0, 7),
        range(7, 14),
        range(14, 21),
        range(21, 28),
        range(28, 30),
    ]


@given(ROWS, SHORTEST)
def test_paths_say_where_each_rows_tokens_are(rows: list[list[int]], shortest: int) -> None:
    made = plan(_keys(rows), shortest)
    tokens = [rows[r][c] for r, c in zip(made.rows.tolist(), made.columns.tolist(), strict=True)]
    assert len(made.paths) == len(rows)
    for path, row, last in zip(made.paths, rows, made.last.tolist(), strict=True):
        assert [tokens[place] for place in path.tolist()] == row
        assert [int(made.columns[place]) for place in path.tolist()] == list(range(len(row)))
        assert int(path[-1]) == last
