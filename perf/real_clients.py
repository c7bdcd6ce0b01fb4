"""Other projects' own clients against our server: do they read the rewards that the model gives?

Run from the project's root; a few minutes once the environments are there, which take 8 GB:

    OMP_NUM_THREADS=1 python -m perf.real_clients [openrlhf | verl | ms-swift | llamafactory | vllm | sglang ...]

A tiny reward model with random weights is served with `omnireward serve`. Each client is installed from the package
index, once, and its own code asks for rewards: only what needs a GPU, an engine that writes responses or a policy, is
made up, by the script named after it (`perf/_clients_*.py`). What it has understood is compared with
`RewardModel.candidate_rewards`, within 1e-5.

Those that no index has, or without their client's code, are in the table with the reason. Their requests are recorded,
word for word, in `tests/serve/protocols/test_recorded.py` and `tests/adapters/test_adapters.py`.

The exit code is 1 where a client did not get the model's rewards, or did not run. The last line is one JSON object: for
each way of each client the largest difference.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perf._clients_environments import CLIENTS, Client, PeerError, answers, installed, version
from transformers import PreTrainedTokenizerFast

from omnireward.judges.reward import JUDGE
from omnireward.reward_model import RewardModel
from omnireward.types import Text, Turn

CLOSE = 1e-5
RECORDED = (
    ("align-anything", "/get_reward", "the index has only a small example package under its name"),
    ("LightRFT", "/get_reward", "its wheel holds no client, only a version"),
    ("LMM-R1, r1_reward", "/get_reward_mllm", "no index has them"),
    ("EasyR1", "adapter", "no index has it, and its package is named verl, as another one"),
    ("UniRL", "/score", "no index has it"),
    ("flow_grpo, verl-omni", "/flow_grpo", "their clients send pickle, which is not read"),
)
PROMPTS = ("Name a colour.", "Name a river. Só.", "Why?", "<b>List</b> three:\n1.")
RESPONSES = ("Red.", "The Rhine, in Europe.", "Because\nit is so.", " 2, 3 and\n\n- 4")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which a client asked; `difference` is the largest, `problem` why there is none."""

    client: str
    function: str
    path: str
    difference: float | None = None
    problem: str = ""

    @property
    def good(self) -> bool:
        return self.difference is not None and self.difference <= CLOSE

    @property
    def row(self) -> str:
        said = self.problem if self.difference is None else f"differs by {self.difference:.0e}"
        return f"| {self.client} | `{self.function}` | {self.path} | {said} |"


def ways(client: Client, file: Path, expected: Sequence[float]) -> list[Way]:
    """What a client has understood."""
    try:
        python = installed(client)
        title = f"{client.name} {version(client)}"
        found = answers(client, python, file)
    except PeerError as error:
        return [Way(client.name, client.module, "", problem=f"did not run: {error}")]
    return [Way(title, function, path, _largest(rewards, expected)) for function, path, rewards in found]


def _largest(rewards: Sequence[float], expected: Sequence[float]) -> float:
    return max(abs(one - other) for one, other in zip(rewards, expected, strict=True))


def made(folder: Path) -> tuple[str, list[float]]:
    """A checkpoint and a tokenizer below a folder; the judge's name, and the rewards that everybody should get."""
    checkpoint = folder / "tiny"
    checkpoint.mkdir()
    assert JUDGE.example is not None
    JUDGE.example(checkpoint)
    fast: Any = PreTrainedTokenizerFast  # has no types
    fast(
        tokenizer_file=str(checkpoint / "tokenizer.json"),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    ).save_pretrained(folder / "tokenizer")
    model = RewardModel.load(checkpoint).requires_grad_(False).eval()
    expected = [
        model.candidate_rewards((Turn("user", (Text(prompt),)),), [(Text(response),)]).item()
        for prompt, response in zip(PROMPTS, RESPONSES, strict=True)
    ]
    return f"reward:{checkpoint}", expected


@contextmanager
def served(judge: str, log: Path) -> Iterator[str]:
    """A server of its own process; its address."""
    command = [
        sys.executable,
        "-c",
        "from omnireward.cli import main; main()",
        "serve",
        "--judge",
        judge,
        "--port",
        "0",
    ]
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server:
        assert server.stdout is not None
        said = server.stdout.readline()
        if " at http" not in said:
            raise RuntimeError(f"the server did not start: {log.read_text()}")
        try:
            yield said.split()[-1]
        finally:
            server.terminate()


def main() -> None:
    names = [client.name for client in CLIENTS]
    parser = argparse.ArgumentParser(prog="python -m perf.real_clients")
    parser.add_argument("clients", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; all by default")
    given = parser.parse_args().clients
    if unknown := set(given) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    found: list[Way] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        judge, expected = made(folder)
        with served(judge, folder / "log") as url:
            file = folder / "asked.json"
            asked = {"url": url, "prompts": PROMPTS, "responses": RESPONSES, "tokenizer": str(folder / "tokenizer")}
            file.write_text(json.dumps(asked))
            for client in CLIENTS:
                if not given or client.name in given:
                    print(f"{client.name} ...", file=sys.stderr)
                    found += ways(client, file, expected)
    print("| client | its function | path | reward |\n|---|---|---|---|")
    print(*(way.row for way in found), sep="\n")
    print(*(f"| {client} | recorded request | {path} | {why} |" for client, path, why in RECORDED), sep="\n")
    print("\n" + json.dumps({f"{way.client}, {way.function}, {way.path}": way.difference for way in found}))
    if not all(way.good for way in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
