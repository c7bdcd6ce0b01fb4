"""Bytes or a path become pixels, frames, sound or rendered views: one decoder for training, evaluation and serving.

Pillow reads images, PyAV video and sound, trimesh and embreex meshes. `decode` works in this process and is for media
that you made yourself; `Decoder` does the same in a child process with limits and is for everything else.
Checkpoints and caches agree on what a medium looks like because nothing else in omnireward decodes.
"""

from omnireward.media.decoder import Decoder
from omnireward.media.dispatch import decode
from omnireward.media.limits import DecodeOptions, Limits

__all__ = ["DecodeOptions", "Decoder", "Limits", "decode"]
