"""Short waits between tries, and calls of a scripted endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.calls.scripted import Scripted

from omnireward import waits
from omnireward.calls import CallOptions, Endpoint

Open = Callable[..., Endpoint]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "FIRST", 0.01)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Open]:
    """Opens endpoints that write to one journal; closed at the end."""
    with ExitStack() as stack:

        def open_endpoint(server: Scripted, **options: object) -> Endpoint:
            given = {"model": "m", "base_url": server.url, "journal": tmp_path / "calls.jsonl", "timeout": 5.0}
            opened = Endpoint(CallOptions(**(given | options)))  # type: ignore[arg-type]
            stack.callback(opened.close)
            return opened

        yield open_endpoint
