"""One checkpoint gives one reward: in training, evaluation, this process, over HTTP, and in every shape that can ask.

On the miniature benchmark's nine tasks, within 1e-5. Over HTTP the requests come from eight threads, in orders that are
drawn, native ones and those of all shapes among each other; each medium is sent in the body or uploaded ahead, as is
drawn, where a shape can name an upload.

What a shape cannot carry is not asked in it: openrlhf has pictures in prompts to text, unirl pictures and clips as
responses, flow_grpo pictures alone, and tei, llama_factory and sglang's ``/classify`` words alone; vllm and the other
paths of sglang have everything. `CARRIED` holds that, and a test holds `CARRIED`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tests.serve.protocols.carrying import CARRIED, Send, base64_of, data_url, sends
from tests.serve.protocols.plain import PlainInline
from tests.serve.running import Running, rewards_body, serving

from omnireward.adapters.source import LocalRewards, rewards_of
from omnireward.backbones.minicpm_o import tiny
from omnireward.client import CallLimits, Client
from omnireward.evaluate import EvaluateConfig, evaluate
from omnireward.judges import open_judge
from omnireward.judges.reward import RewardJudge
from omnireward.miniature.world import World, samples
from omnireward.reward_model import RewardModel
from omnireward.serve.asking import Ask
from omnireward.serve.protocols import shape, shapes
from omnireward.serve.scoring import RewardWorker, rows_of
from omnireward.sources import BadRows
from omnireward.train.bradley_terry import BradleyTerryTrainer
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import Mixture
from omnireward.types import PAPER_TASKS, Media, Sample

Rewards = NDArray[np.float64]  # (samples, 2)
WITHIN = 1e-5
SAMPLES = tuple(samples(World(prompts=1), "test"))  # three criteria of each task, one of them sometimes empty


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose rewards are as far apart as those of a trained model: a head ten times the usual."""
    made = tmp_path_factory.mktemp("parity") / "run"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = RewardModel(tiny(["The answer should be short. Tell me of tea."] * 9, 0), "minicpm_o", "natural")
        model.head.weight *= 10
        model.save(made)
    return made


@pytest.fixture(scope="module")
def judge(folder: Path) -> RewardJudge:
    opened = open_judge(f"reward:{folder}")
    assert isinstance(opened, RewardJudge)
    return opened


@pytest.fixture(scope="module")
def own(judge: RewardJudge) -> Rewards:
    """What the others are held against: each response alone in a pass of its own, as the model computes it."""
    model = judge.model
    found = [[model.score([model.encode(s.comparison, side)]).item() for side in ("a", "b")] for s in SAMPLES]
    rewards = np.array(found)
    assert {sample.task for sample in SAMPLES} == set(PAPER_TASKS)
    assert len(np.unique(rewards.round(4))) > 40  # of 54: the model tells them apart
    assert np.ptp(rewards) > 0.5
    return rewards


@pytest.fixture(scope="module")
def served(judge: RewardJudge, folder: Path) -> Iterator[Running]:
    with serving(judge, name=f"reward:{folder}") as one:
        yield one


def test_training_in_packed_passes(folder: Path, own: Rewards, tmp_path: Path) -> None:
    """The trainer's own call: train mode, gradients, frozen towers, several passes, rows of one prompt packed."""
    config = TrainConfig(out=tmp_path / "run", model=str(folder), tokens_per_pass=2_000)
    model = RewardModel.load(folder, head_dropout=config.head_dropout).requires_grad_(True)
    model.freeze(config.freeze)
    mixture = Mixture(SAMPLES, (("miniature", 1.0, range(len(SAMPLES))),), 0)
    trainer = BradleyTerryTrainer(model, config, mixture, BadRows(), {})
    try:
        step = trainer.encoded_step(trainer.begin_step(SAMPLES)["step"])
        model.train()
        found = []
        for one in step.passes:
            loss, rewards = trainer.compute_loss(model, one, return_outputs=True)
            assert loss.requires_grad
            found += torch.stack([rewards[one["chosen"]], rewards[one["rejected"]]], dim=1).tolist()
    finally:
        trainer.bar.close()
        trainer.ahead.close()
    assert 1 < len(step.passes) < len(SAMPLES)
    np.testing.assert_allclose(np.array(found), own, rtol=0, atol=WITHIN)


def test_evaluation_in_orders_that_are_drawn(folder: Path, own: Rewards, tmp_path: Path) -> None:
    config = EvaluateConfig(judge=f"reward:{folder}", benchmark="miniature:prompts=1", out=tmp_path / "out", shown=0)
    outcome = evaluate(config)
    assert (outcome.votes, outcome.failed) == (len(SAMPLES), 0)
    records = [json.loads(line) for line in (tmp_path / "out" / "judgements.jsonl").read_text().splitlines()]
    found = {record["id"]: record["rewards"] for record in records}
    assert {record["swapped"] for record in records} == {True, False}
    np.testing.assert_allclose(np.array([found[sample.id] for sample in SAMPLES]), own, rtol=0, atol=WITHIN)


def _ask(sample: Sample) -> Ask:
    asked = sample.comparison
    return Ask(asked.prompt, (asked.response_a, asked.response_b), asked.criterion)


@pytest.mark.parametrize("seed", [0, 1])
def test_this_process_with_rows_in_any_order(judge: RewardJudge, own: Rewards, seed: int) -> None:
    rows = rows_of([_ask(sample) for sample in SAMPLES])
    order = np.random.default_rng(seed).permutation(len(rows)).tolist()
    found = rewards_of([rows[i] for i in order], LocalRewards(RewardWorker(judge.model)))
    assert all(isinstance(one, float) for one in found)
    np.testing.assert_allclose(np.array(found, dtype=float), own.ravel()[order], rtol=0, atol=WITHIN)
    together = judge.model.rewards([sample.comparison for sample in SAMPLES]).numpy()
    np.testing.assert_allclose(together, own, rtol=0, atol=WITHIN)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_client_with_media_inline_and_uploaded(
    served: Running, own: Rewards, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 6_000)  # two of the smaller media, none of the sounds
    order = np.random.default_rng(seed).permutation(len(SAMPLES)).tolist()
    with Client(str(served.client.base_url), limits=CallLimits(concurrency=8)) as client:
        found = client.ask([_ask(SAMPLES[i]) for i in order])
    np.testing.assert_allclose(np.array(found, dtype=float), own[order], rtol=0, atol=WITHIN)


def test_every_path_of_every_shape_asks_for_what_it_can_carry_and_says_just_that() -> None:
    """What is written is read back as the sample itself: the same turns, parts, bytes and criterion."""
    asked: dict[str, set[str]] = {name: set() for name in CARRIED}
    for name, writes in CARRIED.items():
        for write, tasks in writes:
            carried = set()
            for sample in SAMPLES:
                for one in sends(name, write, sample, data_url):
                    (route,) = [route for route in shape(name).routes if route.path == one.path]
                    asks = route.read(one.body, PlainInline())
                    rows = rows_of([_ask(sample)])
                    assert rows_of(asks) == [rows[i] for i in one.responses]
                    carried.add(sample.task)
                    asked[name].add(one.path)
            assert carried == tasks
    posts = {name: {r.path for r in shapes()[name].routes if r.method == "POST"} for name in CARRIED}
    assert asked == posts
    assert set(CARRIED) <= set(shapes())


@dataclass(frozen=True)
class _Places:
    """Where media of requests are: in the body, or uploaded, each once."""

    served: Running
    drawn: np.random.Generator
    ids: dict[Media, str] = field(default_factory=dict)

    def upload(self, media: Media) -> str:
        if media not in self.ids:
            data = base64.b64decode(base64_of(media))
            sent = self.served.client.post(
                "/v1/uploads", content=data, headers={"Content-Type": "application/octet-stream"}
            )
            self.ids[media] = sent.json()["id"]
        return self.ids[media]

    def url(self, media: Media) -> str:
        return f"upload:{self.upload(media)}" if self.drawn.random() < 0.5 else data_url(media)

    def native(self, sample: Sample) -> Send:
        """A native body, some of whose media are the ids of uploads."""
        body = rewards_body(sample.comparison)
        lists = [*(turn["content"] for turn in body["prompt"]), *body["responses"]]
        for part in (part for parts in lists for part in parts):
            if "base64" in part and self.drawn.random() < 0.5:
                media = Media(part["type"], base64.b64decode(part.pop("base64")))
                part["upload"] = self.upload(media)
        return Send("/v1/rewards", body, lambda r: [one["value"] for one in r["rewards"][0]])


@pytest.mark.parametrize("seed", [0, 1])
def test_the_native_shape_and_all_others_among_each_other(served: Running, own: Rewards, seed: int) -> None:
    drawn = np.random.default_rng(seed)
    places = _Places(served, drawn)
    jobs: list[tuple[int, Send]] = []
    for i, sample in enumerate(SAMPLES):
        jobs.append((i, places.native(sample)))
        for name, writes in CARRIED.items():
            jobs += [(i, one) for write, _ in writes for one in sends(name, write, sample, places.url)]
    order = drawn.permutation(len(jobs)).tolist()
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda n: served.client.post(jobs[n][1].path, json=jobs[n][1].body), order))
    for n, reply in zip(order, replies, strict=True):
        i, one = jobs[n]
        assert reply.status_code == 200, (one.path, reply.text)
        found = one.read(reply.json())
        assert found == pytest.approx(own[i, list(one.responses)], rel=0, abs=WITHIN), (one.path, SAMPLES[i].id)
    assert places.ids  # some were uploaded
