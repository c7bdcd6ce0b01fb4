"""Responses become players: equal ones are one player, and those that cannot be read are none.

Players are in the order of their digests, so what is asked depends on which responses there are, not on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omnireward.errors import MediaError
from omnireward.media import Limits
from omnireward.media.pieces import check_pieces
from omnireward.ranking.groups import REFERENCE, Group
from omnireward.types import Comparison, Media, Part

_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Players:
    """Those that meet.

    Attributes:
        members: of each player the numbers of its responses, in order; a reference is `REFERENCE`.
        digests: of each player.
        unreadable: number to reason.
    """

    members: tuple[tuple[int, ...], ...]
    digests: tuple[str, ...]
    unreadable: dict[int, str]

    @property
    def reference(self) -> int | None:
        """The player that is the reference."""
        return next((player for player, members in enumerate(self.members) if REFERENCE in members), None)

    @property
    def copies(self) -> list[int]:
        """How many responses each player stands for, the reference not counted."""
        return [sum(number != REFERENCE for number in members) for members in self.members]


def players_of(group: Group) -> Players:
    """Reads the media of all responses, and looks whether those of the prompt are there."""
    numbered = list(enumerate(group.responses))
    if group.reference is not None:
        numbered.append((REFERENCE, group.reference))
    problem = _problem([part for turn in group.prompt for part in turn.content])
    if problem:
        return Players((), (), {number: f"the prompt: {problem}" for number, _ in numbered})
    members: dict[str, list[int]] = {}
    unreadable: dict[int, str] = {}
    for number, response in numbered:
        problem = _problem(response)
        if not problem:
            try:
                digest = Comparison((), response, ()).digest()
            except (OSError, MediaError) as error:
                problem = f"{type(error).__name__}: {error}"
        if problem:
            unreadable[number] = problem
        else:
            members.setdefault(digest, []).append(number)
    digests = sorted(members)
    return Players(tuple(tuple(members[digest]) for digest in digests), tuple(digests), unreadable)


def _problem(parts: Sequence[Part]) -> str:
    """Why media cannot be read, where a look at their sizes tells: digests read whole files."""
    try:
        for part in parts:
            if isinstance(part, Media):
                check_pieces(part, _LIMITS)
    except (OSError, MediaError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
