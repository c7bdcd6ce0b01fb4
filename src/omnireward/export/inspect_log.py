"""A run as a log of Inspect (inspect-ai), written through its own classes, so that `inspect view` shows it.

An entry of the log is a sample of the run: what was compared is its input, what people prefer its target, and what the
judge said its output. The input is the sample, not the words of the judge's prompt; samples that the report does not
show have their id for it. Scores are C and I, with ties and without. What has no verdict is unscored there, and a
failure is the sample's error: neither becomes a number. The figures of the log are those of the report, in which both
count as wrong.

Ids become names inside the log, which may be a zip file, and ids come from strangers: only plain characters stay in
them. The id itself is among the metadata.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnireward.errors import MissingExtraError
from omnireward.export.texts import encodable
from omnireward.report.build import build
from omnireward.report.folder import RunFolder
from omnireward.report.order import choice
from omnireward.report.page import is_picture, is_playable
from omnireward.report.records import Record, Run, Shown, ShownPart
from omnireward.report.results import MacroScore, Outcome, Report, Score

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalSample, EvalScore
    from inspect_ai.model import ChatMessage, Content
    from inspect_ai.scorer import Score as InspectScore

SUFFIXES = (".eval", ".json")
SCORER = "omnireward"
_AUDIO = (("data:audio/wav;", "wav"), ("data:audio/x-wav;", "wav"), ("data:audio/mpeg;", "mp3"))
_LONGEST_ID = 120  # characters


def write_inspect(found: RunFolder, out: Path, when: datetime) -> int:
    """Write the log; returns how many samples it holds. `when` the run was made.

    Raises:
        MissingExtraError: inspect-ai is not installed.
        SourceError: no sample is finished.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        raise MissingExtraError("exporting to Inspect", "inspect") from error
    log = _log(build(found.run, found.records), found.shown, when)
    write_eval_log(log, out)
    return len(log.samples or ())


def _log(report: Report, shown: Sequence[Shown], when: datetime) -> EvalLog:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalPlan, EvalResults, EvalSpec, EvalStats

    run, by_index = report.run, {sample.index: sample for sample in shown}
    ids = _ids(report.outcomes)
    samples = [
        _sample(run, outcome, name, by_index.get(outcome.record.index))
        for outcome, name in zip(report.outcomes, ids, strict=True)
    ]
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=when.isoformat(timespec="seconds"),
            task=encodable(run.benchmark),
            model=encodable(run.judge),
            dataset=EvalDataset(name=encodable(run.benchmark), samples=len(samples), sample_ids=list(ids)),
            config=EvalConfig(),
            packages={"omnireward": encodable(run.version)},
            metadata=_clean(
                {
                    "command": run.command,
                    "seed": run.seed,
                    "settings": dict(run.settings),
                    "samples": run.samples,
                    "skipped": dict(run.skipped),
                    "unusable_rows": len(run.bad_rows),
                }
            ),
        ),
        plan=EvalPlan(),
        results=EvalResults(
            total_samples=len(samples),
            completed_samples=sum(sample.error is None for sample in samples),
            scores=list(_scores(report, samples)),
        ),
        stats=EvalStats(started_at=when.isoformat(timespec="seconds"), completed_at=when.isoformat(timespec="seconds")),
        samples=samples,
    )


def _ids(outcomes: Sequence[Outcome]) -> list[str]:
    """A name for each sample, unique and of plain characters."""
    plain = [re.sub(r"[^A-Za-z0-9._-]", "_", outcome.record.id)[:_LONGEST_ID].lstrip(".") for outcome in outcomes]
    times = Counter(plain)
    return [
        # No plain name holds a ~, so what is made unique here meets none of the others.
        name if times[name] == 1 and name == outcome.record.id else f"{name}~{outcome.record.index}"
        for name, outcome in zip(plain, outcomes, strict=True)
    ]


def _sample(run: Run, outcome: Outcome, name: str, shown: Shown | None) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ModelOutput

    record = outcome.record
    messages = _messages(shown) if shown else None
    output = ModelOutput.from_content(encodable(run.judge), encodable(_said(outcome)))
    error = encodable(record.error)
    return EvalSample(
        id=name,
        epoch=1,
        input=messages or encodable(record.id),
        target=record.preference,
        messages=[*(messages or []), output.message],
        output=output,
        scores=None if error else _judged(outcome),
        error=EvalError(message=error, traceback=error, traceback_ansi=error) if error else None,
        metadata=_clean(
            {
                "id": record.id,
                "task": record.task.short,
                "groups": list(record.groups),
                "prompt": record.cluster,
                "verdict": choice(record),
                "margin": record.margin,
                "rewards": record.rewards,
                "probabilities": record.probabilities,
                "deviation": record.deviation,
                "familiarity": record.familiarity,
                "criterion": shown.criterion if shown else None,
                "criterion_words": record.criterion_words,
                "media_seconds": record.media_seconds,
                "provenance": dict(record.provenance),
                "votes": [_vote(vote) for vote in outcome.votes],
            }
        ),
    )


def _vote(vote: Record) -> Mapping[str, object]:
    return {
        "repeat": vote.repeat,
        "shown_first": "b" if vote.swapped else "a",
        "verdict": choice(vote),
        "margin": vote.margin,
        "probabilities": vote.probabilities,
        "error": vote.error,
    }


def _judged(outcome: Outcome) -> dict[str, InspectScore]:
    from inspect_ai.scorer import CORRECT, INCORRECT
    from inspect_ai.scorer import Score as InspectScore

    record = outcome.record
    said = choice(record)
    if said is None:
        nothing = InspectScore.unscored(reason="invalid_response_format", explanation="The judge gave no verdict.")
        return {"without_ties": nothing, "with_ties": nothing.model_copy()}
    marks = {
        name: InspectScore(
            value=CORRECT if right else INCORRECT,
            answer=answer,
            explanation=f"The judge says {answer}; people prefer {record.preference}.",
        )
        for name, right, answer in (
            ("without_ties", outcome.right_strict, said),
            ("with_ties", outcome.right_tied, record.own_word or said),
        )
    }
    if record.preference == "tie":
        why = "People called it a tie, which this setting leaves out."
        marks["without_ties"] = InspectScore.unscored(reason="people_prefer_neither", answer=said, explanation=why)
    return marks


def _scores(report: Report, samples: Sequence[EvalSample]) -> Iterator[EvalScore]:
    from inspect_ai.log import EvalMetric, EvalScore

    macro, tasks = report.macro, report.tasks
    settings: dict[str, dict[str, Score | MacroScore]] = {
        "without_ties": {"macro": macro.without_ties, **{name: block.without_ties for name, block in tasks.items()}},
        "with_ties": {"macro": macro.with_ties, **{name: block.with_ties for name, block in tasks.items()}},
    }
    for name, scores in settings.items():
        # Unscored is NaN, which does not equal itself.
        scored = sum(bool(s.scores) and s.scores[name].value == s.scores[name].value for s in samples if s.scores)
        yield EvalScore(
            name=name,
            scorer=SCORER,
            scored_samples=scored,
            unscored_samples=len(samples) - scored,
            metrics={
                of: EvalMetric(name=of, value=score.accuracy, metadata={"interval_95": score.interval})
                for of, score in scores.items()
                if score.accuracy is not None
            },
        )


def _said(outcome: Outcome) -> str:
    """What the judge wrote, vote by vote, and what was read from it."""
    paragraphs = []
    for vote in outcome.votes:
        if len(outcome.votes) > 1:
            paragraphs.append(f"[vote {vote.repeat + 1}, response {'b' if vote.swapped else 'a'} shown first]")
        paragraphs += [vote.rationale] if vote.rationale else []
        said = choice(vote)
        if vote.error:
            paragraphs.append(f"Failed: {vote.error}")
        elif said is None:
            paragraphs.append("No verdict.")
        else:
            paragraphs.append(f"Read as: {said}" if vote.verdict else f"Margin: {vote.margin:g} ({said})")
    return "\n\n".join(paragraphs)


def _messages(shown: Shown) -> list[ChatMessage]:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser, ContentText

    kinds: dict[str, type[ChatMessageSystem | ChatMessageUser | ChatMessageAssistant]] = {
        "system": ChatMessageSystem,
        "assistant": ChatMessageAssistant,
    }
    messages: list[ChatMessage] = [
        kinds.get(turn.role, ChatMessageUser)(content=[c for part in turn.content for c in _contents(part)])
        for turn in shown.prompt
    ]
    # A message for each: the viewer runs the texts of one message together.
    messages.append(ChatMessageUser(content=f"Criterion: {encodable(shown.criterion) or 'overall quality'}"))
    for side, parts in (("a", shown.response_a), ("b", shown.response_b)):
        contents = [content for part in parts for content in _contents(part)]
        messages.append(ChatMessageUser(content=[ContentText(text=f"Response {side}:\n\n"), *contents]))
    return messages


def _contents(part: ShownPart) -> list[Content]:
    """A part as Inspect has it; only data of the types that the report's page shows, everything else in words."""
    from inspect_ai.model import ContentAudio, ContentImage, ContentText, ContentVideo

    if part.kind == "text":
        return [ContentText(text=encodable(part.text))]
    if is_playable(part.media, part.kind):
        if part.kind == "video" and part.media.startswith("data:video/mp4;"):
            return [ContentVideo(video=part.media, format="mp4")]
        for start, name in _AUDIO:
            if part.media.startswith(start):
                return [ContentAudio(audio=part.media, format="mp3" if name == "mp3" else "wav")]
    pictures: list[Content] = [ContentImage(image=url) for url in part.pictures if is_picture(url)]
    return pictures or [ContentText(text=f"[{part.kind}, not shown: {encodable(part.error) or 'of another type'}]")]


def _clean(value: Any) -> Any:  # JSON values of any depth
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        return {encodable(name): _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list | tuple) else value
