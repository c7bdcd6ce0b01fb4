"""The nouns. Everything that flows through omnireward is one of these, frozen.

A prompt is one or more turns; a turn is a role and its content; content is parts in reading order.
A judge sees a `Comparison` and nothing else; what people said about it stays in the `Sample`.
Response media are parts like any other, so all nine tasks of the paper (section 3) are one record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Literal

from omnireward.errors import UnknownNameError
from omnireward.mesh_files import named

Modality = Literal["text", "image", "video", "audio", "mesh"]
MediaKind = Literal["image", "video", "audio", "mesh"]
Role = Literal["system", "user", "assistant"]
Preference = Literal["a", "b", "tie"]
Side = Literal["a", "b"]
Layout = Literal["paper", "natural"]


class Task(Enum):
    """Modality signatures: the nine of Omni-RewardBench in the paper's order, then those that other benchmarks need."""

    T2T = "text_to_text"
    TI2T = "text_image_to_text"
    TV2T = "text_video_to_text"
    TA2T = "text_audio_to_text"
    T2I = "text_to_image"
    T2V = "text_to_video"
    T2A = "text_to_audio"
    T23D = "text_to_3D"
    TI2I = "text_image_to_image"
    TI2TI = "text_image_to_text_image"
    TA2A = "text_audio_to_audio"

    @property
    def short(self) -> str:
        """The short name, such as ``TI2T``."""
        return self.name

    @property
    def outputs(self) -> tuple[Modality, ...]:
        """The modalities of the responses, text first."""
        name = self.name.split("2", 1)[1]
        return ("mesh",) if name == "3D" else tuple(_LETTERS[letter] for letter in name)

    @property
    def output(self) -> Modality:
        """The modality of the responses; where text and media alternate, that of the media."""
        return self.outputs[-1]

    @property
    def inputs(self) -> tuple[Modality, ...]:
        """The modalities of the prompt, text first."""
        return tuple(_LETTERS[letter] for letter in self.name.split("2", 1)[0])

    @classmethod
    def parse(cls, name: str) -> Task:
        """Read a long or a short name.

        >>> Task.parse("TI2T") is Task.parse("text_image_to_text") is Task.TI2T
        True
        >>> Task.T23D.output, Task.TI2I.inputs, Task.TI2TI.outputs
        ('mesh', ('text', 'image'), ('text', 'image'))
        """
        for task in cls:
            if name in (task.value, task.name):
                return task
        known = ", ".join(f"{task.name} ({task.value})" for task in cls)
        raise UnknownNameError(f"unknown task {name!r}. Known tasks: {known}.")


_LETTERS: dict[str, Modality] = {"T": "text", "I": "image", "V": "video", "A": "audio"}

PAPER_TASKS: tuple[Task, ...] = tuple(Task)[:9]
"""The nine tasks of Omni-RewardBench."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text. Whatever it spells, it stays text: special tokens in it are inert."""

    text: str


@dataclass(frozen=True, slots=True)
class Media:
    """An image, video, audio clip or mesh, not yet decoded.

    `source` is encoded bytes or the path of a file. A tuple holds pictures that are already frames
    of a video, or rendered views of a mesh, in order.
    """

    kind: MediaKind
    source: Path | bytes | tuple[Path | bytes, ...]

    def pieces(self) -> tuple[Path | bytes, ...]:
        """The files or byte strings that this is made of; one unless it is a tuple."""
        return self.source if isinstance(self.source, tuple) else (self.source,)

    def digest(self) -> str:
        """Hex SHA-256 over kind and encoded bytes, each length-prefixed, so that no two media share it.

        Reads the files. A single file and a tuple of that one file differ: they are decoded differently. The files that
        a mesh names count (see `mesh_files`): they decide what is seen.
        """
        sha = hashlib.sha256()
        _feed(sha, self.kind.encode())
        _feed(sha, b"sequence" if isinstance(self.source, tuple) else b"single")
        for piece in self.pieces():
            _feed_bytes(sha, piece)
        if self.kind == "mesh" and isinstance(self.source, Path):
            for name, path in sorted(named(self.source).items()):
                _feed(sha, name.encode("utf-8", "surrogateescape"))
                _feed_bytes(sha, path)
        return sha.hexdigest()


Part = Text | Media


@dataclass(frozen=True, slots=True)
class Turn:
    """A role and its content, in reading order."""

    role: Role
    content: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that a judge may see: a prompt, two responses, and the criterion in plain words (empty: overall quality)."""

    prompt: tuple[Turn, ...]
    response_a: tuple[Part, ...]
    response_b: tuple[Part, ...]
    criterion: str = ""

    def swap(self) -> Comparison:
        """The same comparison with the two responses exchanged."""
        return replace(self, response_a=self.response_b, response_b=self.response_a)

    def response(self, side: Side) -> tuple[Part, ...]:
        """The response at one of the two positions."""
        return self.response_a if side == "a" else self.response_b

    def digest(self) -> str:
        """Hex SHA-256 over everything a judge may see, media bytes included. Reads media files."""
        sha = hashlib.sha256()
        _feed(sha, self.criterion.encode("utf-8", "surrogatepass"))
        for turn in self.prompt:
            _feed(sha, f"turn:{turn.role}:{len(turn.content)}".encode())
            _feed_parts(sha, turn.content)
        for name, parts in (("a", self.response_a), ("b", self.response_b)):
            _feed(sha, f"response:{name}:{len(parts)}".encode())
            _feed_parts(sha, parts)
        return sha.hexdigest()


@dataclass(frozen=True, slots=True)
class Sample:
    """A comparison and what people said about it.

    `cluster` names the prompt that samples share: intervals treat samples of one cluster as dependent.
    `groups` are the subsets under which a report counts the sample; it may be in several.
    """

    id: str
    task: Task
    comparison: Comparison
    preference: Preference
    cluster: str
    groups: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge says about a comparison.

    `margin` is reward(a) - reward(b) from a reward model, or +1, -1, 0 from a verdict. It is None when there is
    no verdict, or when judging failed and `error` says why; None is counted and shown, never turned into a number.
    `verdict` is what the judge itself says; None from judges that give a margin only, whose ties are those within a
    threshold. `probabilities` are (a, tie, b) and sum to 1.
    `deviation` is the standard deviation of the margin, in log-odds, by how unlike training the comparison is (see
    `uncertainty`); `familiarity` is the share of training comparisons that were at least as far out as this one, 0
    being farther out than all. None from judges that do not know.
    """

    margin: float | None
    rewards: tuple[float, float] | None = None
    probabilities: tuple[float, float, float] | None = None
    verdict: Preference | None = None
    rationale: str = ""
    error: str = ""
    deviation: float | None = None
    familiarity: float | None = None

    def swap(self) -> Judgement:
        """The same judgement, told of the responses in the other order.

        >>> said = Judgement(2.0, rewards=(3.0, 1.0), verdict="a", deviation=0.5).swap()
        >>> said.margin, said.rewards, said.verdict, said.deviation
        (-2.0, (1.0, 3.0), 'b', 0.5)
        """
        return replace(
            self,
            margin=None if self.margin is None else 0.0 - self.margin,  # not -0.0
            rewards=None if self.rewards is None else self.rewards[::-1],
            probabilities=None if self.probabilities is None else self.probabilities[::-1],
            verdict=None if self.verdict is None else flipped(self.verdict),
        )


_OTHER: dict[Preference, Preference] = {"a": "b", "b": "a", "tie": "tie"}


def flipped(preference: Preference) -> Preference:
    """The same preference, told of the responses in the other order.

    >>> flipped("a"), flipped("tie")
    ('b', 'tie')
    """
    return _OTHER[preference]


def _feed_bytes(sha: hashlib._Hash, piece: Path | bytes) -> None:
    """Bytes, or a file's digest: the file is never whole in memory."""
    if isinstance(piece, bytes):
        _feed(sha, hashlib.sha256(piece).digest())
    else:
        with piece.open("rb") as file:
            _feed(sha, hashlib.file_digest(file, "sha256").digest())


def _feed(sha: hashlib._Hash, data: bytes) -> None:
    sha.update(len(data).to_bytes(8, "big"))
    sha.update(data)


def _feed_parts(sha: hashlib._Hash, parts: tuple[Part, ...]) -> None:
    for part in parts:
        if isinstance(part, Text):
            _feed(sha, b"text:" + part.text.encode("utf-8", "surrogatepass"))
        else:
            _feed(sha, part.digest().encode())
