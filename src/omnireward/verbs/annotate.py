"""omnireward annotate: people write criteria and vote, on a page served here."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from typing import Any

from omnireward.annotate.config import AnnotateConfig
from omnireward.errors import MissingExtraError
from omnireward.listening import address, bound, is_loopback
from omnireward.sample_text import printable
from omnireward.sources import BadRows, read_place
from omnireward.verbs import parse


def run(words: list[str]) -> None:
    """Let people write criteria and vote a, b or tie, on a page that is served here.

    Prints a login link for each person. Everything is kept below --out; the same command again goes on. Links stay
    valid then, and are not printed again: they are nowhere but in the first output. --new-links makes new ones.

    Examples:
      omnireward annotate data/samples --annotators ann ben cid --adjudicator dan --out out/people
      omnireward annotate data/samples --annotators ann ben cid --stage vote --gold data/known --out out/people
      omnireward annotate --out out/people --export out/preferences
    """
    config = parse("annotate", run, AnnotateConfig, words)
    if config.export is not None:
        from omnireward.annotate.export import export

        _show(export(config.out, config.export, names=config.names))
        print(f"samples, votes, criteria and the report are in {config.export}.")
        return
    for module in ("fastapi", "uvicorn"):
        if find_spec(module) is None:
            raise MissingExtraError("a page for annotators", "serve")
    _serve(config)


def _serve(config: AnnotateConfig) -> None:
    from omnireward.annotate.app import create_app
    from omnireward.annotate.playable import Playable
    from omnireward.annotate.run import Ahead, Server
    from omnireward.annotate.store import Store, begin, rules_of

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr)
    local = is_loopback(config.host)
    with bound(config.host, config.port) as taken, Store(config.out, rules_of(config)) as store:
        samples, gold = begin(store, config, lambda place: read_place("datasets", place, BadRows()))
        made = store.admit(config)
        where = address(config.host, taken.getsockname()[1])
        print(f"{samples:,} samples{f' and {gold:,} gold samples' if gold else ''} are in {config.out}.")
        for name, token in made.items():
            print(f"  {name}: {where}/#token={token}")
        if kept := sorted({*config.annotators, *filter(None, [config.adjudicator])} - made.keys()):
            print(f"The links of {', '.join(kept)} are those printed before; --new-links makes new ones.")
        if not local:
            print("WARNING: other machines can reach this page, and nothing is encrypted.", file=sys.stderr)
        with Playable(store) as playable, Ahead(store, playable):
            app = create_app(store, playable, local=local)
            Server(app, lambda: print(f"The page is at {where}. Ctrl-C ends it.", flush=True)).run([taken])
    print("ended.", flush=True)


def _show(report: dict[str, Any]) -> None:
    print(report["said"])
    if alpha := report["agreement"]:
        print(f"alpha {alpha['alpha']:.3f} [{alpha['low']:.3f}, {alpha['high']:.3f}] from {alpha['votes']:,} votes")
    for person in report["people"]:
        pace = "" if person["median_seconds"] is None else f", {person['median_seconds']:.1f} s each"
        gold = f", {person['gold_right']} of {person['gold']} gold votes right" if person["gold"] else ""
        print(printable(f"  {person['name']}: {person['done']:,} answers{pace}{gold}"))
