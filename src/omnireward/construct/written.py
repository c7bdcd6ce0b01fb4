"""What a part's drafts came to: which of them count now, and the figures of the report."""

from __future__ import annotations

from collections import Counter
from typing import Any

from omnireward.construct.drafts import Draft
from omnireward.construct.tallies import Tally


class Results:
    """Adds up drafts.

    Args:
        source: what samples that do not say so come from.
        settle: whether drafts that failed are given up, instead of being left for another run.
    """

    def __init__(self, source: str, settle: bool) -> None:
        self._source, self._settle = source, settle
        self._tally = Tally()
        self.kept = self.rejected = self.failed = 0
        self.first_error = ""

    def take(self, draft: Draft) -> bool:
        """Count a draft; whether what it has is to be written down."""
        if draft.failure is not None and not draft.failure.lasting:
            self.failed += 1
            self.first_error = self.first_error or draft.failure.reason
            if not self._settle:
                return False
        draft.settle()
        self.kept += len(draft.taken)
        self.rejected += len(draft.refused)
        counts = Counter(f"asked {way}" for way, number in draft.wanted.items() for _ in range(number))
        counts += Counter(f"taken {one.favours}" for one in draft.taken)
        counts += Counter(f"reason {one.reason}" for one in draft.refused)
        counts += Counter({"samples": 1, "answers": draft.attempts, "short": bool(draft.lacking)})
        source = draft.sample.provenance.get("source", self._source)
        for what, number in counts.items():
            self._tally.add(source, draft.sample.task.short, what, number)
        return True

    def said(self) -> dict[str, Any]:
        """What the part says of itself."""
        counts = {"kept": self.kept, "rejected": self.rejected, "failed": self.failed}
        return {**counts, "first_error": self.first_error, "tally": self._tally.plain()}
