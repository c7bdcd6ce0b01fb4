"""What a server is told, and who may reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnireward.errors import RecipeError
from omnireward.serve.config import KEYS, ServeConfig, read_keys

GOOD = "0123456789abcdef"  # as short as a key may be


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org", ""])
def test_other_machines_need_keys(host: str) -> None:
    config = ServeConfig(judge="longer", host=host)
    with pytest.raises(RecipeError, match=KEYS):
        read_keys(config, {})
    assert read_keys(config, {KEYS: GOOD}) == (GOOD,)


def test_this_machine_needs_none_and_may_have_some(tmp_path: Path) -> None:
    config = ServeConfig(judge="longer")
    assert read_keys(config, {}) == ()
    assert read_keys(config, {KEYS: f" {GOOD}, {GOOD}2 "}) == (GOOD, f"{GOOD}2")
    file = tmp_path / "keys"
    file.write_text(f"{GOOD}3\n\n{GOOD}4\n")
    assert read_keys(ServeConfig(judge="longer", api_keys_file=file), {KEYS: GOOD}) == (f"{GOOD}3", f"{GOOD}4")


@pytest.mark.parametrize("key", ["short", GOOD[:-1], f"{GOOD}ä", f"{GOOD}\x7f"])
def test_a_key_that_is_none_is_not_shown(key: str) -> None:
    with pytest.raises(RecipeError, match="API key 2") as caught:
        read_keys(ServeConfig(judge="longer"), {KEYS: f"{GOOD} {key}"})
    assert key not in str(caught.value)


def test_a_file_without_keys_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    config = ServeConfig(judge="longer", api_keys_file=file)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_keys(config, {KEYS: GOOD})
    file.write_text(" \n")
    with pytest.raises(RecipeError, match="holds no API key"):
        read_keys(config, {KEYS: GOOD})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_queue", 0),
        ("max_connections", 0),
        ("max_body_mb", 0),
        ("max_responses", 0),
        ("max_uploads_mb", 0),
        ("deadline", 0.0),
        ("body_seconds", float("nan")),
        ("head_seconds", 0.0),
        ("reply_seconds", float("nan")),
        ("notice", -1.0),
        ("notice", float("inf")),
        ("drain", float("inf")),
        ("upload_seconds", float("inf")),
        ("port", 65_536),
        ("max_held_mb", 63),
        ("tie_threshold", -0.1),
        ("tie_threshold", float("inf")),
        ("tie_threshold", float("nan")),
    ],
)
def test_settings_that_make_no_sense_are_named(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=name):
        ServeConfig(judge="longer", **{name: value})  # type: ignore[arg-type]
