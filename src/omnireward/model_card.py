"""The README that is saved beside a checkpoint: what it is, how to use it, what is not known about it."""

from __future__ import annotations

from omnireward import __version__
from omnireward.types import Layout

CARD = """---
library_name: omnireward
tags: [reward-model, preference, multimodal, {family}]
---
# Omni-modal reward model

Scores a response to a prompt under a criterion in plain words; text, image, video, audio and 3D.

| | |
|---|---|
| backbone family | `{family}` |
| layout of media responses | `{layout}` |
| parameters | {parameters:,} |
| written by | omnireward {version} |

```python
from pathlib import Path
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Text, Turn

model = RewardModel.load(Path("."))
prompt = (Turn("user", (Text("Tell me about tea."),)),)
print(model.rewards([Comparison(prompt, (Text("..."),), (Text("..."),), "The answer should be polite.")]))
```

To be filled in by its author: training data and their licences, results with intervals (`omnireward evaluate`), limits.
"""


def model_card(family: str, layout: Layout, parameters: int) -> str:
    """The card as Markdown."""
    return CARD.format(family=family, layout=layout, parameters=parameters, version=__version__)
