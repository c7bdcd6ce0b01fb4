"""A sound in 64 bits for every four seconds: where energy rises and falls over frequency and time.

The construction is Haitsma and Kalker's ("A highly robust audio fingerprinting system", ISMIR 2002, section 4.2): a bit
is the sign of the difference in energy between neighbouring bands, against the same difference a moment earlier. Here
it is coarse: 9 bands and 9 moments make 8 x 8 bits, where theirs makes 32 bits every 11.6 ms, because a corpus wants
few numbers for each file and is searched for whole copies, not for a few seconds of them. Loudness, sample rate and
lossy coding leave most signs alone. Time counts from where the sound sets in, since codecs put some hundredths of a
second of silence before it; a cut into the sound itself of more than a tenth of a second is another sound.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

WINDOW = 4.0  # seconds
WINDOWS = 15  # a minute: longer sounds are told by their beginnings
_SIGNS = 8  # bands and moments, one less than there are of each
_LOWEST, _HIGHEST = 100.0, 3_800.0  # Hz: what a telephone, and any lossy codec, carries
_FRAME = 0.064  # seconds of one spectrum
_SILENT = 1e-4  # root mean square; -80 dB of full scale, the noise of silence that has been coded
_SHORTEST = 0.5  # seconds: nine moments of less are hardly more than one spectrum

Samples = npt.NDArray[np.float32]


def sound_hashes(samples: Samples, rate: int) -> tuple[int, ...]:
    """A 64-bit hash for each four seconds of the first minute; silent windows have none.

    A rest at the end shorter than a window counts only if it is all there is.

    Args:
        samples: (n,) float in [-1, 1], mono.
        rate: Hz, at least 7,600.
    """
    samples = samples[_onset(samples, rate) :]
    size = int(WINDOW * rate)
    if len(samples) < _SHORTEST * rate:
        return ()
    windows = [samples] if len(samples) < size else [samples[i * size : (i + 1) * size] for i in range(WINDOWS)]
    # fmt: off
    return tuple(
        _hash(window, rate)
        for window in windows
        if len(window) >= min(size, len(samples)) and float(np.sqrt(np.mean(window.astype(np.float64) ** 2))) > _SILENT
    )
    # fmt: on


def _onset(samples: Samples, rate: int) -> int:
    """Where the sound first reaches a tenth of its greatest strength, by hundredths of a second."""
    size = rate // 100
    whole = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    strength = np.sqrt((whole**2).mean(axis=1))
    return int(np.argmax(strength >= strength.max(initial=0.0) / 10)) * size if len(strength) else 0


def _hash(window: Samples, rate: int) -> int:
    energies = _energies(window.astype(np.float64), rate)
    rises = energies[:, :-1] - energies[:, 1:]  # over frequency
    signs = rises[1:] - rises[:-1] > 0  # over time
    return int.from_bytes(np.packbits(signs).tobytes(), "big")


def _energies(window: npt.NDArray[np.float64], rate: int) -> npt.NDArray[np.float64]:
    """(9, 9) energies, moments by bands; the bands are evenly spaced in pitch."""
    size = int(_FRAME * rate)
    frames = np.lib.stride_tricks.sliding_window_view(window, size)[:: size // 2] * np.hanning(size)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2  # (frames, frequencies)
    edges = np.geomspace(_LOWEST, _HIGHEST, _SIGNS + 2) * size / rate
    bands = np.add.reduceat(power, edges.astype(int), axis=1)[:, :-1]
    # The power 1/4 stands between energy, in which one loud syllable hides the rest, and its logarithm, in which
    # near-silence does.
    moments = np.array_split(bands, _SIGNS + 1, axis=0)
    return np.stack([moment.mean(axis=0) for moment in moments]) ** 0.25
