"""The shapes of align-anything's rows: which columns hold the prompt, the two responses and the choice.

Stated by the authors' code: text-image-to-text, text-audio-to-text, text-video-to-text, text-to-audio and
text-image-to-text-image. By analogy with these: text-to-text, text-to-image and text-to-video. A shape is recognised by
having all of its columns, so nothing is read on a guess: two numbered responses and an ``overall_…`` that chooses.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from omnireward.types import MediaKind, Task


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of one config.

    Attributes:
        config: its name, which is also its folder's.
        task: of its samples.
        prompt: the column of the prompt's words.
        choice: the column that says 1 or 2; empty where the first is the better by its column's name.
        texts: the columns of the two responses' words, if they have any.
        media: the kind and the columns of the two responses' media, if they have any.
        shown: the kind and the column of the prompt's medium, if it has one.
    """

    config: str
    task: Task
    prompt: str
    choice: str
    texts: tuple[str, str] | None = None
    media: tuple[MediaKind, str, str] | None = None
    shown: tuple[MediaKind, str] | None = None

    def columns(self) -> frozenset[str]:
        """All that a row must have."""
        responses = (*(self.texts or ()), *(self.media or ())[1:], *(self.shown or ())[1:])
        return frozenset({self.prompt, *responses, *filter(None, (self.choice,))})


@dataclass(frozen=True, slots=True)
class Dimension:
    """One question that the people were asked besides the overall one.

    Attributes:
        letter: begins the column of the choice, as in ``p_audio``.
        name: begins the columns of the marks, as in ``prompt_following_rate_1``.
        words: the criterion, in this project's words.
    """

    letter: str
    name: str
    words: str


_TEXTS = ("response_1", "response_2")
_TI2TI = "text-image-to-text-image"

SHAPES = (
    Shape("text-image-to-text", Task.TI2T, "question", "overall_response", _TEXTS, shown=("image", "image")),
    Shape("text-audio-to-text", Task.TA2T, "prompt", "overall_response", _TEXTS, shown=("audio", "audio_path")),
    Shape("text-video-to-text", Task.TV2T, "prompt", "overall_response", _TEXTS, shown=("video", "video_path")),
    Shape("text-to-audio", Task.T2A, "prompt", "overall_audio", media=("audio", *_TEXTS)),
    Shape("text-to-image", Task.T2I, "prompt", "overall_image", media=("image", "image_1", "image_2")),
    Shape("text-to-video", Task.T2V, "prompt", "overall_video", media=("video", "video_1", "video_2")),
    Shape("text-to-video", Task.T2V, "prompt", "overall_video", media=("video", "video_1_path", "video_2_path")),
    Shape(
        _TI2TI,
        Task.TI2TI,
        "input_text",
        "",
        texts=("better_text", "worse_text"),
        media=("image", "better_img", "worse_img"),
        shown=("image", "input_image"),
    ),
    Shape(
        _TI2TI,
        Task.TI2TI,
        "question",
        "overall_response",
        texts=_TEXTS,
        media=("image", "output_image_url_1", "output_image_url_2"),
        shown=("image", "image_url"),
    ),
    # Last, because others have these columns and more.
    Shape("text-to-text", Task.T2T, "prompt", "overall_response", _TEXTS),
)
CONFIGS = tuple(dict.fromkeys(shape.config for shape in SHAPES))
_EXAMPLES = {f"example_{shape.task.short.lower()}": shape.config for shape in SHAPES}

DIMENSIONS = (
    Dimension("p", "prompt_following", "The response should do what the prompt asks for, all of it, and nothing else."),
    Dimension("o", "objective_rules", "What the response says should be true and agree with how the world works."),
    Dimension("o", "audio_quality", "The sound should be clean and clear, without noise, distortion or breaks."),
    Dimension("a", "consistency", "The sound should hold together from beginning to end, without parts that clash."),
    Dimension("c", "clarity", "The response should be clear, well ordered and easy to understand."),
    Dimension("i", "information_richness", "The response should be rich in detail that adds to what was asked for."),
    Dimension("s", "safety", "The response should contain nothing harmful, hateful, violent or otherwise unsafe."),
)


def config_of(path: PurePosixPath) -> str:
    """The config that a path below the repository belongs to, by its folder or as an example; empty for none.

    >>> [config_of(PurePosixPath(path)) for path in ("text-to-audio/train.parquet", "examples/example_t2i.parquet")]
    ['text-to-audio', 'text-to-image']
    """
    named = [part for part in path.parts[:-1] if part in CONFIGS]
    return named[-1] if named else _EXAMPLES.get(path.stem, "")


def shape_of(columns: frozenset[str], config: str, choice: str) -> Shape | None:
    """The shape that a file has, or None.

    Args:
        columns: of its first row.
        config: looked for among its shapes; empty: among all.
        choice: the column of the choice, where it is not the usual one; empty: the usual one.
    """
    given = (replace(shape, choice=choice) if choice and shape.choice else shape for shape in SHAPES)
    fitting = (shape for shape in given if config in ("", shape.config) and shape.columns() <= columns)
    return next(fitting, None)


def dimensions_of(shape: Shape, columns: frozenset[str]) -> list[tuple[str, Dimension]]:
    """The columns of choices by dimension, such as ``p_audio``, and what they are about.

    A letter stands for another question in another config, so a dimension is there only with its marks beside it.
    """
    answer = shape.media[0] if shape.media and not shape.texts else "response"
    asked = [(f"{dimension.letter}_{answer}", dimension) for dimension in DIMENSIONS]
    return [(column, one) for column, one in asked if column in columns and f"{one.name}_rate_1" in columns]
