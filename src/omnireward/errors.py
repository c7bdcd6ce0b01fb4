"""Every error that omnireward raises on purpose.

::

    OmniRewardError
    ├── UnknownNameError          (KeyError)    a plug-in, task or option that does not exist; says what does
    ├── RecipeError               (ValueError)  a recipe or a flag that cannot be used
    ├── MissingExtraError         (ImportError) an optional dependency; names the extra to install
    ├── SourceError               (ValueError)  rows or files that cannot be read
    │   ├── BadRowError                         one row; names file, row and field
    │   └── OutsideRootError                    a path that leaves its root
    ├── MediaError                (ValueError)  media that cannot be used
    │   ├── MediaLimitError                     larger than its limit
    │   ├── UnreadableMediaError                broken, empty, or of an unsupported format
    │   └── DecoderCrashError                   the decoding process died or ran out of time
    ├── PromptError               (ValueError)  a comparison that the backbone or layout cannot express
    ├── CheckpointError           (ValueError)  weights missing, left over, or recorded for another layout
    ├── HubError                  (RuntimeError) the Hub refused, or did not answer
    ├── TrainingError             (RuntimeError) a run that cannot go on, such as a loss that is not finite
    ├── StoppedError              (RuntimeError) a run that was asked to stop, and has; what it did is saved
    ├── JournalError              (ValueError)  a journal that belongs to another run
    └── CallError                 (RuntimeError) an endpoint that gave no answer
        ├── CallRefusedError                    refused for good: the key, the model or the request; asked once
        ├── CallFailedError                     no answer within the tries or the time; may work later
        └── BudgetError                         the money that is left does not cover the call; nothing was sent

An error's message says what was wrong, what was given, what is known, and what to do next.
An error never becomes a number: a judge turns it into a `Judgement` without a margin.
"""

from __future__ import annotations

from typing import Any


class OmniRewardError(Exception):
    """Base of every error raised on purpose. Each can be pickled, so that a worker's error is what its user sees."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[OmniRewardError], args: tuple[Any, ...]) -> OmniRewardError:
    """An error from what it holds; what it was made from may have been something else."""
    return kind.__new__(kind, *args)


class UnknownNameError(OmniRewardError, KeyError):
    """A name that nothing answers to."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would show the repr


class RecipeError(OmniRewardError, ValueError):
    """A recipe or a flag that cannot be used."""


class MissingExtraError(OmniRewardError, ImportError):
    """An optional dependency that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency. Install it with: pip install 'omnireward[{extra}]'")


class SourceError(OmniRewardError, ValueError):
    """Rows or files that cannot be read."""


class BadRowError(SourceError):
    """One row that is not what its source promises; the message names file, row and field."""

    def __init__(self, file: str, row: int, field: str, problem: str) -> None:
        super().__init__(f"{file}, row {row}, field {field!r}: {problem}")
        self.file, self.row, self.field, self.problem = file, row, field, problem


class OutsideRootError(SourceError):
    """A path that leaves the folder it is confined to."""


class MediaError(OmniRewardError, ValueError):
    """Media that cannot be used."""


class MediaLimitError(MediaError):
    """Media larger than its limit; nothing was decoded."""


class UnreadableMediaError(MediaError):
    """Media that is broken, empty, or of an unsupported format."""


class DecoderCrashError(MediaError):
    """The decoding process died or ran out of time or memory; the media is to blame."""


class PromptError(OmniRewardError, ValueError):
    """A comparison that the chosen backbone or layout cannot express."""


class CheckpointError(OmniRewardError, ValueError):
    """A checkpoint with missing or left-over weights, or one recorded for another layout."""


class HubError(OmniRewardError, RuntimeError):
    """The Hub refused what was asked, or did not answer; nothing was changed there unless the message says so."""


class TrainingError(OmniRewardError, RuntimeError):
    """A training run that cannot go on."""


class StoppedError(OmniRewardError, RuntimeError):
    """A run that was asked to stop, and has: what it did is saved. The message says how to go on."""


class JournalError(OmniRewardError, ValueError):
    """A journal that cannot be resumed."""


class CallError(OmniRewardError, RuntimeError):
    """A call of an endpoint that gave no answer."""


class CallRefusedError(CallError):
    """The endpoint refuses the call, and would refuse it again: the key, the model or the request is to blame."""


class CallFailedError(CallError):
    """No answer came within the tries and the time that a call may take; it may come later."""


class BudgetError(CallError):
    """The money that is left does not cover the call; nothing was sent."""
