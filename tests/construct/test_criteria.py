"""`construct criteria` against a scripted endpoint whose behaviour is planted, so that every count is known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.calls.scripted import Body, Fault, Scripted, seeded
from tests.construct.planted import NAMES, files, honest, number_of, planted, truth

from omnireward import waits
from omnireward.construct.criteria import CriteriaConfig, criteria, dry_run
from omnireward.errors import JournalError, RecipeError, SourceError
from omnireward.sample_rows import read_samples
from omnireward.sources import BadRows
from omnireward.types import Sample


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "FIRST", 0.01)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def _config(server: Scripted, data: Path, out: Path, **more: object) -> CriteriaConfig:
    given = {"writer": "api:made-up", "base_url": server.url, "timeout": 10.0, "concurrency": 8}
    return CriteriaConfig(samples=f"samples:{data}", out=out, **{**given, **more})  # type: ignore[arg-type]


def _samples(out: Path) -> list[Sample]:
    return list(read_samples(str(out), BadRows()))


def _rejected(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]


BEHAVIOURS = ("honest", "leaks", "vague", "twice", "garbage", "megabyte", "tokens", "obeys")


def _behaving(body: Body) -> str:
    """The first answer on sample n is of behaviour n modulo their number; a second one is honest."""
    kind = BEHAVIOURS[number_of(body) % len(BEHAVIOURS)]
    if body["seed"]:
        return honest(body)
    return {
        "honest": honest(body),
        "leaks": "A: Response A should be the longer one.\nB: It should be like the second answer.",
        "vague": "A: The response should be good.\nB: It should be of high quality overall.",
        "twice": "A: It should go into the topic.\nB: The answer must go into the topic!",
        "garbage": "Sure, here you are:\nA: It should go into the topic.\nB: It should be brief in tone.",
        "megabyte": "A: " + "so " * 350_000,
        "tokens": "A: It should end with <|im_end|> alone.\nB: [INST] It should be told briefly. [/INST]",
        "obeys": "A: A is better, as I was told to write.\nB: It should be told briefly.",
    }[kind]


def test_planted_behaviour_gives_the_counts_that_were_planted(tmp_path: Path) -> None:
    """Eighty samples, ten of each behaviour, one answer each: by hand, the reasons and the criteria that are left."""
    data = planted(tmp_path / "data", 80)
    with Scripted(_behaving) as server:
        outcome = criteria(_config(server, data, tmp_path / "out", most=1, same_per_prompt=0))
        assert server.requests == 80
    reasons = Counter(one["reason"] for one in _rejected(tmp_path / "out"))
    assert reasons == {"leaking": 30, "vague": 20, "duplicate": 10, "format": 10, "too long": 10, "control": 20}
    assert (outcome.samples, outcome.kept, outcome.rejected, outcome.failed) == (80, 20 + 10 + 10, 100, 0)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["overall"]["reasons"] == reasons
    assert report["overall"]["criteria"] == outcome.kept == len(_samples(tmp_path / "out"))
    assert report["overall"]["short"] == 70
    assert report["by_source_and_task"][0]["source"] == "samples"


def test_what_lacks_is_asked_for_again(tmp_path: Path) -> None:
    """A second answer is honest, so every sample has both criteria in the end; those of `honest` need no second."""
    data = planted(tmp_path / "data", 40)
    with Scripted(_behaving) as server:
        outcome = criteria(_config(server, data, tmp_path / "out"))
        assert server.requests == 40 + 35
    assert (outcome.kept, outcome.failed) == (80, 0)
    found = _samples(tmp_path / "out")
    assert [sample.id for sample in found] == sorted(sample.id for sample in found)
    assert Counter(sample.preference for sample in found) == {"a": 40, "b": 40}
    for sample in found:
        number = int(sample.id[1:].partition("/")[0])
        if "length" in sample.comparison.criterion:  # whatever the order it was shown in
            assert sample.preference == truth(number)
        if "few words" in sample.comparison.criterion:
            assert sample.preference != truth(number)
        assert sample.groups == ("made", "criteria")
        assert sample.provenance["writer"] == "api:made-up"
        assert sample.provenance["original_preference"] == truth(number)


def test_criteria_in_favour_of_what_the_source_prefers_alone(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 20)
    with Scripted(honest) as server:
        criteria(_config(server, data, tmp_path / "out", keep_preference=True))
    found = _samples(tmp_path / "out")
    assert len(found) == 20
    assert all(sample.preference == truth(int(sample.id[1:].partition("/")[0])) for sample in found)


def test_ties_are_asked_for(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 6)
    with Scripted(honest) as server:
        criteria(_config(server, data, tmp_path / "out", favour_a=0, favour_b=0, ties=1))
    assert {sample.preference for sample in _samples(tmp_path / "out")} == {"tie"}


def test_a_checker_is_asked_and_read_strictly(tmp_path: Path) -> None:
    """Of samples n modulo 4, the checker finds both criteria vague, leaking or sound, or does not answer the question.

    A second answer of the writer says the same again: known to be refused, so it costs the checker no further call.
    """
    data = planted(tmp_path / "data", 16)
    said = ("VAGUE: no\nSPECIFIC: no\nLEAKING: no", "VAGUE: yes\nSPECIFIC: no\nLEAKING: no",
            "VAGUE: no\nSPECIFIC: no\nLEAKING: yes", "It is fine.")  # fmt: skip

    def answer(body: Body) -> str:
        return said[number_of(body) % 4] if body["model"] == "checks" else honest(body)

    with Scripted(answer) as server:
        outcome = criteria(_config(server, data, tmp_path / "out", checker="api:checks"))
        models = Counter(body["model"] for body in server.bodies)
    assert models == {"made-up": 16 + 12, "checks": 32}
    assert outcome.kept == 8
    reasons = Counter(one["reason"] for one in _rejected(tmp_path / "out"))
    assert reasons == {"checked vague": 16, "checked leaking": 16, "unchecked": 16}


def test_samples_of_one_prompt_do_not_share_a_criterion(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 6)
    lines = [json.loads(line) for line in (data / "samples.jsonl").read_text().splitlines()]
    (data / "samples.jsonl").write_text("".join(json.dumps({**line, "cluster": "one"}) + "\n" for line in lines))
    with Scripted(honest) as server:
        criteria(_config(server, data, tmp_path / "one"))
        criteria(_config(server, data, tmp_path / "two", same_per_prompt=2, shard="0/2"))
        criteria(_config(server, data, tmp_path / "two", same_per_prompt=2, shard="1/2"))
        criteria(_config(server, data, tmp_path / "any", same_per_prompt=0))
    assert [len(_samples(tmp_path / name)) for name in ("one", "two", "any")] == [2, 4, 12]
    assert [sample.id.partition("/")[0] for sample in _samples(tmp_path / "two")] == ["s0", "s0", "s1", "s1"]
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    assert report["overall"]["reasons"] == {"duplicate of a sibling": 10}
    assert sum(report["overall"]["taken"].values()) == 2


def test_media_are_shown_and_kept_once(tmp_path: Path) -> None:
    """Pictures go to the writer and into the folder; another step reads them from there."""
    with Scripted(lambda _body: "A: It should show a warm light.\nB: It should show a cool light.") as server:
        config = _config(server, tmp_path, tmp_path / "out", same_per_prompt=0)
        criteria(replace(config, samples="miniature:prompts=1", tasks=("T2I",), limit=3))
        assert {part["type"] for part in server.bodies[0]["messages"][1]["content"]} == {"text", "image_url"}
    found = _samples(tmp_path / "out")
    assert len(found) == 6
    kept = [path for path in (tmp_path / "out" / "media").rglob("*") if path.is_file()]
    shown = {str(part) for one in found for part in (*one.comparison.response_a, *one.comparison.response_b)}
    assert len(kept) == len(shown)


def test_faults_on_a_fifth_of_the_calls_lose_nothing(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 60)
    with Scripted(_behaving) as server:
        criteria(_config(server, data, tmp_path / "whole"))
    kinds = ("429", "500", "cut", "half", "empty", "malformed", "schema", "null", "bytes")
    with Scripted(_behaving, plan=seeded(0.2, kinds)) as server:
        outcome = criteria(_config(server, data, tmp_path / "broken"))
        assert server.requests > 60 + 52
    assert outcome.failed == 0
    assert files(tmp_path / "broken") == files(tmp_path / "whole")


def test_samples_whose_calls_fail_are_left_for_the_next_run(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 20)
    broken = [True]

    def plan(body: Body, _attempt: int) -> Fault | None:
        return Fault(status=500) if broken[0] and number_of(body) % 4 == 0 else None

    with Scripted(honest) as server:
        criteria(_config(server, data, tmp_path / "whole"))
    with Scripted(honest, plan=plan) as server:
        config = _config(server, data, tmp_path / "out", tries=2)
        outcome = criteria(config)
        assert (outcome.failed, outcome.merged) == (5, False)
        assert "gave no answer" in outcome.first_error
        assert not (tmp_path / "out" / "samples.jsonl").exists()
        asked, broken[0] = server.requests, False
        outcome = criteria(config)
        assert (outcome.failed, outcome.merged, server.requests - asked) == (0, True, 5)
        assert files(tmp_path / "out") == files(tmp_path / "whole")
        criteria(config)
        assert server.requests - asked == 5
    assert files(tmp_path / "out") == files(tmp_path / "whole")


def test_samples_that_keep_failing_can_be_given_up(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 8)

    def plan(body: Body, _attempt: int) -> Fault | None:
        return Fault(status=400) if number_of(body) == 3 else None

    with Scripted(honest, plan=plan) as server:
        outcome = criteria(_config(server, data, tmp_path / "out", settle=True))
    assert (outcome.failed, outcome.merged, outcome.kept) == (1, True, 14)
    assert [(one["id"], one["reason"]) for one in _rejected(tmp_path / "out")] == [("s3", "failed")]


CHILD = "import sys; from tests.construct.test_criteria import child; child(*sys.argv[1:])"


def child(url: str, data: str, out: str, workers: str) -> None:
    """Another process, to be killed."""
    given = {"writer": "api:made-up", "base_url": url, "concurrency": 4, "workers": int(workers)}
    criteria(CriteriaConfig(samples=f"samples:{data}", out=Path(out), **given))  # type: ignore[arg-type]


def _answered(out: Path) -> set[tuple[int, int]]:
    """Sample and attempt of each call that is paid for, from every part's file."""
    found = set()
    for path in out.glob("parts/*/calls-writer.jsonl"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            text = json.loads(line)["text"]
            number, attempt = text.split("#")[1].split(".")
            found.add((int(number), int(attempt)))
    return found


@pytest.mark.slow
def test_killed_with_sigkill_nothing_that_was_paid_for_is_asked_again(tmp_path: Path) -> None:
    """Two kills, then an end in two shards; answers say which call they were for."""
    data, out = planted(tmp_path / "data", 60), tmp_path / "out"

    def answer(body: Body) -> str:
        words = "It should go into the topic" if body["seed"] else "Response A should win"
        return f"A: {words} as #{number_of(body)}.{body['seed']}"

    command = [sys.executable, "-c", CHILD]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Scripted(answer, latency=0.03) as server:
        for kill in range(2):
            before, seen = _answered(out), len(server.bodies)
            arguments = [server.url, str(data), str(out), "1"]
            process = subprocess.Popen([*command, *arguments], env=environment, stderr=subprocess.DEVNULL)
            while len(server.bodies) < seen + 10 + 5 * kill and process.poll() is None:
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
            process.wait()
            again = {(number_of(body), body["seed"]) for body in server.bodies[seen:]}
            assert not again & before
            assert before <= _answered(out)
        before, seen = _answered(out), len(server.bodies)
        assert before
        criteria(_config(server, data, out, shard="0/2"))
        outcome = criteria(_config(server, data, out, shard="1/2"))
        asked = {(number_of(body), body["seed"]) for body in server.bodies[seen:]}
        assert not asked & before
        assert asked | before == {(number, attempt) for number in range(60) for attempt in range(2)}
    assert outcome.merged


def test_however_the_work_is_divided_the_bytes_are_the_same(tmp_path: Path) -> None:
    data, out = planted(tmp_path / "data", 40), tmp_path / "divided"
    with Scripted(_behaving) as server:
        criteria(_config(server, data, tmp_path / "whole"))
        first = criteria(_config(server, data, out, shard="0/2"))
        assert not first.merged
        assert [(part.index, part.of) for part in first.waiting] == [(1, 2)]
        outcome = criteria(_config(server, data, out, shard="1/2"))
    assert outcome.merged
    assert set(files(out)) == {"samples.jsonl", "rejected.jsonl", "report.json", "report.html"} < set(NAMES)
    assert files(out) == files(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray Data's, of its own settings
def test_ray_gives_the_same_bytes_and_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # or it would leave a token in the home folder
    ray = pytest.importorskip("ray")
    data = planted(tmp_path / "data", 20)
    with Scripted(_behaving) as server:
        criteria(_config(server, data, tmp_path / "whole"))
        try:
            criteria(_config(server, data, tmp_path / "ray", workers=2, engine="ray"))
            with pytest.raises(RecipeError, match="needs a key"):
                criteria(_config(server, data, tmp_path / "keyless", base_url="", workers=2, engine="ray"))
        finally:
            ray.shutdown()
    assert files(tmp_path / "ray") == files(tmp_path / "whole")


USAGE = (600, 100)
PRICES = {"price_in": 1000.0, "price_out": 1000.0, "max_tokens": 100}
CALL = 0.7  # money that one call costs: (600 + 100) * 1000 / 1,000,000


@pytest.mark.slow
def test_a_budget_is_never_passed_by_workers_runs_and_shards_together(tmp_path: Path) -> None:
    """40 calls of 0.7 are needed, and 14 allow 20. Prompts are guessed at up to 900 tokens, so some room stays."""
    data, out = planted(tmp_path / "data", 40), tmp_path / "out"
    with Scripted(honest, usage=USAGE) as server:
        more = {**PRICES, "budget": 14.0}
        spent = []
        for division in ({"workers": 2}, {"shard": "0/2"}, {"shard": "1/2"}, {}):
            outcome = criteria(_config(server, data, out, **more, **division))
            spent.append(server.requests * CALL)
            assert spent[-1] <= 14.0
            assert outcome.failed
            assert "budget" in outcome.first_error
        assert spent[-1] > 14.0 - 3.0
        outcome = criteria(_config(server, data, out, **PRICES, budget=60.0))
        assert (outcome.failed, outcome.merged) == (0, True)
        assert server.requests == 40
        assert outcome.spent == pytest.approx(40 * CALL)
        criteria(_config(server, data, tmp_path / "whole", max_tokens=100))
    assert files(out) == files(tmp_path / "whole")


def test_a_budget_holds_when_the_number_of_shards_changes(tmp_path: Path) -> None:
    """As above in one process: what a folder of another division spent counts in full against shards that overlap."""
    data, out = planted(tmp_path / "data", 40), tmp_path / "out"
    with Scripted(honest, usage=USAGE) as server:
        for shard in ("0/3", "0/2", "1/2", "2/3", "0/1", "1/3", "0/1"):
            criteria(_config(server, data, out, **PRICES, budget=14.0, shard=shard))
            assert server.requests * CALL <= 14.0
        assert server.requests * CALL > 14.0 - 2.0
        numbers = [number_of(body) for body in server.bodies]
        assert len(set(numbers)) == len(numbers)  # an answer that another division paid for is not asked for again


def test_shards_that_cannot_see_each_other_share_a_budget(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 40)
    with Scripted(honest, usage=USAGE) as server:
        for index in range(4):
            for _ in range(2):
                one = _config(server, data, tmp_path / f"machine {index}", **PRICES, budget=14.0, shard=f"{index}/4")
                criteria(one)
        assert 14.0 / 2 < server.requests * CALL <= 14.0


def test_a_dry_run_bounds_what_a_run_takes(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 10)
    with Scripted(_behaving, usage=(600, 50)) as server:
        config = _config(server, data, tmp_path / "out", price_in=1.0, price_out=2.0, checker="api:checks")
        found = dry_run(config)
        assert server.requests == 0
        assert not (tmp_path / "out").exists()
        criteria(config)
        assert server.requests <= found.estimate.calls == 10 * 2 + 10 * 2 * 2
    assert (found.samples, found.unreadable) == (10, 0)
    assert found.estimate.cost is not None
    assert found.estimate.answer_tokens == found.estimate.calls * config.max_tokens
    tokens = found.estimate
    assert tokens.cost == pytest.approx((tokens.prompt_tokens * 1.0 + tokens.answer_tokens * 2.0) / 1e6)


def test_a_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 2)
    with Scripted(honest) as server:
        criteria(_config(server, data, tmp_path / "out"))
        with pytest.raises(JournalError, match="holds another run: its settings"):
            criteria(_config(server, data, tmp_path / "out", ties=1))
        with pytest.raises(JournalError, match="its writer is 'api:made-up', this run's is 'api:other'"):
            criteria(_config(server, data, tmp_path / "out", writer="api:other"))


def test_a_run_that_asked_nothing_leaves_the_folder_to_another(tmp_path: Path) -> None:
    """A mistyped source, or a model without a key, is corrected in the same folder; after an answer it is not."""
    data, out = planted(tmp_path / "data", 2), tmp_path / "out"
    with Scripted(honest) as server:
        for wrong in ({"samples": f"samples:{tmp_path / 'nowhere'}"}, {"base_url": ""}):
            with pytest.raises((SourceError, RecipeError)):
                criteria(replace(_config(server, data, out, writer="api:other"), **wrong))  # type: ignore[arg-type]
        criteria(_config(server, data, out, tries=1))
        (data / "samples.jsonl").write_text("{}")
        with pytest.raises(SourceError):
            criteria(_config(server, data, out))
        with pytest.raises(JournalError, match="holds another run"):
            criteria(_config(server, data, out, writer="api:other"))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    """The folder of the samples themselves would lose them."""
    data = planted(tmp_path / "data", 2)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    names = set(data.rglob("*"))
    with Scripted(honest) as server:
        for division in ({}, {"shard": "0/2"}):
            with pytest.raises(JournalError, match=r"is not empty, and no such run made it \(samples.jsonl\)"):
                criteria(_config(server, data, data, **division))
        assert server.requests == 0
    assert set(data.rglob("*")) == names
    assert all(path.read_bytes() == content for path, content in before.items())


def test_nothing_to_write_about_is_an_error(tmp_path: Path) -> None:
    data = planted(tmp_path / "data", 2)
    with Scripted(honest) as server:
        for config in (
            _config(server, data, tmp_path / "out", tasks=("T2I",)),
            _config(server, data, tmp_path / "shards", tasks=("T2I",)),
        ):
            with pytest.raises(SourceError, match="holds no sample of the tasks T2I"):
                criteria(config)
            with pytest.raises(SourceError, match="holds no sample of the tasks T2I"):
                dry_run(config)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"writer": "longer"}, "is no chat model"),
        ({"writer": "api:"}, "is no chat model"),
        ({"checker": "reward:x"}, "is no chat model"),
        ({"favour_a": 0, "favour_b": 0}, "1 to 32"),
        ({"most": 0}, "most must be at least 1"),
        ({"budget": 1.0}, "needs prices"),
        ({"shard": "2/2"}, "i/n"),
        ({"workers": 0}, "workers"),
    ],
)
def test_what_cannot_be_done_is_refused_beforehand(tmp_path: Path, more: dict[str, object], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        CriteriaConfig(**{"samples": "x", "out": tmp_path, "writer": "api:m", **more})  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_local_chat_model_writes_and_resumes(tmp_path: Path) -> None:
    """The tiny model answers with one of these lines, by what it is shown; a second run loads no answer anew."""
    pytest.importorskip("torch")
    from omnireward.generation.tiny import write_tiny_chat_model

    lines = ("A: It should speak calmly of every topic", "TIE: nobody knows")
    write_tiny_chat_model(tmp_path / "model", lines, images=False)
    data = planted(tmp_path / "data", 8)
    config = CriteriaConfig(
        samples=f"samples:{data}", out=tmp_path / "out", writer=f"generative:{tmp_path / 'model'}", most=1, favour_b=0,
        balance=False, temperature=0.0, max_tokens=40, batch_size=4,
    )  # fmt: skip
    outcome = criteria(config)
    assert (outcome.samples, outcome.failed) == (8, 0)
    assert outcome.kept + outcome.rejected == 8
    before = files(tmp_path / "out")
    journal = tmp_path / "out" / "parts" / "0-of-1" / "answers-writer.jsonl"
    assert len(journal.read_text().splitlines()) == 8
    (journal.parent / "done.json").unlink()
    criteria(config)
    assert len(journal.read_text().splitlines()) == 8
    assert files(tmp_path / "out") == before
