"""Train and judge what experiments need, and write their figures. What is there and whole is not made again.

One runner at a time works in an output folder. Experiments that are whole are finished first. Then come the bases that
are missing, and all runs of all experiments, each once, side by side; an experiment's figures are written as soon as
its last run is done. What fails takes with it what needs it, and nothing else.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from omnireward.errors import OmniRewardError, RecipeError, TrainingError
from omnireward.experiments.jobs import Job, work
from omnireward.experiments.plan import Asked, Base, Plan, Run, check_kept, shared

MOST_TOLD = 5  # runs that an error names


def run(plans: Sequence[Plan], asked: Asked, beside: int, finished: Callable[[Plan], None]) -> None:
    """Make what is missing.

    Args:
        plans: of the experiments.
        asked: what they were planned with.
        beside: how many children run at once.
        finished: called with each experiment all of whose runs are there, in the order in which they are done.

    Raises:
        RecipeError: another runner works in the folder, or a run in it was trained with other settings.
        TrainingError: bases or runs failed, or several things; all others, and the experiments that need none of them,
            are done.
        OmniRewardError: what `finished` raised, after all else is done.
    """
    with _alone(asked.out):
        runs = shared(plans)
        for one in runs:
            check_kept(one)
        open_plans, errors, whole = list(plans), list[OmniRewardError](), set[tuple[str, ...]]()

        def is_whole(one: Run) -> bool:
            key = (one.digest, *sorted(one.tests))  # what was whole once is not read again
            if key not in whole and complete(one):
                whole.add(key)
            return key in whole

        def finish() -> None:
            for plan in list(open_plans):
                if all(map(is_whole, _runs(plan))):
                    open_plans.remove(plan)
                    try:
                        finished(plan)
                    except OmniRewardError as error:  # of one experiment's figures: the others go on
                        errors.append(error)

        finish()
        left = [one for one in runs if not is_whole(one)]
        missing = {one.base.key: one.base for one in left if not _is_made(one.base)}
        try:
            work([_making(base, asked.out) for base in missing.values()], beside)
        except TrainingError as error:
            dropped = [one.said for one in left if not _is_made(one.base)]
            errors.append(TrainingError(f"{error}\nNot begun, as they start from it: {_some(dropped)}."))
        try:
            work([_training(one, asked.out) for one in left if _is_made(one.base)], beside, finish)
        except TrainingError as error:
            errors.append(error)
        if not errors and open_plans:
            stuck = [one.said for plan in open_plans for one in _runs(plan) if not is_whole(one)]
            errors.append(
                TrainingError(
                    f"every child ended well, and yet these are not trained and judged to the end: {_some(stuck)}. "
                    f"Something else writes to {asked.out}, or it ran full. Their logs are in {asked.out / 'logs'}; "
                    "the same command tries again."
                )
            )
        if errors:
            raise errors[0] if len(errors) == 1 else TrainingError("\n".join(map(str, errors))) from errors[0]


def complete(one: Run) -> bool:
    """Whether a run is trained, and has judged every sample of its tests."""
    from omnireward.reward_model import holds_model  # loads torch

    return holds_model(one.folder) and all(judged(one.folder / name) for name in one.tests)


def judged(folder: Path) -> bool:
    """Whether a benchmark was judged to the end: as many keys in whole lines as there are samples.

    Not as many lines: a judgement that failed and was tried again has two.
    """
    try:
        samples = json.loads((folder / "run.json").read_text(encoding="utf-8"))["samples"]
        *lines, _torn = (folder / "judgements.jsonl").read_bytes().split(b"\n")
        keys = {json.loads(line)["key"] for line in lines}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
    return bool(samples == len(keys))


def _runs(plan: Plan) -> list[Run]:
    return [one for runs in plan.runs.values() for one in runs.values()]


def _is_made(base: Base) -> bool:
    return not base.flags or Path(base.folder).is_dir()


def _some(said: Sequence[str]) -> str:
    more = len(said) - MOST_TOLD
    return "; ".join(said[:MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")


def _making(base: Base, out: Path) -> Job:
    folder = Path(base.folder)
    told = {"kind": "base", "flags": base.flags, "folder": base.folder, "said": "the base"}
    return Job(f"the base {folder.name}", told, out / "logs" / f"base-{folder.name}.log", saves=False)


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
