"""The commands that the page shows make the request that the page makes: they are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.web.browser import Tab
from tests.web.fake import Fake
from tests.web.test_playground import ask, fill

TRICKY = 'It\'s "quoted" \\ $HOME `id` $(id) ${x} 100 % ü 😀 \t\nJSON\n<<EOF true null'
NAME = 'it\'s $HOME `id` "q".wav'


def run(command: list[str], folder: Path, key: str) -> str:
    environ = os.environ | {"OMNIREWARD_API_KEY": key, "no_proxy": "*"}
    return subprocess.run(
        command, cwd=folder, env=environ, check=True, capture_output=True, text=True, timeout=60
    ).stdout


@pytest.mark.parametrize("with_medium", [False, True])
@pytest.mark.parametrize("with_key", [False, True])
def test_both_ask_what_the_page_asks(tab: Tab, fake: Fake, tmp_path: Path, with_medium: bool, with_key: bool) -> None:
    fake.key = "a-key-of-this-test" if with_key else ""
    fill(tab, TRICKY, [TRICKY, "b"], "kind $HOME 'x'")
    if with_medium:
        (tmp_path / NAME).write_bytes(bytes(range(256)) * 40)
        tab.choose("#prompt input[type=file]", [tmp_path / NAME])
        tab.wait("document.querySelector('#prompt .no-preview')")
    if with_key:
        ask(tab)
        tab.write("#key", fake.key)
    ask(tab)
    code = {}
    for name in ("curl", "python"):
        tab.click(f"#tab-{name}")
        code[name] = tab.value(f"document.querySelector('#panel-{name} pre').textContent")
        assert len(code[name]) < 2000  # media are not spelled out
    replies = [json.loads(run([sys.executable, "-c", code["python"]], tmp_path, fake.key))]
    if shutil.which("curl"):
        # As they lie around: /bin/sh may be another shell than bash.
        for shell in filter(shutil.which, ("bash", "dash", "zsh")):
            replies.append(json.loads(run([shell, "-c", code["curl"]], tmp_path, fake.key)))
    by_page, *by_code = fake.asked
    assert by_code == [by_page] * len(replies)
    assert [reply["model"] for reply in replies] == ["miniature-run"] * len(replies)
