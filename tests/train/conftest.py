"""Datasets made of given samples, as `mix` would read them from places."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from omnireward.errors import BadRowError
from omnireward.sources import BadRows
from omnireward.types import Comparison, Preference, Sample, Task, Text, Turn

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Places:
    """Place -> its rows; a row that is an error is what a reader tells `bad_rows`."""
    found: Places = {}

    def read(folder: str, place: str, bad_rows: BadRows) -> Iterator[Sample]:
        assert folder == "datasets"
        for row in found[place]:
            if isinstance(row, BadRowError):
                bad_rows.add(row)
            else:
                yield row

    monkeypatch.setattr("omnireward.train.mixing.read_place", read)
    return found


@pytest.fixture
def make_sample() -> MakeSample:
    """`make_sample(id, preference="a", a="good", b="bad", criterion="", provenance={})`: a pair of texts."""

    def make(
        name: str,
        preference: Preference = "a",
        a: str = "good",
        b: str = "bad",
        criterion: str = "",
        provenance: dict[str, str] | None = None,
    ) -> Sample:
        comparison = Comparison((Turn("user", (Text(f"Write about {name}."),)),), (Text(a),), (Text(b),), criterion)
        return Sample(name, Task.T2T, comparison, preference, f"cluster {name}", (), provenance or {})

    return make


@pytest.fixture
def make_samples(make_sample: MakeSample) -> Callable[[Sequence[str]], list[Sample | BadRowError]]:
    """One sample for each id."""
    return lambda names: [make_sample(name) for name in names]
