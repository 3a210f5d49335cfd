"""Speech as numbers: WAV files, the log-mel spectrogram that Whisper hears, and word errors."""

from __future__ import annotations

import os
import re
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import slope
from slope import nn
from slope.nn import data

Samples = npt.NDArray[np.float32]

RATE = 16_000  # samples in a second
WINDOW, HOP = 400, 160  # samples in a frame of the spectrogram, and from one to the next
LOUDEST_TO_SOFTEST = 8.0  # decades of power that the spectrogram keeps
ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint"}


class LogMel(nn.Module):
    """The log-mel spectrogram of 16 kHz sound, as Whisper was trained on.

    Frames of 25 ms every 10 ms, centred (the ends mirrored), times Hann's window, to powers of the
    discrete Fourier transform, summed in triangles on the mel scale; decimal logarithm, cut at 8
    below the loudest, scaled. The window is part of the transform's matrix. Source: A. Radford et
    al., "Robust speech recognition via large-scale weak supervision", arXiv:2212.04356, sec. 2.2.

    Args:
        mels: how many bands.
    """

    def __init__(self, mels: int = 80) -> None:
        time = np.arange(WINDOW)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * time / WINDOW)
        # Reduced before the scaling, where it is exact: the sine of a large angle would not be.
        angles = 2 * np.pi * (np.outer(time, np.arange(WINDOW // 2 + 1)) % WINDOW) / WINDOW
        waves = hann[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        self.waves = nn.Buffer(slope.tensor(waves.astype(np.float32)))
        self.filters = nn.Buffer(slope.tensor(mel_filters(mels).astype(np.float32)))

    def __call__(self, sound: slope.Tensor) -> slope.Tensor:
        """Map ``sound`` of shape (n, samples) to (n, mels, samples / 160).

        Args:
            sound: from -1 to 1; the samples are a multiple of 160, at least 480.
        """
        count, samples = sound.shape
        # A window is two hops and a half: three shifted views of the hops, the last one cut.
        frames, reach = samples // HOP, -(-WINDOW // HOP)
        ends = (WINDOW // 2, (reach - 1) * HOP - WINDOW // 2)
        padded = slope.pad(sound, ends, mode="reflect")
        hops = slope.reshape(padded, (count, frames + reach - 1, HOP))
        views = [hops[:, start : start + frames] for start in range(reach)]
        windows = slope.cat(views, dim=-1)[..., :WINDOW]
        real, imaginary = slope.chunk(windows @ self.waves, 2, dim=-1)
        power = (real * real + imaginary * imaginary) @ self.filters
        decades = slope.log10(slope.clamp(power, min=1e-10))
        loudest = slope.amax(decades, dim=(1, 2), keepdim=True)
        return (slope.maximum(decades, loudest - LOUDEST_TO_SOFTEST).permute(0, 2, 1) + 4.0) / 4.0


def mel_filters(mels: int) -> npt.NDArray[np.float64]:
    """Triangles of equal area on the mel scale from 0 to 8 kHz, shape (201, mels).

    The scale is linear below 1 kHz (15 mel) and logarithmic above. Source: M. Slaney, "Auditory
    Toolbox", 1998, as in librosa's `filters.mel`, which made Whisper's.
    """
    steps = np.linspace(0.0, _mel_of(RATE / 2), mels + 2)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * np.exp((steps - 15) * np.log(6.4) / 27))
    bins = np.linspace(0.0, RATE / 2, WINDOW // 2 + 1)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rise, fall = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.maximum(0.0, np.minimum(rise, fall)) * 2 / (high - low)


def _mel_of(hertz: float) -> float:
    return 15 + 27 * np.log(hertz / 1000) / np.log(6.4) if hertz >= 1000 else hertz * 3 / 200


def read_wav(path: str | os.PathLike[str]) -> Samples:
    """The sound in a WAV file of 16-bit samples, shape (samples,) at 16 kHz, from -1 to 1.

    Channels are averaged; other rates are resampled through the Fourier transform.

    Raises:
        DataError: The file is no WAV file, is empty, or has samples of another size.
        OSError: The file cannot be read.
    """
    name = Path(path).name
    try:
        with wave.open(os.fspath(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise data.DataError(
            f"{name} is no WAV file ({error or 'it ends too early'}). "
            f"Convert it: ffmpeg -i {name} -ar {RATE} -ac 1 sound.wav"
        ) from None
    if width != 2:
        raise data.DataError(
            f"{name} has samples of {8 * width} bits, and 16 are read. "
            f"Convert it: ffmpeg -i {name} -c:a pcm_s16le sound.wav"
        )
    whole = len(raw) // (2 * channels) * channels  # a cut file may end within a sample
    if not whole:
        raise data.DataError(f"{name} holds no sound.")
    values = np.frombuffer(raw, "<i2")[:whole].reshape(-1, channels).mean(axis=1) / 32768
    if rate != RATE:
        count = max(1, round(len(values) * RATE / rate))
        values = np.fft.irfft(np.fft.rfft(values), count) * (count / len(values))
    return values.astype(np.float32)


def pieces(sound: Samples, seconds: float) -> Iterator[Samples]:
    """Cut sound into pieces of at most `seconds`, each at the stillest place of its last sixth.

    Args:
        sound: shape (samples,), at 16 kHz.
        seconds: the longest piece, at least 1.
    """
    longest, still = round(seconds * RATE), RATE // 5  # a pause of a fifth of a second
    while len(sound) > longest:
        first = longest - longest // 6
        energy = np.cumsum(np.concatenate([[0.0], sound[first - still : longest] ** 2.0]))
        cut = first + int(np.argmin(energy[still:] - energy[:-still])) - still // 2
        yield sound[:cut]
        sound = sound[cut:]
    yield sound


def words_of(text: str) -> list[str]:
    """The words in lower case, without punctuation, hyphens as spaces, abbreviations spelt out."""
    words: list[str] = re.findall(r"[\w']+", text.lower().replace("\u2019", "'"))
    return [ABBREVIATIONS.get(word) or word for word in words]


def word_errors(heard: Sequence[str], said: Sequence[str]) -> int:
    """The fewest words to insert, drop or replace that turn `heard` into `said`."""
    costs = list(range(len(said) + 1))
    for row, word in enumerate(heard, 1):
        above, costs = costs, [row]
        for place, true in enumerate(said):
            change = above[place] + (word != true)
            costs.append(min(change, above[place + 1] + 1, costs[-1] + 1))
    return costs[-1]
