"""What calls take is counted as the endpoint counts it, and a budget holds whatever happens."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import wait

import pytest
from tests.calls.conftest import Open
from tests.calls.scripted import Fault, Scripted
from tests.calls.test_endpoint import answers, error_of, question

from omnireward.errors import BudgetError


def test_usage_and_cost_are_what_the_endpoint_counts(endpoint: Open) -> None:
    """10 calls of 100 + 5 tokens at 2 and 8 for a million: 10 x (200 + 40) / 1e6."""
    with Scripted() as server:
        opened = endpoint(server, price_in=2.0, price_out=8.0)
        answers(opened, 10)
        usage = opened.usage
        assert (usage.calls, usage.paid, usage.prompt_tokens, usage.answer_tokens) == (10, 0, 1000, 50)
        assert usage.cost == opened.spent == pytest.approx(0.0024)
        opened.close()
        again = endpoint(server, price_in=2.0, price_out=8.0)
        assert again.usage.cost == 0
        assert again.spent == pytest.approx(0.0024)
    without = endpoint(server, journal=opened._options.journal.with_name("other.jsonl"))
    assert (without.usage.cost, without.spent) == (None, None)


def test_without_usage_the_estimate_counts(endpoint: Open) -> None:
    """System: 16 + 6 / 3; user: 16 + 10 / 3 rounded up; answers as long as they may be."""
    with Scripted(usage=None) as server:
        opened = endpoint(server, max_tokens=50)
        answers(opened, 2)
        assert (opened.usage.prompt_tokens, opened.usage.answer_tokens) == (2 * (16 + 2 + 16 + 4), 100)


def test_a_budget_is_never_overspent(endpoint: Open) -> None:
    """A call is held at 38 + 50 tokens and counts 38 + 50: at a price of 1e6 a million, 88. 1,000 pays for 11."""
    with Scripted(usage=(38, 50), latency=0.01) as server:
        opened = endpoint(server, max_tokens=50, price_in=1e6, price_out=1e6, budget=1000.0)
        futures = [opened.submit(question(number)) for number in range(20)]
        wait(futures)
        errors = [future.exception() for future in futures if future.exception() is not None]
        assert (server.requests, len(errors)) == (11, 9)
        assert all(isinstance(error, BudgetError) for error in errors)
        assert opened.spent == 968.0
        opened.close()
        again = endpoint(server, max_tokens=50, price_in=1e6, price_out=1e6, budget=1000.0)
        assert isinstance(error_of(again.submit(question("new"))), BudgetError)
        assert server.requests == 11
        again.close()
        more = endpoint(server, max_tokens=50, price_in=1e6, price_out=1e6, budget=1100.0)
        more.submit(question("new")).result(60)
        assert server.requests == 12


def test_tries_that_may_have_been_paid_for_count_over_runs(endpoint: Open) -> None:
    """Each cut connection costs as much as a call may cost: 38 + 50; a 429 costs nothing."""
    with Scripted(plan=lambda _, attempt: Fault("cut") if attempt < 2 else Fault("429")) as server:
        opened = endpoint(server, max_tokens=50, tries=4, price_in=1e6, price_out=1e6)
        error_of(opened.submit(question(0)))
        assert (server.requests, opened.spent, opened.usage.cost) == (4, 176.0, 176.0)
        opened.close()
        assert endpoint(server, max_tokens=50, price_in=1e6, price_out=1e6).spent == 176.0


@pytest.mark.parametrize("end", ["killed", "closed"])
def test_calls_under_way_at_the_end_of_a_process_count_as_spent(endpoint: Open, end: str) -> None:
    """Of 1,000 at 88 a call, five are under way at each end: 440, 880, and then one more is all that fits."""
    given = {"max_tokens": 50, "price_in": 1e6, "price_out": 1e6, "budget": 1000.0}
    with Scripted(usage=(38, 50), latency=0.3) as server:
        first = endpoint(server, **given)
        for number in range(5):
            first.submit(question(number))
        file = first._options.journal
        for sent, run in ((5, 1), (10, 2)):
            while server.requests < sent:
                time.sleep(0.005)
            left = file.with_name(f"after {run}.jsonl")  # what the disk holds is what a killed process leaves
            if end == "closed":
                first.close()
            shutil.copyfile(file, left)
            first, file = endpoint(server, journal=left, **given), left
            assert first.spent == sent * 88.0
            if run == 1:
                for number in range(5):
                    first.submit(question(number))
        first.submit(question(0)).result(60)
        assert isinstance(error_of(first.submit(question(1))), BudgetError)
        assert (server.requests, first.spent) == (11, 968.0)
