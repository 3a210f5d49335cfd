"""Sums and their like: many elements combined to one, in vectors and several rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slope_backend_iree.lower.context import Value

from .arrays import Array, Expression, Index, Operand, leaves
from .elements import element_type
from .kernel import Kernel, lanes_of, vector_dim

Place = list[Index]


class Combination(NamedTuple):
    """How a reduction combines elements.

    Attributes:
        name: StableHLO's name of the operation.
        start: its neutral element.
    """

    name: str
    start: bool | int | float


class _Loop(NamedTuple):
    """A loop over a dimension that is combined."""

    dim: int
    length: int
    step: int = 1


def reduce(kernel: Kernel, x: Operand, dims: Sequence[int], how: Combination) -> Array:
    """An operand's elements combined along dimensions, in memory of its own."""
    shape = x.type.shape
    kept = [dim for dim in range(len(shape)) if dim not in dims]
    dim = vector_dim(shape, list(leaves(x)), range(len(shape)))
    tile = _shared(x, [each for each in kept if each != dim])
    target = _target(kernel, x, kept, dim)
    most = lanes_of(x) // (1 if tile is None else 2)
    done = {dim, tile, *dims}
    with kernel.loops([1 if d in done else length for d, length in enumerate(shape)]) as index:
        for rows, count in kernel.chunks(1 if tile is None else shape[tile], kernel.rows):
            with rows as first:
                places = [_at(index, tile, first.plus(each)) for each in range(count)]
                _reduce_rows(kernel, x, dims, how, target, places, dim, most)
    strides = tuple(target.strides[each] for each in kept)
    made = x.type.with_shape(tuple(shape[each] for each in kept))
    return Array(target.memory, made, target.offset, strides)


def _shared(x: Operand, dims: Sequence[int]) -> int | None:
    """The longest of these dimensions along which an array stays the same."""
    arrays = list(leaves(x))
    found = [d for d in dims if x.type.shape[d] > 1 and any(a.strides[d] == 0 for a in arrays)]
    return max(found, key=lambda dim: x.type.shape[dim], default=None)


def _target(kernel: Kernel, x: Operand, kept: Sequence[int], dim: int | None) -> Array:
    """Memory for the results, indexed as ``x`` is; the dimension of the vectors is innermost."""
    order = [each for each in kept if each != dim] + [each for each in kept if each == dim]
    made = kernel.scratch(x.type.with_shape(tuple(x.type.shape[each] for each in order)))
    strides = dict(zip(order, made.strides, strict=True))
    full = tuple(strides.get(each, 0) for each in range(len(x.type.shape)))
    return Array(made.memory, x.type, made.offset, full)


def _at(place: Place, dim: int | None, index: Index) -> Place:
    """A place moved along a dimension."""
    return [index if each == dim else one for each, one in enumerate(place)]


def _reduce_rows(
    kernel: Kernel,
    x: Operand,
    dims: Sequence[int],
    how: Combination,
    target: Array,
    places: list[Place],
    dim: int | None,
    most: int,
) -> None:
    loops = [_Loop(each, x.type.shape[each]) for each in dims if each != dim]
    if dim is None:
        values = _combined(kernel, x, loops, how, places, None, 0)
    elif dim in dims:
        values = _combined_along(kernel, x, loops, how, places, dim, most)
    else:
        for part, lanes in kernel.chunks(x.type.shape[dim], most):
            with part as along:
                here = [_at(place, dim, along) for place in places]
                values = _combined(kernel, x, loops, how, here, dim, lanes)
                for value, place in zip(values, here, strict=True):
                    kernel.store(value, target, place)
        return
    for value, place in zip(values, places, strict=True):
        kernel.store(value, target, place)


def _combined_along(
    kernel: Kernel,
    x: Operand,
    loops: list[_Loop],
    how: Combination,
    places: list[Place],
    dim: int,
    most: int,
) -> list[Value]:
    """As ``_combined``, also along the dimension of the vectors."""
    length = x.type.shape[dim]
    rest = length % most
    totals: list[Value] = []
    for first, part, lanes in ((0, length - rest, most), (length - rest, rest, rest)):
        if not part:
            continue
        here = [_at(place, dim, Index((), first)) for place in places]
        own = [*loops, _Loop(dim, part, lanes)]
        values = _combined(kernel, x, own, how, here, dim, lanes)
        values = [_across(kernel, value, how) for value in values]
        if totals:
            pairs = zip(totals, values, strict=True)
            totals = [kernel.body.same(how.name, a, b) for a, b in pairs]
        else:
            totals = values
    return totals


def _combined(
    kernel: Kernel,
    x: Operand,
    loops: list[_Loop],
    how: Combination,
    places: list[Place],
    dim: int | None,
    lanes: int,
) -> list[Value]:
    """At each place the elements, or vectors along ``dim``, that the loops go through, in one."""
    first = kernel.body.constant(how.start, x.type.with_shape((lanes,) if lanes else ()))

    def run(loops: list[_Loop], places: list[Place], totals: list[Value]) -> list[Value]:
        if not loops:
            return [
                _added(kernel, x, how, place, dim, lanes, total)
                for place, total in zip(places, totals, strict=True)
            ]
        loop, rest = loops[0], loops[1:]
        if loop.length <= loop.step:
            return run(rest, places, totals)
        with kernel.counted(loop.length, loop.step, totals) as (count, inner, give):
            here = [_at(place, loop.dim, place[loop.dim].plus(count)) for place in places]
            return give(run(rest, here, inner))

    return run(loops, places, [first] * len(places))


def _added(
    kernel: Kernel,
    x: Operand,
    how: Combination,
    place: Place,
    dim: int | None,
    lanes: int,
    total: Value,
) -> Value:
    if how.name != "add" or not x.type.dtype.is_floating_point:
        return kernel.body.same(how.name, total, kernel.evaluate(x, place, dim, lanes))
    if isinstance(x, Expression) and x.name == "mul":  # may be one operation with the addition
        factors = [kernel.evaluate(each, place, dim, lanes) for each in x.operands]
        value = kernel.body.write("arith.mulf", *factors, flags="contract")
    else:
        value = kernel.evaluate(x, place, dim, lanes)
    return kernel.body.write("arith.addf", total, value, flags="contract")


def _across(kernel: Kernel, value: Value, how: Combination) -> Value:
    """The lanes of a vector combined."""
    made = value.type.with_shape(())
    flags = " fastmath<reassoc>" if value.dtype.is_floating_point else ""
    return kernel.body.emit(
        f"vector.reduction <{_kind(how.name, value)}>, {value}{flags} : "
        f"{element_type(value.type)} into {element_type(made)}",
        made,
    )


def _kind(name: str, value: Value) -> str:
    """What ``vector.reduction`` calls a combination."""
    kind = value.dtype.kind
    if kind == "b":
        return "or" if name in ("or", "add", "maximum") else "and"
    if name in ("maximum", "minimum"):
        return name[:3] + {"f": "imumf", "i": "si", "u": "ui"}[kind]
    return "mul" if name == "multiply" else name
