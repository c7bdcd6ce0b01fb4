"""A model behind an OpenAI-compatible endpoint: asked in words, its verdict read from what it writes.

What is unusual:

* It waits for many answers at once: questions are shown by two threads, asked by a third, and at most `window` of them
  are in memory.
* Every answer is in the file of calls before it is used, so a run that was killed asks nothing twice.
* An endpoint that fails gives a judgement with its error. It never gives a number.
* What identifies the judge is the model and how it is asked, not its address: a model that moves is the same judge.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omnireward.errors import CallError, MediaError, MissingExtraError, PromptError, RecipeError
from omnireward.judges import ASKING, CALLING, SHOWING, Estimate, JudgeKind, JudgeOptions
from omnireward.judges._sampled import Draw, draws
from omnireward.judges._writing import asked_of, judged
from omnireward.presentation import PRESENTATION, Message, Presenter
from omnireward.prompts import Answer, Form, wording_digest
from omnireward.types import Comparison, Judgement

if TYPE_CHECKING:
    from omnireward.calls import Endpoint, Usage

_LETTER_TOKENS = 8  # room for blanks before the letter
_ALTERNATIVES = 20  # the most that endpoints give


class ApiJudge:
    """Asks a model behind an endpoint.

    Args:
        model: the name that the endpoint knows.
        options: how to ask.
        endpoint: where to ask; closed with the judge.
    """

    def __init__(self, model: str, options: JudgeOptions, endpoint: Endpoint) -> None:
        self._model, self._options, self._endpoint = model, options, endpoint
        self._form = _form(options)
        self._present = Presenter(options.frames, options.views, options.picture_side)
        self._room = threading.BoundedSemaphore(self.window)
        self._showing = ThreadPoolExecutor(2, thread_name_prefix="showing")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="reading")  # never waits for those that show

    @property
    def fingerprint(self) -> str:
        """The model, how it is asked and what it is shown."""
        options = self._options
        parts = {
            "model": self._model,
            "temperature": options.temperature,
            "seed": options.seed,
            "max_tokens": _max_tokens(options),
            "wording": wording_digest(self._form),
            "presentation": PRESENTATION,
            "shown": [options.frames, options.views, options.picture_side, options.join_audio],
            **options.told({"samples", "swap_half"}),
        }
        return f"api:1:{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()}"

    @property
    def window(self) -> int:
        """Twice the calls that may be under way, so that one is always ready to be sent."""
        return 2 * self._options.concurrency

    @property
    def usage(self) -> Usage:
        """What the calls have taken so far."""
        return self._endpoint.usage

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge each comparison; many are under way at once."""
        return [future.result() for future in [self.submit(comparison) for comparison in comparisons]]

    def submit(self, comparison: Comparison, repeat: int = 0) -> Future[Judgement]:
        """Begin to judge; waits while `window` comparisons are under way.

        `repeat` is added to the seed that is sent: the same question asked again is another call.
        """
        self._room.acquire()
        future: Future[Judgement] = Future()
        future.set_running_or_notify_cancel()
        future.add_done_callback(lambda _: self._room.release())
        self._hand_on(self._showing, partial(self._ask, comparison, repeat, future), future)
        return future

    def estimate(self, comparison: Comparison, repeat: int = 0) -> Estimate:
        """What judging a comparison would take; sends nothing. Raises MediaError, PromptError, OSError."""
        from omnireward.calls.estimates import prompt_tokens

        asked = self._asked(comparison, draws(self._options, repeat))
        unpaid = [messages for messages, number in asked if self._endpoint.known(messages, number) is None]
        prompt, answer = sum(map(prompt_tokens, unpaid)), len(unpaid) * _max_tokens(self._options)
        price_in, price_out = self._options.price_in, self._options.price_out
        cost = None if price_in is None or price_out is None else (prompt * price_in + answer * price_out) / 1e6
        return Estimate(len(asked), len(asked) - len(unpaid), prompt, answer, cost)

    def close(self) -> None:
        """Stop what is under way; its futures get judgements with an error. Twice is harmless."""
        self._showing.shutdown(wait=False, cancel_futures=True)
        self._endpoint.close()
        self._showing.shutdown()
        self._reading.shutdown()
        self._present.close()

    def _asked(self, comparison: Comparison, drawn: Sequence[Draw]) -> list[tuple[tuple[Message, ...], int]]:
        """What is sent, and what is added to the seed: for each of the draws its questions."""
        wanted = asked_of(comparison, self._form, drawn)
        shown = {question: self._present(question) for question in dict.fromkeys(q for each in wanted for q in each)}
        return [(shown[question], draw.number) for draw, each in zip(drawn, wanted, strict=True) for question in each]

    def _ask(self, comparison: Comparison, repeat: int, future: Future[Judgement]) -> None:
        drawn = draws(self._options, repeat)
        try:
            asked = [self._endpoint.submit(*each) for each in self._asked(comparison, drawn)]
        except (MediaError, PromptError, OSError) as error:
            future.set_result(_failed(error))
            return
        self._await(drawn, asked, future)

    def _await(self, drawn: Sequence[Draw], asked: Sequence[Future[Answer]], future: Future[Judgement]) -> None:
        """Read the answers when the last of them has come."""
        for each in asked:
            if not each.done():
                each.add_done_callback(lambda _: self._await(drawn, asked, future))
                return
        self._hand_on(self._reading, partial(self._read, drawn, asked, future), future)

    def _read(self, drawn: Sequence[Draw], asked: Sequence[Future[Answer]], future: Future[Judgement]) -> None:
        future.set_result(judged(self._form, drawn, [_answer_or_why(each) for each in asked]))

    def _hand_on(self, pool: ThreadPoolExecutor, work: Callable[[], None], future: Future[Judgement]) -> None:
        """Work goes to a pool; what it does not expect is raised where the future is asked."""

        def ended(done: Future[None]) -> None:
            if done.cancelled():
                future.set_result(Judgement(None, error="the judge was closed before it was asked."))
            elif (bug := done.exception()) is not None:
                future.set_exception(bug)

        try:
            pool.submit(work).add_done_callback(ended)
        except RuntimeError:  # the pool is shut down
            future.set_result(Judgement(None, error="the judge is closed."))


def _answer_or_why(asked: Future[Answer]) -> Answer | str:
    try:
        return asked.result()
    except CallError as error:
        return f"{type(error).__name__}: {error}"


def _failed(error: Exception) -> Judgement:
    return Judgement(None, error=f"{type(error).__name__}: {error}")


def _form(options: JudgeOptions) -> Form:
    return Form(options.mode, options.critique and not options.logprobs, options.ties, options.logprobs)


def _max_tokens(options: JudgeOptions) -> int:
    return _LETTER_TOKENS if options.logprobs else options.max_tokens


def _open(argument: str, options: JudgeOptions) -> ApiJudge:
    if not argument:
        raise RecipeError("the judge `api` needs the name of a model: api:MODEL, such as api:gpt-4o-mini")
    judge = ApiJudge(argument, options, open_endpoint(argument, options))
    atexit.register(judge.close)  # after a judge that nobody closed, connections and files would be left open
    return judge


def open_endpoint(model: str, options: JudgeOptions) -> Endpoint:
    """The endpoint that options name, for one model; not to judges alone. Close it.

    Raises:
        RecipeError: no key and no address, or an address that is none.
        JournalError: the file of calls cannot be used.
        MissingExtraError: without the extra.
    """
    try:
        from omnireward.calls import CallOptions, Endpoint
    except ImportError as error:
        raise MissingExtraError(f"calling api:{model}", "api") from error
    base_url, key = _address(options)
    journal = options.calls
    if journal is None:
        folder = Path(tempfile.mkdtemp(prefix="omnireward-calls-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        journal = folder / "calls.jsonl"
    return Endpoint(
        CallOptions(
            model=model,
            journal=journal,
            base_url=base_url,
            api_key=key,
            temperature=options.temperature,
            seed=options.seed,
            max_tokens=_max_tokens(options),
            top_logprobs=_ALTERNATIVES if options.logprobs else 0,
            concurrency=options.concurrency,
            timeout=options.timeout,
            tries=options.tries,
            patience=options.patience,
            budget=options.budget,
            price_in=options.price_in,
            price_out=options.price_out,
            join_audio=options.join_audio,
        )
    )


def _address(options: JudgeOptions) -> tuple[str, str]:
    """The endpoint's address and key, from the options or the environment."""
    base_url = options.base_url or os.environ.get("OPENAI_BASE_URL", "").strip()
    if base_url and not base_url.startswith(("http://", "https://")):
        raise RecipeError(
            f"--base-url begins with http:// or https://, as http://127.0.0.1:8000/v1 does; got {base_url}"
        )
    key = os.environ.get(options.api_key_env, "").strip()
    if not key and not base_url:
        raise RecipeError(
            f"the judge `api` needs a key in the environment variable {options.api_key_env}, or an endpoint that needs "
            "none: --base-url http://127.0.0.1:8000/v1"
        )
    if not (key.isascii() and key.isprintable()):
        raise RecipeError(f"the key in the environment variable {options.api_key_env} has characters that no key has.")
    return base_url, key or "none"


JUDGE = JudgeKind(
    summary="a model behind an OpenAI-compatible endpoint: api:MODEL",
    open=_open,
    example=lambda _: "made-up",
    reads=ASKING | SHOWING | CALLING,
)
