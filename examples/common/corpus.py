"""A text as numbers to learn from: characters or byte pairs, training and validation windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

from slope.errors import ArgumentError

Numbers = npt.NDArray[np.int64]

PIECE = 20_000  # characters; long enough to read on, short enough for many pieces
EVERY = 20  # each 20th piece is kept for validation


class Codec(Protocol):
    """Text to numbers and back."""

    size: int

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        ...


class Characters:
    """One token for each character of a text."""

    def __init__(self, text: str) -> None:
        self.alphabet = sorted(set(text))
        self.size = len(self.alphabet)
        self._number = {letter: number for number, letter in enumerate(self.alphabet)}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text.

        Raises:
            ArgumentError: A character did not occur before.
        """
        try:
            return [[self._number[letter] for letter in text] for text in texts]
        except KeyError as error:
            raise ArgumentError(
                f"the text that the model learnt from has no character {error.args[0]!r}; it has "
                f"{''.join(self.alphabet)!r}."
            ) from None

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        return "".join(self.alphabet[token] for token in tokens)


class BytePairs:
    """Tokens made of the most frequent pairs of neighbours, again and again.

    Source: R. Sennrich, B. Haddow, A. Birch, "Neural machine translation of rare words with subword
    units", ACL 2016; on bytes, as in GPT-2.
    """

    def __init__(self, texts: Sequence[str], size: int) -> None:
        self._tokenizer = Tokenizer(BPE())
        self._tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self._tokenizer.decoder = decoders.ByteLevel()
        trainer = BpeTrainer(
            vocab_size=size,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        self._tokenizer.train_from_iterator(texts, trainer)
        self.size = self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text."""
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; halves of characters become question marks."""
        return self._tokenizer.decode(list(tokens))


class Corpus(NamedTuple):
    """A text, ready to learn from.

    Attributes:
        codec: makes tokens of text.
        training: tokens.
        validation: tokens of other parts of the text, spread over it.
        characters: how many characters a token of the validation part has on average.
    """

    codec: Codec
    training: Numbers
    validation: Numbers
    characters: float


def corpus(text: str, vocabulary: int | None = None) -> Corpus:
    """Cut a text into a training and a validation part, and both into tokens.

    Args:
        text: At least 40,000 characters, for a validation part of some length.
        vocabulary: How many byte pairs to make; None for characters.

    Raises:
        ArgumentError: The text is too short.
    """
    if len(text) < 2 * PIECE:
        raise ArgumentError(
            f"corpus: {len(text)} characters are too few for a training and a validation part; "
            f"give at least {2 * PIECE}."
        )
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    kept = pieces[1::EVERY]
    rest = [piece for place, piece in enumerate(pieces) if place % EVERY != 1]
    codec: Codec = Characters(text) if vocabulary is None else BytePairs(rest, vocabulary)
    training, validation = (
        np.concatenate([np.asarray(tokens, np.int64) for tokens in codec.encode(part)])
        for part in (rest, kept)
    )
    return Corpus(codec, training, validation, sum(map(len, kept)) / len(validation))


def windows(tokens: Numbers, length: int, batch: int, count: int, seed: int) -> Iterator[Numbers]:
    """``count`` batches of windows at places drawn by chance, each of shape (batch, length).

    The same on every machine and with every NumPy version: NEP 19 promises the raw bits for ever.

    Raises:
        ArgumentError: The text is shorter than a window.
    """
    places = len(tokens) - length + 1
    if places < 1:
        raise ArgumentError(
            f"windows: a text of {len(tokens)} tokens has no window of {length}; take a longer "
            "text or a shorter context."
        )
    bits = np.random.PCG64(np.random.SeedSequence(seed))
    for _ in range(count):
        starts = bits.random_raw(batch) % np.uint64(places)
        yield np.stack([tokens[int(start) : int(start) + length] for start in starts])


def covering(tokens: Numbers, length: int, limit: int) -> Numbers:
    """At most ``limit`` windows side by side, evenly spread over the text: (windows, length)."""
    count = len(tokens) // length
    if count < 1:
        raise ArgumentError(f"covering: {len(tokens)} tokens hold no window of {length}.")
    chosen = np.linspace(0, count - 1, min(limit, count)).astype(int)
    return tokens[: count * length].reshape(count, length)[chosen]
