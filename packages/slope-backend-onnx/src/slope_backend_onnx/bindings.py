"""Calls of a session through bindings that are kept, and whose results take donated memory.

A binding tells ONNX Runtime where inputs lie and results go. It is kept from call to call, and only
what lies elsewhere than at the last call is bound anew. The parameters of a model stay; in a loop
whose state is donated everything does, so that a call costs 0.1 us for each input and result
instead of 0.5 to 1.

- A result that an update of a donated input makes, which nothing else reads, is written in its
  place: of a cache of keys and values only the new ones are written.
- A small array that lies elsewhere at nearly every call, such as a learning rate or a loss, is
  copied to or from memory that stays bound: 0.5 us instead of 5.
- Other donated inputs are read until the call ends (ONNX Runtime promises no order in which it
  reads them), so their memory takes the results of the next call: two sets of arrays in turn.

A binding holds addresses, and keeps no array alive: what it was bound to is known by weak
references, and an address is used only while the caller holds the very array.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from ctypes import addressof, c_char
from itertools import compress
from operator import call, is_not
from typing import Any, NamedTuple

import numpy as np

from slope.extend import aligned_empty


class Place(NamedTuple):
    """An input or a result of a session.

    Attributes:
        name: in the model.
        dtype, shape: what it holds.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Mismatch(Exception):  # noqa: N818  # the session's own error says what was given
    """A call got arrays that the session does not take."""


_SMALL = 4096  # bytes
_OFTEN = 8  # times that an array lay elsewhere


class _Binding:
    """A binding, and the arrays that it was last bound to.

    Attributes:
        binding: ONNX Runtime's.
        arrays: weak references, of inputs and then of results.
        moves: how often each lay elsewhere than before.
        own: memory that stays bound, for those that often do, by number.
    """

    __slots__ = ("arrays", "binding", "moves", "own")

    def __init__(self, binding: Any, count: int) -> None:
        self.binding = binding
        self.arrays: list[Any] = [_nothing] * count
        self.moves = [0] * count
        self.own: dict[int, np.ndarray[Any, Any]] = {}


def _nothing() -> None:
    """Like a dead weak reference."""


class BoundCalls:
    """Calls a session; threads may do so at once, each with a binding of its own."""

    def __init__(
        self,
        session: Any,
        inputs: Sequence[Place],
        results: Sequence[Place],
        in_place: Mapping[int, int],
        in_turn: Mapping[int, int],
    ) -> None:
        """Prepare for calls.

        Args:
            session: an ``onnxruntime.InferenceSession`` on the CPU.
            inputs: what it takes.
            results: what it gives.
            in_place: for results that are written over donated inputs, the input's number.
            in_turn: for results that take the memory which a donated input had at the call before,
                the input's number.
        """
        self._session = session
        self._inputs = list(inputs)
        self._results = list(results)
        self._in_place = dict(in_place)
        self._in_turn = dict(in_turn)
        self._spare: dict[int, deque[Any]] = {number: deque(maxlen=2) for number in in_turn}
        self._idle: deque[_Binding] = deque(maxlen=4)
        self._probe = min(in_turn.values(), default=None)
        count = len(self._inputs)
        recycled = {number + count for number in (*in_place, *in_turn)}
        self._copied = (  # where this is possible
            {number for number, place in enumerate((*inputs, *results)) if _is_small(place)}
            - {*in_place.values(), *in_turn.values(), *recycled}
        )

    def __call__(self, handles: Sequence[Any]) -> list[Any]:
        """Run the session on arrays, of which the donated ones are exclusive to the call.

        Raises:
            Mismatch: arrays of other types than the inputs, or another number of them.
        """
        if len(handles) != len(self._inputs):
            raise Mismatch
        bound, count = self._bound(handles), len(handles)
        own = bound.own
        outs = [
            own[number + count] if number + count in own else self._memory(number, handles)
            for number in range(len(self._results))
        ]
        arrays = [*handles, *outs]
        for number, memory in own.items():
            if number < count:
                _check(arrays[number], self._inputs[number])
                memory[...] = arrays[number]
                arrays[number] = memory
        self._bind(bound, arrays)
        self._session.run_with_iobinding(bound.binding)
        for number, memory in own.items():
            if number >= count:
                outs[number - count] = memory.copy()
        self._idle.append(bound)
        for number, source in self._in_turn.items():
            self._spare[number].append(handles[source])
        return outs

    def _memory(self, number: int, handles: Sequence[Any]) -> Any:
        if number in self._in_place:
            return handles[self._in_place[number]]
        if number in self._spare:
            try:
                return self._spare[number].popleft()
            except IndexError:  # the first call, or several threads
                pass
        place = self._results[number]
        return aligned_empty(place.shape, place.dtype)

    def _bound(self, handles: Sequence[Any]) -> _Binding:
        """An idle binding, best the one that knows these arrays."""
        for _ in range(2):
            try:
                bound = self._idle.popleft()
            except IndexError:
                break
            if self._probe is None or bound.arrays[self._probe]() is handles[self._probe]:
                return bound
            self._idle.append(bound)
        if len(self._idle) >= 2:
            try:
                return self._idle.popleft()
            except IndexError:
                pass
        count = len(self._inputs) + len(self._results)
        return _Binding(self._session.io_binding(), count)

    def _bind(self, bound: _Binding, arrays: Sequence[Any]) -> None:
        known, binding, count = bound.arrays, bound.binding, len(self._inputs)
        # In C, as nearly all arrays of most calls are where they were.
        others = [*compress(range(len(arrays)), map(is_not, map(call, known), arrays))]
        for number in others:
            array = arrays[number]
            if number < count:
                place, bind = self._inputs[number], binding.bind_input
                _check(array, place)
            else:
                place, bind = self._results[number - count], binding.bind_output
            bound.moves[number] += 1
            if bound.moves[number] > _OFTEN and number in self._copied:
                array = bound.own[number] = array.copy()
            bind(place.name, "cpu", 0, place.dtype, place.shape, _address(array))
            known[number] = weakref.ref(array)


def _is_small(place: Place) -> bool:
    return 0 < math.prod(place.shape) * place.dtype.itemsize <= _SMALL


def _check(array: Any, place: Place) -> None:
    # An address says nothing of what lies there, so ONNX Runtime cannot check.
    if (
        type(array) is not np.ndarray
        or array.dtype != place.dtype
        or array.shape != place.shape
        or not array.flags.c_contiguous
    ):
        raise Mismatch


def _address(array: np.ndarray[Any, Any]) -> int:
    if array.flags.writeable and array.size:  # this way takes a quarter of the time
        return addressof(c_char.from_buffer(array.data))
    return array.ctypes.data
