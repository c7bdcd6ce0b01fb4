"""The perceptual hashes of any medium."""

from __future__ import annotations

from omnireward.fingerprints.pictures import is_plain, picture_hash
from omnireward.fingerprints.sounds import sound_hashes
from omnireward.media import Decoder
from omnireward.media.dispatch import Array
from omnireward.types import Media


def media_hashes(media: Media, decoder: Decoder) -> tuple[int, ...]:
    """64-bit hashes for `NearIndex`, in order: one for an image, one for each frame, view or four seconds of sound.

    Even pictures and silence have none: they are like all others of their kind.

    Args:
        media: what to hash.
        decoder: its options say how many frames and views there are; hashes compare only under the same options.

    Raises:
        MediaError: it cannot be decoded.
        MissingExtraError: needs the extra ``construct``, and meshes ``mesh``.
        OSError: the file cannot be read.
    """
    return decoded_hashes(media, decoder(media), decoder.options.sample_rate)


def decoded_hashes(media: Media, decoded: Array, sample_rate: int) -> tuple[int, ...]:
    """The same of a medium that is decoded already, so that it need not be decoded twice."""
    if media.kind == "audio":
        return sound_hashes(decoded, sample_rate)
    pictures = decoded if decoded.ndim == 4 else decoded[None]  # an image is one picture
    return tuple(picture_hash(picture) for picture in pictures if not is_plain(picture))
