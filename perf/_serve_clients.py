"""Many clients of one server, in a process of their own: run by perf.serve_load, prints one JSON object.

    python -m perf._serve_clients FOLDER '{"way": "steady", "urls": ..., "clients": ..., "seconds": ...}'

`FOLDER/expected.json` holds the rewards of `mixed` as the model gives them without a server.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
from perf._serve import mixed, near, unseen

from omnireward.client import AsyncClient, CallLimits
from omnireward.client.wire import rewards_call
from omnireward.serve.asking import Ask, Problem

EACH = 16  # samples of each task
CHECKED = 50  # new pictures whose rewards are handed on, to be compared with the model's own
FRESH = 8  # one request in so many shows a picture that is new, or was so in the request before


@dataclass
class Found:
    """What came back."""

    answered: int = 0
    rewards: int = 0
    wrong: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    fresh: dict[int, list[float]] = field(default_factory=dict)


async def steady(urls: str, clients: int, seconds: float, expected: list[list[float]]) -> dict[str, Any]:
    """Each client asks again once it has its answer. With our client, which asks again where it must."""
    asks, found, numbers = mixed(EACH), Found(), count()
    end = time.monotonic() + seconds

    async def one(client: AsyncClient) -> None:
        while time.monotonic() < end:
            number = next(numbers)
            fresh = number // FRESH // 2 if number % FRESH == 0 else None
            place = number % len(asks)
            (rewards,) = await client.ask([asks[place] if fresh is None else unseen(fresh)])
            numeric = [reward for reward in rewards if not isinstance(reward, Problem)]
            want = expected[place] if fresh is None else found.fresh.setdefault(fresh, numeric)
            found.answered += 1
            found.rewards += len(numeric)
            found.wrong += not near(numeric, want)

    begun = time.monotonic()
    async with AsyncClient(urls, limits=CallLimits(concurrency=clients)) as client:
        results = await asyncio.gather(*(one(client) for _ in range(clients)), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            found.failed[f"{type(result).__name__}: {result}"[:200]] += 1
    taken = time.monotonic() - begun
    return {
        "answered": found.answered,
        "rewards": found.rewards,
        "wrong": found.wrong,
        "failed": found.failed,
        "seconds": taken,
        "fresh": {number: found.fresh[number] for number in list(found.fresh)[:CHECKED]},
    }


async def overload(urls: str, rate: float, seconds: float, deadline: float) -> dict[str, Any]:
    """Requests arrive at random moments, at a rate that is above what the server does, and nobody asks again."""
    bodies = [_body(ask) | {"deadline_s": deadline} for ask in mixed(EACH)]
    refused: list[float] = []
    accepted: list[float] = []
    other: Counter[str] = Counter()
    draw = random.Random(0)

    async def one(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
        begun = time.monotonic()
        try:
            reply = await http.post("/v1/rewards", json=body)
        except httpx.RequestError as error:
            other[type(error).__name__] += 1
            return
        taken = time.monotonic() - begun
        if reply.status_code == 429 and "retry-after" in reply.headers:
            refused.append(taken)
        elif reply.status_code == 200 and _all_rewarded(reply):
            accepted.append(taken)
        else:
            other["no reward" if reply.status_code == 200 else str(reply.status_code)] += 1

    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=200)
    async with httpx.AsyncClient(base_url=urls, timeout=120, limits=limits) as http:
        tasks: list[asyncio.Future[None]] = []
        begun = time.monotonic()
        due = 0.0
        while due < seconds:
            await asyncio.sleep(max(0.0, begun + due - time.monotonic()))
            tasks.append(asyncio.ensure_future(one(http, bodies[len(tasks) % len(bodies)])))
            due += draw.expovariate(rate)
        await asyncio.gather(*tasks)
    return {
        "asked": len(tasks),
        "accepted": len(accepted),
        "refused": len(refused),
        "other": other,
        "refused_ms": _quantiles(refused, 1e3),
        "accepted_s": _quantiles(accepted, 1.0),
    }


async def ending(urls: str, clients: int) -> dict[str, Any]:
    """Clients ask and ask until nobody is there any more. Each request has an id, which the server's log has too."""
    bodies = [_body(ask) for ask in mixed(EACH)]
    said: Counter[str] = Counter()
    broken: list[str] = []
    numbers = count()

    async def one(http: httpx.AsyncClient) -> None:
        while True:
            number = next(numbers)
            name = f"ending-{number}"
            try:
                reply = await http.post(
                    "/v1/rewards", json=bodies[number % len(bodies)], headers={"X-Request-Id": name}
                )
            except (httpx.ConnectError, httpx.ConnectTimeout):
                said["refused"] += 1
                return
            except httpx.RequestError:
                broken.append(name)
                return
            rewarded = reply.status_code != 200 or _all_rewarded(reply)
            said[str(reply.status_code) if rewarded else "no reward"] += 1

    async with httpx.AsyncClient(base_url=urls, timeout=120, limits=httpx.Limits(max_connections=clients)) as http:
        await asyncio.gather(*(one(http) for _ in range(clients)))
    return {"said": said, "broken": broken}


def _all_rewarded(reply: httpx.Response) -> bool:
    return all("value" in one for row in reply.json()["rewards"] for one in row)


def _body(ask: Ask) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(rewards_call(ask, {}).write())
    return body


def _quantiles(values: list[float], scale: float) -> dict[str, float]:
    ordered = sorted(values)
    names = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(scale * ordered[int(at * (len(ordered) - 1))], 3) for name, at in names.items() if ordered}


def main() -> None:
    folder, orders = Path(sys.argv[1]), json.loads(sys.argv[2])
    way = orders.pop("way")
    if way == "steady":
        found = asyncio.run(steady(**orders, expected=json.loads((folder / "expected.json").read_text())))
    elif way == "overload":
        found = asyncio.run(overload(**orders))
    else:
        found = asyncio.run(ending(**orders))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
