"""Sorting by digits of keys, the lowest first: as long as it takes to read keys some times.

Each pass puts the elements in the order of one digit, and leaves those of an equal one as they
were, so that the whole is stable. Source: D. Knuth, "The art of computer programming", volume 3,
5.2.5 (radix list sort, and its distribution into counted places).

Where few of many are asked for, only those are sorted whose highest digit can be among theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slope.extend import TensorType, dtypes
from slope_backend_iree.lower.context import Value

from .arrays import Array, Index, Operand, Splat, row, sliced
from .kernel import Kernel

_LONG = 4096  # elements from which fewer passes are worth more counts
_MANY = 256  # elements of which it is worth to look for the few that are sorted
_FEW = 4  # of so many elements one

Length = int | Index


class _Digits(NamedTuple):
    """How keys are divided.

    Attributes:
        bits: of a digit.
        passes: how many digits a key has.
        width: bits of a key.
        counts: for each digit of each pass, how many elements have it, or a smaller one.
    """

    bits: int
    passes: int
    width: int
    counts: Array

    def of(self, kernel: Kernel, key: Value, number: int) -> Value:
        """One digit of a signed key."""
        body, shift = kernel.body, number * self.bits
        made = body.same("shift_right_logical", key, body.like(shift, key))
        made = body.same("and", made, body.like((1 << self.bits) - 1, key))
        if number == self.passes - 1:  # the sign: negative keys come first
            made = body.same("xor", made, body.like(1 << (self.width - 1 - shift), key))
        return made

    def next(self, kernel: Kernel, key: Value, number: int) -> Value:
        """The count of one digit of a key, which grows by one."""
        here = [Index((), number), kernel.index(self.of(kernel, key, number))]
        count = kernel.load(self.counts, here)
        grown = kernel.body.same("add", count, kernel.body.like(1, count))
        kernel.store(grown, self.counts, here)
        return count


class _Elements(NamedTuple):
    """Keys, and where they stood; None: in this order."""

    keys: Array
    places: Array | None


def first_places(kernel: Kernel, given: Sequence[Operand], outputs: Sequence[Array]) -> None:
    """Write where the first few elements of each row stand, in ascending order.

    Args:
        kernel: what to write it into.
        given: the keys, int32 or int64 of shape (rows, n).
        outputs: the places, int32 of shape (rows, k).
    """
    keys, places = kernel.force(given[0]), outputs[0]
    rows, length = keys.type.shape
    few = places.type.shape[1]
    width, bits = keys.type.dtype.bits, 8 if length < _LONG else 11
    passes = -(-width // bits)
    counts = kernel.scratch(TensorType((passes, 1 << bits), dtypes.int32))
    digits = _Digits(bits, passes, width, counts)
    types = keys.type.with_shape((length,)), places.type.with_shape((length,))
    between = [_Elements(*map(kernel.part, types)) for _ in range(2)]
    with kernel.loop(rows) as number:
        source, count = _Elements(_row(keys, number), None), length
        if length >= _MANY and few * _FEW <= length:
            count = _candidates(kernel, source.keys, between[1], digits, few)
            source = between[1]
        _count(kernel, source.keys, count, digits, range(passes))
        for each in range(passes):
            _sum(kernel, digits, each)
            target = between[each % 2]
            _distribute(kernel, source, count, target, digits, each)
            source = target
        assert source.places is not None
        kernel.fill(_row(places, number), sliced(source.places, [0], [few], [1]))


def _row(x: Array, place: Index) -> Array:
    made = row(x, place)
    assert isinstance(made, Array)
    return made


def _candidates(kernel: Kernel, keys: Array, target: _Elements, digits: _Digits, few: int) -> Index:
    """Write the elements whose highest digit the first few have, in order; how many they are."""
    body, (length,), last = kernel.body, keys.type.shape, digits.passes - 1
    zero, one = (body.constant(each, TensorType((), dtypes.int32)) for each in (0, 1))
    _count(kernel, keys, length, digits, [last])
    with kernel.counted(1 << digits.bits, 1, [zero, zero]) as (digit, (total, most), give):
        here = _numbered(kernel, digit)
        wanted = body.compare("LT", total, body.like(few, total))
        count = kernel.load(digits.counts, [Index((), last), digit])
        _, most = give([body.same("add", total, count), body.select(wanted, here, most)])
    most = body.convert(most, keys.type.dtype)
    with kernel.counted(length, 1, [zero]) as (place, (total,), give):
        key = kernel.load(keys, [place])
        to = [kernel.index(total)]
        kernel.store(key, target.keys, to)
        assert target.places is not None
        kernel.store(_numbered(kernel, place), target.places, to)
        chosen = body.compare("LE", digits.of(kernel, key, last), most)
        (total,) = give([body.same("add", total, body.select(chosen, one, zero))])
    return kernel.index(total)


def _count(
    kernel: Kernel, keys: Array, length: Length, digits: _Digits, numbers: Sequence[int]
) -> None:
    """How many of the first elements have each digit."""
    kernel.fill(digits.counts, Splat(0, digits.counts.type))
    with kernel.loop(length) as place:
        key = kernel.load(keys, [place])
        for number in numbers:
            digits.next(kernel, key, number)


def _sum(kernel: Kernel, digits: _Digits, number: int) -> None:
    """How many have a smaller digit, instead."""
    body, zero = kernel.body, kernel.body.constant(0, TensorType((), dtypes.int32))
    with kernel.counted(1 << digits.bits, 1, [zero]) as (digit, (total,), give):
        here = [Index((), number), digit]
        count = kernel.load(digits.counts, here)
        kernel.store(total, digits.counts, here)
        give([body.same("add", total, count)])


def _distribute(
    kernel: Kernel,
    source: _Elements,
    length: Length,
    target: _Elements,
    digits: _Digits,
    number: int,
) -> None:
    """Put the first elements in the order of one digit."""
    with kernel.loop(length) as place:
        key = kernel.load(source.keys, [place])
        stood = (
            _numbered(kernel, place)
            if source.places is None
            else kernel.load(source.places, [place])
        )
        to = [kernel.index(digits.next(kernel, key, number))]
        assert target.places is not None
        kernel.store(stood, target.places, to)
        if number < digits.passes - 1:
            kernel.store(key, target.keys, to)


def _numbered(kernel: Kernel, place: Index) -> Value:
    """An index as an element."""
    made = TensorType((), dtypes.int32)
    return kernel.body.emit(f"arith.index_cast {kernel.at(place)} : index to i32", made)
