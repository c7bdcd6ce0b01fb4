"""What a server can be told. Importing this loads no torch and no FastAPI, so that `omnireward serve --help` is quick.

API keys are not here: a command line can be read by everybody on the machine. They come from the environment or a file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from omnireward.errors import RecipeError
from omnireward.judges import AskOptions, JudgeOptions
from omnireward.listening import is_loopback

KEYS = "OMNIREWARD_API_KEYS"
SHORTEST_KEY = 16  # characters
MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Serving:
    """Which judge to serve, to whom, and how much it takes on."""

    judge: str
    """A judge's full name, such as reward:out/run. Rewards need a reward model; other judges compare two responses."""
    host: str = "127.0.0.1"
    """Address to listen on. Any but this machine's own needs API keys."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    replicas: int = 1
    """Processes that serve the judge, each on a CUDA device of its own where there are any. All listen on the port, and
    each on one of the next ports. Limits are those of each."""
    name: str = ""
    """What replies call the model; the last part of the judge's name when empty."""
    tie_threshold: float | None = None
    """Margin up to which two responses of a reward model count as tied: `threshold` of a task in report.json. It gives
    probabilities of a tie. A model with a tie head has them by itself and takes no threshold; others have none without
    one."""
    api_keys_file: Path | None = None
    """File with one API key on each line; the environment's OMNIREWARD_API_KEYS when not given, separated by commas."""
    max_queue: int = 256
    """Most requests under way at once; further ones are answered 429 at once."""
    max_connections: int = 1024
    """Most connections at once; further ones are answered 503 and closed."""
    max_body_mb: int = 64
    """Largest JSON body, in MiB."""
    max_held_mb: int = 1024
    """Largest sum of all bodies and uploads in use at once, in MiB; what would exceed it is answered 429."""
    max_cached_mb: int = 1024
    """Memory for what encoders gave for media, in MiB, so that media that come again are not encoded again."""
    max_responses: int = 256
    """Most rewards of one request: responses times criteria."""
    max_comparisons: int = 256
    """Most comparisons of one ranking."""
    max_chars: int = 1_000_000
    """Most characters of all texts of one request."""
    max_media: int = 256
    """Most media of one request."""
    max_upload_mb: int = 256
    """Largest upload, in MiB."""
    max_uploads_mb: int = 4096
    """Largest sum of uploads kept, in MiB."""
    upload_seconds: float = 3600.0
    """How long an upload is kept."""
    media_hosts: tuple[str, ...] = ()
    """Hosts that media may be fetched from by URL, NAME or NAME:PORT; without any, no URL is fetched."""
    media_networks: tuple[str, ...] = ()
    """Networks that media may be fetched from although they are not public, such as 10.0.0.0/8."""
    fetch_seconds: float = 15.0
    """Seconds that fetching one medium may take."""
    head_seconds: float = 10.0
    """Seconds in which a request's head must have arrived."""
    body_seconds: float = 30.0
    """Seconds in which a JSON body must have arrived. An upload has ten times as many."""
    reply_seconds: float = 30.0
    """Seconds in which a client must have taken a reply."""
    deadline: float = 120.0
    """Seconds after which a request is answered without the rewards that are missing. A request may ask for fewer."""
    notice: float = 1.0
    """Seconds between saying that the server is no longer ready and closing its port, when it is told to end."""
    drain: float = 30.0
    """Seconds for finishing what was accepted, when the server is told to end."""

    def __post_init__(self) -> None:
        for name in ("replicas", *(field.name for field in fields(self) if field.name.startswith("max_"))):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("upload_seconds", "head_seconds", "body_seconds", "fetch_seconds", "reply_seconds", "deadline"):
            if not 0 < getattr(self, name) < math.inf:
                raise RecipeError(f"{name} must be above 0 seconds, and finite; not {getattr(self, name)}.")
        for name in ("notice", "drain"):
            if not 0 <= getattr(self, name) < math.inf:
                raise RecipeError(f"{name} must be at least 0 seconds, and finite; not {getattr(self, name)}.")
        if self.tie_threshold is not None and not 0 <= self.tie_threshold < math.inf:
            raise RecipeError(f"tie_threshold must be a finite margin of at least 0, not {self.tie_threshold}.")
        last = 65_535 if self.replicas == 1 else 65_535 - self.replicas
        if not 0 <= self.port <= last:
            raise RecipeError(f"port must be from 0 to {last}, not {self.port}.")
        if self.max_held_mb < self.max_body_mb:
            raise RecipeError(
                f"max_held_mb ({self.max_held_mb}) must hold one body of max_body_mb ({self.max_body_mb})."
            )

    @property
    def model_name(self) -> str:
        """What replies call the model.

        >>> ServeConfig(judge="reward:out/run/").model_name, ServeConfig(judge="longer").model_name
        ('run', 'longer')
        """
        return self.name or self.judge.partition(":")[2].rstrip("/").rpartition("/")[2] or self.judge


@dataclass(frozen=True, kw_only=True)
class ServeConfig(AskOptions, Serving):  # in this order, `--help` shows the server first
    """Which judge to serve and how it is asked, to whom, and how much it takes on."""

    def __post_init__(self) -> None:
        AskOptions.__post_init__(self)
        Serving.__post_init__(self)

    @property
    def options(self) -> JudgeOptions:
        """What the judge is opened with."""
        return JudgeOptions(**{field.name: getattr(self, field.name) for field in fields(AskOptions)})


def read_keys(config: ServeConfig, environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The API keys; none means that the server is open to this machine.

    Raises:
        RecipeError: the file cannot be read or holds none, a key is too short or cannot be sent in a header, or there
            are none although other machines can reach the server.
    """
    if config.api_keys_file is not None:
        where = str(config.api_keys_file)
        try:
            words = config.api_keys_file.read_text(encoding="utf-8").split()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"the file of API keys cannot be read: {error}") from error
        if not words:
            raise RecipeError(f"{where} holds no API key; write one on each line.")
    else:
        where = KEYS
        words = environ.get(KEYS, "").replace(",", " ").split()
    for number, key in enumerate(words, 1):
        if len(key) < SHORTEST_KEY or not key.isascii() or not key.isprintable():
            raise RecipeError(
                f"API key {number} of {where} has {len(key)} characters; a key has at least {SHORTEST_KEY}, all ASCII. "
                "One can be made with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
    if not words and not is_loopback(config.host):
        raise RecipeError(
            f"other machines can reach {config.host!r}, so it needs API keys: set {KEYS} or --api-keys-file, or leave "
            "--host out."
        )
    return tuple(words)
