"""A server under load: nothing lost, memory flat, throughput against no server at all, overload, and ends of all kinds.

Run from the project's root:  OMP_NUM_THREADS=1 python -m perf.serve_load [STAGE ...] [--minutes 10] [--clients 64]

One model of hidden 512 with 6 layers, samples of all nine tasks under their criteria, and in one request of eight a
picture that was never seen before. Server, clients and their machine share the same cores, so what clients take is
missing to the server. Without a server: the same rows prepared in threads and scored in batches as large as the
server's were on average, before and after the server's turn. Rewards must be the model's own within 1e-5, always.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import torch
from perf._serve import Program, mixed, model_folder, near, program, unseen
from perf._serve_clients import EACH, FRESH

from omnireward.media.children import processors
from omnireward.reward_model import RewardModel
from omnireward.serve.scoring import RewardWorker, Row, rewards_alone, rows_of
from omnireward.types import Text, Turn

OFFLINE_SECONDS = 60.0
CACHED_MB = 64  # so small that it is full in the first minutes, and memory can be flat after it
FEW = 32  # requests under way that the server takes on where it is overloaded
DEADLINE = 30.0  # seconds, there


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m perf.serve_load")
    parser.add_argument(
        "stages", nargs="*", default=list(STAGES), help=f"of {', '.join(STAGES)}; all when none is named"
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=64)
    options = parser.parse_args()
    if unknown := set(options.stages) - set(STAGES):
        parser.error(f"no stages: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    with TemporaryDirectory() as made:
        folder = Path(made)
        model = model_folder(folder / "model")
        _expect(_worker(model), folder)
        for name in options.stages:
            found[name] = STAGES[name](model, folder, options.clients, 60 * options.minutes)
            print(json.dumps({name: found[name]}), flush=True)
    print(json.dumps(found))


def one_request(model: Path, folder: Path, _clients: int, _seconds: float) -> dict[str, Any]:
    """From the command to an answer; and a small request against one forward pass in this process."""
    worker, row = _worker(model), Row((Turn("user", (Text("Name a river."),)),), (Text("The Rhine."),), "short")
    body = {"prompt": [{"role": "user", "content": "Name a river."}], "responses": ["The Rhine."], "criterion": "short"}
    with program(model, folder / "log") as server, httpx.Client(base_url=server.url, timeout=60) as http:
        times: dict[str, list[float]] = {"request": [], "forward": []}
        for _ in range(60):
            begun = time.perf_counter()
            assert http.post("/v1/rewards", json=body).status_code == 200
            between = time.perf_counter()
            worker.work([worker.prepare(row)])
            times["request"].append(between - begun)
            times["forward"].append(time.perf_counter() - between)
        request, forward = (1e3 * statistics.median(times[name][10:]) for name in ("request", "forward"))
        return {
            "cold_start_s": round(server.seconds, 2),
            "request_ms": round(request, 2),
            "forward_ms": round(forward, 2),
            "request_over_forward": round(request / forward, 2),
        }


def load(model: Path, folder: Path, clients: int, seconds: float) -> dict[str, Any]:
    """Many clients for long, and the same without a server before and after it."""
    worker = _worker(model)
    memory: list[float] = []
    with program(model, folder / "log", "--max-cached-mb", str(CACHED_MB)) as server:
        _heard(_begun(folder, {"way": "steady", "urls": server.url, "clients": 4, "seconds": 15}))  # fills caches
        before = _counts(server)
        process = _begun(folder, {"way": "steady", "urls": server.url, "clients": clients, "seconds": seconds})
        while process.poll() is None:
            time.sleep(5)
            memory.append(server.mib())
        steady = _heard(process)
        counted = {name: value - before.get(name, 0.0) for name, value in _counts(server).items()}
    batch = counted["omnireward_batch_rows_sum"] / counted["omnireward_batch_rows_count"]
    own = {number: _scored(worker, rows_of([unseen(int(number))])) for number in steady["fresh"]}
    wrong = sum(not near(rewards, own[number]) for number, rewards in steady["fresh"].items())
    offline = [_offline(worker, batch, OFFLINE_SECONDS) for _ in range(2)]
    quarter = len(memory) // 4
    third, last = statistics.fmean(memory[2 * quarter : 3 * quarter]), statistics.fmean(memory[3 * quarter :])
    served = steady["rewards"] / steady["seconds"]
    return {
        "minutes": round(seconds / 60, 1),
        "clients": clients,
        "answered": steady["answered"],
        "wrong": steady["wrong"] + wrong,
        "failed": steady["failed"],
        "rewards_counted_by_the_server_less_those_received": int(
            counted['omnireward_rewards_total{outcome="ok"}'] - steady["rewards"]
        ),
        "requests_per_second": steady["answered"] / steady["seconds"],
        "rewards_per_second": round(served, 1),
        "without_a_server": [round(one, 1) for one in offline],
        "throughput": round(served / statistics.fmean(offline), 3),
        "rows_in_a_batch": round(batch, 1),
        "memory_mib": [round(third), round(last)],
        "memory_drift": round(last / third - 1, 4),
    }


def overload(model: Path, folder: Path, clients: int, _seconds: float) -> dict[str, Any]:
    """Three times as many requests as it can answer."""
    with program(model, folder / "log", "--max-queue", str(FEW)) as server:
        _heard(_begun(folder, {"way": "steady", "urls": server.url, "clients": 4, "seconds": 15}))  # fills caches
        steady = _heard(
            _begun(folder, {"way": "steady", "urls": server.url, "clients": min(clients, FEW), "seconds": 30})
        )
        rate = 3 * steady["answered"] / steady["seconds"]
        orders = {"way": "overload", "urls": server.url, "rate": rate, "seconds": 60, "deadline": DEADLINE}
        found = _heard(_begun(folder, orders))
        own = [1e3 * line["seconds"] for line in _logged(server.log) if line["status"] == 429]
    return found | {"refused_ms_by_the_server": round(max(own, default=0.0), 2), "requests_per_second": round(rate, 1)}


def ending(model: Path, folder: Path, clients: int, _seconds: float) -> dict[str, Any]:
    """SIGTERM while all ask."""
    with program(model, folder / "log") as server:
        process = _begun(folder, {"way": "ending", "urls": server.url, "clients": clients})
        time.sleep(20)
        server.process.send_signal(signal.SIGTERM)
        found = _heard(process)
        code = server.process.wait(60)
    accepted = {line["id"] for line in _logged(server.log)}
    lost = [name for name in found["broken"] if name in accepted]
    return {"answered": found["said"], "accepted_and_lost": len(lost), "exit_code": code}


def killed(model: Path, folder: Path, clients: int, _seconds: float) -> dict[str, Any]:
    """Kill -9 of one of two replicas."""
    with program(model, folder / "log", "--replicas", "2") as server:
        orders = {"way": "steady", "urls": server.own, "clients": clients, "seconds": 60}
        process = _begun(folder, orders)
        time.sleep(20)
        os.kill(server.replica_pids()[0], signal.SIGKILL)
        found = _heard(process)
        again = "is up again" in server.log.read_text()
    return {name: found[name] for name in ("answered", "wrong", "failed")} | {"up_again": again}


def _expect(worker: RewardWorker, folder: Path) -> None:
    """The rewards of `mixed`, for clients to compare with."""
    asks = mixed(EACH)
    scored = iter(_scored(worker, rows_of(asks)))
    (folder / "expected.json").write_text(json.dumps([list(islice(scored, len(ask.responses))) for ask in asks]))


def _worker(folder: Path) -> RewardWorker:
    model = RewardModel.load(folder)
    model.requires_grad_(False)
    model.eval()
    model.features.store = None
    model.features.embeddings.limit = CACHED_MB * 2**20
    return RewardWorker(model)


def _scored(worker: RewardWorker, rows: list[Any]) -> list[float]:
    found = rewards_alone(worker.work([worker.prepare(row) for row in rows]))
    assert all(isinstance(one, float) for one in found)
    return [one for one in found if isinstance(one, float)]


def _offline(worker: RewardWorker, batch: float, seconds: float) -> float:
    """Rewards a second of the clients' own mixture, in batches of so many rows on average."""
    pool, known = ThreadPoolExecutor(processors()), cycle(rows_of(mixed(EACH)))
    done, number, wanted = 0, 0, 0.0
    begun = time.perf_counter()

    def some() -> list[Any]:
        nonlocal number, wanted
        wanted += batch
        rows: list[Any] = []
        while len(rows) < wanted:
            fresh = number % FRESH == 0
            rows += rows_of([unseen(10**6 + number // FRESH // 2)]) if fresh else list(islice(known, 2))
            number += 1
        wanted -= len(rows)
        return rows

    coming = [pool.submit(worker.prepare, row) for row in some()]
    while time.perf_counter() - begun < seconds:
        after = [
            pool.submit(worker.prepare, row) for row in some()
        ]  # prepared while these are scored, as a server does
        done += len(worker.work([one.result() for one in coming]))
        coming = after
    taken = time.perf_counter() - begun
    pool.shutdown()
    return done / taken


def _counts(server: Program) -> dict[str, float]:
    lines = httpx.get(f"{server.url}/metrics").text.splitlines()
    pairs = [line.rsplit(" ", 1) for line in lines if not line.startswith("#")]
    return {name: float(value) for name, value in pairs if name.startswith("omnireward_")}


def _logged(log: Path) -> list[dict[str, Any]]:
    lines = log.read_text().splitlines()
    return [json.loads(line[line.index("{") :]) for line in lines if '"id"' in line and '"/v1/rewards"' in line]


def _begun(folder: Path, orders: dict[str, Any]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "perf._serve_clients", str(folder), json.dumps(orders)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _heard(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate()
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(said)
    return found


STAGES = {"one": one_request, "load": load, "overload": overload, "ending": ending, "killed": killed}

if __name__ == "__main__":
    main()
