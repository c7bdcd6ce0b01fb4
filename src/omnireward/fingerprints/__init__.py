"""What tells content from other content, exactly and nearly: hashes of texts, pictures, frames and sound."""

from omnireward.fingerprints.media import media_hashes
from omnireward.fingerprints.near import NEAR, Kind, NearIndex, Pair
from omnireward.fingerprints.pictures import distance, picture_hash
from omnireward.fingerprints.texts import NEAR_JACCARD, jaccard, normalised, text_signature

__all__ = [
    "NEAR",
    "NEAR_JACCARD",
    "Kind",
    "NearIndex",
    "Pair",
    "distance",
    "jaccard",
    "media_hashes",
    "normalised",
    "picture_hash",
    "text_signature",
]
