"""Datasets made of given samples, as `mix` would read them from places; and GRPO on some, with scripted answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omnireward.errors import BadRowError
from omnireward.sources import BadRows
from omnireward.types import Comparison, Preference, Sample, Task, Text, Turn

if TYPE_CHECKING:
    from tests.train.scripted import Say, Script

    from omnireward.train.grpo_config import GRPOConfig

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


@pytest.fixture(scope="session")
def text_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a judge of texts with random weights."""
    from tests.train import scripted

    return scripted.judge(tmp_path_factory.mktemp("judge"))


@pytest.fixture
def topics(places: Places, make_sample: MakeSample) -> dict[str, Sample]:
    """Four samples by id, the dataset `texts`; people prefer A in all."""
    found = {f"topic {n}": make_sample(f"topic {n}") for n in range(4)}
    places["texts"] = list(found.values())
    return found


@pytest.fixture
def grpo_config(tmp_path: Path, text_judge: Path, topics: dict[str, Sample]) -> GRPOConfig:
    """Steps of two questions with four answers each."""
    from omnireward.train.grpo_config import GRPOConfig

    return GRPOConfig(
        out=tmp_path / "run",
        model=str(text_judge),
        datasets={"texts": 1.0},
        steps=2,
        epochs=99.0,
        batch_size=2,
        accumulation=1,
        rollouts=4,
        orders="given",
        learning_rate=1e-3,
        weight_decay=0.0,
        max_answer=16,
        log_groups=99,
    )


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, grpo_config: GRPOConfig) -> Callable[..., Script]:
    """`play(say, before=...)`: a run's answers are a script's, and its page is not drawn."""
    from tests.train.scripted import Script

    for place in ("grpo", "grpo_log"):
        monkeypatch.setattr(f"omnireward.train.{place}.write_page", lambda *_, **__: None)

    def begin(say: Say, before: Callable[[int], None] = lambda _: None) -> Script:
        script = Script(say, grpo_config.rollouts, before)
        monkeypatch.setattr("omnireward.train.grpo.speak", script)
        return script

    return begin
