"""log.html: how a judge in training does, on one page that makes no request and treats every text as text.

Questions and media come from strangers and answers from a model that may write anything. The template escapes all of
them, media are let through only as data URLs of known types, and a content security policy allows no script but the
page's own, by hash. The page is the same from the same files, whether the run goes on or has ended.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from omnireward.errors import SourceError
from omnireward.judge_log import cards, curves, plots, reading
from omnireward.judge_log.cards import Card, make_cards
from omnireward.judge_log.reading import Groups, read_groups
from omnireward.judge_log.rollouts import FILE, SHOWN, RolloutAnswer, RolloutGroup, shown_id
from omnireward.judge_log.texts import cut, visible
from omnireward.judge_log.writing import replace_text
from omnireward.report.page import is_picture, is_playable
from omnireward.report.wording import MISSING, percent, signed

PAGE, CONFIG, STOPPED = "log.html", "config.yaml", "stopped.json"
ANSWER = 3_000  # characters of an answer that the page shows; rollouts.jsonl has more
ANSWERS = 32  # of a group that the page shows
_SETTINGS = 20_000  # characters of config.yaml
_HEADLINES = (
    ("reward", "Reward", False),
    ("accuracy", "Accuracy, %", True),
    ("format", "Format, %", True),
    ("tokens", "Tokens of an answer", False),
    ("kl", "KL from the reference", False),
    ("entropy", "Entropy", False),
)


@dataclass(frozen=True, slots=True)
class Headline:
    """A figure as it is now, and as it began."""

    title: str
    now: str
    began: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Where and why a run stopped before its end."""

    step: float
    reason: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A group of the page, and the card of its sample, if that was kept."""

    anchor: str
    group: RolloutGroup
    card: Card | None

    @property
    def answers(self) -> Sequence[RolloutAnswer]:
        """The best rewarded first; those without a number last."""
        ordered = sorted(self.group.answers, key=lambda answer: (math.isnan(answer.reward), -answer.reward))
        return ordered[:ANSWERS]

    @property
    def right(self) -> int:
        """Answers that are right."""
        return sum(answer.right is True for answer in self.group.answers)

    @property
    def preferred(self) -> str:
        """What people prefer of the sample's own responses; empty where there are no answers."""
        return self.group.answers[0].preferred if self.group.answers else ""


def write_page(out: Path, fresh: int | None = None) -> Path:
    """Make the page of a run's folder from what the folder holds by now; returns its path.

    Args:
        out: the folder.
        fresh: media that no earlier page had and that are decoded for this one, at most, so that a run that writes its
            page as it goes on never waits long for it; the others follow with later pages. Without it, all.

    Raises:
        SourceError: the folder is not that of a run.
        OSError: the page cannot be written.
    """
    if not any((out / name).is_file() for name in (FILE, curves.FILE)):
        raise SourceError(f"{out} holds neither {curves.FILE} nor {FILE}; give what 'omnireward grpo --out' wrote.")
    page = _to_html(out, fresh)
    replace_text(out / PAGE, page)
    return out / PAGE


def _to_html(out: Path, fresh: int | None) -> str:
    log, groups, stop = curves.read_log(out / curves.FILE), read_groups(out), _stop(out / STOPPED)
    shown = _shown(out, groups, fresh)
    script = _asset("omnireward.judge_log", "page.js")
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            name=visible(out.resolve().name),
            log=log,
            stop=stop,
            headlines=_headlines(log),
            plots=plots.draw(log, None if stop is None else stop.step),
            points=curves.POINTS,
            settings=_settings(out / CONFIG),
            groups=groups,
            shown=shown,
            newest=reading.NEWEST,
            tasks=sorted({one.group.task for one in shown}),
            faults=sorted({answer.fault for one in shown for answer in one.group.answers if answer.fault}),
            embedded=cards.EMBEDDED // 2**20,
            answer_most=ANSWER,
            style=Markup(
                "".join(_asset(f"omnireward.{room}", "page.css") for room in ("report", "compare", "judge_log"))
            ),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _shown(out: Path, groups: Groups, fresh: int | None) -> list[Shown]:
    """Each group with its sample, whose media are with the newest group only."""
    made = make_cards(out / SHOWN, [group.id for group in groups.shown], shown_id, fresh)
    first: dict[str, int] = {}
    shown = []
    for place, group in enumerate(groups.shown):
        card = made.get(group.id)
        if card is not None and group.id in first:
            card = card.without_media(f"it is above, at step {groups.shown[first[group.id]].step}")
        first.setdefault(group.id, place)
        shown.append(Shown(f"group-{place}", group, card))
    return shown


def _headlines(log: curves.Log) -> list[Headline]:
    found = []
    for name, title, share in _HEADLINES:
        if name in log.curves:
            began, now = log.curves[name].ends()
            found.append(Headline(title, *(percent(value) if share else short(value) for value in (now, began))))
    return found


def _stop(path: Path) -> Stop | None:
    try:
        fields = json.loads(path.read_bytes())
        return Stop(float(fields["step"]), visible(cut(str(fields["reason"]), ANSWER)))
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError) as error:
        return Stop(0.0, f"{STOPPED} cannot be read ({error}).")


def _settings(path: Path) -> str:
    try:
        return visible(cut(path.read_bytes().decode("utf-8", "replace"), _SETTINGS))
    except FileNotFoundError:
        return ""


def short(number: float) -> str:
    """A number in three digits or so, with a real minus.

    >>> short(0.91239), short(-12.0), short(1234.5), short(3.2e-7), short(float("nan"))
    ('0.912', '−12', '1,234', '3.2e−07', 'n/a')
    """
    if not math.isfinite(number):
        return MISSING
    return (f"{number:,.0f}" if 1000 <= abs(number) < 1e9 else f"{number:.3g}").replace("-", "−")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(
            lambda name: _asset("omnireward.report" if name == "parts.html.jinja" else "omnireward.judge_log", name)
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        svg=Markup,
        short=short,
        signed=lambda number: signed(number) if math.isfinite(number) else MISSING,
        answer=lambda text: visible(cut(text, ANSWER)),
        plain=lambda text: visible(cut(text, 200)),
    )
    environment.tests.update(picture=is_picture, playable=is_playable)
    return environment


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
