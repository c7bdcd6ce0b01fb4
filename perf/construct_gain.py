"""What constructed criteria are worth: training on them against training without, in a world whose truth is known.

Run from the project's root, with nothing else running:
OMP_NUM_THREADS=1 python -m perf.construct_gain --out out/construct_gain

The source is the miniature world's training samples without a criterion: preferences in general. A planted writer
behind a real endpoint on loopback names criteria; what it says they favour is right 85 times in 100. Three planted
verifiers are right 8 times in 10, independently, and all must agree. By arithmetic, unanimity then keeps 0.8 ** 3 of
what is right and 0.1 ** 3 of what is wrong (a wrong verifier says one of two wrong things).

Four ways of training are compared, all from one model that was taught to see, hear and read, for the same number of
steps: without criteria; with those written; with those that were verified as well; and with the world's own. Everything
is judged on the world's test split, whose prompts and media are new. One table row is one way, over the seeds of
training; in brackets stand the lowest and the highest.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from aiohttp import web
from perf._construct_truth import WORLD, families, meanings, true_preference, truth

from omnireward import recipes, report
from omnireward.calls.messages import MessageWriter
from omnireward.construct.criteria import CriteriaConfig, criteria
from omnireward.construct.drafts import Draft
from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.verify import VerifyConfig, verify
from omnireward.construct.writer_wording import MARKS
from omnireward.evaluate import EvaluateConfig, evaluate
from omnireward.miniature.world import samples
from omnireward.presentation import Presenter
from omnireward.sample_rows import FILE, read_samples, write_samples
from omnireward.sources import BadRows
from omnireward.train.bradley_terry import train
from omnireward.train.config import TrainConfig
from omnireward.types import Preference, Sample

WRITER_RIGHT = 0.85
OTHER: dict[Preference, Preference] = {"a": "b", "b": "a", "tie": "tie"}
SHOWN: dict[str, Any] = {"frames": 1, "views": 1, "picture_side": 32}  # to one that does not look
VERIFIERS = tuple(f"perf._construct_truth:{number}" for number in range(3))


@dataclass(frozen=True)
class GainConfig:
    """How long and how often."""

    out: Path = Path("out/construct_gain")
    """Folder for data, runs and reports; what is there already is not made again."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training: the order of the data."""
    steps: int = 520
    """Of each training, 24 preferences a step."""


class Planted:
    """Writes criteria for the samples that it knows, by what it is shown of them."""

    def __init__(self, config: CriteriaConfig) -> None:
        self._drafts: dict[str, Draft] = {}
        options = config.writer_options
        present, write = Presenter(options.frames, options.views, options.picture_side), MessageWriter()
        for sample in read_samples(config.samples.partition(":")[2], BadRows()):
            draft = Draft(sample, config.asking.wanted(sample), config.asking.swapped(sample))
            self._drafts[_shown(json.loads(write(present(draft.question()))))] = draft
        present.close()

    def answer(self, body: dict[str, Any]) -> str:
        """The lines that are asked for; their marks speak of the order in which the responses are shown."""
        instructions, _ = messages = body["messages"]
        draft = self._drafts[_shown(messages)]
        draw = random.Random(f"{draft.sample.id}:{body['seed']}")
        lines = []
        for favours, mark in MARKS.items():
            for _ in range(instructions["content"].count(f"\n{mark}: the criterion")):
                meant = OTHER[favours] if draft.swapped else favours
                lines.append(f"{mark}: {self._criterion(draft.sample, meant, draw)}")
        return "\n".join(lines)

    def _criterion(self, sample: Sample, favours: Preference, draw: random.Random) -> str:
        """A criterion that really favours a response, or does not, as the draw says."""
        wants_right = draw.random() < WRITER_RIGHT
        ways = [
            (family, direction)
            for family in families(sample.task)
            for direction in (1, -1)
            if (truth(sample.comparison, family, direction) == favours) == wants_right
        ]
        family, direction = draw.choice(ways) if ways else (draw.choice(families(sample.task)), 1)
        wordings = [words for words in family.wordings(direction, sample.task, "seen") if words in meanings()]
        return draw.choice(wordings)


def _shown(messages: list[dict[str, Any]]) -> str:
    """A digest of the user turn: prompt and responses. What is asked for stands in the system turn."""
    return hashlib.sha256(json.dumps(messages[1], sort_keys=True).encode()).hexdigest()


@contextmanager
def serving(planted: Planted) -> Iterator[str]:
    """An OpenAI-compatible endpoint on loopback; gives its address."""

    async def chat(request: web.Request) -> web.Response:
        content = planted.answer(await request.json())
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return web.json_response(
            {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
        )

    loop, started = asyncio.new_event_loop(), threading.Event()
    address: list[str] = []

    async def start() -> web.AppRunner:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
        return runner

    def run() -> None:
        runner = loop.run_until_complete(start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def construct(out: Path) -> dict[str, str]:
    """The data of each way of training: a place for `datasets`."""
    general, written, verified = out / "general", out / "written", out / "verified"
    if not (general / FILE).is_file():
        write_samples((one for one in samples(WORLD, "train") if not one.comparison.criterion), general)
    config = CriteriaConfig(samples=f"samples:{general}", out=written, writer="api:planted", **SHOWN)
    if not (written / FILE).is_file():
        with serving(Planted(config)) as address:
            criteria(CriteriaConfig(**{**vars(config), "base_url": address}))
    verify(VerifyConfig(samples=f"samples:{written}", out=verified, verifiers=VERIFIERS, batch_size=64))
    for name in ("written", "verified"):
        claims = [(one.preference, true_preference(one.comparison)) for one in read_samples(str(out / name), BadRows())]
        wrong = sum(said != right for said, right in claims)
        print(f"{name}: {len(claims):,} samples with a criterion, {wrong / len(claims):.2%} of them wrong", flush=True)
    places = {"without criteria": f"samples:{general}"}
    for name, folder in (("criteria written", written), ("written and verified", verified)):
        mixed = out / f"{folder.name}_mixed"
        mix(MixConfig(sources={f"samples:{general}": 1.0, f"samples:{folder}": 1.0}, out=mixed))
        places[name] = f"samples:{mixed}"
    return places | {"the world's own criteria": f"miniature:prompts={WORLD.prompts}"}


def taught(out: Path, place: str) -> Path:
    """A model that can see, hear and read, and has seen the preferences of one step."""
    folder = out / "taught"
    if not (folder / "value_head.safetensors").is_file():
        recipe = {**recipes.load("miniature", TrainConfig), "datasets": {place: 1.0}, "ties": "drop", "steps": 1}
        train(TrainConfig(out=folder, **recipe))
    return folder


def judged(out: Path, base: Path, place: str, seed: int, steps: int) -> dict[str, float]:
    """Accuracy without ties, in percent, of one training: over the nine tasks, and in groups."""
    run, folder = out / "run", out / "report"
    told = {"datasets": {place: 1.0}, "ties": "drop", "steps": steps, "seed": seed}
    recipe = {**recipes.load("miniature", TrainConfig), **told}
    if not (folder / "report.json").is_file():
        train(TrainConfig(out=run, **{**recipe, "model": str(base), "teach_towers": 0, "teach_language": 0}))
        evaluate(EvaluateConfig(judge=f"reward:{run}", benchmark="miniature", out=folder, order="fixed"))
        found = report.read(folder)
        report.write(report.build(found.run, found.records), found.shown, folder)
    found = report.read(folder)
    built = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    right: dict[str, list[bool]] = {}
    for record in found.records:
        if record.preference != "tie" and record.margin is not None:
            for group in {"all", *record.groups} & {"all", "general", "shifted", "invariant"}:
                right.setdefault(group, []).append((record.margin > 0) == (record.preference == "a"))
    shares = {name: 100 * sum(each) / len(each) for name, each in right.items()}
    return {"nine tasks": 100 * built["macro"]["without_ties"]["accuracy"], **shares}


def main() -> None:
    config = tyro.cli(GainConfig)
    places = construct(config.out)
    base = taught(config.out, places["without criteria"])
    columns = ("nine tasks", "general", "invariant", "shifted")
    print("| trained " + "".join(f"| {name} " for name in columns) + "|\n|---" + "|--:" * len(columns) + "|")
    means: dict[str, float] = {}
    for name, place in places.items():
        folder = config.out / name.replace(" ", "_").replace("'", "")
        each = [judged(folder / str(seed), base, place, seed, config.steps) for seed in config.seeds]
        cells = []
        for column in columns:
            values = [one[column] for one in each]
            cells.append(f"{sum(values) / len(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        means[name] = sum(one["nine tasks"] for one in each) / len(each)
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    gain = means["written and verified"] - means["without criteria"]
    print(json.dumps({"gain_points": round(gain, 2), "seeds": len(config.seeds)}))


if __name__ == "__main__":
    main()
