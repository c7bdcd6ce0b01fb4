"""What every client of `real_clients` asks, and how it tells what it was answered. Needs nothing but Python."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts of one user turn, a response to each, and a server to ask.

    Attributes:
        url: of the server, without a path.
        prompts: one for each response.
        responses: those to be given rewards.
        tokenizer: folder of a tokenizer with a ChatML template.
        rewards: function, path and numbers of each way in which the client asked.
    """

    url: str
    prompts: Sequence[str]
    responses: Sequence[str]
    tokenizer: str
    rewards: list[tuple[str, str, list[float]]]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Prompts with their responses."""
        return list(zip(self.prompts, self.responses, strict=True))

    @property
    def chats(self) -> list[list[dict[str, str]]]:
        """The same as messages."""
        return [
            [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
            for prompt, response in self.pairs
        ]

    @property
    def whole(self) -> list[str]:
        """The same as text in ChatML."""
        return [chatml(chat) for chat in self.chats]

    def got(self, function: str, path: str, rewards: Sequence[float]) -> None:
        """Rewards have come."""
        self.rewards.append((function, path, [float(each) for each in rewards]))

    def tell(self) -> None:
        """The last line that a client's process prints."""
        print("\n" + json.dumps(self.rewards))


def chatml(chat: Sequence[dict[str, Any]]) -> str:
    return "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in chat)


def asked() -> Asked:
    """From the file that the process was given."""
    return Asked(**json.loads(Path(sys.argv[1]).read_text()), rewards=[])
