"""ms-swift's own scoring of completions in GRPO, with `omnireward.adapters.ms_swift` as an external plugin.

The plugin is the file that the documents show; what calls it is what its trainer calls. Runs in ms-swift's environment.
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import torch
from perf._clients_asked import asked

algorithm: Any = importlib.import_module("swift.rl_core.grpo_algorithm")  # these are not in this project's environment
data: Any = importlib.import_module("swift.rl_core.data")
rewards: Any = importlib.import_module("swift.rewards")
utils: Any = importlib.import_module("swift.utils")

PLUGIN = """
from swift.rewards import orms

from omnireward.adapters.ms_swift import orm

orms["omnireward"] = orm({url!r})
"""


def main() -> None:
    ours = asked()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plugin.py"
        file.write_text(PLUGIN.format(url=ours.url))
        utils.import_external_file(str(file))
    function = rewards.orms["omnireward"](args=None)
    samples = [data.GRPOSample.from_row({"messages": chat}) for chat in ours.chats]
    found = algorithm.score_completions(samples, [function], [None], False, torch.device("cpu"))
    ours.got("score_completions, orms['omnireward']", "adapter", found[:, 0].tolist())
    ours.tell()


if __name__ == "__main__":
    main()
