"""Where a start of a run begins: from nothing, from a checkpoint of the same run, or not at all.

A checkpoint keeps the resolved config, a digest of the samples in their order, and the number of processes. Going on
with another learning rate or other data would give a model that no command repeats, so it is refused, by field.

`--resume` is for whoever repeats one command until it is through, such as a cluster: with no checkpoint yet it begins
from the start, and with a finished model it ends at once. Without it, nothing that an earlier run left is touched.
Several processes read the same folder, which none has written to yet, so they come to the same answer.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import cast

from omnireward import provenance
from omnireward.errors import RecipeError, StoppedError, TrainingError
from omnireward.policy import holds_judge
from omnireward.reward_model import holds_model
from omnireward.train import checkpoints
from omnireward.train.learning import Learning
from omnireward.train.mixing import texts
from omnireward.train.tiny import TINY
from omnireward.train.together import rank, tell, world
from omnireward.types import Sample

RUN, LOCK = "run.json", ".lock"
# Where, how often and how fast; not what is learned. `tokens_per_pass` and those after it can move the last bits.
MAY_CHANGE = frozenset({"out", "resume", "dry_run", "save_every", "log_every", "report_to", "skip_bad_rows"}) | {
    "tokens_per_pass",
    "packing",
    "sharding",
    "gradient_checkpointing",
}
Identity = dict[str, object]


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder while the block runs: a start removes what it takes for leftovers.

    Raises:
        RecipeError: another run is in it.
    """
    if rank() != 0:
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("a") as file:  # never removed: whoever waits for a removed one would hold it for nothing
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecipeError(
                f"another run trains into {out} at this moment. Wait for its end, or choose another --out."
            ) from error
        except OSError as error:
            sys.stderr.write(f"note: {out} cannot be locked ({error}); see that no other run trains into it.\n")
        yield


def begin(config: Learning) -> bool:
    """Whether there is anything to train; removes what interrupted saves left over.

    Raises:
        RecipeError: without `resume`, the folder holds a trained model, or checkpoints of a run that was stopped.
    """
    first = rank() == 0
    if holds_model(config.out) or holds_judge(config.out):
        if not config.resume:
            raise RecipeError(
                f"{config.out} holds a trained model already; choose another --out. To train it further, start from it "
                f"with --model {config.out}."
            )
        if first:
            checkpoints.clear(config.out)
            sys.stderr.write(
                f"{config.out} holds the finished model: nothing to resume. To train it further, start from it with "
                f"--model {config.out} and another --out.\n"
            )
        return False
    if not config.resume and checkpoints.there(config.out):
        raise RecipeError(
            f"{config.out} holds checkpoints of a run that was stopped; go on with --resume, or choose another --out."
        )
    if first:
        checkpoints.clear(config.out)
    return True


def checkpoint(config: Learning, run: Identity) -> Path | None:
    """The checkpoint to go on from, or None for a start from nothing.

    Raises:
        RecipeError: it belongs to another run, or none that is there is whole.
    """
    if not config.resume:
        return None
    found = checkpoints.newest(config.out, say=rank() == 0)
    if found is not None:
        check(found, run, type(config))
    elif rank() == 0:
        sys.stderr.write(f"no checkpoint to resume from in {config.out}: the run begins from the start.\n")
    return found


def meet(out: Path, checkpoint: Path | None) -> None:
    """See that all processes are in one folder and begin at one step. Else some would wait for ever, or learn apart.

    Raises:
        TrainingError: they do not.
    """
    here = float((out / provenance.CONFIG).is_file())
    step = -1 if checkpoint is None else int(checkpoint.name.removeprefix(checkpoints.CHECKPOINT))
    told = tell([here, step])
    steps = [int(number) for number in told[:, 1].tolist()]
    if not told[:, 0].all() or len({*steps}) > 1:
        begins = ["from the start" if number < 0 else f"at step {number}" for number in steps]
        raise TrainingError(
            f"the processes do not see the same files in {out}: they would begin {', '.join(begins)}. All of them need "
            "--out on one file system that they share."
        )


def stopped(config: Learning, step: int) -> StoppedError:
    """What to say when a run was asked to stop, and did."""
    said = f"stopped after step {step}, as asked."
    last = checkpoints.last(config.out)
    if rank() != 0:
        return StoppedError(said)
    if last is None:  # the loss was suspect
        return StoppedError(f"{said} There is no checkpoint.")
    command = provenance.command(config.VERB, replace(config, resume=True), config.out)
    where = shlex.quote(str(config.out.resolve().parent))
    return StoppedError(f"{said} The last checkpoint: {last}\nGo on with:\n  cd {where} && {command}")


def identity(config: Learning, samples: Sequence[Sample], order: Iterable[int], more: Iterable[str] = ()) -> Identity:
    """What a resumed run must have in common with the one that it goes on with.

    Of the data, that is the ids of the first epoch in order and all texts; media are not read for it.

    Args:
        config: the run's.
        samples: all of them.
        order: of the first epoch, as indices.
        more: texts that are learned from besides, such as answers.
    """
    values = provenance.plain(config, config.out)
    if not isinstance(values, dict):
        raise TypeError(f"a config is a dataclass, not {config!r}")
    digest = hashlib.sha256()
    for index in order:
        digest.update(samples[index].id.encode("utf-8", "surrogatepass") + b"\0")
    for text in chain(texts(samples), more):
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    held = {name: value for name, value in values.items() if name not in MAY_CHANGE}
    return {"config": held, "samples": len(samples), "data": digest.hexdigest(), "processes": world()}


def write(folder: Path, run: Identity) -> None:
    """Keep it in a checkpoint."""
    (folder / RUN).write_text(json.dumps(run, indent=1, sort_keys=True) + "\n")


def check(checkpoint: Path, run: Identity, kind: type[Learning]) -> None:
    """Refuse a checkpoint of another run; say on stderr where fewer or more processes move the last bits.

    Raises:
        RecipeError: a field of the config or the data differ; names the field and both values.
    """
    kept = json.loads((checkpoint / RUN).read_bytes())
    now = json.loads(json.dumps(run["config"]))
    # A field that is new since then had its default, or what it stood for, and one that is gone counts no more.
    defaults = provenance.plain(kind(out=checkpoint, model=TINY), checkpoint)  # what it begins with is always kept
    before = cast(dict[str, object], defaults) | dict(kind.BEFORE) | kept["config"]
    for name in sorted(now):
        if before[name] != now[name]:
            raise RecipeError(
                f"{name} is {now[name]!r}, and {checkpoint} was trained with {before[name]!r}. Resume with the value "
                "that the run was started with, or train anew into another --out (from these weights, with "
                f"--model {checkpoint})."
            )
    if (kept["samples"], kept["data"]) != (run["samples"], run["data"]):
        raise RecipeError(
            f"the data are not those that {checkpoint} was trained on: {run['samples']:,} samples now, "
            f"{kept['samples']:,} then, and other ids, order or texts. Give `datasets` and `limit` as the run was "
            "started with and the files as they were, or train anew into another --out."
        )
    if kept["processes"] != run["processes"]:
        sys.stderr.write(
            f"note: {run['processes']} processes go on with what {kept['processes']} began: the run is the same up to "
            "rounding (and what dropout draws), not bit by bit.\n"
        )
