"""A budget is divided so that all parts, all runs and all shards together never pass it.

A shard i/n may spend 1/n of the budget over all its runs. What is left of that is divided anew, by each run, among its
parts; so when one part's money is gone and another's is not, the same command divides the rest again. Answers are paid
for where they were asked: each part's files of calls say what it has spent.

Unusual: after the number of shards was changed, a folder of the former division that overlaps counts in full against
each shard that it overlaps with. That can leave money unspent, and can never spend it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omnireward.construct.parts import Part, folders
from omnireward.errors import JournalError
from omnireward.journal import Journal


@dataclass(frozen=True, slots=True)
class Account:
    """A file of calls in each part's folder, and the prices of a million tokens in it; None where they are unknown."""

    file: str
    price_in: float | None
    price_out: float | None

    def spent(self, folder: Path) -> float:
        """What the calls in a part's folder have cost, lost tries included; 0 without prices.

        Raises:
            JournalError: another process is at work in the folder.
        """
        path = folder / self.file
        if self.price_in is None or self.price_out is None or not path.is_file():
            return 0.0
        prompt = answer = 0
        with Journal(path) as journal:
            for record in journal:
                try:
                    lost_prompt, lost_answer = record["lost"]
                    prompt += record["prompt_tokens"] + lost_prompt
                    answer += record["answer_tokens"] + lost_answer
                except (KeyError, TypeError, ValueError) as error:
                    raise JournalError(f"{path}: the record under {record['key'][:80]!r} is not of a call.") from error
        return float(prompt * self.price_in + answer * self.price_out) / 1e6


def spent(out: Path, accounts: Sequence[Account], shard: Part) -> float:
    """What the parts that overlap with a shard have cost so far. Raises JournalError as `Account.spent`."""
    overlapping = [part.folder(out) for part in folders(out) if part.overlaps(shard)]
    return sum(account.spent(folder) for folder in overlapping for account in accounts)


def allowance(budget: float | None, shard: Part, parts: int, gone: float) -> float | None:
    """What each of a shard's parts may spend in this run, when so much is gone; None without a budget."""
    return None if budget is None else max(0.0, budget / shard.of - gone) / parts
