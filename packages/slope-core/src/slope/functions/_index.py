"""What stands between the brackets: taken apart once, for reading and for writing.

An index becomes a *basic* part (static ints, slices and new dimensions: a slice, a flip and a
reshape) and an *advanced* part
(integer tensors and arrays: a gather or scatter). Where the advanced dimensions come out is NumPy's
rule: at the place of the
first of them, or in front where a slice, ``None`` or ``...`` stands between two of them. Ints count
as advanced where
there is an array, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from slope import dtypes, ops
from slope.core.tensor import Splat, Tensor, Tracer
from slope.core.types import Shape
from slope.devices import ANYWHERE
from slope.dims import DimExpr, dim_min, is_static
from slope.errors import ConcretizationError, IndexingError
from slope.functions._base import broadcast_shapes, copied, expand_to, of_host
from slope.functions.joining import stack

Entry = Any  # int, slice, None (a new dimension), Truth, Held, np.ndarray of ints, Tensor of ints


class Truth(NamedTuple):
    """``True``, ``False`` or a mask of shape (): it indexes a dimension of length 1 of its own."""

    holds: bool


class Held(NamedTuple):
    """The places along one dimension at which a mask holds, and the mask's length there."""

    places: np.ndarray[Any, Any]
    length: int


class Plan(NamedTuple):
    """An index of a shape, taken apart.

    Attributes:
        shape: the shape that is indexed: the tensor's, and a 1 for each mask of shape ().
        start, stop, step: the slice of every dimension, with positive steps; an int is a slice of
        length 1.
        flips: the dimensions to reverse after slicing.
        dropped: the dimensions that ints take away.
        arrays: by dimension, the index tensor of the advanced part.
        places: the shape that the index tensors broadcast to.
        result: the result's shape.
        front: whether the advanced dimensions come first.
    """

    shape: Shape
    start: tuple[Any, ...]
    stop: tuple[Any, ...]
    step: tuple[int, ...]
    flips: tuple[int, ...]
    dropped: tuple[int, ...]
    arrays: dict[int, Tensor]
    places: Shape
    result: Shape
    front: bool


def plan(index: Any, shape: Shape) -> Plan:
    """Take an index apart.

    Raises:
        IndexingError: too many indices, one out of range, or something that is no index.
        ConcretizationError: a traced mask, or a slice with a traced bound.
    """
    entries = _complete(index if isinstance(index, tuple) else (index,), shape)
    if any(isinstance(entry, Truth) for entry in entries):
        entries, shape = _with_truths(entries, shape)
    start, stop, step = [0] * len(shape), list(shape), [1] * len(shape)
    flips: list[int] = []
    dropped: list[int] = []
    arrays: dict[int, Tensor] = {}
    kinds: list[
        tuple[str, int]
    ] = []  # what each entry leaves: new, slice, int or array, and its dimension
    at = 0
    for entry in entries:
        if entry is None:
            kinds.append(("new", -1))
            continue
        if isinstance(entry, slice):
            start[at], stop[at], step[at], backward = _slice(entry, shape[at], at, shape)
            if backward:
                flips.append(at)
            kinds.append(("slice", at))
        elif isinstance(entry, (Tensor, np.ndarray, Held)):
            arrays[at] = _coordinates(entry, shape[at], at, shape)
            kinds.append(("array", at))
        else:
            start[at] = _place(entry, shape[at], at, shape)
            stop[at] = start[at] + 1
            dropped.append(at)
            kinds.append(("int", at))
        at += 1
    lengths = [
        (last - first + stride - 1) // stride
        for first, last, stride in zip(start, stop, step, strict=True)
    ]
    places = (
        broadcast_shapes("indexing", *[each.shape for each in arrays.values()]) if arrays else ()
    )
    result, front = _result(kinds, lengths, places, bool(arrays))
    return Plan(
        shape,
        tuple(start),
        tuple(stop),
        tuple(step),
        tuple(flips),
        tuple(dropped),
        arrays,
        places,
        result,
        front,
    )


def _with_truths(entries: Sequence[Entry], shape: Shape) -> tuple[list[Entry], Shape]:
    """Masks of shape () as the places, one or none, in a dimension of length 1 for each."""
    lengths = iter(shape)
    wider = tuple(
        1 if isinstance(entry, Truth) else next(lengths) for entry in entries if entry is not None
    )
    places = [
        np.zeros(int(entry.holds), np.int64) if isinstance(entry, Truth) else entry
        for entry in entries
    ]
    return places, wider


def _result(
    kinds: Sequence[tuple[str, int]], lengths: Sequence[Any], places: Shape, advanced: bool
) -> tuple[Shape, bool]:
    """The shape of the result, and whether the advanced dimensions come first."""
    among = [
        number
        for number, (kind, _) in enumerate(kinds)
        if kind == "array" or (kind == "int" and advanced)
    ]
    front = bool(among) and among[-1] - among[0] + 1 != len(among)
    shape: list[Any] = list(places) if front else []
    done = front
    for kind, at in kinds:
        if kind == "new":
            shape.append(1)
        elif kind == "slice":
            shape.append(lengths[at])
        elif not done and (kind == "array" or advanced):
            shape.extend(places)
            done = True
    return tuple(shape), front


def _complete(index: tuple[Any, ...], shape: Shape) -> list[Entry]:
    """The entries without ``...`` and masks, one for each dimension."""
    entries: list[Entry] = []
    for each in index:
        entries.extend(_entries(each))
    taken = sum(
        1
        for each in entries
        if each is not None and each is not Ellipsis and not isinstance(each, Truth)
    )
    dots = sum(1 for each in entries if each is Ellipsis)
    if dots > 1:
        raise IndexingError(f"an index may have one '...', and this one has {dots}.")
    if taken > len(shape):
        raise IndexingError(
            f"{taken} indices are too many for a tensor of shape {shape}, which has {len(shape)} "
            "dimensions."
        )
    missing = [slice(None)] * (len(shape) - taken)
    if not dots:
        return entries + missing
    where = next(number for number, each in enumerate(entries) if each is Ellipsis)
    return entries[:where] + missing + entries[where + 1 :]


def _entries(each: Any) -> list[Entry]:
    """One entry, checked.

    A mask becomes the places where it holds, one array for each of its dimensions.
    """
    if each is None or each is Ellipsis or isinstance(each, slice):
        return [each]
    if isinstance(each, (bool, np.bool_)):
        return [Truth(bool(each))]
    if isinstance(each, (int, np.integer)):
        return [int(each)]
    if isinstance(each, (list, tuple)):
        if any(isinstance(item, Tensor) for item in each):
            each = stack(
                [
                    item if isinstance(item, Tensor) else copied(np.asarray(item), device=ANYWHERE)
                    for item in each
                ]
            )
        else:
            each = _array(each)
    if isinstance(each, Tensor):
        return _tensor_entries(each)
    if isinstance(each, np.ndarray) and each.dtype.kind in "iu":
        return [each if each.ndim else int(each)]
    if isinstance(each, np.ndarray) and each.dtype.kind == "b":
        return _where_true(each)
    what = (
        f"an array of {each.dtype}"
        if isinstance(each, np.ndarray)
        else f"a {type(each).__name__} ({each!r:.60})"
    )
    raise IndexingError(
        f"{what} is no index; indices are ints, slices, None, ..., and integer or bool tensors "
        "and arrays."
    )


def _array(index: Sequence[Any]) -> np.ndarray[Any, Any]:
    """A list of places."""
    if not len(index):
        return np.zeros(0, np.int64)
    try:
        return np.asarray(index)
    except ValueError:
        raise IndexingError(
            f"the list {index!r:.80} is no index: a list holds the places along one dimension; "
            "an index of several dimensions is a tuple."
        ) from None


def _where_true(mask: np.ndarray[Any, Any]) -> list[Entry]:
    if not mask.ndim:
        return [Truth(bool(mask))]
    return [Held(*each) for each in zip(mask.nonzero(), mask.shape, strict=True)]


def _tensor_entries(each: Tensor) -> list[Entry]:
    if each.dtype is dtypes.bool_:
        if isinstance(each, Tracer):
            raise ConcretizationError(
                f"a traced mask {each.type} gives a result whose shape is not known while tracing. "
                "Use slope.where(mask, x, y) to keep the shape, or index outside of the "
                "transformed function."
            )
        return _where_true(each.numpy())
    if not each.dtype.is_integer:
        raise IndexingError(f"a tensor {each.type} is no index; cast it with x.to(slope.int64).")
    if isinstance(each, Tracer):
        if each.owner.tentative:
            raise ConcretizationError(f"the index {each.type} is known, and must be checked.")
        return [each]
    return [each.numpy() if each.ndim else int(each.item())]


def _place(number: int, length: Any, at: int, shape: Shape) -> Any:
    if not isinstance(length, DimExpr) and not -length <= number < length:
        raise IndexingError(
            f"index {number} is out of range for dimension {at} of length {length} (of a tensor "
            f"of shape {shape})."
        )
    return length + number if number < 0 else number


def _slice(entry: slice, length: Any, at: int, shape: Shape) -> tuple[Any, Any, int, bool]:
    """Start, stop and positive step, and whether the order is reversed."""
    bounds: list[Any] = []
    for bound in (entry.start, entry.stop, entry.step):
        if isinstance(bound, Tracer):
            raise ConcretizationError(
                "a slice with a traced bound gives a result whose shape is not known while "
                f"tracing; slope.narrow(x, {at}, start, length) takes a traced start and an int "
                "length."
            )
        if bound is not None and not isinstance(bound, DimExpr):
            try:
                bound = bound.__index__()
            except AttributeError:
                raise IndexingError(
                    f"a slice bound must be an int or None, not {bound!r:.60}."
                ) from None
        bounds.append(bound)
    first, last, stride = bounds
    if stride == 0:
        raise IndexingError("a slice's step cannot be 0.")
    if not is_static((length, *(bound for bound in (first, last) if bound is not None))):
        return _symbolic_slice(first, last, stride, length, shape)
    first, last, stride = slice(first, last, stride).indices(length)
    count = len(range(first, last, stride))
    if stride > 0:
        return (
            (first, first + (count - 1) * stride + 1, stride, False) if count else (0, 0, 1, False)
        )
    low = first + (count - 1) * stride
    return (low, first + 1, -stride, True) if count else (0, 0, 1, False)


def _symbolic_slice(
    first: Any, last: Any, stride: Any, length: Any, shape: Shape
) -> tuple[Any, Any, int, bool]:
    if stride not in (None, 1):
        if stride == -1 and first is None and last is None:
            return 0, length, 1, True
        raise IndexingError(
            f"a slice with step {stride} of a symbolic length, in shape {shape}, is not possible; "
            "give step 1 or ::-1."
        )
    begin = 0 if first is None else _bound(first, length)
    end = length if last is None else _bound(last, length)
    return begin, end, 1, False


def _bound(bound: Any, length: Any) -> Any:
    if isinstance(bound, DimExpr) or bound >= 0:
        return bound if isinstance(bound, int) and bound == 0 else dim_min(bound, length)
    return length + bound


def _coordinates(entry: Any, length: Any, at: int, shape: Shape) -> Tensor:
    """An index tensor, counted from the front; places that are known are checked."""
    if isinstance(entry, Held):
        if not isinstance(length, DimExpr) and entry.length != length:
            raise IndexingError(
                f"a mask of length {entry.length} cannot index dimension {at} of length {length} "
                f"(of a tensor of shape {shape})."
            )
        entry = entry.places
    if isinstance(entry, np.ndarray) and not isinstance(length, DimExpr):
        wrong = (entry < -length) | (entry >= length)
        if wrong.any():
            raise IndexingError(
                f"index {entry[wrong].flat[0]} is out of range for dimension {at} of length "
                f"{length} (of a tensor of shape {shape})."
            )
        return of_host(np.where(entry < 0, entry + length, entry).astype(np.int64))
    places = copied(entry, device=ANYWHERE) if isinstance(entry, np.ndarray) else entry
    if places.dtype.kind == "u":
        return ops.cast(places, dtype=dtypes.int64)
    places = ops.cast(places, dtype=dtypes.int64)
    total = (
        Splat(length, places.type) if not isinstance(length, DimExpr) else _counted(length, places)
    )
    return ops.where(ops.lt(places, Splat(0, places.type)), ops.add(places, total), places)


def _counted(length: Any, like: Tensor) -> Tensor:
    """A symbolic length as a tensor of ``like``'s shape."""
    one = ops.iota(shape=(length,), dim=0, dtype=dtypes.int64)
    count = ops.sum_(
        ops.where(ops.ge(one, Splat(0, one.type)), Splat(1, one.type), Splat(0, one.type)), dim=(0,)
    )
    return expand_to(count, like.shape)


def coordinates(found: Plan) -> Tensor:
    """The index tensors side by side in a last dimension, as gather and scatter take them."""
    rows = [
        ops.reshape(expand_to(each, found.places), shape=(*found.places, 1))
        for _, each in sorted(found.arrays.items())
    ]
    return rows[0] if len(rows) == 1 else ops.cat(*rows, dim=len(found.places))
