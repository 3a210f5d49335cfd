"""The default generator, and the scopes that stand in for it under transforms.

A scope holds a key and hands out new ones. At the bottom is the process-wide default generator.
``jit`` puts a scope on top whose key is a hidden input and output of the program, ``vmap`` one that
gives every example its own key, the same key, or none.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import numpy as np

from slope.core.locks import in_forked_children, open_after_fork
from slope.core.tensor import Tensor
from slope.core.types import TensorType
from slope.devices import ANYWHERE
from slope.dtypes import uint32
from slope.errors import ArgumentError, RandomnessError, boundary, rests_at
from slope.ops.random import PARITY, ROTATIONS

__all__ = [
    "default_generator",
    "manual_seed",
]

P = ParamSpec("P")
R = TypeVar("R")
_MASK: Final = 0xFFFFFFFF


def words(number: int) -> tuple[int, int]:
    """The high and the low word of the lowest 64 bits."""
    return (number >> 32) & _MASK, number & _MASK


def encrypted(key: tuple[int, int], x0: int, x1: int) -> tuple[int, int]:
    """Threefry-2x32 on Python ints: what the operator computes, for a few words."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    x0, x1 = (x0 + keys[0]) & _MASK, (x1 + keys[1]) & _MASK
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x0 = (x0 + x1) & _MASK
            x1 = (((x1 << turn) | (x1 >> (32 - turn))) & _MASK) ^ x0
        x0 = (x0 + keys[(group + 1) % 3]) & _MASK
        x1 = (x1 + keys[(group + 2) % 3] + group + 1) & _MASK
    return x0, x1


def key_tensor(key: tuple[int, int]) -> Tensor:
    """A key as a tensor; what is drawn from it follows other operands to their device."""
    return Tensor(TensorType((2,), uint32), ANYWHERE, host=np.asarray(key, np.uint32))


class Scope:
    """Hands out keys.

    Attributes:
        lock: held by whoever reads the key and writes the next one.
    """

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()

    @property
    def key(self) -> Tensor:
        """The current key, uint32[2]."""
        raise NotImplementedError  # every scope defines it

    @key.setter
    def key(self, value: Tensor) -> None:
        raise NotImplementedError  # every scope defines it

    def mark(self) -> Any:
        """Where the scope stands, for :meth:`reset`."""
        return self.key

    def reset(self, mark: Any) -> None:
        """Stand there again: what was drawn since did not happen."""
        self.key = mark

    def draw(self) -> Tensor:
        """A key that nobody else gets; the scope's own moves on."""
        from slope.functions.keys import split

        with self.lock:
            both = split(self.key)
            self.key = both[0]
            return both[1]


class Generator(Scope):
    """A source of keys; unless :meth:`manual_seed` is called, the operating system seeds it."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__()
        self._is_seeded = False
        self._words: tuple[int, int] | None = None
        self._key: Tensor | None = None
        self._moves = 0  # how often it moved on, in all threads, and in each
        self._own = threading.local()
        if seed is not None:
            self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start over from a seed.

        Raises:
            ArgumentError: it is no int.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise ArgumentError(f"manual_seed: the seed must be an int, not {seed!r:.60}.")
        with self.lock:
            self._words, self._key = words(int(seed)), None
            self._is_seeded = True
            self._moved()
        return self

    def reseed(self) -> None:
        """Have the operating system seed it anew, unless the user did."""
        if not self._is_seeded:
            self._words = self._key = None

    def _moved(self) -> None:
        self._moves += 1
        self._own.moves = getattr(self._own, "moves", 0) + 1

    def mark(self) -> Any:
        """Where it stands, and who moved it how often."""
        with self.lock:
            return self._words, self._key, self._moves, getattr(self._own, "moves", 0)

    def reset(self, mark: Any) -> None:
        """Stand there again, unless another thread has drawn since: no key is given twice."""
        with self.lock:
            state, key, moves, own = mark
            if self._moves - moves == getattr(self._own, "moves", 0) - own:
                self._words, self._key = state, key

    @property
    def key(self) -> Tensor:
        """The current key; assigning another continues from there."""
        with self.lock:
            if self._key is None:
                self._key = key_tensor(self._state())
            return self._key

    @key.setter
    def key(self, value: Tensor) -> None:
        with self.lock:
            self._key, self._words = value, None
            self._moved()

    def _state(self) -> tuple[int, int]:
        if self._words is None:
            if self._key is None:
                self._words = words(int.from_bytes(os.urandom(8), "little"))
            else:
                high, low = self._key.host()
                self._words = int(high), int(low)
        return self._words

    def draw(self) -> Tensor:
        """A key that nobody else gets, as ``split`` makes it.

        Computed here, so it depends on no trace and no backend.
        """
        with self.lock:
            state = self._state()
            first, second = encrypted(state, 0, 2), encrypted(state, 1, 3)
            self._words, self._key = (first[0], second[0]), None
            self._moved()
            return key_tensor((first[1], second[1]))


default_generator: Final = Generator()
open_after_fork(default_generator.lock)
# Workers that a process forks would all draw the same. Seeded ones do, as NumPy's and PyTorch's.
in_forked_children(default_generator.reseed)


class JitScope(Scope):
    """The scope inside a traced function: its first key is an input, made when it is needed.

    Args:
        make_input: makes that input.

    Attributes:
        used: whether anything was drawn: then the program has the input, and its last output must
            be :attr:`key`.
    """

    def __init__(self, make_input: Callable[[], Tensor]) -> None:
        super().__init__()
        self._make_input = make_input
        self._first: Tensor | None = None
        self._key: Tensor | None = None

    def mark(self) -> Any:
        """The current key; ``None`` before the first draw."""
        return self._key

    def reset(self, mark: Any) -> None:
        """As for every scope; an input that was made stays one."""
        self._key = self._first if mark is None else mark

    @property
    def used(self) -> bool:
        """Whether anything was drawn."""
        return self._key is not None

    @property
    def key(self) -> Tensor:
        """The current key."""
        if self._key is None:
            self._first = self._key = self._make_input()
        return self._key

    @key.setter
    def key(self, value: Tensor) -> None:
        self._key = value


class Batching(Protocol):
    """What a batching scope asks of a batching trace."""

    @property
    def size(self) -> Any: ...

    def wrap(self, value: Tensor, at: int | None) -> Tensor: ...


class BatchScope(Scope):
    """The scope inside a batched function.

    Args:
        trace: the batching trace.
        randomness: ``"different"`` keys for the examples, the ``"same"`` for all, or an
            ``"error"``.
    """

    def __init__(self, trace: Batching, randomness: str) -> None:
        super().__init__()
        self._trace = trace
        self._randomness = randomness
        self._outer = current_scope()
        self._key: Tensor | None = None

    def mark(self) -> Any:
        """The current key, if there is one, and where the outer scope stands."""
        return self._key, self._outer.mark()

    def reset(self, mark: Any) -> None:
        """As for every scope, the outer one included."""
        self._key, outer = mark
        self._outer.reset(outer)

    def _allowed(self) -> None:
        if self._randomness == "error":
            raise RandomnessError(
                "a draw from the default generator inside vmap: say whether the examples draw "
                "alike or not, with slope.vmap(f, randomness='different') or randomness='same', or "
                "draw from keys (slope.random)."
            )

    @property
    def key(self) -> Tensor:
        """The current key: a batch for ``"different"``, the outer scope's for ``"same"``."""
        from slope.functions.keys import split

        self._allowed()
        if self._randomness == "same":
            return self._outer.key
        if self._key is None:
            self._key = self._trace.wrap(split(self._outer.draw(), self._trace.size), 0)
        return self._key

    @key.setter
    def key(self, value: Tensor) -> None:
        self._allowed()
        if self._randomness == "same":
            self._outer.key = value
        else:
            self._key = value

    def draw(self) -> Tensor:
        """A key for each example, or one for all."""
        self._allowed()
        return self._outer.draw() if self._randomness == "same" else super().draw()


_current: ContextVar[Scope] = ContextVar("slope_random_scope", default=default_generator)
current_scope: Callable[[], Scope] = _current.get
rests_at(_current, default_generator)


class use_scope:  # noqa: N801  # a context manager that reads as a verb
    """Draw from another scope inside a ``with`` block."""

    __slots__ = ("_scope", "_token")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __enter__(self) -> Scope:
        self._token: Token[Scope] = _current.set(self._scope)
        return self._scope

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        _current.reset(self._token)


def all_or_nothing(function: Callable[P, R]) -> Callable[P, R]:
    """Leave the generator as it was if a call fails; hide slope's frames as ``boundary`` does."""

    @boundary
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        scope = current_scope()
        mark = scope.mark()
        try:
            return function(*args, **kwargs)
        except BaseException:
            scope.reset(mark)
            raise

    return call


def manual_seed(seed: int) -> Generator:
    """Start the default generator over from a seed.

    The same seed gives the same draws on every backend.

    Returns:
        The default generator.

    Raises:
        ArgumentError: it is no int.
    """
    return default_generator.manual_seed(seed)
