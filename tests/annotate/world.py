"""Annotations with a clock that stands still, and people who act on them without a server."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omnireward.annotate import answers, figures, queue
from omnireward.annotate.config import AnnotateConfig, Stage
from omnireward.annotate.people import Person, recognise
from omnireward.annotate.queue import Handed
from omnireward.annotate.store import Store, begin, rules_of
from omnireward.types import Comparison, Preference, Sample, Task, Text, Turn

SENTENCE = "It should name the river."


def text_sample(name: str, criterion: str = "", preference: Preference = "a") -> Sample:
    comparison = Comparison(
        (Turn("user", (Text(f"Name a river, {name}."),)),), (Text(f"A {name}"),), (Text(f"B {name}"),), criterion
    )
    return Sample(name, Task.T2T, comparison, preference, f"cluster of {name}", ("rivers",), {"source": "made up"})


class World:
    """A store, its people, and their clock. What it does it does as the server would."""

    def __init__(
        self,
        out: Path,
        samples: Iterable[Sample],
        annotators: Iterable[str] = ("ann", "ben", "cid"),
        adjudicator: str = "",
        stage: Stage = "both",
        overlap: int = 3,
        gold: Iterable[Sample] = (),
        gold_every: int = 10,
    ) -> None:
        self.now = 1_000_000.0
        gold = list(gold)
        places = {"samples": list(samples), "known": gold}
        self.config = AnnotateConfig(
            folder="samples",
            annotators=tuple(annotators),
            adjudicator=adjudicator,
            stage=stage,
            overlap=overlap,
            gold="known" if gold else "",
            gold_every=gold_every,
            out=out,
        )
        self.store = Store(out, rules_of(self.config), lambda: self.now)
        begin(self.store, self.config, lambda place: places[place])
        tokens = self.store.admit(self.config)
        self.people: dict[str, Person] = {}
        for name, token in tokens.items():
            person = self.store.do(recognise, token)
            assert person is not None
            self.people[name] = person

    def next(self, name: str) -> Handed | None:
        return self.store.do(queue.hand_out, self.store.rules, self.people[name], self.now)

    def answer(self, name: str, item: str, answer: Mapping[str, Any], key: str = "", seconds: float = 2.0) -> None:
        given = {"item": item, "key": key or str(uuid.uuid4()), "seconds": seconds, "answer": dict(answer)}
        self.store.do(answers.save, self.store.rules, self.people[name], given, [], self.now)

    def undo(self, name: str) -> Handed:
        return self.store.do(answers.take_back, self.store.rules, self.people[name], self.now)

    def write(self, name: str, *texts: str) -> Handed:
        return self._act(name, "write", {"criteria": list(texts)})

    def check(self, name: str, verdict: str = "ok") -> Handed:
        return self._act(name, "check", {"verdict": verdict, "note": ""})

    def vote(self, name: str, choice: Preference) -> Handed:
        """Vote for a response, on whichever side it is."""
        handed = self.next(name)
        assert handed is not None
        assert handed.kind in ("vote", "adjudicate"), handed.kind
        side = "tie" if choice == "tie" else "left" if choice == handed.left else "right"
        self.answer(name, handed.id, {"side": side})
        return handed

    def criteria(self) -> list[figures.Criterion]:
        return self.store.do(figures.criteria)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.store.do(lambda db: [tuple(row) for row in db.execute(query, values)])

    def _act(self, name: str, kind: str, answer: Mapping[str, Any]) -> Handed:
        handed = self.next(name)
        assert handed is not None
        assert handed.kind == kind
        self.answer(name, handed.id, answer)
        return handed
