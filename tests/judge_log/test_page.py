"""log.html: what it says, what hostile texts and media cannot do, and what it bounds."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.judge_log.made_run import make

from omnireward.errors import SourceError
from omnireward.judge_log import RolloutAnswer, RolloutGroup, RolloutLog, cards, reading, write_page
from omnireward.judge_log.plots import PANELS
from omnireward.judge_log.rollouts import to_line
from omnireward.types import Comparison, Media, Sample, Text, Turn
from omnireward.verbs import report

ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(2)>\0\ud800'


class Elements(HTMLParser):
    """Start tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"a doubled attribute in <{tag}>"
        self.tags.append((tag, dict(attrs)))

    def named(self, tag: str, kind: str = "") -> list[dict[str, str | None]]:
        return [a for name, a in self.tags if name == tag and kind in ["", *(a.get("class") or "").split()]]


def words_of(text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", "", text[text.index("<main>") :])))


def written(out: Path) -> str:
    return write_page(out).read_text()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 steps with a group of each fourth, and media of all kinds; not to be changed."""
    out = make(tmp_path_factory.mktemp("made") / "tiny-judge", steps=60, groups=1, prompts=1, every=4)
    write_page(out)
    return out


def test_a_made_up_run_is_all_there(made: Path) -> None:
    text = (made / "log.html").read_text()
    words, elements = words_of(text), Elements(text)
    assert "tiny-judge at step 60" in words
    assert "learning_rate: 1.0e-06" in words
    titles = re.findall(r"<h3>(.*?)</h3>", text)
    assert titles == [panel.title for panel in PANELS]
    steps = [int(a["data-step"] or 0) for a in elements.named("article")]
    assert steps == list(range(60, 0, -4))
    assert len(elements.named("section", "answer")) == 4 * 15
    assert "swapped" in words
    for tag in ("img", "video", "audio"):
        assert elements.named(tag), tag
    assert {a["data-outcome"] for a in elements.named("section")} == {"right", "wrong", "none"}


def test_it_makes_no_request_and_allows_its_own_script_alone(made: Path) -> None:
    text = (made / "log.html").read_text()
    elements = Elements(text)
    urls = [a[n] or "" for _, a in elements.tags for n in ("src", "poster", "srcset", "data", "action") if n in a]
    assert urls
    assert all(url.startswith("data:") for url in urls)
    links = [a["href"] or "" for a in elements.named("a")]
    assert links
    assert all(re.fullmatch(r"shown/media/[0-9a-f]{2}/[0-9a-f]{64}\.[a-z0-9]{3,4}", link) for link in links)
    assert all((made / link).is_file() for link in links)
    assert not elements.named("link") + elements.named("iframe")
    ids = [a["id"] for _, a in elements.tags if "id" in a]
    assert len(ids) == len(set(ids))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [a["content"] or "" for a in elements.named("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_same_files_make_the_same_page(made: Path) -> None:
    before = (made / "log.html").read_bytes()
    assert write_page(made).read_bytes() == before


def test_hostile_texts_stay_texts(group: RolloutGroup, answer: RolloutAnswer, sample: Sample, out: Path) -> None:
    hostile = replace(answer, text=ATTACK, parts={ATTACK: 1.0})
    said = Comparison((Turn("user", (Text(ATTACK),)),), (Text(ATTACK),), sample.comparison.response_b, ATTACK)
    log = RolloutLog(out, 9)
    log.add(
        replace(group, id=ATTACK, task=ATTACK, criterion=ATTACK, answers=(hostile,)),
        replace(sample, id=ATTACK, comparison=said),
    )
    (out / "log.jsonl").write_text(json.dumps({"step": 1, ATTACK: 1.0, "reward": 0.5}) + "\n")
    (out / "config.yaml").write_text(ATTACK.replace("\ud800", ""))
    (out / "stopped.json").write_text(json.dumps({"step": 1, "reason": ATTACK}))
    text = written(out)
    elements = Elements(text)
    assert len(elements.named("script")) == 1
    assert not [a for _, a in elements.tags if "onerror" in a]
    assert "\0" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 10


def test_answers_say_what_they_mean_in_the_sample_s_own_order(group: RolloutGroup, sample: Sample, out: Path) -> None:
    """The second answer says A where b was shown first: it means B, and people prefer A."""
    RolloutLog(out, 9).add(group, sample)
    first, second = re.findall(r'<section class="answer".*?</section>', written(out), re.DOTALL)
    assert "✓ right: A" in words_of("<main>" + first)
    assert "swapped" not in first
    assert "✗ wrong: B ⇄ swapped reward 0.1 (accuracy 0), advantage −0.5" in words_of("<main>" + second)
    assert "1 of 2 right" in (out / "log.html").read_text()
    preferred = Elements((out / "log.html").read_text()).named("div", "preferred")
    assert len(preferred) == 1


def test_why_a_run_stopped_stands_on_top(made: Path, out: Path) -> None:
    RolloutLog(out, 1)
    (out / "log.jsonl").write_text('{"step": 5, "reward": 0.5}\n')
    assert "Stopped" not in written(out)
    (out / "stopped.json").write_text('{"step": 5, "reason": "The format is lost."}')
    assert "Stopped at step 5The format is lost." in words_of(written(out))
    (out / "stopped.json").write_text("[")
    assert "stopped.json cannot be read" in words_of(written(out))


def test_an_empty_run_has_a_page_and_another_folder_none(out: Path, tmp_path: Path) -> None:
    RolloutLog(out, 1)
    words = words_of(written(out))
    assert "before its first logged step" in words
    assert "No rollouts were kept yet." in words
    with pytest.raises(SourceError, match=r"holds neither log.jsonl nor rollouts.jsonl"):
        write_page(tmp_path)


def test_media_gone_broken_or_elsewhere_are_noted(
    group: RolloutGroup, sample: Sample, out: Path, tmp_path: Path
) -> None:
    """In this order: cut off in the middle, not there when it was kept, deleted since, and a name that leaves."""
    png = sample.comparison.response_a[0]
    assert isinstance(png, Media)
    assert isinstance(png.source, bytes)
    log = RolloutLog(out, 9)
    parts = (Media("image", png.source[:40]), Media("image", tmp_path / "no.png"))
    for name, response in (("broken", parts), ("deleted", (png,)), ("elsewhere", sample.comparison.response_b)):
        comparison = replace(sample.comparison, response_a=response, response_b=(Text("b"),))
        log.add(replace(group, id=name), replace(sample, id=name, comparison=comparison))
    samples = out / "shown/samples.jsonl"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    (out / "shown" / rows[1]["response_a"][0]["media"][0]).unlink()
    rows[2]["response_a"][0]["media"] = ["../../../../../etc/hostname"]
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = written(out)
    noted = re.findall(r'class="withheld">(.*?)</div>', text)
    assert [bool(re.search(said, note)) for said, note in zip(_NOTED, noted, strict=True)] == [True] * 4, noted
    assert not Elements(text).named("img")


_NOTED = ("only relative paths", "there is no file", "image not shown: .*PNG|cannot", "could not be kept: .*no.png")


def test_media_are_bounded_and_the_newest_come_first(
    group: RolloutGroup, sample: Sample, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for two samples of three."""
    log = RolloutLog(out, 9)
    for step in (1, 2, 3):
        log.add(replace(group, step=step, id=f"s{step}"), replace(sample, id=f"s{step}"))
    size = sum(len(a["src"] or "") for a in Elements(written(out)).named("img"))
    monkeypatch.setattr(cards, "EMBEDDED", size * 2 // 3)
    text = written(out)
    shown = [len(Elements(card).named("img")) for card in re.findall(r"<article.*?</article>", text, re.DOTALL)]
    assert shown == [2, 2, 0]
    assert "image not shown: this page holds at most" in text
    assert len(Elements(text).named("a")) == 6  # their files are linked all the same
    assert len((out / "shown/cards.jsonl").read_text().splitlines()) == 2


def test_a_page_decodes_what_is_new_and_so_much_at_most(
    group: RolloutGroup, sample: Sample, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = RolloutLog(out, 9)
    for step in (1, 2):
        log.add(replace(group, step=step, id=f"s{step}"), replace(sample, id=f"s{step}"))
    assert len(Elements(write_page(out, fresh=2).read_text()).named("img")) == 2
    assert "it comes with the next page" in (out / "log.html").read_text()
    assert len(Elements(write_page(out, fresh=2).read_text()).named("img")) == 4
    assert len(Elements(write_page(out, fresh=0).read_text()).named("img")) == 4
    whole = written(out)
    (out / "shown/cards.jsonl").write_text('{"digest": 3}\n[]\n{"digest": "x", "media": [1]}\nnull')
    assert written(out) == whole


def test_a_sample_of_two_steps_has_its_media_once(group: RolloutGroup, sample: Sample, out: Path) -> None:
    log = RolloutLog(out, 9)
    for step in (1, 2):
        log.add(replace(group, step=step), sample)
    text = written(out)
    assert len(Elements(text).named("img")) == 2
    assert text.count("image not shown: it is above, at step 2") == 2


def test_of_many_groups_the_newest_and_some_before(
    group: RolloutGroup, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 newest of 12, and 3 of the 9 before: each third. A line that is none among them is counted."""
    monkeypatch.setattr(reading, "NEWEST", 3)
    monkeypatch.setattr(reading, "EARLIER", 3)
    RolloutLog(out, 1)

    def lines() -> Iterator[str]:
        for step in range(1, 13):
            yield to_line(replace(group, step=step)) if step != 4 else '{"step": 4}\n'

    (out / "rollouts.jsonl").write_text("".join(lines()) + '{"step": 13, "id')
    text = written(out)
    assert [a["data-step"] for a in Elements(text).named("article")] == ["12", "11", "10", "7", "1"]
    assert "12 groups of answers in rollouts.jsonl; here are the newest 3, and 3 spread evenly" in words_of(text)
    assert "; 1 cannot be read." in words_of(text)


def test_the_verb_makes_the_page_again(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RolloutLog(out, 1)
    report.run([str(out)])
    assert str(out / "log.html") in capsys.readouterr().out.replace("\n", "")
    assert (out / "log.html").is_file()
