"""`construct verify` against verifiers that are right as often as they are told to be: yield and error by arithmetic.

A verifier is right with probability p = 0.8, each alone, and a claim with probability c; there are two sides, so a
wrong verifier agrees with a wrong claim. With q = 1 - p:

* Steady: a verifier draws once for a sample and says the same in both orders. Three of them agree with a right claim
  with probability u = p^3 (unanimity) or u = p^3 + 3 p^2 q (majority), with a wrong one with v, the same of q for p.
* Unsteady: it draws for each order. It then says the truth with probability p' = p^2, the other side with q' = q^2, and
  abstains with 2 p q. Abstaining does not agree, so u = p'^3, or p'^3 + 3 p'^2 (1 - p'); v likewise with q'.

The yield is c u + (1 - c) v, and of what is kept a share of (1 - c) v / (c u + (1 - c) v) is wrong.
"""

from __future__ import annotations

import json
import math
import pickle
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.calls.scripted import Body, Fault, Scripted, seeded
from tests.construct.planted import bright_first, files, number_of, planted, truth

from omnireward import waits
from omnireward.cli import main
from omnireward.construct.running import Outcome
from omnireward.construct.verdicts import Rule, verdict
from omnireward.construct.verify import VerifyConfig, dry_run, verify
from omnireward.errors import RecipeError
from omnireward.media.encode import png
from omnireward.sample_rows import read_samples, write_samples
from omnireward.sources import BadRows
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

THREE = ("api:one", "api:two", "api:three")
P, LIES, COUNT = 0.8, 0.25, 160


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "FIRST", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def _config(server: Scripted, data: Path, out: Path, **more: object) -> VerifyConfig:
    given = {"verifiers": THREE, "base_urls": (server.url,), "timeout": 10.0}
    return VerifyConfig(samples=f"samples:{data}", out=out, **{**given, **more})  # type: ignore[arg-type]


def _verdict(body: Body, right: bool) -> str:
    return f"Considered.\nVERDICT: {'A' if bright_first(body) == right else 'B'}"


def steady(body: Body) -> str:
    draw = random.Random(f"{body['model']}:{number_of(body)}")
    return _verdict(body, draw.random() < P)


def unsteady(body: Body) -> str:
    draw = random.Random(f"{body['model']}:{number_of(body)}:{bright_first(body)}")
    return _verdict(body, draw.random() < P)


def sure(body: Body) -> str:
    return _verdict(body, right=True)


def _samples(out: Path) -> list[Sample]:
    return list(read_samples(str(out), BadRows()))


def _rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _near(found: int, trials: int, chance: float) -> None:
    """Within four standard deviations of a binomial."""
    assert abs(found - trials * chance) <= 4 * math.sqrt(trials * chance * (1 - chance)) + 1e-9, (found, trials, chance)


def _agree(rule: str, says: float) -> float:
    """Three verifiers agree with a claim that each says with this probability."""
    return says**3 if rule == "unanimity" else says**3 + 3 * says**2 * (1 - says)


@pytest.mark.parametrize("steadily", [True, False], ids=["steady", "unsteady"])
def test_yield_and_error_are_what_arithmetic_says(tmp_path: Path, steadily: bool) -> None:
    data = planted(tmp_path / "data", COUNT, wrong=LIES)
    with Scripted(steady if steadily else unsteady, keep=False) as server:
        outcome = verify(_config(server, data, tmp_path / "out", critique=False))
    assert (outcome.samples, outcome.failed, outcome.kept + outcome.rejected) == (COUNT, 0, COUNT)
    rows = _rows(tmp_path / "out" / "says.jsonl")
    right = {row["id"]: row["preference"] == truth(int(str(row["id"])[1:])) for row in rows}
    sound = sum(right.values())
    for rule in ("unanimity", "majority"):
        kept = [row["id"] for row in rows if not verdict(row["says"], row["preference"], rule)]  # type: ignore[arg-type]
        says, lies = (P, 1 - P) if steadily else (P**2, (1 - P) ** 2)
        u, v = _agree(rule, says), _agree(rule, lies)
        _near(sum(right[name] for name in kept), sound, u)
        _near(sum(not right[name] for name in kept), COUNT - sound, v)
        share = (1 - LIES) * u + LIES * v
        _near(len(kept), COUNT, share)
        _near(sum(not right[name] for name in kept), len(kept), LIES * v / share)
    for place in range(3):
        abstains = sum(row["says"][place] == "inconsistent" for row in rows)  # type: ignore[index]
        if steadily:
            assert abstains == 0
        else:
            _near(abstains, COUNT, 2 * P * (1 - P))
    assert len(_samples(tmp_path / "out")) == outcome.kept
    _check_report(tmp_path / "out", rows, steadily)


def _check_report(out: Path, rows: list[dict[str, object]], steadily: bool) -> None:
    """Alpha of steady verifiers: two agree with p^2 + q^2 = 0.68, by chance 1/2 as sides are even: 1 - 0.32 / 0.5."""
    report = json.loads((out / "report.json").read_text())["overall"]
    assert report["samples"] == COUNT
    assert sum(report["reasons"].values()) == COUNT - report["kept"]
    assert report["yield_interval"][0] < report["yield"] < report["yield_interval"][1]
    low, high = report["alpha_among_verifiers"]["interval"]
    assert low < report["alpha_among_verifiers"]["value"] < high
    if steadily:
        assert low - 0.05 < 0.36 < high + 0.05
    agrees = report["verifiers"][0]
    said = [row for row in rows if row["says"][0] in ("a", "b")]  # type: ignore[index]
    same = sum(row["says"][0] == row["preference"] for row in said)  # type: ignore[index]
    assert agrees["agrees"] == pytest.approx(same / len(said))


def test_what_is_kept_is_kept_as_claimed_and_what_is_not_says_who_said_what(tmp_path: Path) -> None:
    """By sample modulo 4: all agree; one contradicts; one is swayed by the order; one gives no verdict."""
    data = planted(tmp_path / "data", 20)

    def answer(body: Body) -> str:
        kind = number_of(body) % 4
        if body["model"] != "three" or not kind:
            return sure(body)
        return {1: _verdict(body, right=False), 2: "VERDICT: A", 3: "Both are fine."}[kind]

    with Scripted(answer) as server:
        outcome = verify(_config(server, data, tmp_path / "all"))
        most = verify(_config(server, data, tmp_path / "most", rule="majority"))
    assert (outcome.kept, outcome.rejected, most.kept, most.rejected) == (5, 15, 20, 0)
    for sample in _samples(tmp_path / "all"):
        assert sample.preference == truth(int(sample.id[1:]))
        assert sample.provenance["verifiers"] == "api:one api:two api:three"
        assert sample.provenance["rule"] == "unanimity"
    rejected = _rows(tmp_path / "all" / "rejected.jsonl")
    assert Counter(row["reason"] for row in rejected) == {"contradicted": 5, "undecided": 10}
    for row in rejected:
        number = int(str(row["id"])[1:])
        other = "b" if truth(number) == "a" else "a"
        third = {1: other, 2: "inconsistent", 3: "no verdict"}[number % 4]
        assert row["says"] == {"api:one": truth(number), "api:two": truth(number), "api:three": third}


def test_ties_can_be_verified(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 6)
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    (data / "samples.jsonl").write_text("".join(json.dumps({**line, "preference": "tie"}) + "\n" for line in lines))
    with Scripted(lambda body: "VERDICT: TIE" if number_of(body) < 4 else sure(body)) as server:
        outcome = verify(_config(server, data, tmp_path / "out"))
    assert (outcome.kept, outcome.rejected) == (4, 2)


def test_a_judge_that_computes_here_verifies_too(tmp_path: Path) -> None:
    """The longer response is the sound one, so `longer` agrees with everything, by its margin."""
    data = planted(tmp_path / "data", 10)
    with Scripted(sure) as server:
        outcome = verify(_config(server, data, tmp_path / "out", verifiers=("api:one", "longer")))
    assert (outcome.kept, outcome.rejected) == (10, 0)


@pytest.mark.parametrize(("rule", "kept"), [("majority", 6), ("unanimity", 0)])
def test_a_judge_of_other_tasks_abstains(tmp_path: Path, rule: Rule, kept: int) -> None:
    data = planted(tmp_path / "data", 6)
    with Scripted(sure) as server:
        verifiers = ("api:one", "tests.construct.pictures_only", "longer")
        outcome = verify(_config(server, data, tmp_path / "out", verifiers=verifiers, rule=rule))
    assert outcome.kept == kept
    says = [row["says"] for row in _rows(tmp_path / "out" / "says.jsonl")]
    assert all(one == [one[0], "unable", one[0]] for one in says)  # type: ignore[index]
    reasons = {row["reason"] for row in _rows(tmp_path / "out" / "rejected.jsonl")}
    assert reasons == ({"undecided"} if rule == "unanimity" else set())


def test_faults_on_a_fifth_of_the_calls_lose_nothing_and_a_second_run_asks_nothing(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 25, wrong=LIES)
    with Scripted(unsteady) as server:
        verify(_config(server, data, tmp_path / "whole"))
        assert server.requests == 25 * 2 * 3
        verify(_config(server, data, tmp_path / "whole"))
        assert server.requests == 25 * 2 * 3
    kinds = ("429", "500", "cut", "half", "empty", "malformed", "schema", "null", "bytes")
    with Scripted(unsteady, plan=seeded(0.2, kinds)) as server:
        outcome = verify(_config(server, data, tmp_path / "broken"))
        assert server.requests > 25 * 2 * 3 + 15
    assert outcome.failed == 0
    assert files(tmp_path / "broken") == files(tmp_path / "whole")


def test_samples_whose_calls_fail_are_left_or_given_up(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 12)
    broken = [True]

    def plan(body: Body, _attempt: int) -> Fault | None:
        fails = broken[0] and number_of(body) == 5 and body["model"] == "two"
        return Fault(status=400) if fails else None

    with Scripted(sure, plan=plan) as server:
        verify(_config(server, data, tmp_path / "whole", verifiers=THREE[:1]))
        outcome = verify(_config(server, data, tmp_path / "given up", settle=True))
        assert (outcome.failed, outcome.kept, outcome.rejected, outcome.merged) == (1, 11, 1, True)
        assert _rows(tmp_path / "given up" / "rejected.jsonl")[0]["reason"] == "failed"
        outcome = verify(_config(server, data, tmp_path / "left"))
        assert (outcome.failed, outcome.kept, outcome.rejected, outcome.merged) == (1, 11, 0, False)
        asked, broken[0] = server.requests, False
        outcome = verify(_config(server, data, tmp_path / "left"))
        assert (outcome.failed, outcome.kept, outcome.merged, server.requests - asked) == (0, 12, True, 2)


def test_however_the_work_is_divided_the_bytes_are_the_same(tmp_path: Path) -> None:
    """Divided anew after a part of it was done, nothing is asked twice. Workers get the step pickled."""
    data, out = planted(tmp_path / "data", 16, wrong=LIES), tmp_path / "divided"
    with Scripted(unsteady) as server:
        verify(_config(server, data, tmp_path / "whole"))
        asked = server.requests
        assert not verify(_config(server, data, out, shard="1/3")).merged
        assert not verify(_config(server, data, out, shard="0/2")).merged
        last = _config(server, data, out, shard="1/2")
        outcome = verify(pickle.loads(pickle.dumps(last)))
        assert server.requests == 2 * asked
    assert outcome.merged
    assert set(files(out)) == {"samples.jsonl", "rejected.jsonl", "says.jsonl", "report.json", "report.html"}
    assert files(out) == files(tmp_path / "whole")


def test_a_budget_is_never_passed_by_all_verifiers_together(tmp_path: Path) -> None:
    """A call takes 500 + 50 tokens at 1,000 a million: 0.55; verifier two costs twice that. All would be 26.4."""
    data = planted(tmp_path / "data", 6)

    def cost(server: Scripted) -> float:
        return 0.55 * sum(2 if body["model"] == "two" else 1 for body in server.bodies)

    with Scripted(sure, usage=(500, 50)) as server:
        more = {"prices_in": (1e3, 2e3, 1e3), "prices_out": (1e3, 2e3, 1e3), "max_tokens": 50, "budget": 12.0}
        outcomes: list[Outcome] = []
        for shard in ("0/1", "0/2", "1/2", "0/1"):
            outcomes.append(verify(_config(server, data, tmp_path / "out", **more, shard=shard)))
            assert cost(server) <= 12.0
        assert cost(server) > 8.0
        assert not any(outcome.merged for outcome in outcomes)
        last = verify(_config(server, data, tmp_path / "out", **{**more, "budget": 60.0}))
        assert (last.merged, last.kept) == (True, 6)
        assert last.spent == pytest.approx(cost(server)) == pytest.approx(6 * 2 * 0.55 * 4)


def test_a_dry_run_bounds_what_a_run_takes(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 5)
    with Scripted(sure) as server:
        config = _config(server, data, tmp_path / "out", verifiers=("api:one", "longer"), prices_in=(1.0,),
                         prices_out=(2.0,))  # fmt: skip
        found = dry_run(config)
        assert server.requests == 0
        assert not (tmp_path / "out").exists()
        assert verify(config).samples == found.samples == 5
        assert server.requests == found.estimate.calls == 10
    assert (found.votes, found.unreadable) == (20, 0)
    assert found.estimate.cost is not None
    assert found.estimate.cost > 0


def test_a_medium_that_cannot_be_read_is_refused_as_such(tmp_path: Path) -> None:
    """Not left for another run, which would fail in the same way, and no verdict."""
    broken, sound = Media("image", b"\x89PNG\r\n\x1a\n broken"), Media("image", png(np.zeros((8, 8, 3), np.uint8)))
    comparison = Comparison((Turn("user", (Text("Draw."),)),), (broken,), (sound,), "It should be dark.")
    write_samples([Sample("s", Task.T2I, comparison, "a", "prompt")], tmp_path / "data")
    with Scripted(lambda _: "VERDICT: A") as server:
        outcome = verify(_config(server, tmp_path / "data", tmp_path / "out", verifiers=("api:one",)))
        assert (outcome.failed, outcome.kept, outcome.rejected, outcome.merged, server.requests) == (0, 0, 1, True, 0)
    (row,) = _rows(tmp_path / "out" / "rejected.jsonl")
    assert (row["reason"], row["says"]) == ("unreadable", {"api:one": "unreadable"})


def test_a_run_in_which_nothing_is_refused_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = planted(tmp_path / "data", 3)
    words = ["construct", "verify", "--samples", f"samples:{data}", "--verifiers", "longer", "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    assert "3 of 3 samples are kept: 100.0 %" in capsys.readouterr().out


def test_the_page_shows_names_as_text(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 3)
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    named = [{**line, "provenance": {"source": "<script>alert(1)</script>"}} for line in lines]
    (data / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in named))
    with Scripted(sure) as server:
        verify(_config(server, data, tmp_path / "out"))
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"verifiers": ()}, "needs a verifier"),
        ({"verifiers": ("longer", "longer")}, "named twice"),
        ({"base_urls": ("http://x/v1", "http://y/v1")}, "one for all, or 3"),
        ({"budget": 1.0}, "needs prices"),
        ({"shard": "one"}, "i/n"),
    ],
)
def test_what_cannot_be_done_is_refused_beforehand(tmp_path: Path, more: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        VerifyConfig(**{"samples": "x", "out": tmp_path, "verifiers": THREE, **more})  # type: ignore[arg-type]
