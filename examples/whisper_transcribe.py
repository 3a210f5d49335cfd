"""Write down what is said in WAV files: `python examples/whisper_transcribe.py [FILE.wav ...]`.

Whisper tiny.en in three jitted parts, the weights being inputs: the log-mel spectrogram and the
encoder are one program, run once for 30 s of sound; the decoder is another, run for each token with
a cache of keys and values. Without files, five sentences with known transcripts are fetched.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common.alignment import words
from common.speech import HOP, RATE, Samples, pieces, read_wav, word_errors, words_of
from common.speech_figure import Strip, speech_figure
from common.whisper import listen, say
from common.whisper_files import Clip, Voice, librivox, rising_tone, tiny_en, tiny_random

import slope

SHOWN = 5  # sounds in the picture


@dataclass
class Heard:
    """What was heard in one piece of sound.

    Attributes:
        strip: For the picture.
        encoding: Seconds that spectrogram and encoder took.
        decoding: Seconds that the decoder took.
        steps: How many times the decoder ran.
    """

    strip: Strip
    encoding: float
    decoding: float
    steps: int


class Writer:
    """Turns tokens into text and shows it as it comes."""

    def __init__(self, voice: Voice, show: Callable[[str], object]) -> None:
        self.voice, self.show = voice, show
        self.tokens: list[int] = []
        self.parts: list[str] = []
        self._text = ""

    def add(self, token: int) -> None:
        """Take one more token."""
        self.tokens.append(token)
        tokenizer = self.voice.tokenizer
        if tokenizer is None:
            text = f"{self._text} <{token}>"
        else:
            text = tokenizer.decode(self.tokens)
        if text.endswith("\ufffd"):  # the first bytes of a letter
            self.parts.append("")
            return
        self.parts.append(text[len(self._text) :])
        self._text = text
        self.show(self.parts[-1])


def transcribe(
    voice: Voice, sound: Samples, title: str, show: Callable[[str], object], limit: int
) -> Heard:
    """Write down one piece of sound, always taking the likeliest token.

    Args:
        voice: The model and its tokens.
        sound: At most as long as the model hears at once.
        title: For the picture.
        show: Called with each new part of the text.
        limit: The most tokens.
    """
    sizes = voice.model.sizes
    begin = time.perf_counter()
    padded = np.pad(sound, (0, sizes.samples - len(sound)))
    mel, memories = listen(voice.model, slope.from_numpy(padded[None]))
    picture = mel.numpy()[0]  # waits until it is there
    middle = time.perf_counter()

    penalty, first = slope.from_numpy(voice.penalty), slope.from_numpy(voice.first_penalty)
    watched = slope.from_numpy(voice.watched)
    caches, writer, looks = voice.model.caches(), Writer(voice, show), []
    for word in voice.prompt:
        said = say(voice.model, slope.tensor([[word]]), memories, caches, first, watched)
        caches = said.caches
    limit = min(limit, sizes.positions - len(voice.prompt))
    while True:
        looks.append(said.looks.numpy()[0])
        token = int(said.token.item())
        if token == voice.end or len(writer.tokens) == limit:
            break
        writer.add(token)
        said = say(voice.model, said.token, memories, said.caches, penalty, watched)
    end = time.perf_counter()

    frames = -(-len(sound) // (2 * HOP))  # positions of the encoder that hold sound
    seen = np.stack(looks)[:, :frames]
    strip = Strip(title, picture[:, : 2 * frames], words(writer.parts, seen), writer.parts, seen)
    return Heard(strip, middle - begin, end - middle, len(voice.prompt) + len(writer.tokens))


def transcribe_clip(voice: Voice, clip: Clip, limit: int) -> tuple[list[Heard], int]:
    """Write down a whole clip, and tell how well and how fast; gives also the words wrong."""
    seconds = len(clip.sound) / RATE
    print(f"\n{clip.name} ({seconds:.1f} s)")
    shown: list[str] = []

    def show(text: str) -> None:
        shown.append(text)
        print(text, end="", flush=True)

    longest = voice.model.sizes.samples / RATE
    heard = [
        transcribe(voice, piece, clip.name, show, limit) for piece in pieces(clip.sound, longest)
    ]
    encoding = sum(each.encoding for each in heard)
    decoding = sum(each.decoding for each in heard)
    steps = sum(each.steps for each in heard)
    wrong, told = 0, ""
    if clip.transcript is not None:
        said = words_of(clip.transcript)
        wrong = word_errors(words_of("".join(shown)), said)
        told = f"{wrong} of {len(said)} words wrong, "
    print(
        f"\n  {told}{(encoding + decoding) / seconds:.3f} of real time "
        f"(encoder {encoding:.2f} s, {steps} tokens of {1e3 * decoding / steps:.1f} ms)"
    )
    return heard, wrong


def main() -> None:
    """Load, transcribe, and save a picture."""
    args = arguments()
    if args.backend:
        slope.set_backend(args.backend)
    slope.manual_seed(0)

    begin = time.perf_counter()
    voice = tiny_random() if args.tiny else tiny_en()
    loaded = time.perf_counter()
    # On silence first, so that the times below are without compiling.
    transcribe(voice, np.zeros(RATE // 10, np.float32), "", str, limit=1)
    compiled = time.perf_counter()
    backend = slope.backend().name
    print(
        f"Backend {backend}: loaded in {loaded - begin:.1f} s, "
        f"compiled and tried in {compiled - loaded:.1f} s"
    )

    heard: list[Heard] = []
    wrong = said = 0
    for clip in clips_of(args):
        found, errors = transcribe_clip(voice, clip, args.limit)
        heard += found
        wrong += errors
        said += len(words_of(clip.transcript or ""))
    title = f"Whisper {'(random weights)' if args.tiny else 'tiny.en'}, slope on {backend}"
    if said:
        title += f": {wrong} of {said} words wrong"
        print(f"\nAll files: {wrong} of {said} words wrong")
    print(f"Picture {speech_figure(args.out, [each.strip for each in heard[:SHOWN]], title)}")


def clips_of(args: argparse.Namespace) -> Iterator[Clip]:
    """The files that the command line names, or those with transcripts."""
    for path in args.files:
        yield Clip(path.name, read_wav(path), None)
    if args.tiny and not args.files:
        yield rising_tone()
    elif not args.files:
        yield from librivox()


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Transcribe English speech with Whisper tiny.en.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        help="WAV files of 16-bit samples; without any, five LibriVox clips",
    )
    parser.add_argument(
        "--backend", help="iree, onnxruntime (or onnx) or numpy; None: the first that is installed"
    )
    parser.add_argument("--limit", type=int, default=224, help="most tokens for 30 s of sound")
    parser.add_argument("--tiny", action="store_true", help="a small random model: to try it out")
    parser.add_argument("--out", default="outputs/whisper_transcribe.png", help="the picture")
    return parser.parse_args(given)


if __name__ == "__main__":
    main()
