"""report.html: one page that makes no request, works without scripts and treats every text as text.

Prompts, responses, criteria and rationales come from strangers. The template escapes all of them, media are let
through only as data URLs of known types, and a content security policy allows no script but the page's own, by hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
from markupsafe import Markup

from omnireward.errors import SourceError
from omnireward.metrics.selective import UNFAMILIAR
from omnireward.report import paper
from omnireward.report.asked import asked
from omnireward.report.export import BAD_ROWS_LISTED
from omnireward.report.order import choice
from omnireward.report.plots import draw
from omnireward.report.records import Record, Shown
from omnireward.report.results import Outcome, Report
from omnireward.report.wording import OWN_WORDS, percent, points, points_span, sentences, signed, span

FAILURES_LISTED = 20
_DATA = r"base64,[A-Za-z0-9+/]+={0,2}"
_PICTURE = re.compile(rf"data:image/(png|jpeg|webp);{_DATA}")
_PLAYABLE = {
    "audio": re.compile(rf"data:audio/(wav|x-wav|mpeg|mp4|ogg|flac|webm);{_DATA}"),
    "video": re.compile(rf"data:video/(mp4|webm);{_DATA}"),
}


@dataclass(frozen=True, slots=True)
class CardVote:
    """A vote in words: what was shown first, and what the judge said."""

    shown: str
    said: str
    swapped: bool
    rationale: str


@dataclass(frozen=True, slots=True)
class Card:
    """A sample of the gallery."""

    shown: Shown
    outcome: Outcome

    @property
    def verdict(self) -> str:
        """The badge."""
        if self.outcome.record.error:
            return "failed"
        return {True: "right", False: "wrong", None: "no verdict"}[self.outcome.right]

    @property
    def choice(self) -> str:
        """What the verdict or the margin's sign says; empty without either."""
        said = choice(self.outcome.record)
        return "neither" if said == "tie" else said or ""

    @property
    def votes(self) -> list[CardVote]:
        """Each vote, by repeat, response a first before response b first."""
        asked_again = len({vote.repeat for vote in self.outcome.votes}) > 1
        return [
            CardVote(
                shown=f"{'B' if vote.swapped else 'A'} first{f', vote {vote.repeat + 1}' if asked_again else ''}:",
                said=_said(vote),
                swapped=vote.swapped,
                rationale=vote.rationale,
            )
            for vote in self.outcome.votes
        ]


def _said(vote: Record) -> str:
    if vote.error:
        return f"failed: {vote.error}"
    said = choice(vote)
    if said is None:
        return "no verdict"
    word = "tie" if said == "tie" else said.upper()
    return word if vote.verdict is not None else f"{word}, margin {signed(vote.margin)}"


def to_html(report: Report, shown: Sequence[Shown]) -> str:
    """The page as text.

    Raises:
        SourceError: a shown sample has no record in the report.
    """
    by_index = {outcome.record.index: outcome for outcome in report.outcomes}
    cards = []
    for sample in sorted(shown, key=lambda s: s.index):
        if sample.index not in by_index:
            raise SourceError(f"sample {sample.index} is to be shown but was not judged; evaluate again.")
        cards.append(Card(sample, by_index[sample.index]))
    script = _asset("page.js")
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            report=report,
            cards=cards,
            says=sentences(report),
            own_words=OWN_WORDS,
            asked=asked(report.run.settings),
            several_votes=any(len(outcome.votes) > 1 for outcome in report.outcomes),
            plots=draw(report),
            unfamiliar=UNFAMILIAR,
            failures=[outcome.record for outcome in report.outcomes if outcome.record.error][:FAILURES_LISTED],
            bad_rows=report.run.bad_rows[:BAD_ROWS_LISTED],
            paper=paper if paper.comparable(report.run.benchmark) else None,
            style=Markup(_asset("page.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def is_picture(url: str) -> bool:
    """Whether a URL is image data of a type that browsers only draw.

    >>> is_picture("data:image/png;base64,AAAA"), is_picture("data:image/svg+xml;base64,AAAA")
    (True, False)
    """
    return _PICTURE.fullmatch(url) is not None


def is_playable(url: str, kind: str) -> bool:
    """Whether a URL is audio or video data that may go into a player of that kind.

    >>> is_playable("data:audio/wav;base64,AAAA", "audio"), is_playable("https://example.org/a.wav", "audio")
    (True, False)
    """
    return kind in _PLAYABLE and _PLAYABLE[kind].fullmatch(url) is not None


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent, span=span, points=points, points_span=points_span, signed=signed, svg=Markup
    )
    environment.tests.update(picture=is_picture, playable=is_playable)
    return environment


def _asset(name: str) -> str:
    return files("omnireward.report").joinpath(name).read_text(encoding="utf-8")
