"""What the rest of slope asks of dimensions and shapes, for ints and expressions alike."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from slope.dims._expr import DimExpr, DimLike, terms_of, wrap
from slope.dims._polynomials import (
    Atom,
    Poly,
    add,
    as_int,
    const,
    floordiv,
    interval,
    known,
    maximum,
    minimum,
    mul,
    single,
    variables,
)
from slope.errors import ShapeError


def is_static(shape: Iterable[DimLike]) -> bool:
    """Whether every dimension is an int."""
    return not any(isinstance(d, DimExpr) for d in shape)


def size(shape: Iterable[DimLike]) -> DimLike:
    """The number of elements: the product of the dimensions, 1 for ``()``."""
    return math.prod(shape)


def dim_max(*dims: DimLike) -> DimLike:
    """The greatest of one or more dimensions, symbolic where the bounds do not decide."""
    return max(dims) if is_static(dims) else wrap(maximum(terms_of(d) for d in dims))


def dim_min(*dims: DimLike) -> DimLike:
    """The least of one or more dimensions, symbolic where the bounds do not decide."""
    return min(dims) if is_static(dims) else wrap(minimum(terms_of(d) for d in dims))


def bounds(dim: DimLike) -> tuple[int | float, int | float]:
    """Bounds that hold for every size: ints, or ``-math.inf`` / ``math.inf``. They may be loose."""
    return interval(terms_of(dim))


def key(shape: Iterable[DimLike]) -> tuple[Any, ...]:
    """A hashable stand-in for ``shape`` whose equality is structural and never raises."""
    return tuple([terms_of(d) if isinstance(d, DimExpr) else d for d in shape])


def same(a: Iterable[DimLike], b: Iterable[DimLike]) -> bool:
    """Whether two shapes have identical normal forms. Never raises; False may mean "not known"."""
    return a is b or key(a) == key(b)


def names(shape: Iterable[DimLike]) -> tuple[str, ...]:
    """The names of the variables in ``shape``, each once, in order of appearance."""
    exprs = (d for d in shape if isinstance(d, DimExpr))
    return tuple(dict.fromkeys(atom.name for d in exprs for atom in variables(terms_of(d))))


def _checked(atom: Atom, value: DimLike) -> Poly:
    """``value`` for a variable; refuses one outside the declared bounds, on which forms rely."""
    poly = terms_of(value)
    lo, hi = interval(poly)
    if lo < atom.limits[0] or hi > atom.limits[1]:
        raise ShapeError(
            f"{atom.name} = {value} is not within its bounds ({known(single(atom))}); "
            f"declare Dim({atom.name!r}, min=..., max=...) with bounds that hold it"
        )
    return poly


def evaluate(dim: DimLike, sizes: Mapping[str, int]) -> int:
    """The int that ``dim`` is for these sizes; `ShapeError` for a missing or excluded size."""
    if not isinstance(dim, DimExpr):
        return dim
    for atom in variables(terms_of(dim)):
        if atom.name not in sizes:
            raise ShapeError(f"no size given for {atom.name} in {dim}; given: {dict(sizes)}")
        size_ = sizes[atom.name]
        if not isinstance(size_, numbers.Integral):
            raise ShapeError(f"the size of {atom.name} in {dim} must be an int, not {size_!r}")
        _checked(atom, int(size_))
    return _evaluate(terms_of(dim), sizes)


def computed(dim: DimLike, values: Mapping[str, Any], greatest: Callable[..., Any]) -> Any:
    """What ``dim`` is for values that are no ints, but know ``+``, ``*`` and ``//`` with ints.

    Args:
        dim: an expression.
        values: by the names of its variables.
        greatest: the greatest of values and ints.
    """
    total: Any = 0
    for mono, c in terms_of(dim):
        product: Any = c
        for atom in mono:
            if atom.kind == "dim":
                factor = values[atom.name]
            else:
                args = [computed(wrap(arg), values, greatest) for arg in atom.args]
                factor = greatest(*args) if atom.kind == "max" else args[0] // args[1]
            product = factor if type(product) is int and product == 1 else product * factor
        total = product if type(total) is int and total == 0 else total + product
    return total


def broadcast(*shapes: Sequence[DimLike]) -> tuple[DimLike, ...]:
    """The shape that shapes broadcast to; a symbolic dimension stands beside itself or a 1.

    Raises `ShapeError` for any other.
    """
    rank = max(map(len, shapes), default=0)
    aligned = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple([_common(dims) for dims in zip(*aligned, strict=True)])


def _common(dims: Sequence[DimLike]) -> DimLike:
    wide = [dim for dim in dims if not same((dim,), (1,))]
    if any(not same((dim,), wide[:1]) for dim in wide):
        raise ShapeError(f"dimensions {_shape_text(dims)} stand side by side and may differ")
    return wide[0] if wide else 1


def _evaluate(poly: Poly, sizes: Mapping[str, int]) -> int:
    total = 0
    for mono, c in poly:
        for atom in mono:
            if atom.kind == "dim":
                c *= int(sizes[atom.name])
            elif atom.kind == "max":
                c *= max(_evaluate(arg, sizes) for arg in atom.args)
            else:
                c *= _evaluate(atom.args[0], sizes) // _evaluate(atom.args[1], sizes)
        total += c
    return total


def substitute(dim: DimLike, sizes: Mapping[str, DimLike]) -> DimLike:
    """``dim`` with variables replaced by ints or expressions; names that are not given stay.

    Raises `ShapeError` where a replacement is not known to lie within the variable's bounds.
    """
    return wrap(_substitute(terms_of(dim), sizes)) if isinstance(dim, DimExpr) else dim


def _substitute(poly: Poly, sizes: Mapping[str, DimLike]) -> Poly:
    parts: list[Poly] = []
    for mono, c in poly:
        product = const(c)
        for atom in mono:
            args = [_substitute(arg, sizes) for arg in atom.args]
            if atom.kind == "max":
                factor = maximum(args)
            elif atom.kind == "floordiv":
                factor = floordiv(*args)
            else:
                given = sizes.get(atom.name)
                factor = single(atom) if given is None else _checked(atom, given)
            product = mul(product, factor)
        parts.append(product)
    return add(*parts)


def unify(pattern: Sequence[DimLike], shape: Sequence[int]) -> dict[str, int]:
    """Sizes of the variables of ``pattern`` for which it is ``shape`` (ints): ``{name: size}``.

    A variable is solved where it is the only unknown and linear (``2*b + 1``); every other
    dimension is checked. Raises `ShapeError` naming the axis, or the variables left unsolved.
    """
    told = f"shape {_shape_text(shape)} does not fit {_shape_text(pattern)}"
    if len(pattern) != len(shape):
        raise ShapeError(f"{told}: it has {len(shape)} dimensions, not {len(pattern)}")
    sizes: dict[str, int] = {}
    todo = list(range(len(pattern)))
    while todo:
        left = [axis for axis in todo if not _settle(pattern[axis], shape[axis], sizes, axis, told)]
        if len(left) == len(todo):
            unknown = [n for n in names(pattern) if n not in sizes]
            raise ShapeError(
                f"cannot solve {_shape_text(pattern)} for {', '.join(unknown)} given "
                f"{_shape_text(shape)}: give each an axis where it occurs alone and linearly"
            )
        todo = left
    return sizes


def _settle(want: DimLike, got: int, sizes: dict[str, int], axis: int, told: str) -> bool:
    """Check or solve one axis; False while it has more than one unknown or is not linear."""
    if not isinstance(got, numbers.Integral):
        raise ShapeError(f"{told}: axis {axis} is {got}, and only ints can be solved for")
    left = substitute(want, sizes)
    if not isinstance(left, DimExpr):
        if left != got:
            shown = f"{want}" if isinstance(want, int) else f"{want} = {left}"
            raise ShapeError(f"{told}: axis {axis} should be {shown} but is {got}")
        return True
    terms = terms_of(left)
    (mono, c), constant = terms[0], as_int(terms[1:])
    if constant is None or len(mono) != 1 or mono[0].kind != "dim":
        return False
    value, rest = divmod(int(got) - constant, c)
    lo, hi = mono[0].limits
    if rest or not lo <= value <= hi:
        raise ShapeError(f"{told}: axis {axis} is {got}, which {want} cannot be ({known(terms)})")
    sizes[mono[0].name] = value
    return True


def _shape_text(shape: Iterable[object]) -> str:
    parts = [str(d) for d in shape]
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
