"""Chat models that construction asks: ``api:MODEL`` behind an endpoint, ``generative:FOLDER`` here.

The latter may be a judge that was trained here as well; it is shown what its backbone takes.

What is unusual:

* An answer is on the disk before it is used: in the endpoint's file of calls, or in a journal of the same kind of work
  for a model that runs here. A run that was killed asks nothing twice.
* A question that gets no answer gets a `NoAnswer` with the reason. It is never an empty answer.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from omnireward.construct.writer_wording import wording_digest
from omnireward.construct.writing import NoAnswer
from omnireward.errors import CallError, DecoderCrashError, MediaError, MissingExtraError, PromptError, RecipeError
from omnireward.journal import Journal
from omnireward.judges import Estimate, JudgeOptions
from omnireward.judges._folders import is_ours
from omnireward.judges._policy_judge import open_policy
from omnireward.judges._writing import Writer, answers_or_why
from omnireward.judges.api import open_endpoint
from omnireward.presentation import PRESENTATION, Presenter
from omnireward.presentation import Asked as Question
from omnireward.prompts import Answer
from omnireward.types import Text

if TYPE_CHECKING:
    from omnireward.calls import Endpoint

KINDS = ("api", "generative")
Ready = TypeVar("Ready")

Asked = tuple[Question, int]
"""A question, and the how-manieth time it is asked, from 0."""


class Chat(Protocol):
    """A chat model that answers in writing."""

    @property
    def fingerprint(self) -> str:
        """The model, how it is asked and what it is shown; not its address."""
        ...

    def answers(self, asked: Sequence[Asked]) -> list[Answer | NoAnswer]:
        """The answer to each question, in order."""
        ...

    def estimate(self, question: Question) -> Estimate:
        """What one question takes at most; sends nothing. Raises MediaError, PromptError, OSError."""
        ...

    def close(self) -> None:
        """Let go of files and connections. Twice is harmless."""
        ...


def check_chat(name: str) -> tuple[str, str]:
    """The kind and the argument in a name, loading nothing.

    Raises:
        RecipeError: another kind, or no argument.

    >>> check_chat("api:made-up")
    ('api', 'made-up')
    """
    kind, _, argument = name.partition(":")
    if kind not in KINDS or not argument:
        raise RecipeError(
            f"{name!r} is no chat model. Write api:MODEL for one behind an endpoint, or generative:FOLDER for one here."
        )
    return kind, argument


def open_chat(name: str, options: JudgeOptions, answers: Path, batch_size: int) -> Chat:
    """Open a chat model.

    Args:
        name: ``api:MODEL``, ``generative:FOLDER`` or ``generative:OWNER/REPO@REVISION``.
        options: how it is asked and called; `calls` is its file of calls.
        answers: the journal of a model that runs here.
        batch_size: questions that a model here answers together.

    Raises:
        RecipeError, CheckpointError, JournalError, MissingExtraError: it cannot be opened.
    """
    kind, argument = check_chat(name)
    if kind == "api":
        return ApiChat(argument, options, open_endpoint(argument, options))
    return LocalChat(_loaded(name, argument, options), options, answers, batch_size)


def _loaded(name: str, argument: str, options: JudgeOptions) -> Local[Any]:
    try:
        from omnireward.generation import ChatModel
        from omnireward.generation.places import Place
    except ImportError as error:
        raise MissingExtraError(name, "train") from error
    if is_ours(Place.parse(argument)):
        judge = open_policy(argument, options)
        return Local(
            judge.writer, lambda question: judge.model.ask_turns(question.turns), judge.fingerprint, judge.close
        )
    model, presenter = ChatModel.load(argument), _presenter(options)
    return Local(model, presenter, model.digest, presenter.close)


class ApiChat:
    """A model behind an endpoint; many calls under way at once."""

    def __init__(self, model: str, options: JudgeOptions, endpoint: Endpoint) -> None:
        self._model, self._options, self._endpoint = model, options, endpoint
        self._present = _presenter(options)
        self._room = threading.BoundedSemaphore(2 * options.concurrency)
        self._showing = ThreadPoolExecutor(2, thread_name_prefix="showing")

    @property
    def fingerprint(self) -> str:
        """Of the model's name and how it is asked."""
        return _fingerprint(f"api:{self._model}", self._options)

    def answers(self, asked: Sequence[Asked]) -> list[Answer | NoAnswer]:
        """Ask all of them; at most twice the concurrency is in memory with its media."""
        return [future.result() for future in [self._submit(*one) for one in asked]]

    def estimate(self, question: Question) -> Estimate:
        """Tokens and money of one call at most."""
        from omnireward.calls.estimates import prompt_tokens

        prompt, answer = prompt_tokens(self._present(question)), self._options.max_tokens
        price_in, price_out = self._options.price_in, self._options.price_out
        cost = None if price_in is None or price_out is None else (prompt * price_in + answer * price_out) / 1e6
        return Estimate(1, 0, prompt, answer, cost)

    def close(self) -> None:
        """Stop what is under way."""
        self._showing.shutdown(wait=False, cancel_futures=True)
        self._endpoint.close()
        self._showing.shutdown()
        self._present.close()

    def _submit(self, question: Question, repeat: int) -> Future[Answer | NoAnswer]:
        self._room.acquire()
        future: Future[Answer | NoAnswer] = Future()
        future.set_running_or_notify_cancel()
        future.add_done_callback(lambda _: self._room.release())
        self._showing.submit(self._ask, question, repeat, future).add_done_callback(_raised_in(future))
        return future

    def _ask(self, question: Question, repeat: int, future: Future[Answer | NoAnswer]) -> None:
        try:
            messages = self._present(question)
        except (MediaError, PromptError, OSError) as error:
            future.set_result(_no_answer(error))
            return

        def ended(call: Future[Answer]) -> None:
            error = call.exception()
            if error is None:
                future.set_result(call.result())
            elif isinstance(error, CallError):
                future.set_result(_no_answer(error))
            else:
                future.set_exception(error)

        self._endpoint.submit(messages, repeat).add_done_callback(ended)


@dataclass(frozen=True, slots=True)
class Local(Generic[Ready]):
    """A model that writes in this process: a chat model of transformers, or a judge that was trained here.

    Attributes:
        writer: answers what it was made ready for.
        ask: makes a question ready; raises MediaError, PromptError, OSError.
        digest: of its weights.
        close: lets go of what makes ready.
    """

    writer: Writer[Ready]
    ask: Callable[[Question], Ready]
    digest: str
    close: Callable[[], None]


class LocalChat:
    """A loaded model; its answers lie in a journal."""

    def __init__(self, model: Local[Any], options: JudgeOptions, answers: Path, batch_size: int) -> None:
        self._model, self._options, self._batch_size = model, options, batch_size
        self._journal = Journal(answers).__enter__()
        self._open = True

    @property
    def fingerprint(self) -> str:
        """Of the model's weights and how it is asked."""
        return _fingerprint(f"generative:{self._model.digest}", self._options)

    def answers(self, asked: Sequence[Asked]) -> list[Answer | NoAnswer]:
        """Ask in batches; what the journal has is not asked again."""
        keys = [self._key_or_why(*one) for one in asked]
        found: dict[str, Answer | NoAnswer] = {}
        keyed = [(key, one) for key, one in zip(keys, asked, strict=True) if isinstance(key, str)]
        fresh = [(key, one) for key, one in keyed if self._journal.get(key) is None]
        for start in range(0, len(fresh), self._batch_size):
            self._write(fresh[start : start + self._batch_size], found)
        return [(self._journaled(key) or found[key]) if isinstance(key, str) else key for key in keys]

    def estimate(self, question: Question) -> Estimate:
        """A model here costs nothing; what cannot be shown is raised."""
        self._model.ask(question)
        return Estimate(cost=0.0)

    def close(self) -> None:
        """Let go of the journal."""
        if self._open:
            self._open = False
            self._journal.__exit__(None, None, None)
            self._model.close()

    def _journaled(self, key: str) -> Answer | None:
        record = self._journal.get(key)
        return None if record is None else Answer(record["text"], record["cut_off"])

    def _key_or_why(self, question: Question, repeat: int) -> str | NoAnswer:
        try:
            return self._key(question, repeat)
        except (MediaError, OSError) as error:  # a file that is gone, or that nobody may read
            return _no_answer(error)

    def _key(self, question: Question, repeat: int) -> str:
        sha = hashlib.sha256(f"{self.fingerprint}:{repeat}:{len(question.turns)}".encode())
        for turn in question.turns:
            for part in turn.content:
                data = part.text.encode() if isinstance(part, Text) else part.digest().encode()
                sha.update(f"{turn.role}:{len(data)}:".encode() + data)
        return sha.hexdigest()

    def _write(self, batch: Sequence[tuple[str, Asked]], found: dict[str, Answer | NoAnswer]) -> None:
        ready: list[tuple[str, Any, int]] = []
        for key, (question, repeat) in batch:
            try:
                ready.append((key, self._model.ask(question), self._options.seed + repeat))
            except (MediaError, PromptError, OSError) as error:
                found[key] = _no_answer(error)
        answers = answers_or_why(self._model.writer, [(one, seed) for _, one, seed in ready], self._options, False)
        written = []
        for (key, _, _), answer in zip(ready, answers, strict=True):
            if isinstance(answer, Answer):
                written.append({"key": key, "text": answer.text, "cut_off": answer.cut_off})
            else:
                found[key] = NoAnswer(answer, lasting=answer.startswith("PromptError"))
        self._journal.append(written)


def _presenter(options: JudgeOptions) -> Presenter:
    return Presenter(options.frames, options.views, options.picture_side)


def _fingerprint(model: str, options: JudgeOptions) -> str:
    asked = [options.temperature, options.seed, options.max_tokens, options.frames, options.views, options.picture_side]
    parts = [model, *asked, options.join_audio, wording_digest(), PRESENTATION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _no_answer(error: Exception) -> NoAnswer:
    """A decoder that died may have wanted memory or time, and a file may come back; a broken medium stays broken."""
    lasting = isinstance(error, MediaError | PromptError) and not isinstance(error, DecoderCrashError)
    return NoAnswer(f"{type(error).__name__}: {error}", lasting)


def _raised_in(future: Future[Answer | NoAnswer]) -> Callable[[Future[None]], None]:
    """What a future of a pool is followed by: what it does not expect is raised where the answer is asked."""

    def ended(done: Future[None]) -> None:
        if done.cancelled():
            future.set_result(NoAnswer("the model was closed before it was asked."))
        elif (bug := done.exception()) is not None and not future.done():
            future.set_exception(bug)

    return ended
