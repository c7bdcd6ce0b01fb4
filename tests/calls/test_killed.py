"""A run killed with SIGKILL, again and again: what is in the journal is never asked again, and all is answered."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.calls.scripted import Body, Scripted, verdict

from omnireward.calls import CallOptions, Endpoint
from omnireward.journal import Journal
from omnireward.presentation import Message

CALLS, KILLS = 150, 20

CHILD = """
import sys
from pathlib import Path
from omnireward.calls import CallOptions, Endpoint
from omnireward.presentation import Message
endpoint = Endpoint(CallOptions(model="m", base_url=sys.argv[1], journal=Path(sys.argv[2]), concurrency=8))
asked = [endpoint.submit([Message("user", (f"question {number}",))]) for number in range(int(sys.argv[3]))]
for future in asked:
    sys.stdout.write(future.result().text[-1])
endpoint.close()
"""


def run(server: Scripted, journal: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, server.url, str(journal), str(CALLS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def journaled(path: Path) -> set[str]:
    """The keys of whole lines; also without the lock's holder gone, as a killed run leaves them."""
    if not path.exists():
        return set()
    with Journal(path) as journal:
        return {record["key"] for record in journal}


def keys(folder: Path) -> dict[str, str]:
    """What a call is named in the journal, by the words of its question."""
    names = Endpoint(CallOptions(model="m", journal=folder / "unused.jsonl"))
    asked = {f"question {number}": names.call([Message("user", (f"question {number}",))]) for number in range(CALLS)}
    names.close()
    return {words: call.key for words, call in asked.items()}


def words(body: Body) -> str:
    return str(body["messages"][0]["content"])


@pytest.mark.slow
def test_no_journaled_call_is_repeated_after_20_kills(tmp_path: Path) -> None:
    """Each kill comes after a drawn number of requests of its run; the last run ends by itself."""
    path, key_of, draw = tmp_path / "calls.jsonl", keys(tmp_path), random.Random(0)
    killed = 0
    with Scripted(latency=0.01) as server:
        for number in range(KILLS):
            before, seen = journaled(path), len(server.bodies)
            child = run(server, path)
            target = seen + draw.randint(1, 12)
            while len(server.bodies) < target and child.poll() is None:
                time.sleep(0.001)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            killed += child.returncode == -signal.SIGKILL
            if number == KILLS // 2:
                with path.open("ab") as file:
                    file.write(b'{"key": "torn')
            repeated = {words(body) for body in server.bodies[seen:] if key_of[words(body)] in before}
            assert not repeated
            assert before <= journaled(path)
        before, seen = journaled(path), len(server.bodies)
        last = run(server, path)
        said, _ = last.communicate(timeout=120)
        assert last.returncode == 0
        assert {key_of[words(body)] for body in server.bodies[seen:]} == set(key_of.values()) - before
        bodies = [{"messages": [{"role": "user", "content": f"question {number}"}]} for number in range(CALLS)]
        assert said == "".join(verdict(body)[-1] for body in bodies)
        assert journaled(path) == set(key_of.values())
        assert killed == KILLS
        # What was under way or not yet on the disk, and nothing else, is asked again: up to 8 calls each.
        assert len(server.bodies) <= CALLS + KILLS * 16
