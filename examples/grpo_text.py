"""GRPO of a tiny policy with TRL, and rewards of a server under a criterion. One core, no network, minutes.

    omnireward quickstart --out out/quickstart              # once: a reward model
    omnireward serve --judge reward:out/quickstart/run      # in another terminal
    python examples/grpo_text.py --criterion "The answer should be polite." "The answer should not be polite."

The prompts are those of the miniature world, such as "Tell me about tea.". In it an answer's true manner can be read
from its words, so one sees whether what is learned is what the criterion asked for. The true values are logged beside
the rewards and have weight 0: nothing learns from them. A loop of your own needs `grpo` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
import tyro
from matplotlib.figure import Figure
from tokenizers import ByteLevelBPETokenizer
from transformers import PreTrainedTokenizerFast, PrinterCallback, Qwen2Config, Qwen2ForCausalLM
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig, GRPOTrainer

from datasets import Dataset
from omnireward.adapters.trl import reward_func
from omnireward.metrics.intervals import t_quantile
from omnireward.miniature import texts
from omnireward.miniature.families import FAMILIES
from omnireward.miniature.scenes import draw_scene
from omnireward.types import Task, Text

Messages = list[dict[str, str]]


@dataclass(frozen=True)
class Settings:
    """Train a tiny policy by GRPO under each criterion with each seed, and show what each learned."""

    rewards: str = "http://127.0.0.1:8000"
    """The server; or reward:FOLDER, for a model in this process."""
    criterion: tuple[str, ...] = ("The answer should be polite.",)
    """One or more."""
    steps: int = 40
    seed: tuple[int, ...] = (0,)
    """One or more; each has a first policy of its own."""
    out: Path = Path("out/grpo_text")
    """Folder to fill."""
    show: tuple[str, ...] = ("polite", "numbers")
    """Truths to draw; the table has all of them."""
    lessons: int = 400
    """Batches of the supervised pass that comes first."""
    prompts: int = 8
    """In a step; each has `group` answers."""
    group: int = 8
    rate: float = 1e-3
    """Learning rate of GRPO."""
    beta: float = 0.04
    """Weight of the KL divergence from the policy that GRPO starts with."""
    tokens: int = 64
    """An answer has at most so many; the longest drawn ones have about that."""


# 1. The task: what is asked, and answers of any manner, as the miniature world draws them.


def drawn(rng: np.random.Generator) -> tuple[str, str, Mapping[str, float]]:
    """A prompt, an answer of the training split, and the truth about the answer."""
    scene = draw_scene(Task.T2T, "train", rng, count=1)
    (asked,), (item,) = scene.prompt, scene.responses
    assert isinstance(asked, Text) and isinstance(item.part, Text)  # noqa: PT018
    return asked.text, item.part.text, item.truth


PROMPTS = sorted({drawn(np.random.default_rng(number))[0] for number in range(500)})


# 2. The truth about an answer, read from its words.

TRUTHS = tuple(family.truth for family in FAMILIES[Task.T2T])
PHRASES = {
    "polite": texts.POLITE,
    "cautious": texts.CAUTIOUS,
    "cheerful": texts.CHEERFUL,
    "numbers": texts.NUMBERS,
    "example": texts.EXAMPLES,
    "reason": texts.REASONS,
}


def true_value(truth: str, prompt: str, answer: str) -> float:
    """How much of it the answer has, in [0, 1]."""
    if truth == "true":  # of the topics that it is about, the share that was asked for
        named = re.findall(r"(?:This is about|Here is some|On) (\w+)", answer)
        return fmean(topic in re.findall(r"\w+", prompt) for topic in named) if named else 0.0
    if truth == "detail":  # two fillers are all that the world knows
        return min(1.0, sum(filler in answer for filler in texts.DETAILS) / 2)
    patterns = [re.escape(phrase).replace(r"\{n\}", r"\d+") for phrase in PHRASES[truth]]
    return float(any(re.search(pattern, answer) for pattern in patterns))


def watcher(truth: str) -> Callable[..., list[float]]:
    """The same in the form of a reward function of TRL."""

    def watch(prompts: Sequence[Messages], completions: Sequence[Messages], **_columns: Any) -> list[float]:
        pairs = zip(prompts, completions, strict=True)
        return [true_value(truth, asked[-1]["content"], said[-1]["content"]) for asked, said in pairs]

    watch.__name__ = truth
    return watch


# 3. The policy: a small causal model that has learned to answer, in all manners alike.

TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'user' %}<ask>{{ message.content }}<say>"
    "{% else %}{{ message.content }}<end>{% endif %}{% endfor %}"
)


def warm_start(folder: Path, seed: int, batches: int) -> None:
    """Write a model and its tokenizer, trained on drawn answers."""
    rng = np.random.default_rng(seed)
    pairs = (drawn(rng) for _ in range(2000))
    chats = [[_said("user", asked), _said("assistant", answer)] for asked, answer, _ in pairs]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        (message["content"] for chat in chats for message in chat),
        vocab_size=600,
        special_tokens=["<pad>", "<ask>", "<say>", "<end>"],
        show_progress=False,
    )
    tokenizer: Any = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe._tokenizer, pad_token="<pad>", eos_token="<end>", chat_template=TEMPLATE
    )
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=256,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(batches):
        batch = [chats[place] for place in rng.integers(len(chats), size=32)]
        read = _read(tokenizer, batch)
        labels = read["input_ids"].masked_fill(read["attention_mask"] == 0, -100)
        model(**read, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _read(tokenizer: Any, chats: list[Messages]) -> dict[str, torch.Tensor]:
    read = tokenizer.apply_chat_template(chats, padding=True, return_tensors="pt", return_dict=True)
    return {name: read[name] for name in ("input_ids", "attention_mask")}


def _said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


# 4. GRPO. This is the part for a loop of your own.


def grpo(policy: Path, out: Path, criterion: str, seed: int, settings: Settings) -> list[dict[str, float]]:
    """Train the policy under the criterion; write it to `out`, and return a row for each step."""
    functions: list[Any] = [reward_func(settings.rewards, criterion), *map(watcher, TRUTHS)]
    trainer = GRPOTrainer(
        model=str(policy),
        reward_funcs=functions,
        train_dataset=Dataset.from_list([{"prompt": [_said("user", prompt)]} for prompt in PROMPTS]),
        args=GRPOConfig(
            output_dir=str(out),
            seed=seed,
            reward_weights=[1.0, *(0.0 for _ in TRUTHS)],  # the truth is watched, not learned from
            max_steps=settings.steps,
            per_device_train_batch_size=settings.prompts * settings.group,
            num_generations=settings.group,
            max_completion_length=settings.tokens,
            learning_rate=settings.rate,
            lr_scheduler_type="constant",
            beta=settings.beta,
            scale_rewards="batch",  # a group's own deviation makes much of little, once all of it does as asked
            use_cpu=True,
            bf16=False,
            activation_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model()
    return [row(log) for log in trainer.state.log_history if "reward" in log]


def row(log: Mapping[str, float]) -> dict[str, float]:
    """What the table shows of TRL's log of a step."""
    means = {"step": log["step"], "reward": log["rewards/omnireward/mean"]}
    means |= {truth: log[f"rewards/{truth}/mean"] for truth in TRUTHS}
    return means | {"kl": log["kl"], "entropy": log["entropy"], "tokens": log["completions/mean_length"]}


# 5. What came of it.


def sampled(policy: Path, seed: int, tokens: int, times: int = 10) -> list[tuple[str, str]]:
    """Prompts and the policy's answers, so many of each prompt."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(policy, padding_side="left")
    model = Qwen2ForCausalLM.from_pretrained(policy)
    asked = [prompt for prompt in PROMPTS for _ in range(times)]
    read = _read(tokenizer, [[_said("user", prompt)] for prompt in asked])
    torch.manual_seed(seed)
    found = model.generate(**read, do_sample=True, top_k=0, max_new_tokens=tokens)
    said = tokenizer.batch_decode(found[:, read["input_ids"].shape[1] :], skip_special_tokens=True)
    return list(zip(asked, said, strict=True))


def measured(answers: Sequence[tuple[str, str]], rewards: str, criterion: str) -> dict[str, float]:
    """Mean reward and mean truths of answers."""
    asked, said = [prompt for prompt, _ in answers], [answer for _, answer in answers]
    means = {"reward": fmean(r for r in reward_func(rewards, criterion)(asked, said) if r is not None)}
    means |= {truth: fmean(true_value(truth, *pair) for pair in answers) for truth in TRUTHS}
    return means | {
        "words": fmean(len(answer.split()) for answer in said),
        "empty": fmean(not answer.strip() for answer in said),
        "repeats": fmean(map(repeats, said)),
    }


def repeats(answer: str) -> bool:
    """Whether it says a sentence twice; numbers in it aside."""
    sentences = re.findall(r"\w[^.!:]*[.!:]", re.sub(r"\d+", "n", answer))
    return len(set(sentences)) < len(sentences)


@dataclass(frozen=True)
class Run:
    """One criterion with one seed: a row for each step, and what was measured before and after."""

    criterion: str
    seed: int
    rows: Sequence[Mapping[str, float]]
    before: Mapping[str, float]
    after: Mapping[str, float]


def mean(values: Sequence[float]) -> str:
    """The mean over seeds, with half the width of its 95 % t interval where there are several.

    >>> mean([1.0, 2.0, 3.0])
    '2.00 ± 2.48'
    """
    half = t_quantile(len(values) - 1) * stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return f"{fmean(values):.2f}" + (f" ± {half:.2f}" if half is not None else "")


def table(runs: Sequence[Run]) -> str:
    """In Markdown: what each criterion did to its own reward, and to every truth."""
    by_criterion = {run.criterion: [other for other in runs if other.criterion == run.criterion] for run in runs}
    first = next(iter(by_criterion.values()))
    rewards = [f"{_mean(own, 'before', 'reward')} → {_mean(own, 'after', 'reward')}" for own in by_criterion.values()]
    lines = [
        ("", "before", *by_criterion),
        ("---", *("--:" for _ in ("before", *by_criterion))),
        ("reward", "", *rewards),
    ]
    for name in [name for name in runs[0].after if name != "reward"]:
        found = (_mean(own, "after", name) for own in by_criterion.values())
        lines.append((name, _mean(first, "before", name), *found))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _mean(runs: Sequence[Run], when: str, name: str) -> str:
    return mean([getattr(run, when)[name] for run in runs])


def picture(runs: Sequence[Run], shown: Sequence[str], file: Path) -> None:
    """True values over the steps, a line for each criterion: the mean of its seeds, between the least and the most."""
    figure = Figure(figsize=(4.2 * len(shown), 3.4), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for panel, truth in zip(panels, shown, strict=True):
        for criterion in dict.fromkeys(run.criterion for run in runs):
            own = np.array([[row[truth] for row in run.rows] for run in runs if run.criterion == criterion])
            steps = range(1, own.shape[1] + 1)
            (line,) = panel.plot(steps, own.mean(0), label=criterion if truth == shown[0] else None)
            panel.fill_between(steps, own.min(0), own.max(0), color=line.get_color(), alpha=0.15, linewidth=0)
        panel.set(title=truth, xlabel="step", ylim=(-0.02, 1.02))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("true value, mean of the answers")
    figure.legend(loc="outside upper left", ncols=len(shown), frameon=False)
    figure.savefig(file, dpi=100)


def main(settings: Settings) -> None:
    """Every criterion with every seed; then the table and the picture."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    runs = []
    for seed in settings.seed:
        start = settings.out / f"start-{seed}"
        warm_start(start, seed, settings.lessons)
        first = sampled(start, seed, settings.tokens)
        for number, criterion in enumerate(settings.criterion):
            print(f"\n{criterion} (seed {seed})")
            out = settings.out / f"criterion-{number}-seed-{seed}"
            rows = grpo(start, out, criterion, seed, settings)
            for each in rows[::10]:
                print("  ".join(f"{name} {value:.2f}" for name, value in each.items()))
            last = sampled(out, seed, settings.tokens)
            before, after = (measured(answers, settings.rewards, criterion) for answers in (first, last))
            runs.append(Run(criterion, seed, rows, before, after))
            for name, answers in (("before", first), ("after", last)):
                (out / f"{name}.jsonl").write_text("".join(f"{json.dumps(pair)}\n" for pair in answers))
                for asked, said in answers[:: len(answers) // 4]:
                    print(f"{name}: {asked} {said or '(nothing)'}")
    (settings.out / "runs.json").write_text(json.dumps([asdict(run) for run in runs]), encoding="utf-8")
    (settings.out / "table.md").write_text(table(runs), encoding="utf-8")
    print("\n" + table(runs))
    picture(runs, settings.show, settings.out / "steps.png")


if __name__ == "__main__":
    main(tyro.cli(Settings))
