"""Other projects' own reward-model training against ours: same weights, same pairs, same steps.

Run from the project's root, with nothing else running; about 45 minutes, half of that with `--rounds 1`:

    OMP_NUM_THREADS=1 python -m perf.peers [trl | llamafactory | ms-swift ...] [--steps 2] [--rounds 2]

Each peer is installed once into an environment of its own, below `.cache/peers`; this project's stays as it is. A peer
that does not install or run is in the table with the reason. Each is as it is shipped, with gradient checkpointing,
but for what decides what is learned; TRL also runs without checkpointing. Ours is the trainer of `omnireward train` as
it is shipped. 8 pairs of lognormal lengths in a step, a Qwen2 of 6 layers of 512, fp32, one thread.

Times are CPU seconds of the training loop; loading and reading the data are not in it. Every run is a process of its
own. Each run of a peer has a run of ours beside it, before it in one round and after it in the next; a ratio is the
median of those of such neighbours. Losses of all steps are compared. On a CPU, attention with a padding mask computes
what causality hides, so padded batches look worse there than on a GPU: `padded/unique`, the tokens of padded batches
over those that differ, is the part of the ratio that does not depend on the machine.

The last line is one JSON object: for each way the smallest ratio over the lengths and the ratio for each (above 1: how
many times faster ours is; null: did not run), and the largest difference of losses. Goals: trl_default 3.3,
trl_no_checkpointing 2.7, losses within 1e-4.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from perf._peers_environments import CACHE, PEERS, Peer, PeerError, Run, installed, trained, version
from perf._peers_setting import write

SETTING = CACHE / "setting"


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A run of a peer, and one of ours right before or after it."""

    peer: Run
    ours: Run

    @property
    def ratio(self) -> float:
        return self.peer.cpu / self.ours.cpu

    @property
    def difference(self) -> float:
        """The largest between losses of the same step."""
        return max(abs(one - other) for one, other in zip(self.peer.losses, self.ours.losses, strict=True))


@dataclass(frozen=True, slots=True)
class Measured:
    """A peer's trainer in one setting; `problem` says why there are no runs."""

    title: str
    key: str
    lengths: str
    runs: tuple[Neighbours, ...] = ()
    problem: str = ""

    @property
    def ratio(self) -> float:
        """Median: how many times faster ours is."""
        return statistics.median(run.ratio for run in self.runs)

    @property
    def difference(self) -> float:
        """The largest of all steps."""
        return max(run.difference for run in self.runs)

    def row(self, padded: Mapping[str, float]) -> str:
        """A line of the table; `padded` is by lengths."""
        tokens = f"{padded[self.lengths]:.2f}" if self.lengths else ""
        start = f"| {self.title} | {self.lengths} | {tokens} |"
        if self.problem:
            return f"{start} {self.problem} | | | |"
        ours, peer = (statistics.median(one.cpu for one in each) for each in zip(*self._pairs(), strict=True))
        return f"{start} {ours:.1f} | {peer:.1f} | {self.ratio:.2f} | {self.difference:.0e} |"

    def _pairs(self) -> list[tuple[Run, Run]]:
        return [(run.ours, run.peer) for run in self.runs]


def measure(peer: Peer, steps: int, rounds: int) -> list[Measured]:
    """All its ways with all its lengths."""
    several = len(peer.ways) > 1
    ways = [(name, title, peer.key + several * f"_{name}") for name, title in peer.ways]
    try:
        python = installed(peer)
        number = version(peer)
    except PeerError as error:
        return [Measured(title, key, "", problem=f"did not install: {error}") for _, title, key in ways]
    found = []
    for lengths in peer.lengths:
        setting = str(SETTING), lengths, str(steps)
        for name, title, key in ways:
            title = f"{title} ({number})"
            try:
                runs = neighbours(python, peer.module, (*setting, name), rounds)
            except PeerError as error:
                found.append(Measured(title, key, lengths, problem=f"did not run: {error}"))
            else:
                found.append(Measured(title, key, lengths, runs))
    return found


def neighbours(python: Path, module: str, given: Sequence[str], rounds: int) -> tuple[Neighbours, ...]:
    """Raises PeerError."""
    found = []
    for number in range(rounds):
        before = None if number % 2 else ours(given)
        peer = trained(python, module, *given)
        found.append(Neighbours(peer, before or ours(given)))
        print(f"{module} {given[1:]}: {peer.cpu:.1f} CPU s, ours {found[-1].ours.cpu:.1f}", file=sys.stderr)
    return tuple(found)


def ours(given: Sequence[str]) -> Run:
    """A run of ours with what a peer is given."""
    try:
        return trained(Path(sys.executable), "perf._peers_ours", *given)
    except PeerError as error:
        raise RuntimeError(f"our own training did not run: {error}") from error  # no peer's fault


def numbers(measured: Sequence[Measured]) -> dict[str, float | None]:
    """The last line."""
    given: dict[str, float | None] = {}
    for key in dict.fromkeys(one.key for one in measured):
        done = [one for one in measured if one.key == key and not one.problem]
        given[key] = round(min(one.ratio for one in done), 2) if done else None
        given |= {f"{key}_{one.lengths}": round(one.ratio, 2) for one in done if len(done) > 1}
    for peer in PEERS:
        differences = [one.difference for one in measured if one.key.startswith(peer.key) and not one.problem]
        if differences:
            given[f"{peer.key}_largest_loss_difference"] = float(f"{max(differences):.1e}")
    return given


def arguments() -> argparse.Namespace:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m perf.peers")
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(names)}; all by default")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if unknown := set(given.peers) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")
    return given


def main() -> None:
    given = arguments()
    padded = write(SETTING, given.steps)
    measured = []
    for peer in PEERS:
        if not given.peers or peer.name in given.peers:
            measured += measure(peer, given.steps, given.rounds)
    print("| trainer | lengths | padded/unique | ours, CPU s | its, CPU s | ratio (CPU) | losses differ by |")
    print("|---|---|--:|--:|--:|--:|--:|")
    print(*(one.row(padded) for one in measured), sep="\n", end="\n\n")
    print(json.dumps(numbers(measured)))


if __name__ == "__main__":
    main()
