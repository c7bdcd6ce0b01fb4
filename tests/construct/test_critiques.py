"""`construct critiques` against a scripted endpoint whose behaviour is planted, so that every count is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.calls.scripted import Body, Fault, Scripted, seeded
from tests.construct.planted import bright_first, number_of, planted, truth

from omnireward import waits
from omnireward.cli import main
from omnireward.construct.critiques import CritiquesConfig, critiques, dry_run
from omnireward.critiques import MOST_CHARACTERS, Critique, read_critiques
from omnireward.errors import JournalError, RecipeError
from omnireward.miniature.world import World
from omnireward.miniature.world import samples as world_samples
from omnireward.sample_rows import read_samples, write_samples
from omnireward.sources import BadRows
from omnireward.types import Comparison, Sample, Task, Text, Turn

NAMES = ("samples.jsonl", "critiques.jsonl", "rejected.jsonl", "answers.jsonl", "report.json", "report.html")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "FIRST", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def _config(server: Scripted, data: Path, out: Path, **more: object) -> CritiquesConfig:
    given = {"writer": "api:made-up", "base_url": server.url, "timeout": 10.0, "concurrency": 8}
    return CritiquesConfig(samples=f"samples:{data}", out=out, **{**given, **more})  # type: ignore[arg-type]


def _files(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in NAMES if (out / name).exists()}


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _kept(out: Path) -> list[Critique]:
    return list(read_critiques(f"samples:{out}", BadRows()))


def _overall(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())["overall"]
    return found


def right(body: Body) -> str:
    """A critique of its own for each sample, attempt and order, and the verdict that its samples claim."""
    side = "AB"[not bright_first(body)]
    return (
        f"Of number {number_of(body)}, response {side} is the bright one, seen {body['seed']} times.\nVERDICT: {side}"
    )


def wrong(body: Body) -> str:
    side = "AB"[bright_first(body)]
    return f"Of number {number_of(body)}, response {side} is worse, said {body['seed']} times.\nVERDICT: {side}"


def cut(body: Body) -> Body:
    return {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": right(body)}}


BEHAVIOURS: dict[str, Callable[[Body], str | Body]] = {
    "right": right,
    "wrong": wrong,
    "no verdict": lambda body: right(body) + "\nThat is all.",
    "no critique": lambda body: right(body).rpartition("\n")[2],
    "cut off": cut,
    "too long": lambda body: "so " * MOST_CHARACTERS + right(body),
    "no words": lambda body: "\ud800" * 20 + "\n" + right(body).rpartition("\n")[2],
    "dressed": lambda body: f"```\n{right(body).replace('VERDICT:', '**Verdict:**')}\n```",
}
KEPT = {"right", "dressed"}


def _behaving(body: Body) -> str | Body:
    """The first answer on sample n is of behaviour n modulo their number; a later one is right."""
    kind = list(BEHAVIOURS)[number_of(body) % len(BEHAVIOURS)]
    return right(body) if body["seed"] else BEHAVIOURS[kind](body)


def test_planted_behaviour_gives_the_counts_that_were_planted(tmp_path: Path) -> None:
    """Forty samples, five of each behaviour, one answer each."""
    data, out = planted(tmp_path / "data", 40), tmp_path / "out"
    with Scripted(_behaving) as server:
        outcome = critiques(_config(server, data, out, most=1))
        assert server.requests == 40
    assert (outcome.samples, outcome.kept, outcome.rejected, outcome.failed) == (40, 10, 30, 0)
    reasons = dict.fromkeys(("wrong", "no verdict", "cut off", "too long"), 5) | {"no critique": 10}
    assert Counter(one["reason"] for one in _lines(out / "rejected.jsonl")) == reasons
    overall = _overall(out)
    assert overall["reasons"] == reasons
    assert (overall["samples"], overall["questions"], overall["answers"], overall["kept"]) == (40, 40, 40, 10)
    assert overall["yield"]["value"] == 10 / 40
    assert overall["yield"]["interval"][0] < 10 / 40 < overall["yield"]["interval"][1]
    # What can be read is right but for the wrong ones: 5 each of right, no critique, no words, dressed, too long.
    assert overall["first_right"]["value"] == 25 / 40
    found = _kept(out)
    assert {list(BEHAVIOURS)[int(one.sample.id[1:]) % 8] for one in found} == KEPT
    assert len(found) == 10
    for one in found:
        number = int(one.sample.id[1:])
        assert one.sample.preference == truth(number)
        assert f"number {number}, response {'AB'[one.preference == 'b']}" in one.answer
    assert {one.id for one in read_samples(str(out), BadRows())} == {one.sample.id for one in found}
    assert max(map(len, (out / "rejected.jsonl").read_text().splitlines())) < 3_000


def test_what_is_not_right_is_asked_for_again(tmp_path: Path) -> None:
    """A second answer is right: 40 first ones, of which 10 are kept, and 30 second ones."""
    data, out = planted(tmp_path / "data", 40), tmp_path / "out"
    with Scripted(_behaving) as server:
        outcome = critiques(_config(server, data, out))
        assert server.requests == 40 + 30
    assert (outcome.kept, outcome.rejected) == (40, 30)
    assert _overall(out)["attempts"] == {"1": 10, "2": 30}
    assert _overall(out)["yield"]["value"] == 1.0
    lines = _lines(out / "critiques.jsonl")
    assert [line["id"] for line in lines] == sorted(f"s{number}" for number in range(40))
    assert Counter((line["writer"], line["tries"], line["right"]) for line in lines) == {
        ("api:made-up", 1, True): 10,
        ("api:made-up", 2, True): 30,
    }
    shown = {line["id"]: line["swapped"] for line in lines}
    assert set(shown.values()) == {True, False}


def test_a_writer_that_is_always_wrong_gives_nothing(tmp_path: Path) -> None:
    data, out = planted(tmp_path / "data", 12), tmp_path / "out"
    with Scripted(wrong) as server:
        outcome = critiques(_config(server, data, out, most=3))
        assert server.requests == 36
    assert (outcome.kept, outcome.rejected, outcome.merged) == (0, 36, True)
    assert _kept(out) == []
    assert _overall(out)["first_right"]["value"] == 0
    assert _overall(out)["words"] is None


def test_wrong_answers_are_kept_marked_where_they_are_wanted(tmp_path: Path) -> None:
    """Of the same answers, so nothing else changes; and they are not read as what to teach."""
    data, out = planted(tmp_path / "data", 16), tmp_path / "out"
    with Scripted(_behaving) as server:
        critiques(_config(server, data, tmp_path / "right", most=2))
        critiques(_config(server, data, out, most=2, keep="all"))
        assert server.requests == 2 * (16 + 12)
    assert Counter(line["right"] for line in _lines(out / "critiques.jsonl")) == {True: 16, False: 2}
    assert [(one.sample.id, one.answer) for one in _kept(out)] == [
        (one.sample.id, one.answer) for one in _kept(tmp_path / "right")
    ]
    marked = [line for line in _lines(out / "critiques.jsonl") if not line["right"]]
    assert all(line["answer"].endswith(f"VERDICT: {line['verdict'].upper()}") for line in marked)
    assert _overall(out) == _overall(tmp_path / "right")


def test_several_are_kept_of_a_sample_but_no_copies(tmp_path: Path) -> None:
    """Answers 0 and 1 are the same, 2 and 3 are not: two are kept of the first three."""
    data, out = planted(tmp_path / "data", 6), tmp_path / "out"

    def answer(body: Body) -> str:
        return right(body | {"seed": max(1, body["seed"])})

    with Scripted(answer) as server:
        critiques(_config(server, data, out, keep_per_sample=2))
        assert server.requests == 18
    assert Counter(line["tries"] for line in _lines(out / "critiques.jsonl")) == {1: 6, 3: 6}
    assert _overall(out)["reasons"] == {"copy": 6}


def test_copies_among_samples_are_found_when_parts_come_together(tmp_path: Path) -> None:
    """One answer for all whose bright response is shown first, one for the others; `same` of each are kept."""
    data = planted(tmp_path / "data", 20)

    def answer(body: Body) -> str:
        return f"The bright one is far better than the other.\nVERDICT: {'AB'[not bright_first(body)]}"

    with Scripted(answer) as server:
        critiques(_config(server, data, tmp_path / "one", most=1))
        for shard in ("0/2", "1/2"):
            critiques(_config(server, data, tmp_path / "three", most=1, same=3, shard=shard))
        critiques(_config(server, data, tmp_path / "any", most=1, same=0))
    assert [len(_kept(tmp_path / name)) for name in ("one", "three", "any")] == [2, 6, 20]
    first = {name: min(one["id"] for one in _lines(tmp_path / "any" / "critiques.jsonl") if one["verdict"] == name)
             for name in "ab"}  # fmt: skip
    assert {one.sample.id for one in _kept(tmp_path / "one")} == set(first.values())
    assert len(list(read_samples(str(tmp_path / "one"), BadRows()))) == 2
    assert _overall(tmp_path / "one")["reasons"] == {"copy": 18}


def test_both_orders_are_asked_about(tmp_path: Path) -> None:
    data, out = planted(tmp_path / "data", 10), tmp_path / "out"
    with Scripted(right) as server:
        outcome = critiques(_config(server, data, out, order="both"))
        assert server.requests == 20
    assert (outcome.samples, outcome.kept) == (10, 20)
    assert Counter(one.swapped for one in _kept(out)) == {True: 10, False: 10}
    overall = _overall(out)
    assert (overall["samples"], overall["questions"], overall["samples_kept"]) == (10, 20, 10)
    assert overall["first"]["swap"]["consistency"]["value"] == 1.0
    assert overall["kept_verdicts"] == {"a": 10, "b": 10, "tie": 0}


def test_a_lean_to_a_place_is_shown_and_balanced_away(tmp_path: Path) -> None:
    """A writer that always says A: right where A is right, in one of both orders. Balance leaves nothing of it.

    One that is right on A, and on B for even numbers: by hand, as many A as B are left.
    """
    data = planted(tmp_path / "data", 30)

    def leaning(body: Body) -> str:
        return f"Number {number_of(body)}: response A is the one to take.\nVERDICT: A"

    def half(body: Body) -> str:
        return right(body) if bright_first(body) or number_of(body) % 2 == 0 else wrong(body)

    with Scripted(leaning) as server:
        critiques(_config(server, data, tmp_path / "a", order="both", most=1))
        critiques(_config(server, data, tmp_path / "none", order="both", most=1, balance=True))
    with Scripted(half) as server:
        critiques(_config(server, data, tmp_path / "half", order="both", most=1))
        critiques(_config(server, data, tmp_path / "even", order="both", most=1, balance=True))
        critiques(_config(server, data, tmp_path / "seed", order="both", most=1, balance=True, seed=1))
    overall = _overall(tmp_path / "a")
    assert overall["kept_verdicts"] == {"a": 30, "b": 0, "tie": 0}
    assert overall["kept_first_slot"]["value"] == overall["first"]["first_slot"]["value"] == 1.0
    assert overall["first"]["swap"]["first_slot_bias"]["value"] == 1.0
    assert "may learn to lean" in (tmp_path / "a" / "report.html").read_text()
    assert _kept(tmp_path / "none") == []
    assert _overall(tmp_path / "none")["reasons"] == {"unbalanced": 30, "wrong": 30}
    assert _overall(tmp_path / "half")["kept_verdicts"] == {"a": 30, "b": 15, "tie": 0}
    assert _overall(tmp_path / "even")["kept_verdicts"] == {"a": 15, "b": 15, "tie": 0}
    left = [{(one.sample.id, one.swapped) for one in _kept(tmp_path / name)} for name in ("even", "seed")]
    assert left[0] != left[1]


def test_ties(tmp_path: Path) -> None:
    """One of four samples ties. Where ties are not allowed, it is not asked about, and the question is another."""
    said = Comparison((Turn("user", (Text("Say it."),)),), (Text("yes"),), (Text("no"),))
    samples = [Sample(f"s{n}", Task.T2T, said, "tie" if n == 0 else "a", f"p{n}") for n in range(4)]
    write_samples(samples, tmp_path / "data")
    with Scripted(lambda _body: "Both say all that there is to say.\nVERDICT: TIE") as server:
        critiques(_config(server, tmp_path / "data", tmp_path / "out", most=1))
        assert server.requests == 1 + 1  # the four differ in nothing that is shown, but for the order
        assert all("VERDICT: TIE" in body["messages"][0]["content"] for body in server.bodies)
        critiques(_config(server, tmp_path / "data", tmp_path / "forced", most=1, ties=False))
        assert all("VERDICT: TIE" not in body["messages"][0]["content"] for body in server.bodies[2:])
    assert [one.sample.id for one in _kept(tmp_path / "out")] == ["s0"]
    assert _overall(tmp_path / "out")["reasons"] == {"wrong": 3}
    assert _overall(tmp_path / "forced")["reasons"] == {"no verdict": 3, "tie": 1}


def test_media_are_shown_and_kept_once(tmp_path: Path) -> None:
    """Pictures go to the writer and into the folder; a trainer reads them from there."""
    data = "miniature:prompts=1"
    with Scripted(lambda _body: "The first has a light that is warmer than the other.\nVERDICT: A") as server:
        config = replace(_config(server, tmp_path, tmp_path / "out", order="both", most=1, same=0), samples=data)
        critiques(replace(config, tasks=("T2I",), limit=4))
        assert {part["type"] for part in server.bodies[0]["messages"][1]["content"]} == {"text", "image_url"}
    found = _kept(tmp_path / "out")
    first = [one for one in world_samples(World(prompts=1), "train") if one.task is Task.T2I][:4]
    assert [one.sample.id for one in found] == sorted(one.id for one in first if one.preference != "tie")
    assert found  # one order of each
    assert all(one.preference == "a" for one in found)
    kept = [path for path in (tmp_path / "out" / "media").rglob("*") if path.is_file()]
    shown = {str(part) for one in found for part in (*one.shown.response_a, *one.shown.response_b)}
    assert len(kept) == len(shown)


def test_faults_on_a_fifth_of_the_calls_lose_nothing(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 40)
    with Scripted(_behaving) as server:
        critiques(_config(server, data, tmp_path / "whole"))
    kinds = ("429", "500", "cut", "half", "empty", "malformed", "schema", "null", "bytes")
    with Scripted(_behaving, plan=seeded(0.2, kinds)) as server:
        outcome = critiques(_config(server, data, tmp_path / "broken"))
        assert server.requests > 40 + 30
    assert outcome.failed == 0
    assert set(_files(tmp_path / "whole")) == set(NAMES)
    assert _files(tmp_path / "broken") == _files(tmp_path / "whole")


def test_samples_whose_calls_fail_are_left_for_the_next_run(tmp_path: Path) -> None:
    data, out = planted(tmp_path / "data", 16), tmp_path / "out"
    broken = [True]

    def plan(body: Body, _attempt: int) -> Fault | None:
        return Fault(status=500) if broken[0] and number_of(body) % 4 == 0 else None

    with Scripted(right) as server:
        critiques(_config(server, data, tmp_path / "whole"))
    with Scripted(right, plan=plan) as server:
        config = _config(server, data, out, tries=2)
        outcome = critiques(config)
        assert (outcome.failed, outcome.merged) == (4, False)
        assert "gave no answer" in outcome.first_error
        assert not (out / "critiques.jsonl").exists()
        settled = critiques(_config(server, data, tmp_path / "settled", tries=2, settle=True))
        assert (settled.failed, settled.kept, settled.merged) == (4, 12, True)
        asked, broken[0] = server.requests, False
        outcome = critiques(config)
        assert (outcome.failed, outcome.merged, server.requests - asked) == (0, True, 4)
    assert _files(out) == _files(tmp_path / "whole")
    assert _overall(tmp_path / "settled")["reasons"] == {"failed": 4}


def test_however_the_work_is_divided_the_bytes_are_the_same(tmp_path: Path) -> None:
    data, out = planted(tmp_path / "data", 30), tmp_path / "divided"
    more = {"order": "both", "balance": True, "keep_per_sample": 2, "keep": "all"}
    with Scripted(_behaving) as server:
        critiques(_config(server, data, tmp_path / "whole", **more))
        asked = server.requests
        assert not critiques(_config(server, data, out, **more, shard="0/3")).merged
        for shard in ("1/3", "2/3"):
            outcome = critiques(_config(server, data, out, **more, shard=shard))
        assert server.requests == 2 * asked
        critiques(_config(server, data, out, **more))
        assert server.requests == 2 * asked  # nor does another division ask again
    assert outcome.merged
    assert _files(out) == _files(tmp_path / "whole")


@pytest.mark.slow
def test_workers_give_the_same_bytes(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 30)
    with Scripted(_behaving) as server:
        critiques(_config(server, data, tmp_path / "whole"))
        critiques(_config(server, data, tmp_path / "workers", workers=2))
    assert _files(tmp_path / "workers") == _files(tmp_path / "whole")


CHILD = "import sys; from tests.construct.test_critiques import child; child(*sys.argv[1:])"


def child(url: str, data: str, out: str) -> None:
    """Another process, to be killed."""
    critiques(
        CritiquesConfig(samples=f"samples:{data}", out=Path(out), writer="api:made-up", base_url=url, concurrency=4)
    )


def _answered(out: Path) -> set[tuple[int, int]]:
    """Sample and attempt of each call that is paid for; answers say which they were for."""
    found = set()
    for path in out.glob("parts/*/calls-writer.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            if "#" in (text := json.loads(line).get("text", "")):
                number, attempt = text.split("#")[1].split(".")[:2]
                found.add((int(number), int(attempt)))
    return found


@pytest.mark.slow
def test_killed_with_sigkill_nothing_that_was_paid_for_is_asked_again(tmp_path: Path) -> None:
    """First answers are wrong and second ones right. One kill, then an end; no call is sent twice that was answered."""
    data, out = planted(tmp_path / "data", 40), tmp_path / "out"

    def answer(body: Body) -> str:
        told = (right if body["seed"] else wrong)(body)
        return f"As #{number_of(body)}.{body['seed']}. {told}"

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Scripted(answer, latency=0.03) as server:
        command = [sys.executable, "-c", CHILD, server.url, str(data), str(out)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while len(server.bodies) < 30 and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before, seen = _answered(out), len(server.bodies)
        assert before
        outcome = critiques(_config(server, data, out))
        asked = {(number_of(body), body["seed"]) for body in server.bodies[seen:]}
        assert not asked & before
        assert asked | before == {(number, attempt) for number in range(40) for attempt in range(2)}
        critiques(_config(server, data, tmp_path / "whole"))
    assert (outcome.merged, outcome.kept) == (True, 40)
    assert _files(out) == _files(tmp_path / "whole")


def test_a_budget_is_never_passed(tmp_path: Path) -> None:
    """30 calls of 0.7 are needed and 10.5 allow 15; prompts are guessed at up to 1,400 tokens, so some room stays."""
    data, out = planted(tmp_path / "data", 30), tmp_path / "out"
    prices = {"price_in": 1000.0, "price_out": 1000.0, "max_tokens": 100}
    with Scripted(right, usage=(600, 100)) as server:
        for shard in ("0/2", "1/2", "0/1"):
            outcome = critiques(_config(server, data, out, **prices, budget=10.5, shard=shard))
            assert server.requests * 0.7 <= 10.5
            assert "budget" in outcome.first_error
        assert server.requests * 0.7 > 10.5 - 3.0
        outcome = critiques(_config(server, data, out, **prices, budget=60.0))
        assert (outcome.failed, outcome.merged, server.requests) == (0, True, 30)
        assert outcome.spent == pytest.approx(30 * 0.7)
        critiques(_config(server, data, tmp_path / "whole", max_tokens=100))
    assert _files(out) == _files(tmp_path / "whole")


def test_a_dry_run_bounds_what_a_run_takes(tmp_path: Path) -> None:
    data, out = planted(tmp_path / "data", 10), tmp_path / "out"
    with Scripted(_behaving, usage=(600, 50)) as server:
        config = _config(server, data, out, price_in=1.0, price_out=2.0, order="both", most=3)
        found = dry_run(config)
        assert server.requests == 0
        assert not out.exists()
        critiques(config)
        assert server.requests <= found.estimate.calls == 10 * 2 * 3
    assert (found.samples, found.unreadable) == (10, 0)
    assert found.estimate.answer_tokens == 60 * config.max_tokens


def test_what_cannot_be_shown_is_counted_and_not_asked_again(tmp_path: Path) -> None:
    """A picture that is none, and a prompt that is not the user's."""
    data, out = planted(tmp_path / "data", 2), tmp_path / "out"
    lines = _lines(data / "samples.jsonl")
    (data / "broken.png").write_bytes(b"no picture")
    broken = {**lines[0], "id": "broken", "task": "T2I"}
    broken["response_a"] = broken["response_b"] = [{"kind": "image", "media": ["broken.png"]}]
    said = {**lines[0], "id": "said", "prompt": [{"role": "assistant", "content": [{"kind": "text", "text": "?"}]}]}
    (data / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in (*lines, broken, said)))
    with Scripted(right) as server:
        outcome = critiques(_config(server, data, out))
        assert server.requests == 2
        assert dry_run(_config(server, data, out)).unreadable == 2
    assert (outcome.kept, outcome.failed, outcome.merged) == (2, 0, True)
    assert _overall(out)["reasons"] == {"unreadable": 2}


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 2)
    with Scripted(right) as server:
        critiques(_config(server, data, tmp_path / "out"))
        with pytest.raises(JournalError, match="holds another run: its settings"):
            critiques(_config(server, data, tmp_path / "out", balance=True))
        with pytest.raises(JournalError, match="is not empty"):
            critiques(_config(server, data, data))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"writer": "longer"}, "is no chat model"),
        ({"most": 0}, "most must be at least 1"),
        ({"most": 2, "keep_per_sample": 3}, "3 cannot be kept"),
        ({"temperature": 0.0}, "would all be the same"),
        ({"fewest_words": 0}, "fewest_words must be at least 1"),
        ({"same": -1}, "same must be at least 0"),
        ({"budget": 1.0}, "needs prices"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_what_cannot_be_done_is_refused_beforehand(tmp_path: Path, more: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        CritiquesConfig(**{"samples": "x", "out": tmp_path, "writer": "api:m", **more})  # type: ignore[arg-type]


def test_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planted(tmp_path / "s", 4)
    monkeypatch.chdir(tmp_path)
    with Scripted(right, usage=(100, 10)) as server:
        words = ["construct", "critiques", "--samples", "samples:s", "--writer", "api:m", "--out", "out"]
        words += ["--base-url", server.url, "--price-in", "1", "--price-out", "1"]
        assert main([*words, "--dry-run"]) == 0
        assert "calls, at most" in capsys.readouterr().out
        assert main(words) == 0
        said = capsys.readouterr().out
        assert "4 critiques of 4 samples are kept, from 4 answers" in " ".join(said.split())
        assert "The samples are in out; the page is out/report.html." in said
        before = _files(tmp_path / "out")
        assert main(["construct", "critiques", "--recipe", "out/config.yaml"]) == 0
        assert server.requests == 4
    assert _files(tmp_path / "out") == before


@pytest.mark.slow
def test_a_local_chat_model_writes_and_resumes(tmp_path: Path) -> None:
    """The tiny model answers with one or more of these in a row, or a verdict alone; a second run asks nothing anew."""
    pytest.importorskip("torch")
    from omnireward.generation.tiny import write_tiny_chat_model

    lines = [f"Its light is brighter by far\nVERDICT: {letter}" for letter in "AB"]
    write_tiny_chat_model(tmp_path / "model", lines, images=False)
    data, out = planted(tmp_path / "data", 8), tmp_path / "out"
    config = CritiquesConfig(
        samples=f"samples:{data}", out=out, writer=f"generative:{tmp_path / 'model'}", order="both", most=2,
        same=0, temperature=4.0, max_tokens=40, batch_size=8,
    )  # fmt: skip
    outcome = critiques(config)
    assert (outcome.samples, outcome.failed) == (8, 0)
    found = _kept(out)
    assert outcome.kept == len(found) > 0
    for one in found:
        assert one.answer.endswith(f"far\nVERDICT: {one.preference.upper()}")
    before = _files(out)
    journal = out / "parts" / "0-of-1" / "answers-writer.jsonl"
    written = journal.read_bytes()
    (out / "parts" / "0-of-1" / "done.json").unlink()
    critiques(config)
    assert journal.read_bytes() == written
    assert _files(out) == before


@pytest.mark.slow
def test_a_judge_that_was_trained_here_writes(tmp_path: Path) -> None:
    """A tiny one that knows nothing: its answers are cut off, refused, and in the journal."""
    pytest.importorskip("torch")
    from omnireward.backbones.minicpm_o import tiny
    from omnireward.policy import Policy

    Policy.new(tiny(["Please write number one."] * 9, 0), "minicpm_o", 0).save(tmp_path / "judge")
    data, out = planted(tmp_path / "data", 3), tmp_path / "out"
    config = CritiquesConfig(
        samples=f"samples:{data}", out=out, writer=f"generative:{tmp_path / 'judge'}", most=2, max_tokens=8
    )
    outcome = critiques(config)
    assert (outcome.samples, outcome.failed, outcome.kept, outcome.merged) == (3, 0, 0, True)
    assert sum(_overall(out)["reasons"].values()) == 6
    assert len((out / "parts" / "0-of-1" / "answers-writer.jsonl").read_text().splitlines()) == 6
