"""preprocessor_config.json of Qwen's multimodal models: how large pictures may be, and how they are cut.

Unusual: an image and a video have limits of their own. Where there is no video_preprocessor_config.json, transformers
gives a video the limits of an image; here it has those that the models are documented with, 128 to 768 tokens a frame.
Of what the files say of frames per second nothing is used: a video is a fixed number of frames, evenly over its time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any

from omnireward.backbones._qwen_config import section, whole
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError
from omnireward.media import DecodeOptions

IMAGE_FILE, VIDEO_FILE, BOTH_FILE = (
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "processor_config.json",
)
OWN = "preprocessing"  # our key in the image's file
# Of each colour in the pictures that CLIP was trained on (arXiv 2103.00020); Qwen2.5 takes the same.
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
MOST_PIXELS = 1_000_000_000  # published: 25 million, for all frames of a video
_FRAME_TOKENS = (128, 768)
_FRAMES, _VIEWS, _VIEW_SIZE = 8, 4, 384  # where a checkpoint says nothing
# What is done to every picture here. A file that says otherwise is for something else.
_FIXED = {"do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "resample": 3}


@dataclass(frozen=True, slots=True)
class Pixels:
    """Bounds of width x height."""

    least: int
    most: int

    def __post_init__(self) -> None:
        if self.least > self.most:
            raise CheckpointError(f"pictures must have at least {self.least:,} pixels, but at most {self.most:,}.")


@dataclass(frozen=True, slots=True)
class VisionPreprocessing:
    """How pictures are made small and cut.

    Attributes:
        image: bounds of an image.
        video: bounds of a frame, or, in Qwen3-VL, of all frames of a video together.
        mean: of each colour, from 0 to 1.
        std: deviation of each colour.
        patch_size: pixels.
        temporal_patch_size: frames in a slice.
        merge_size: patches on a side of the square that becomes one embedding.
        frames: frames taken from a video.
        views: rendered views of a mesh.
        view_size: width and height of a rendered view, pixels.
        image_extra: the files' own fields, written back.
        video_extra: the same for videos.
    """

    image: Pixels
    video: Pixels
    mean: tuple[float, ...]
    std: tuple[float, ...]
    patch_size: int
    temporal_patch_size: int = 2
    merge_size: int = 2
    frames: int = _FRAMES
    views: int = _VIEWS
    view_size: int = _VIEW_SIZE
    image_extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    video_extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def factor(self) -> int:
        """Sides of resized pictures are multiples of this, pixels."""
        return self.patch_size * self.merge_size

    def decoding(self) -> DecodeOptions:
        """How media are decoded."""
        return DecodeOptions(frames=self.frames, views=self.views, view_size=self.view_size)

    @classmethod
    def load(cls, folder: Path, video_usual: Pixels | None = None) -> VisionPreprocessing:
        """From the published files, or from the one that newer transformers write. Raises CheckpointError.

        Args:
            folder: of the checkpoint.
            video_usual: a video's bounds where no file says any; None: a frame's, as documented.
        """
        if (folder / IMAGE_FILE).exists() or not (folder / BOTH_FILE).exists():
            image = read_json(folder / IMAGE_FILE)
            video = read_json(folder / VIDEO_FILE) if (folder / VIDEO_FILE).exists() else {}
        else:
            both = read_json(folder / BOTH_FILE)
            image = dict(section(both, "image_processor"))
            video = dict(section(both, "video_processor")) if "video_processor" in both else {}
        return cls.from_json(image, video, video_usual)

    @classmethod
    def from_json(
        cls, image: Mapping[str, Any], video: Mapping[str, Any], video_usual: Pixels | None = None
    ) -> VisionPreprocessing:
        """Read both files; `video` may be empty. Raises CheckpointError for what cannot be used."""
        sizes = {
            "patch_size": whole(image, "patch_size", 256, IMAGE_FILE),
            "temporal_patch_size": whole(image, "temporal_patch_size", 16, IMAGE_FILE, 2),
            "merge_size": whole(image, "merge_size", 16, IMAGE_FILE, 2),
        }
        mean, std = (_colours(image, name) for name in ("image_mean", "image_std"))
        shared = sizes | {"image_mean": list(mean), "image_std": list(std)}
        for given, where, wanted in ((image, IMAGE_FILE, _FIXED), (video, VIDEO_FILE, _FIXED | shared)):
            for name, value in wanted.items():
                if given.get(name) is not None and given[name] != value:
                    raise CheckpointError(f"{where}: {name} must be {value}; it is {short(given[name])}.")
        square = (sizes["patch_size"] * sizes["merge_size"]) ** 2
        usual = video_usual or Pixels(*(tokens * square for tokens in _FRAME_TOKENS))
        own = section(image, OWN) if OWN in image else {}
        return cls(
            _pixels(image, IMAGE_FILE, Pixels(4 * square, 16_384 * square)),
            _pixels(video, VIDEO_FILE, usual),
            mean,
            std,
            **sizes,
            frames=whole(own, "frames", 1_024, OWN, _FRAMES),
            views=whole(own, "views", 64, OWN, _VIEWS),
            view_size=whole(own, "view_size", 2_048, OWN, _VIEW_SIZE),
            image_extra=dict(image),
            video_extra=dict(video),
        )

    def to_json(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `from_json` reads, in the form that transformers reads too."""
        cut = {
            "patch_size": self.patch_size,
            "temporal_patch_size": self.temporal_patch_size,
            "merge_size": self.merge_size,
            "image_mean": list(self.mean),
            "image_std": list(self.std),
        }
        own = {"frames": self.frames, "views": self.views, "view_size": self.view_size}
        image = dict(self.image_extra) | cut | {OWN: own, "size": _size(self.image)}
        return _without_old(image), _without_old(dict(self.video_extra) | cut | {"size": _size(self.video)})


def _size(pixels: Pixels) -> dict[str, int]:
    return {"shortest_edge": pixels.least, "longest_edge": pixels.most}


def _without_old(data: dict[str, Any]) -> dict[str, Any]:
    """Without the older words for `size`, which would say the same thing twice."""
    return {name: value for name, value in data.items() if name not in ("min_pixels", "max_pixels")}


def _pixels(data: Mapping[str, Any], where: str, usual: Pixels) -> Pixels:
    """Older files say min_pixels and max_pixels, some of them inside `size`; transformers lets these go first."""
    size = section(data, "size") if data.get("size") else {}
    found = []
    for old, new, default in (("min_pixels", "shortest_edge", usual.least), ("max_pixels", "longest_edge", usual.most)):
        places = ((data, old), (size, new), (size, old))
        part, name = next((each for each in places if each[0].get(each[1]) is not None), ({}, new))
        found.append(whole(part, name, MOST_PIXELS, where, default))
    return Pixels(*found)


def _colours(data: Mapping[str, Any], name: str) -> tuple[float, ...]:
    given = data.get(name)
    if (
        not isinstance(given, list)
        or len(given) != 3
        or not all(isinstance(each, float | int) and 0 < each <= 1 for each in given)
    ):
        raise CheckpointError(f"{IMAGE_FILE}: {name} must be three numbers above 0, up to 1; it is {short(given)}.")
    return tuple(float(each) for each in given)
