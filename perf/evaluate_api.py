"""Judging through an API: ours against one call after the other with a results file that is rewritten each time.

Run from the project's root, with nothing else running:  OMP_NUM_THREADS=1 python -m perf.evaluate_api

The endpoint is a process of its own on loopback: 0.2 s for each answer, 64 slots, 429 above. Samples are made-up text.
Ours is the whole way of `omnireward evaluate` without the report: digest, question, call, answers on the disk,
judgements on the disk. The reference does what the published evaluation script does: one blocking request with a new
connection for each sample, and the list of all results written to the file anew. It judges fewer samples and is
extrapolated by the call; its file holds half of all results from the start, which is what a rewrite meets on average.
Its questions are built beforehand, in its favour.

The most that 64 slots of 0.2 s can answer is 320 a second. The last line is one JSON object:
speedup (goal: 40), fraction_of_limit (goal: 0.9), journal_cost_growth (a call's CPU time at 10,000 calls over that at
100; goal: 1). Wall time of the journal is the disk's: how long a sync takes depends on what else the disk does.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from perf.rounds import Times, last_line

from omnireward.calls.ledger import Finished, Ledger
from omnireward.calls.messages import MessageWriter
from omnireward.calls.options import Tokens
from omnireward.calls.replies import Reply
from omnireward.journal import Journal
from omnireward.judges import JudgeOptions, PatientJudge, open_judge
from omnireward.judging import judge_all
from omnireward.presentation import Presenter
from omnireward.prompts import Form, questions
from omnireward.types import Comparison, Sample, Task, Text, Turn
from omnireward.voting import Plan, entries

LATENCY, SLOTS = 0.2, 64
OURS, REFERENCE = 6_400, 40  # samples
ROUNDS = 3
BATCH = 20  # calls written with one sync, in the measurement of the journal


def made_up(count: int) -> list[Sample]:
    """Comparisons of two texts of some 300 words."""
    words = ["the", "response", "keeps", "to", "what", "was", "asked", "and", "says", "why", "each", "step", "is"]

    def sample(number: int) -> Sample:
        texts = [" ".join(words[(number * k + i) % len(words)] for i in range(300)) for k in (1, 2)]
        comparison = Comparison(
            (Turn("user", (Text(f"Question {number}: explain."),)),), (Text(texts[0]),), (Text(texts[1]),), "Be clear."
        )
        return Sample(str(number), Task.T2T, comparison, "a", str(number))

    return [sample(number) for number in range(count)]


@contextmanager
def endpoint() -> Iterator[str]:
    """The address of a fresh server."""
    command = [sys.executable, "-m", "perf._evaluate_api_server", str(LATENCY), str(SLOTS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.communicate()


def ours(url: str, samples: list[Sample], folder: Path) -> float:
    """Seconds."""
    options = JudgeOptions(base_url=url, concurrency=SLOTS, calls=folder / "calls.jsonl")
    judge = open_judge("api:made-up", options)
    assert isinstance(judge, PatientJudge)
    begun = time.perf_counter()
    with Journal(folder / "judgements.jsonl") as journal:
        stream = entries(enumerate(samples), judge.fingerprint, Plan())
        outcome = judge_all(stream, judge, journal, 1, lambda _: None)
    taken = time.perf_counter() - begun
    judge.close()
    assert (outcome.votes, outcome.failed) == (len(samples), 0)
    return taken


def reference(url: str, samples: list[Sample], folder: Path) -> float:
    """Seconds for each sample."""
    present, write = Presenter(None, 4, 768), MessageWriter()
    bodies = []
    for sample in samples[:REFERENCE]:
        (question,) = questions(sample.comparison, Form("pairwise", critique=True, ties=True))
        head = {"model": "made-up", "temperature": 0, "max_tokens": 1024}
        bodies.append(json.dumps(head | {"messages": json.loads(write(present(question)))}).encode())
    results = [record(sample) for sample in samples[: len(samples) // 2]]
    file = folder / "results.json"
    begun = time.perf_counter()
    for sample, body in zip(samples, bodies, strict=False):
        request = urllib.request.Request(f"{url}/chat/completions", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as response:
            text = json.load(response)["choices"][0]["message"]["content"]
        results.append(record(sample) | {"answer": text})
        file.write_text(json.dumps(results, indent=2))
    taken = time.perf_counter() - begun
    present.close()
    return taken / REFERENCE


def record(sample: Sample) -> dict[str, object]:
    """What a results file holds of a sample."""
    responses = [
        part.text for part in (*sample.comparison.response_a, *sample.comparison.response_b) if isinstance(part, Text)
    ]
    return {"id": sample.id, "responses": responses, "criteria": sample.comparison.criterion, "answer": "VERDICT: A"}


def batch_cost(ledger: Ledger, start: int) -> Times:
    """Of a batch of calls until all are on the disk, for each call."""
    reply = Reply("The first keeps to the question. " * 20 + "\nVERDICT: A", tokens=Tokens(700, 120))
    on_disk = threading.Semaphore(0)
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(start, start + BATCH):
        ledger.add(Finished(f"{number:064x}", "made-up", reply, Tokens(700, 120)), lambda _: on_disk.release())
    for _ in range(BATCH):
        on_disk.acquire()
    return Times((time.process_time() - cpu) / BATCH, (time.perf_counter() - wall) / BATCH)


def journal_costs(folder: Path) -> tuple[Times, Times]:
    """Of a call in a file of up to 100 calls, and in one of 10,000 and more: medians of batches in turn."""
    large = Ledger(folder / "large.jsonl")
    for start in range(0, 10_000, BATCH):
        batch_cost(large, start)
    pairs = []
    for number in range(40):
        small = Ledger(folder / f"small{number}.jsonl")
        for start in range(0, 100, BATCH):
            pairs.append((batch_cost(small, start), batch_cost(large, 10_000 + number * 100 + start)))
        small.close()
    large.close()
    few, many = zip(*pairs, strict=True)
    return median(few), median(many)


def median(times: Sequence[Times]) -> Times:
    return Times(statistics.median(t.cpu for t in times), statistics.median(t.wall for t in times))


def main() -> None:
    samples = made_up(OURS)
    with tempfile.TemporaryDirectory() as name, endpoint() as url:
        folder = Path(name)
        ours(url, samples[:SLOTS], folder / "warm")  # imports, connections
        each, whole = [], []
        for number in range(ROUNDS):
            each.append(reference(url, samples, folder))
            whole.append(ours(url, samples, folder / str(number)))
        few, many = journal_costs(folder / "journal")
    per_call, taken = statistics.median(each), statistics.median(whole)
    rate, limit = OURS / taken, SLOTS / LATENCY
    print(f"| way | samples | answers a second | of the {limit:.0f} that there can be |\n|---|--:|--:|--:|")
    print(f"| one after the other, file rewritten | {REFERENCE} | {1 / per_call:.2f} | {1 / per_call / limit:.3f} |")
    print(f"| ours, {SLOTS} under way | {OURS:,} | {rate:.1f} | {rate / limit:.3f} |")
    print(f"\n| file of calls, {BATCH} arriving at once | CPU ms a call | wall ms a call |\n|---|--:|--:|")
    for name, times in (("up to 100 calls", few), ("10,000 calls", many)):
        print(f"| {name} | {times.cpu * 1e3:.4f} | {times.wall * 1e3:.3f} |")
    print()
    numbers = {
        "speedup": rate * per_call,
        "fraction_of_limit": rate / limit,
        "journal_cost_growth": many.cpu / few.cpu,
    }
    print(last_line(numbers))


if __name__ == "__main__":
    main()
