"""Alpha of votes against a value by hand; `tests/metrics` compares it with a second implementation."""

from __future__ import annotations

import pytest

from omnireward.annotate.agreement import Pair, Unit, agreement, pairs
from omnireward.types import Preference

_ROWS = (("a", "a", "a"), ("a", "b", "b"), ("tie", "tie", "tie"), ("b", "b", "a"))


def _units(rows: tuple[tuple[Preference, ...], ...]) -> list[Unit]:
    return [Unit(f"c{i}", dict(zip(("ann", "ben", "cid"), row, strict=False))) for i, row in enumerate(rows)]


def test_alpha_by_hand() -> None:
    """D_o = (9 - 5) / 2 + (9 - 5) / 2 = 4. N = 5, 4, 3 of 12, D_e = (144 - 25 - 16 - 9) / 11 = 94 / 11. 1 - 44 / 94."""
    found = agreement(_units(_ROWS))  # type: ignore[arg-type]
    assert found is not None
    assert found.alpha == pytest.approx(1 - 44 / 94)
    assert found.votes == 12
    assert found.low <= found.alpha <= found.high


@pytest.mark.parametrize(
    "units",
    [
        [],
        [Unit("c", {"ann": "a"}), Unit("d", {"ben": "b"})],
        [Unit("c", {"ann": "a", "ben": "a"}), Unit("d", {"ann": "a", "ben": "a"})],
        [Unit("c", {"ann": "a", "ben": "b"}), Unit("c", {"ann": "b", "ben": "b"})],
    ],
    ids=["nothing", "no two votes", "one value", "one cluster"],
)
def test_there_is_no_alpha_where_it_means_nothing(units: list[Unit]) -> None:
    assert agreement(units) is None


def test_pairs_by_hand() -> None:
    """Rows in which they agree: ann and ben 1, 3 and 4 of four; ann and cid: 1 and 3; ben and cid: 1, 2 and 3."""
    assert pairs(_units(_ROWS)) == [  # type: ignore[arg-type]
        Pair(("ann", "ben"), 3, 4),
        Pair(("ann", "cid"), 2, 4),
        Pair(("ben", "cid"), 3, 4),
    ]
