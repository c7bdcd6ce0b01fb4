"""What all routes of a server share: the judge, its queue, uploads, limits and counts."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import Any, TypeVar

from starlette.requests import Request

from omnireward.judges import Judge, PatientJudge
from omnireward.judges._policy_judge import PolicyJudge
from omnireward.judges.reward import RewardJudge
from omnireward.ranking import Group, Ranking, RankingOptions
from omnireward.serve.asking import Ask, OverloadedError, Problem, RequestError, Scored, Served
from omnireward.serve.bodies import Held
from omnireward.serve.config import MIB, ServeConfig
from omnireward.serve.doubts import between, doubt_of
from omnireward.serve.fetching import Fetcher
from omnireward.serve.metrics import Metrics
from omnireward.serve.queue import LATE, Queue
from omnireward.serve.ranking import Rankings, chars_of
from omnireward.serve.scoring import JUDGED_TOGETHER, JudgeWorker, RewardWorker, Row, rows_of
from omnireward.serve.ties import Ties
from omnireward.serve.uploads import Uploads
from omnireward.serve.waiting import Waiting
from omnireward.types import Comparison, Judgement, Part, Text

# Tokens of one batch, what rows share counted for each: some passes of a reward model, so that rows of different
# requests meet, and none waits long for those before it.
BATCH_TOKENS = 65_536
WIND_UP = 2.0  # seconds after its deadline in which a ranking says what it has found
GONE = 499  # the status that others log where nobody waits for the reply any more

Result = TypeVar("Result")


class Slots:
    """How many requests are under way; a request more than there are is refused at once."""

    def __init__(self, most: int) -> None:
        self._most, self.taken = most, 0
        self._usual = 1.0  # seconds of a request, recent ones counting more

    def take(self) -> None:
        """Raises OverloadedError."""
        if self.taken >= self._most:
            raise OverloadedError(f"{self._most} requests are under way, and no more are taken on; try again later.")
        self.taken += 1

    def give_back(self, seconds: float) -> None:
        """A request has been answered."""
        self.taken -= 1
        self._usual += 0.1 * (seconds - self._usual)

    @property
    def retry_after(self) -> int:
        """Whole seconds until there may be room."""
        return min(30, max(1, math.ceil(self._usual)))


class Service:
    """A judge that is being served.

    Args:
        config: what the server was told.
        judge: an opened judge.
        keys: API keys; none leaves the server open to this machine.
        uploads: where they are kept; a folder of its own when None.

    Raises:
        RecipeError: a tie threshold, and a judge that has no rewards whose margins it could be of, or one that knows
            ties by itself.
    """

    def __init__(
        self, config: ServeConfig, judge: Judge, keys: Sequence[str] = (), uploads: Uploads | None = None
    ) -> None:
        self._ties = Ties.of(config, judge)
        self.config, self.judge, self.keys = config, judge, tuple(keys)
        self.fetcher = Fetcher.of(
            config.media_hosts, config.media_networks, config.max_upload_mb * MIB, config.fetch_seconds
        )
        self.draining = False
        self.slots = Slots(config.max_queue)
        self.held = Held(config.max_held_mb * MIB)
        self.uploads = uploads or Uploads.of(config)
        self.metrics = Metrics({"requests_under_way": lambda: self.slots.taken, "ready": lambda: self.ready})
        self._rewards: Queue[Row, Any, Scored] | None = None
        self._judgements: Queue[Comparison, Comparison, Judgement] | Waiting | None = None
        if isinstance(judge, RewardJudge | PolicyJudge):
            kept = judge.model.features
            kept.store = None  # what strangers send is not written to the user's disk
            kept.embeddings.limit = kept.inputs.limit = config.max_cached_mb * MIB
        if isinstance(judge, RewardJudge):
            self._rewards = Queue(RewardWorker(judge.model), BATCH_TOKENS, self.metrics.batch)
        elif isinstance(judge, PatientJudge):
            self._judgements = Waiting(judge, self.metrics.batch)
        else:
            self._judgements = Queue(JudgeWorker(judge), JUDGED_TOGETHER, self.metrics.batch)
        self._rankings: Rankings | None = None
        if self._judgements is not None:
            self._rankings = Rankings(self._judgements.submit, judge.fingerprint, config.max_comparisons)

    @property
    def alive(self) -> bool:
        """Whether what is asked will be answered."""
        return all(queue.alive for queue in (self._rewards, self._judgements) if queue is not None)

    @property
    def ready(self) -> bool:
        """Whether to send requests here."""
        return self.alive and not self.draining

    def served(self, request: str, scored: Sequence[Sequence[Scored | Problem]] = ()) -> Served:
        """What a reply says of this server, and of what was scored for it."""
        return Served(
            model=self.config.model_name,
            revision=self.judge.fingerprint,
            request=request,
            created=int(time.time()),
            tie_threshold=self._ties.threshold,
            ties=self._ties.source,
            chances=self._ties.chances(scored),
            doubt=doubt_of(self.judge, scored),
        )

    def require_rewards(self) -> None:
        """Raises NoRewardsError where the judge compares only."""
        if self._rewards is None:
            raise NoRewardsError(self.config.judge)

    def require_comparing(self) -> None:
        """Raises RequestError where the judge gives rewards, so that there is nothing to compare."""
        if self._rankings is None:
            kind = self.config.judge.partition(":")[0]
            raise RequestError(
                f"the judge {kind!r} gives each response a reward, so nothing has to be compared: ask /v1/rewards.",
                status=501,
            )

    async def scored(self, asks: Sequence[Ask], until: float, request: Request) -> list[list[Scored | Problem]]:
        """A reward, or a problem, for each response of each ask.

        Raises:
            NoRewardsError: the judge has none.
            RequestError: more is asked than the server takes on.
        """
        self.require_rewards()
        assert self._rewards is not None
        self._check([(ask.prompt, ask.criterion, *ask.responses) for ask in asks])
        rows = rows_of(asks)
        results: list[Scored | Problem] = await _waited(self._rewards.submit(rows, until), len(rows), until, request)
        for result in results:
            self.metrics.reward(result.kind if isinstance(result, Problem) else "ok")
        left = iter(results)
        return [list(islice(left, len(ask.responses))) for ask in asks]

    async def judgement(self, comparison: Comparison, until: float, request: Request) -> Judgement | Problem:
        """What the judge says of two responses. Raises RequestError."""
        c = comparison
        if self._judgements is None:
            a, b = (await self.scored([Ask(c.prompt, (c.response_a, c.response_b), c.criterion)], until, request))[0]
            if isinstance(a, Problem):
                return a
            if isinstance(b, Problem):
                return b
            rewards = (a.reward, b.reward)
            doubt = between(self.judge, a, b)
            return Judgement(
                a.reward - b.reward,
                rewards=rewards,
                probabilities=self._ties.between(a, b),
                deviation=None if doubt is None else doubt.deviation,
                familiarity=None if doubt is None else doubt.familiarity,
            )
        self._check([(c.prompt, c.criterion, c.response_a, c.response_b)])
        return (await _waited(self._judgements.submit([c], until), 1, until, request))[0]

    async def ranking(self, group: Group, options: RankingOptions, until: float, request: Request) -> Ranking:
        """Strengths of responses to one prompt, from what the judge says of two at a time.

        Raises:
            RequestError: more is asked than the server takes on; the judge gives rewards; no time was left.
        """
        self.require_comparing()
        assert self._rankings is not None
        self._check_size(len(group.responses) + (group.reference is not None), 0)
        self._check_size(0, chars_of(group, self._rankings.check(group, options)))
        asker, future = self._rankings.begin(group, options, until)
        try:
            found = await _came(future, until + WIND_UP, request)
        finally:
            asker.stop()
        if found is None:
            raise RequestError(LATE.message, status=504)
        return found

    def until(self, body: Mapping[str, Any], begun: float) -> float:
        """The time, of `time.monotonic`, at which a request is late. Raises RequestError."""
        asked = body.get("deadline_s")
        if asked is None:
            return begun + self.config.deadline
        if isinstance(asked, bool) or not isinstance(asked, int | float) or not asked > 0:
            raise RequestError("must be a number of seconds above 0.", field="deadline_s")
        return begun + min(asked, self.config.deadline)  # in this order: a whole number may be too large for a float

    def close(self) -> None:
        """Stop, and remove the uploads. Twice is harmless."""
        for queue in (self._rankings, self._rewards, self._judgements):
            if queue is not None:
                queue.close()
        self.uploads.close()

    def _check(self, asked: Sequence[tuple[Any, ...]]) -> None:
        chars = 0
        for prompt, criterion, *responses in asked:
            chars += len(criterion) + sum(_chars(turn.content) for turn in prompt) + sum(map(_chars, responses))
        self._check_size(sum(len(one) - 2 for one in asked), chars)

    def _check_size(self, rows: int, chars: int) -> None:
        if rows > self.config.max_responses:
            most = self.config.max_responses
            raise RequestError(f"{rows} responses times criteria are asked; at most {most} are.", status=413)
        if chars > self.config.max_chars:
            raise RequestError(
                f"{chars:,} characters are asked about, a prompt counted for each criterion and each comparison; at "
                f"most {self.config.max_chars:,} are.",
                status=413,
            )


class NoRewardsError(RequestError):
    """The judge compares responses, and has no reward for one."""

    def __init__(self, judge: str) -> None:
        super().__init__(
            f"the judge {judge.partition(':')[0]!r} compares two responses and gives none a reward of its own: ask "
            "/v1/judgements, /v1/rankings for more than two, or serve a reward model (--judge reward:FOLDER).",
            status=501,
        )


def _chars(content: Sequence[Part]) -> int:
    return sum(len(part.text) for part in content if isinstance(part, Text))


async def _waited(
    future: Future[list[Result | Problem]], count: int, until: float, request: Request
) -> list[Result | Problem]:
    """Results, or `LATE` for each at the deadline."""
    found = await _came(future, until, request)
    return [LATE for _ in range(count)] if found is None else found


async def _came(future: Future[Result], until: float, request: Request) -> Result | None:
    """What comes of a future; None at the deadline. Nothing is computed for a client that has gone."""
    coming = asyncio.wrap_future(future)
    gone = asyncio.ensure_future(request.receive())  # the body was read: what comes now is that nobody waits
    try:
        both: set[asyncio.Future[Any]] = {coming, gone}
        await asyncio.wait(both, timeout=until - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone_first = gone.done() and not coming.done()
        gone.cancel()
        if not coming.done():
            coming.cancel()
    if gone_first:
        raise RequestError("the client has gone.", status=GONE)
    return None if coming.cancelled() else coming.result()
