"""A trained model goes to the Hugging Face Hub: its own files and its card, in one commit.

Only what a loader reads is sent. Checkpoints with optimizer state, logs and configs with paths of this machine stay
here. Before anything is sent the folder is opened as a loader would open it, without reading the weights: a folder
without its head is refused. The token is the one that `hf auth login` or HF_TOKEN gave; this asks for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import huggingface_hub as hub
from httpx2 import HTTPError  # what huggingface_hub speaks through; a broken connection surfaces as this
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

from omnireward import lora
from omnireward.backbones._weights import INDEX, SINGLE, shapes_only
from omnireward.checkpoint import check_tokenizer, load_backbone, recorded_weights
from omnireward.errors import CheckpointError, HubError
from omnireward.on_base import TRAINED, is_on_base, recorded
from omnireward.reward_model import RECORD, TIES, UNCERTAINTY
from omnireward.reward_model import recorded as recorded_key
from omnireward.tie_head import read_tie_head
from omnireward.train.made import CARD, card_of, write_card
from omnireward.uncertainty import FILE as FITTED
from omnireward.uncertainty import read_uncertainty
from omnireward.value_head import HEAD, OLD_HEAD, read_head

BESIDE = "value_head|tie_head|uncertainty|adapter_model|trained"
FILES = re.compile(
    r"config\.json|(generation|preprocessor|processor|video_preprocessor|tokenizer|adapter)_config\.json|"
    r"omnireward\.json|(tokenizer|vocab|added_tokens|special_tokens_map|chat_template)\.json|merges\.txt|"
    r"chat_template\.jinja|LICEN[CS]E(\.\w+)?|"
    r"model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|"
    rf"({BESIDE})\.safetensors|value_head\.bin"
)
# Of an earlier push, and in the way of this one where they are not sent again.
WEIGHTS = re.compile(rf"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?|({BESIDE})\.\w+")
HARMLESS = (CARD, ".gitattributes", "LICENSE", ".gitignore")
PINNED = re.compile(r"[\w-][\w.-]*/[\w.-]+@\w+")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Push:
    """What is to be sent.

    Attributes:
        folder: of the model.
        repo: OWNER/NAME.
        files: names and sizes in bytes, the card not among them.
        card: the text of README.md.
    """

    folder: Path
    repo: str
    files: dict[str, int] = field(default_factory=dict)
    card: str = ""

    @property
    def size(self) -> int:
        """Bytes of everything."""
        return sum(self.files.values()) + len(self.card.encode())


def prepare(folder: Path, repo: str, reports: tuple[Path, ...] = (), terms: str = "", *, write: bool = True) -> Push:
    """Check a model's folder and choose what is sent.

    Args:
        folder: of a trained model.
        repo: OWNER/NAME.
        reports: folders of evaluations; those inside `folder` by default.
        terms: the licence's name on the Hub.
        write: also write the card into the folder.

    Raises:
        CheckpointError: no reward model is there, or a part of it is missing, does not fit or is a link to elsewhere,
            or its base is a folder here.
        SourceError: a report that cannot be read.
    """
    check(folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and FILES.fullmatch(path.name))
    # Folders are passed on as archives too, and a link in one may lead to a key of whoever unpacks it.
    away = [name for name in (CARD, *names) if not (folder / name).resolve().is_relative_to(folder.resolve())]
    if away:
        raise CheckpointError(
            f"{folder} has links to files elsewhere, which are not sent: {', '.join(away)}. If they are meant, copy "
            f"the folder with its files first: cp -rL {folder} COPY"
        )
    card = write_card(folder, reports, terms) if write else card_of(folder, reports, terms)
    return Push(folder, repo, {name: (folder / name).stat().st_size for name in names}, card)


def check(folder: Path) -> None:
    """Open a folder as a loader would, without its weights' numbers. Raises CheckpointError."""
    record = folder / RECORD
    if not record.is_file():
        raise CheckpointError(
            f"{folder} has no {RECORD}, so it is no reward model that omnireward saved. Give the folder that "
            "'omnireward train --out' named."
        )
    digests = recorded_weights(record)
    if is_on_base(folder, record):
        found = recorded(folder, record)
        if not PINNED.fullmatch(found.place):
            raise CheckpointError(
                f"{folder} holds adapters on the base {found.place}, a folder of this machine: nobody else could load "
                f"them. Make a whole model first: omnireward convert {folder} OUT --to published"
            )
        for name in (lora.WEIGHTS, *((TRAINED,) if found.trained else ())):
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder} has no {name}; copy the whole folder again.")
        if not any((folder / name).is_file() for name in (HEAD, OLD_HEAD)):
            raise CheckpointError(f"{folder} has no {HEAD}. Without its head a reward model gives random numbers.")
        _check_there(folder, digests)
        return
    if not any((folder / name).is_file() for name in (SINGLE, INDEX)):
        raise CheckpointError(f"{folder} has neither {SINGLE} nor {INDEX}: its weights are missing.")
    with shapes_only():
        _, backbone = load_backbone(folder)
    try:
        check_tokenizer(folder, record)
        read_head(folder, backbone.hidden_size)
        read_tie_head(folder, recorded_key(folder, TIES), backbone.hidden_size)
        if recorded_key(folder, UNCERTAINTY) is not None:
            read_uncertainty(folder, backbone.hidden_size, digests.get(FITTED))
    finally:
        backbone.close()
    _check_there(folder, digests)


def _check_there(folder: Path, recorded: Iterable[str]) -> None:
    there = {path.name for path in folder.iterdir() if path.is_file()}
    gone = sorted(set(recorded) - there)
    if gone:
        raise CheckpointError(
            f"{folder} has no {', '.join(gone[:3])}, which its {RECORD} names as weights; copy the whole folder again."
        )


def send(push: Push, *, private: bool, revision: str | None, message: str) -> str:
    """Make the repository if there is none, and commit everything at once; returns the commit's address.

    Raises:
        HubError: no token, no permission, no network, or a repository that holds something else.
    """
    api = HfApi()
    if hub.get_token() is None:
        raise HubError(
            "there is no token for the Hub. Make one that may write, then run `hf auth login`, or set HF_TOKEN."
        )
    ask = _Asking(push.repo)
    ask(lambda: api.create_repo(push.repo, private=private, exist_ok=True))
    found = ask(lambda: api.model_info(push.repo))
    if private and not found.private:
        raise HubError(f"{push.repo} is there already, and public. Leave out --private, or choose another name.")
    if revision is not None:
        ask(lambda: api.create_branch(push.repo, branch=revision, exist_ok=True))
        found = ask(lambda: api.model_info(push.repo, revision=revision))
    there = [sibling.rfilename for sibling in found.siblings or []]
    strange = [name for name in there if name not in HARMLESS]
    if strange and RECORD not in there:
        raise HubError(
            f"{push.repo} holds something else already: {', '.join(strange[:6])}. Nothing was sent; choose another "
            "name."
        )
    gone = [name for name in there if WEIGHTS.fullmatch(name) and name not in push.files]
    operations: list[CommitOperationAdd | CommitOperationCopy | CommitOperationDelete] = [
        CommitOperationAdd(CARD, push.card.encode()),
        *(CommitOperationAdd(name, push.folder / name) for name in push.files),
        *(CommitOperationDelete(name) for name in gone),
    ]
    made = ask(lambda: api.create_commit(push.repo, operations, commit_message=message, revision=revision))
    return str(made.commit_url)


class _Asking:
    """Calls the Hub, and turns what goes wrong into words."""

    def __init__(self, repo: str) -> None:
        self.repo = repo

    def __call__(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (HfHubHTTPError, HFValidationError, HTTPError, OfflineModeIsEnabled, ValueError) as error:
            raise HubError(f"{self.repo} was not sent: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        if isinstance(error, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set. Unset it, where there is a network."
        if isinstance(error, HFValidationError):
            return f"a repository is named OWNER/NAME: {error}"
        if isinstance(error, HfHubHTTPError):
            code = error.response.status_code
            if code == 401:
                return "the Hub does not know the token. Run `hf auth login` with one that may write."
            if code == 403 or isinstance(error, RepositoryNotFoundError):
                owner = self.repo.partition("/")[0]
                return f"the token may not write for {owner}. Check the name, and the token's permissions."
            return f"the Hub answered {code}: {error.server_message or error}"
        if isinstance(error, HTTPError):
            return f"no answer from the Hub ({type(error).__name__}: {error}). Check the network and HF_ENDPOINT."
        return str(error)
