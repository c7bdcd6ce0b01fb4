"""Train and judge what experiments need, and write their figures. What is there and whole is not made again.

One runner at a time works in an output folder. The base comes first, alone; then all runs of all experiments, each
once, side by side; and an experiment's figures are written as soon as its last run is done.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omnireward.errors import OmniRewardError, RecipeError
from omnireward.experiments.jobs import Job, work
from omnireward.experiments.plan import Asked, Base, Plan, Run, check_kept, shared


def run(plans: Sequence[Plan], asked: Asked, beside: int, finished: Callable[[Plan], None]) -> None:
    """Make what is missing.

    Args:
        plans: of the experiments.
        asked: what they were planned with.
        beside: how many children run at once.
        finished: called with each experiment all of whose runs are there, in the order in which they are done.

    Raises:
        RecipeError: another runner works in the folder, or a run in it was trained with other settings.
        TrainingError: some runs failed; all others, and the experiments that need none of them, are done.
        OmniRewardError: what `finished` raised first, after all else is done.
    """
    with _alone(asked.out):
        runs = shared(plans)
        for one in runs:
            check_kept(one)
        bases = {one.base.key: one.base for one in runs if one.base.flags and not Path(one.base.folder).is_dir()}
        left = [one for one in runs if not complete(one)]
        work([_making(base, asked.out) for base in bases.values()], beside)
        open_plans, errors = list(plans), list[OmniRewardError]()

        def finish() -> None:
            for plan in list(open_plans):
                if all(complete(one) for runs in plan.runs.values() for one in runs.values()):
                    open_plans.remove(plan)
                    try:
                        finished(plan)
                    except OmniRewardError as error:  # of one experiment's figures: the others go on
                        errors.append(error)

        finish()
        work([_training(one, asked.out) for one in left], beside, finish)
        if errors:
            raise errors[0]


def complete(one: Run) -> bool:
    """Whether a run is trained, and has judged every sample of its tests."""
    from omnireward.reward_model import holds_model  # loads torch

    return holds_model(one.folder) and all(judged(one.folder / name) for name in one.tests)


def judged(folder: Path) -> bool:
    """Whether a benchmark was judged to the end: as many whole lines as there are samples."""
    try:
        samples = json.loads((folder / "run.json").read_text(encoding="utf-8"))["samples"]
        lines = (folder / "judgements.jsonl").read_bytes().count(b"\n")
    except (OSError, ValueError, LookupError, TypeError):
        return False
    return bool(samples == lines)


def _making(base: Base, out: Path) -> Job:
    folder = Path(base.folder)
    told = {"kind": "base", "flags": base.flags, "folder": base.folder, "said": "the base"}
    return Job(f"the base {folder.name}", told, out / "logs" / f"base-{folder.name}.log")


def _training(one: Run, out: Path) -> Job:
    told = {
        "kind": "run",
        "flags": one.flags,
        "folder": str(one.folder),
        "untrained": one.untrained,
        "tests": {name: place for name, place in one.tests.items() if not judged(one.folder / name)},
        "said": one.said,
    }
    return Job(one.said, told, out / "logs" / f"{one.digest}.log")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other runners out of a folder while the block runs. Raises RecipeError where one is in it."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("a") as file:  # never removed: whoever waits for a removed one would hold it for nothing
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecipeError(
                f"another 'omnireward experiment' works in {out}. Wait for its end, or choose another --out."
            ) from error
        yield
