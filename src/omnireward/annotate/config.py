"""What annotation can be told. Importing this is cheap, so that `omnireward annotate --help` is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from omnireward.errors import RecipeError
from omnireward.listening import is_loopback

Stage = Literal["both", "write", "vote"]
LONGEST_NAME = 64  # characters


@dataclass(frozen=True, kw_only=True)
class AnnotateConfig:
    """What to annotate, by whom, and how."""

    folder: tyro.conf.Positional[str] = ""
    """Samples: a folder that holds some, or any place that --data takes. Read once, when OUT is begun."""
    annotators: tuple[str, ...] = ()
    """Names of those who write and vote."""
    adjudicator: str = ""
    """Who decides where the votes have no majority. Without one, such criteria are dropped."""
    out: Path = Path("out/annotations")
    """Folder for the database and the media. The same one again goes on where it was left."""
    stage: Stage = "both"
    """both; write (criteria and whether they are valid); or vote (under the samples' own criteria, and valid ones)."""
    overlap: int = 3
    """Votes under each criterion, each of another annotator."""
    most_criteria: int = 5
    """Most criteria of one sample."""
    gold: str = ""
    """Samples whose preference is known, mixed in among the votes to see who votes with care."""
    gold_every: int = 10
    """One sample of --gold comes, at a random place, among each so many votes."""
    lease_minutes: float = 30.0
    """How long a task is kept for the person who has it open before somebody else may have it."""
    host: str = "127.0.0.1"
    """Address to listen on. Any but this machine's own also needs --open-to-network."""
    port: int = 8050
    """Port to listen on; 0 takes a free one."""
    open_to_network: bool = False
    """Let other machines reach the page, without encryption: whoever sees the traffic can read it and log in."""
    new_links: bool = False
    """Print new login links; the old ones, and whoever is logged in by them, are refused from then on."""
    export: Path | None = None
    """Write samples, votes and a report into this new folder, and end."""
    names: bool = False
    """Export names instead of pseudonyms."""

    def __post_init__(self) -> None:
        if self.export is not None:
            return
        if not self.folder:
            raise RecipeError("say which samples to annotate: omnireward annotate FOLDER --annotators NAME ...")
        self._check_people()
        self._check_numbers()
        if not is_loopback(self.host) and not self.open_to_network:
            raise RecipeError(
                f"other machines can reach {self.host!r}, and the page is not encrypted: whoever sees the traffic can "
                "read samples and login links. Leave --host out and give annotators an SSH tunnel (ssh -L "
                f"{self.port}:127.0.0.1:{self.port} THIS_MACHINE) or a proxy with TLS; or add --open-to-network."
            )

    def _check_people(self) -> None:
        everybody = [*self.annotators, *([self.adjudicator] if self.adjudicator else [])]
        for name in everybody:
            if not name.isprintable() or name != name.strip() or not 0 < len(name) <= LONGEST_NAME:
                raise RecipeError(f"a name has 1 to {LONGEST_NAME} printable characters; got {name[:80]!r}.")
        if len(set(everybody)) < len(everybody):
            raise RecipeError(f"each person has a name of their own, and the adjudicator too: {', '.join(everybody)}.")
        if not 1 <= self.overlap <= len(self.annotators):
            raise RecipeError(
                f"overlap is {self.overlap}: each criterion needs so many different annotators, and there are "
                f"{len(self.annotators)}. Name more with --annotators, or lower --overlap."
            )
        if self.stage != "vote" and len(self.annotators) < 2:
            raise RecipeError("whether a criterion is valid is said by another than its writer: name two annotators.")

    def _check_numbers(self) -> None:
        if self.most_criteria < 1 or self.gold_every < 2:
            raise RecipeError("most_criteria must be at least 1, and gold_every at least 2.")
        if not 0 < self.lease_minutes < math.inf:
            raise RecipeError(f"lease_minutes must be above 0, and finite; not {self.lease_minutes}.")
        if not 0 <= self.port <= 65_535:
            raise RecipeError(f"port must be from 0 to 65535, not {self.port}.")

    @property
    def writer_votes(self) -> bool:
        """Whether who wrote a criterion also votes under it: only where the others are too few (as in the paper)."""
        return len(self.annotators) - 1 < self.overlap
