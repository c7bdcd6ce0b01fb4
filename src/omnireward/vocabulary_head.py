"""The head of a model that writes: vocabulary logits, by the names that they have in a checkpoint.

Whoever writes shares its input embeddings with the head (tied) or has weights of its own for it. A file without such
weights is of a tied one where its config says so, or its family's does: else they were lost, and any others would
write noise.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from omnireward.backbones._decoder import DecoderBackbone
from omnireward.backbones._weights import WeightFiles
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError

# In files: of most, of a whole model that also speaks, of MiniCPM-o. The first that a file has counts.
NAMES = ("lm_head.weight", "thinker.lm_head.weight", "llm.lm_head.weight")
_TIED = "tie_word_embeddings"
_SECTIONS = ("thinker_config", "text_config", "language_config")  # of config.json, which may hold the word on tying


def head_of(backbone: DecoderBackbone, folder: Path) -> nn.Linear:
    """The head of a checkpoint whose backbone was loaded from a folder.

    Raises:
        CheckpointError: the folder has no such weights and says that they are not the embeddings', or they do not fit.
    """
    embeddings: Tensor = cast(Any, backbone.decoder).embed_tokens.weight
    files = WeightFiles(folder, ())
    name = next((name for name in NAMES if name in files.keys), None)
    config = read_json(folder / "config.json")
    if name is None:
        if not _says_tied(config, backbone):
            raise CheckpointError(
                f"{folder} has no vocabulary head ({' or '.join(NAMES)}), so it cannot write. A reward model's folder "
                "has none, for example. Give a chat model's."
            )
        return tied(backbone)
    weight = files.tensor(name)
    if weight.shape != embeddings.shape:
        raise CheckpointError(
            f"{folder}: {name} is {tuple(weight.shape)}, and the embeddings are {tuple(embeddings.shape)}."
        )
    if _says_tied(config, backbone) and torch.equal(weight, embeddings):  # some files hold both
        return tied(backbone)
    head = _empty(embeddings)
    head.weight = nn.Parameter(weight)
    return head


def tied(backbone: DecoderBackbone) -> nn.Linear:
    """A head that is the input embeddings."""
    embeddings = cast(Any, backbone.decoder).embed_tokens.weight
    head = _empty(embeddings)
    head.weight = embeddings
    return head


def is_tied(head: nn.Linear, backbone: DecoderBackbone) -> bool:
    """Whether a head is the input embeddings."""
    return head.weight is cast(Any, backbone.decoder).embed_tokens.weight


def name_for(backbone: DecoderBackbone) -> str:
    """What the family's files call the head."""
    return NAMES[2] if hasattr(backbone, "llm") else NAMES[0]


def softcap_of(backbone: DecoderBackbone) -> float | None:
    """The bound that some families put on logits with a tanh."""
    return getattr(cast(Any, backbone.decoder).config, "final_logit_softcapping", None)


def _empty(embeddings: Tensor) -> nn.Linear:
    words, hidden = embeddings.shape
    with torch.device("meta"):
        return nn.Linear(hidden, words, bias=False)


def apart(config: dict[str, Any], backbone: DecoderBackbone) -> dict[str, Any]:
    """A config that says that head and embeddings are apart; the same where it does."""
    return _untied(config) | {_TIED: False} if _says_tied(config, backbone) else config


def digest(head: nn.Linear) -> str:
    """Hex SHA-256 of a head's weights as they are kept."""
    weight = head.weight.detach().cpu().contiguous()
    sha = hashlib.sha256(f"{weight.dtype} {tuple(weight.shape)}".encode())
    sha.update(memoryview(weight.view(torch.uint8).numpy()))  # type: ignore[arg-type] # it is a buffer
    return sha.hexdigest()


def _says_tied(config: dict[str, Any], backbone: DecoderBackbone) -> bool:
    """What a config says, or, where it says nothing, what the family does."""
    said = _said(config)
    return bool(getattr(getattr(backbone, "config", None), _TIED, False)) if said is None else said


def _said(config: dict[str, Any]) -> bool | None:
    """Whether a config says that the head is the embeddings. The innermost section that speaks of it counts."""
    inner = next((config[name] for name in _SECTIONS if isinstance(config.get(name), dict)), None)
    found = None if inner is None else _said(inner)
    own = config.get(_TIED)
    return found if found is not None else own if isinstance(own, bool) else None


def _untied(config: dict[str, Any]) -> dict[str, Any]:
    said = {name: _untied(config[name]) for name in _SECTIONS if isinstance(config.get(name), dict)}
    return config | said | ({_TIED: False} if _TIED in config else {})
