"""A dataset or a benchmark becomes a folder that EasyR1 or verl is started on.

``train.parquet`` (and ``images/``), ``reward.py``, ``config.yaml`` or ``run.sh``, ``README.md``. The folder appears
when all are whole. What is asked is what `judges` ask: videos and 3D objects are pictures after a line that says so.

Unusual: neither trainer takes sound, so samples with sound are left out, counted and said, and never asked about
without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from omnireward import atomic
from omnireward.errors import MediaError, PromptError, SourceError
from omnireward.presentation import Presenter
from omnireward.prompts import questions
from omnireward.questions.config import QuestionsConfig
from omnireward.questions.readme import readme
from omnireward.questions.reward_file import reward_file
from omnireward.questions.rows import QuestionRow, RowWriter
from omnireward.questions.settings import easyr1_config, verl_script
from omnireward.questions.showing import Shown, as_text
from omnireward.questions.truths import truth_of
from omnireward.questions.written import Written
from omnireward.sources import BadRows, open_place
from omnireward.types import Comparison, Media, Sample, flipped

SOUND = "sound, which the trainer does not take"
TIE = "a tie, which is not allowed as a verdict"
UNREADABLE = "media that cannot be read"
UNASKABLE = "a prompt that cannot be asked"
UNUSABLE = "a row that cannot be used"
_ORIGIN_LENGTH = 200  # characters; each is kept until the end


def write_questions(config: QuestionsConfig) -> Written:
    """Write the folder.

    Raises:
        SourceError: the folder is not empty, the place cannot be read, a medium cannot be used and bad rows are not
            skipped, or no question is left.
        BadRowError: a row cannot be used, and bad rows are not skipped.
        OSError: a file cannot be read or written.
    """
    out = config.out.absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise SourceError(f"{config.out} is there and not empty. Give a new folder, so that nothing old stays in it.")
    name, source, location = open_place(config.kind, config.place)
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=atomic.SAVING) as temporary:
        fresh = Path(temporary) / "questions"
        fresh.mkdir()
        written = _ask(config, name, source.read, location, fresh)
        _beside(config, name, source.licence, written, fresh)
        fresh.replace(out)
    return written


def _ask(
    config: QuestionsConfig, name: str, read: Callable[[str, BadRows], Iterator[Sample]], location: str, out: Path
) -> Written:
    bad_rows = BadRows(skip=config.skip_bad_rows)
    written = Written()
    shown = Presenter(config.frames, config.views, config.picture_side)
    with RowWriter(out, config.to) as writer, closing(shown) as presenter:
        for sample in islice(read(location, bad_rows), config.limit):
            _add(sample, config, name, presenter, writer, written)
    written.left_out += Counter({UNUSABLE: len(bad_rows.errors)})
    if not written.sizes.rows:
        raise SourceError(f"no question is left of {config.place!r}: {written.reasons or 'it has no samples'}.")
    return written


def _add(
    sample: Sample, config: QuestionsConfig, name: str, presenter: Presenter, writer: RowWriter, written: Written
) -> None:
    if reason := _unasked(sample, config):
        written.left_out[reason] += 1
        return
    try:
        made = list(_rows(sample, config, name, presenter))
    except (MediaError, PromptError) as error:
        if not config.skip_bad_rows:
            raise SourceError(f"sample {sample.id!r}: {error} Leave such samples out with --skip-bad-rows.") from error
        written.left_out[UNREADABLE if isinstance(error, MediaError) else UNASKABLE] += 1
        return
    written.samples += 1
    if origin := sample.provenance.get("source", "")[:_ORIGIN_LENGTH]:
        written.origins[origin] += 1
    for row, preference in made:
        writer.add(row)
        written.sizes.add(row.shown)
        written.shown[preference] += 1
        written.tasks[row.task] += 1


def _unasked(sample: Sample, config: QuestionsConfig) -> str:
    comparison = sample.comparison
    contents = [comparison.response_a, comparison.response_b, *(turn.content for turn in comparison.prompt)]
    if any(isinstance(part, Media) and part.kind == "audio" for content in contents for part in content):
        return SOUND
    return TIE if sample.preference == "tie" and not config.ties else ""


def _rows(
    sample: Sample, config: QuestionsConfig, name: str, presenter: Presenter
) -> Iterator[tuple[QuestionRow, str]]:
    """The question, and with `swapped` the one with the responses in the other order; and their preferences."""
    orders = [(False, sample.comparison, sample.preference)]
    if config.swapped:
        orders.append((True, sample.comparison.swap(), flipped(sample.preference)))
    for swapped, comparison, preference in orders:
        truth = truth_of(
            preference,
            ties=config.ties,
            critique=config.critique,
            terms=config.reward,
            criterion=comparison.criterion,
        )
        shown = _shown(comparison, config, presenter)
        yield QuestionRow(shown, truth, sample.id, sample.task.short, name, swapped), preference


def _shown(comparison: Comparison, config: QuestionsConfig, presenter: Presenter) -> Shown:
    (question,) = questions(comparison, config.form)
    return as_text(presenter(question))


def _beside(config: QuestionsConfig, name: str, licence: str, written: Written, out: Path) -> None:
    atomic.write_text(out / "reward.py", reward_file(config.to))
    if config.to == "easyr1":
        atomic.write_text(out / "config.yaml", easyr1_config(written.sizes))
    else:
        atomic.write_text(out / "run.sh", verl_script(written.sizes))
        (out / "run.sh").chmod(0o755)
    atomic.write_text(out / "README.md", readme(config, name, licence, written))
