"""Where a checkpoint lies: a folder, or a repository on the Hub at a pinned revision, written OWNER/REPO@REVISION.

A folder of that name wins. Of a repository only what a checkpoint is made of is downloaded. The revision may be a
commit, a tag or a branch; the commit that it stands for is kept, so that what is trained from it can say so. Without a
network, or with HF_HUB_OFFLINE=1, what the Hub's cache holds is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPError  # what huggingface_hub speaks through; a broken connection surfaces as this
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from omnireward.errors import CheckpointError

_HUB = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w.-]+)(?:@(?P<revision>[^\s@]+))?")
FILES = ["*.json", "*.jinja", "merges.txt", "*.safetensors", "value_head.bin"]
# Folders inside a repository hold other versions: original weights, other runtimes, runs. Mistral puts one at the top.
ELSEWHERE = ["*/*", "consolidated*"]


@dataclass(frozen=True, slots=True)
class Place:
    """A checkpoint's folder; `pinned` is OWNER/REPO@COMMIT where it came from the Hub, else empty."""

    folder: Path
    pinned: str = ""


def find(where: str | Path) -> Place:
    """The folder that a user means, downloaded first if it is on the Hub.

    What is neither a folder nor the name of a repository is given back as it is: whoever opens it says what is missing.

    Raises:
        CheckpointError: a repository without a revision, or that the Hub and its cache do not deliver.
    """
    path, match = Path(where), _HUB.fullmatch(str(where))
    if path.exists() or match is None:
        return Place(path)
    repo, revision = match["repo"], match["revision"]
    if revision is None:
        raise CheckpointError(
            f"there is no such folder, {where}, and as a Hub repository it names no revision, so nobody could say "
            f"later which weights these were. Pin one: {where}@COMMIT (commits: "
            f"https://huggingface.co/{repo}/commits/main)."
        )
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=FILES, ignore_patterns=ELSEWHERE))
    except (HfHubHTTPError, HFValidationError, HTTPError, OSError) as error:
        raise CheckpointError(f"the Hub did not deliver {where}: {_reason(error, repo, revision)}") from error
    return Place(folder, f"{repo}@{folder.name}")  # the cache names a snapshot's folder after its commit


def _reason(error: Exception, repo: str, revision: str) -> str:
    """What was wrong, and what to do."""
    page = f"https://huggingface.co/{repo}"
    if isinstance(error, GatedRepoError):
        return f"its authors ask for consent. Give it on {page}, then run `hf auth login`."
    if isinstance(error, RepositoryNotFoundError):
        return "there is no such repository, or it is private. Check the name; if it is private run `hf auth login`."
    if isinstance(error, RevisionNotFoundError):
        return f"it has no revision {revision!r}. Commits: {page}/commits/main."
    if isinstance(error, LocalEntryNotFoundError):
        return (
            f"it is not whole in the cache, {constants.HF_HUB_CACHE}, and no network was used or none answered: "
            f"{error} What to do: run `hf download {repo} --revision {revision}` where there is a network, or give a "
            "folder with a copy."
        )
    return (
        f"{type(error).__name__}: {error} Check the name, the revision and the network, or give a folder with a copy."
    )
