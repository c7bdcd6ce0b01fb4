"""Samples of many sources become one dataset, with splits, counts, a card, and nothing that a benchmark holds.

What is unusual:

* Two passes. The first reads every sample and keeps digests of it in a database on the disk (`mix_parts`,
  `mix_index`); the second reads the sources again and writes what was chosen (`mix_writing`). So memory does not grow
  with the number of samples.
* Every choice is by a hash of what a sample shows and the seed. Neither the order of the sources, nor processes,
  machines or an earlier run that was killed change a byte.
* Nothing is repeated and nothing lost silently: each sample that was read is in the mixture, or is counted with the
  reason why it is not.

Files in the output folder: the data (`mix_forms`), ``media/``, ``README.md`` (the card), ``mix.json`` (all counts),
``config.yaml``. While it works, and after one shard of several, ``.mixing/`` holds what the first pass has found.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from omnireward import atomic, provenance
from omnireward.construct.dataset_card import OURS, dataset_card
from omnireward.construct.mix_choice import Wishes, quotas
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.mix_counts import Mixed, Origin
from omnireward.construct.mix_folder import alone, at_work, clear, files_before, save
from omnireward.construct.mix_form import Form
from omnireward.construct.mix_forms import form_of
from omnireward.construct.mix_index import Entry, Index
from omnireward.construct.mix_near import Neighbours
from omnireward.construct.mix_parts import Plan, Read, index_part, read_entries, read_parts
from omnireward.construct.mix_writing import Source, write
from omnireward.construct.parts import Part, done, missing, run_parts
from omnireward.errors import RecipeError, SourceError
from omnireward.media_store import MEDIA
from omnireward.plugins import load, names
from omnireward.sources import SampleSource, open_place

CARD = "README.md"


def mix(config: MixConfig) -> Mixed:
    """Mix, or do a part of it.

    Returns:
        All counts. While parts are `waiting`, there are none.

    Raises:
        UnknownNameError, SourceError, RecipeError: a place or a task that does not exist; nothing is left to write.
        BadRowError: a row cannot be used, and `skip_bad_rows` is off.
        JournalError: the folder holds something else, or another process is at work in it.
        MissingExtraError: `near` without the extra ``construct``, or the engine ``ray`` without its own.
        OSError: the disk is full.
    """
    benchmark_places = config.lasting.benchmarks
    shard, form, wishes = Part.parse(config.shard), form_of(config.form), config.wishes
    sources = _sources(config)
    benchmarks = tuple(provenance.portable(place, config.out) for place in benchmark_places)
    plan = Plan(
        sources=tuple(source.place for source in sources),
        benchmarks=benchmark_places,
        named=(*(source.named for source in sources), *benchmarks),
        form=config.form,
        near=config.near,
        skip_bad_rows=config.skip_bad_rows,
    )
    if config.dry_run and shard.of > 1:
        raise RecipeError("a dry run reads everything; leave out --shard.")
    with at_work(config, shard) as work:
        run_parts(partial(index_part, plan, work), shard, config.workers, config.engine)
        if waiting := missing(done(work)):
            return Mixed(config.out, waiting=tuple(waiting))
        with alone(work) as fresh, Index(fresh / "index.sqlite", config.seed) as index:
            read = read_parts(plan, work)
            _choose(index, config, form, wishes, plan, work, fresh)
            mixed = _counted(index, config.out, sources, benchmarks, read)
            if not mixed.samples:
                raise SourceError(f"nothing is left to mix. {_why(mixed)}")
            if not config.dry_run:
                mixed = _publish(mixed, index, sources, config, form, fresh)
        if shard.of == 1 and not config.dry_run:
            clear(work)
    return mixed


def _sources(config: MixConfig) -> list[Source]:
    """The sources in the order of their names."""
    opened = {place: open_place("datasets", place) for place in config.sources}
    used = Counter(name for name, _, _ in opened.values())
    found: dict[str, Source] = {}
    for place, (name, source, location) in opened.items():
        named = provenance.portable(place, config.out)
        if named in found:
            raise RecipeError(f"sources: {place!r} is given twice. Give each place once, with its weight.")
        digest = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()
        prefix = name if used[name] == 1 else f"{name}-{digest[:8]}"
        found[named] = Source(place, named, prefix, source.licence, "" if location else source.home)
    return [found[named] for named in sorted(found)]


def _choose(index: Index, config: MixConfig, form: Form, wishes: Wishes, plan: Plan, work: Path, fresh: Path) -> None:
    """Fill the index and choose."""
    order = plan.named[: len(plan.sources)]
    with Neighbours(fresh / "near.sqlite") if config.near else nullcontext() as neighbours:
        index.load(_entries(work, neighbours))
        near = neighbours.in_benchmarks(len(plan.benchmarks)) if neighbours else ()
        index.clean(plan.named[len(plan.sources) :], near)
        index.choose(order, quotas(index.available(order), wishes))
        index.split(order, config.splits, neighbours.pairs() if neighbours else ())
    if form.chosen_first:
        index.chosen_first()
    elif config.balance:
        index.balance()


def _entries(work: Path, neighbours: Neighbours | None) -> Iterator[Entry]:
    """What the parts have found; what is nearly the same is noted on the way."""
    samples = 0
    for entry, hashed in read_entries(work):
        samples += not entry.benchmark
        if neighbours is not None:
            for each in hashed:
                neighbours.add(samples, each, entry.source if entry.benchmark else None)
        yield entry


def _counted(index: Index, out: Path, sources: Sequence[Source], benchmarks: Sequence[str], read: Read) -> Mixed:
    names = [source.named for source in sources]
    bad = Counter[str]()
    for name, count in zip((*names, *benchmarks), read.bad, strict=True):
        bad[name] += count
    return Mixed(
        out,
        portions=tuple(index.portions(names)),
        left_out=tuple(index.left_out(names)),
        read=dict(zip(names, read.samples, strict=False)),
        kept_out=dict(zip(benchmarks, read.samples[len(names) :], strict=True)),
        not_compared=read.lost,
        bad_rows=dict(+bad),
        first_bad=tuple(read.first_bad),
        licences={source.named: source.licence for source in sources},
        homes={source.named: source.home for source in sources if source.home},
    )


def _publish(
    mixed: Mixed, index: Index, sources: Sequence[Source], config: MixConfig, form: Form, fresh: Path
) -> Mixed:
    """Write everything beside the folder's files, then put it in their place; the counts come last."""
    kept = fresh / "kept"
    written = write(index, sources, form, fresh, kept, skip_bad_rows=config.skip_bad_rows)
    origins = sorted(written.origins.items(), key=lambda pair: (-pair[1], pair[0]))
    mixed = replace(
        mixed,
        files=tuple(written.files),
        origins=tuple(Origin(name, _licence(name, mixed.licences), count) for name, count in origins),
    )
    for name in written.files:
        atomic.synced(fresh / "files" / name)
    for name in files_before(config):
        (config.out / name).unlink(missing_ok=True)
    # As a whole: of an earlier run there may be media that no sample shows any more.
    if (media := config.out / MEDIA).exists():
        media.replace(fresh / "before")
    if not form.embeds and (kept / MEDIA).exists():
        (kept / MEDIA).replace(media)
    for name in written.files:
        (config.out / name).parent.mkdir(exist_ok=True)
        (fresh / "files" / name).replace(config.out / name)
    card = config.out / CARD
    if not card.is_file() or OURS.encode() in card.read_bytes():
        # The verb has two words, which a shell must not see as one.
        command = provenance.command("construct", config.lasting, config.out).replace("construct", "construct mix", 1)
        atomic.write_text(card, dataset_card(mixed, form, command))
    provenance.save_config("construct mix", config.lasting, config.out)
    save(config, {key: value for key, value in asdict(mixed).items() if key not in ("out", "waiting")})
    atomic.synced(config.out)
    return mixed


def _licence(origin: str, licences: Mapping[str, str]) -> str:
    """That of a source, or of the dataset that a sample names; nothing is opened for a name in a sample."""
    if origin in licences:
        return licences[origin]
    name = origin.partition(":")[0]
    source = load("datasets", name) if name in names("datasets") else None
    return source.licence if isinstance(source, SampleSource) else ""


def _why(mixed: Mixed) -> str:
    reasons = "; ".join(f"{count} {reason}" for reason, count in mixed.reasons().items())
    said = f"{sum(mixed.read.values())} samples were read" + (f": {reasons}" if reasons else "") + "."
    return said + (f" The first row that cannot be used: {mixed.first_bad[0]}" if mixed.first_bad else "")
