"""A checkpoint becomes a model and a processor, with transformers' own classes and none of the checkpoint's code.

A processor that also takes videos cannot be made without torchvision, although none is ever given a video here. So the
parts are loaded one by one, and the place of the video part is held by something that does nothing.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoImageProcessor,
    AutoModelForCausalLM,
    AutoModelForMultimodalLM,
    AutoTokenizer,
    ProcessorMixin,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MULTIMODAL_LM_MAPPING
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.video_processing_utils import VideoProcessorMixin

from omnireward.errors import CheckpointError, RecipeError
from omnireward.generation.places import Place

# Readers believe what they read, so damaged files raise errors of their code too.
MISREAD = (
    *(SafetensorError, OSError, EOFError, struct.error, ImportError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError),
)
_SHOWN = 6  # keys named in an error
_LONGEST = 500  # characters of what transformers says; it may list every family


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model ready to write, and what makes its inputs: a processor, or for a model of text alone its tokenizer."""

    model: Any
    processor: Any

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, also where it is a part of the processor."""
        return getattr(self.processor, "tokenizer", self.processor)


def load(place: Place) -> Loaded:
    """Load a chat model: on the GPUs in its own precision where there are any, else on the CPU in float32.

    Raises:
        RecipeError: the Hub does not deliver it.
        CheckpointError: not a chat model, of a family that transformers lacks, damaged, or incomplete; a package that
            the family needs is missing.
    """
    try:
        config: Any = AutoConfig.from_pretrained(place.name, trust_remote_code=False, **place.source)
        config = getattr(config, "thinker_config", config)  # of models that also speak, the part that writes
        # A stranger's config may name a repository here, whose code would compute the attention.
        config._attn_implementation = config._experts_implementation = None
        multimodal = type(config) in MODEL_FOR_MULTIMODAL_LM_MAPPING
        if not multimodal and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise _no_writer(place, config)
        processor = _processor(place, config) if multimodal else _part(AutoTokenizer, place)
        return Loaded(_model(place, config, multimodal), processor)
    except CheckpointError:
        raise
    except MISREAD as error:
        problem = f"{type(error).__name__}: {str(error)[:_LONGEST]}"
        if isinstance(error, OSError) and place.revision is not None:
            raise RecipeError(
                f"the Hub did not deliver {place}: {problem} What to do: check the name and the revision; for a gated "
                "model run `hf auth login`; without a network, or with HF_HUB_OFFLINE=1, give a folder with a copy."
            ) from error
        raise CheckpointError(
            f"{place} cannot be loaded as a chat model: {problem} What to do: if a package is missing, install it; if "
            "the checkpoint brings code of its own, take one of a family that transformers has, since such code is "
            "never run here."
        ) from error


def _no_writer(place: Place, config: Any) -> CheckpointError:
    return CheckpointError(
        f"{place} is a {config.model_type}, which does not write text. Give a chat model of transformers."
    )


def _model(place: Place, config: Any, multimodal: bool) -> Any:
    family: Any = AutoModelForMultimodalLM if multimodal else AutoModelForCausalLM
    cuda = torch.cuda.is_available()
    model, told = family.from_pretrained(
        place.name,
        config=config,
        dtype="auto" if cuda else torch.float32,
        device_map="auto" if cuda else None,
        output_loading_info=True,
        trust_remote_code=False,
        **place.source,
    )
    if missing := sorted(told["missing_keys"]):
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise CheckpointError(
            f"{place} lacks weights, and a model with random ones in their place writes noise: "
            f"{', '.join(missing[:_SHOWN])}{more}."
        )
    model.requires_grad_(False)
    return model.eval()


class _NoVideos(VideoProcessorMixin):
    """Holds the place of a video processor."""

    def __init__(self) -> None:
        """Nothing to set: it is never called."""


_PARTS = {
    "tokenizer": (AutoTokenizer, {}),
    "image_processor": (AutoImageProcessor, {"backend": "pil"}),
    "feature_extractor": (AutoFeatureExtractor, {}),
    "audio_processor": (AutoFeatureExtractor, {}),
}


def _part(auto: Any, place: Place, **options: str) -> Any:
    return auto.from_pretrained(place.name, trust_remote_code=False, **options, **place.source)


def _processor(place: Place, config: Any) -> Any:
    settings, _ = ProcessorMixin.get_processor_dict(place.name, **place.source)
    named: Any = getattr(transformers, str(settings.get("processor_class", "")), None)
    if not (isinstance(named, type) and issubclass(named, ProcessorMixin)):
        if type(config) not in PROCESSOR_MAPPING:
            raise CheckpointError(f"{place} is a {config.model_type}, for which transformers has no processor.")
        named = PROCESSOR_MAPPING[type(config)]
    parts = []
    for name in named.get_attributes():
        if name == "video_processor":
            parts.append(_NoVideos())
        elif name in _PARTS:
            auto, options = _PARTS[name]
            parts.append(_part(auto, place, **options))
        else:
            known = ", ".join(_PARTS)
            raise CheckpointError(
                f"the processor of {place} has a part {name!r} that is not known here. Known: {known}."
            )
    return _without_videos(named).from_args_and_dict(parts, settings)


def _without_videos(named: Any) -> Any:
    """The same processor, which does not check that its video part is a real one."""

    def check(self: Any, name: str, part: object) -> object:
        return type(part) if name == "video_processor" else named.check_argument_for_proper_class(self, name, part)

    return type(named.__name__, (named,), {"check_argument_for_proper_class": check, "__module__": named.__module__})
