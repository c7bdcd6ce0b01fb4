"""Sound: any sample rate and channel layout becomes mono float32 at one rate.

The sound track of a video is read the same way: give the video file as an audio medium.
"""

from __future__ import annotations

import av
import numpy as np
import numpy.typing as npt

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media import container as containers
from omnireward.media.pieces import Piece, describe

Samples = npt.NDArray[np.float32]


def decode_audio(piece: Piece, sample_rate: int, seconds: int) -> Samples:
    """Decode the first sound stream.

    Args:
        piece: an encoded sound, or a video with a sound track.
        sample_rate: of the result, Hz.
        seconds: the longest sound; decoding stops there, since a header cannot be believed.

    Returns:
        (samples,) float32 in [-1, 1], the mean of all channels.

    Raises:
        MediaLimitError: longer than that.
        UnreadableMediaError: damaged, without sound, empty, or with samples that are not numbers.
    """
    name = describe(piece)
    # Channels stay: FFmpeg's own mix to mono adds stereo at 0.707 each, which clips where both channels agree.
    resampler = av.AudioResampler(format="fltp", rate=sample_rate)
    chunks: list[Samples] = []
    elapsed = 0.0
    with containers.opened(piece, containers.AUDIO_FORMATS) as container:
        if not container.streams.audio:
            raise UnreadableMediaError(f"{name}: has no sound.")
        stream = container.streams.audio[0]
        containers.codec_of(stream, piece).thread_count = 1
        for frame in container.decode(stream):
            elapsed += frame.samples / frame.sample_rate
            if elapsed > seconds:
                raise MediaLimitError(f"{name}: longer than {seconds:,} s of sound (Limits.audio_seconds).")
            chunks.extend(_mono(part) for part in resampler.resample(frame))
        if chunks:
            chunks.extend(_mono(part) for part in resampler.resample(None))  # its last few ms
    samples = np.concatenate(chunks) if chunks else np.empty(0, np.float32)
    if not samples.size:
        raise UnreadableMediaError(f"{name}: holds no samples.")
    if not np.isfinite(samples).all():
        raise UnreadableMediaError(f"{name}: holds samples that are not numbers.")
    return np.clip(samples, -1.0, 1.0)  # lossy and float formats overshoot


def _mono(frame: av.AudioFrame) -> Samples:
    mean: Samples = np.asarray(frame.to_ndarray(), np.float32).mean(axis=0)
    return mean
