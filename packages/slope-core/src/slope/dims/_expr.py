"""`DimExpr` and `Dim`: the algebra of `_polynomials` with Python's operators, and its refusals."""

from __future__ import annotations

import keyword
import math
import numbers
import operator
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from slope.dims._polynomials import (
    MAX_POWER,
    ONE,
    Atom,
    Bound,
    Poly,
    add,
    as_int,
    const,
    floordiv,
    interval,
    known,
    maximum,
    mod,
    mul,
    scale,
    single,
    sub,
    to_text,
    variables,
)
from slope.errors import ShapeError


class DimExpr:
    """An immutable integer expression over `Dim` variables, made by arithmetic on them.

    Supports ``+ - * // % **`` with ints and expressions, and comparisons, which raise `ShapeError`
    where the bounds of the variables do not decide. ``str`` gives Python that `parse` reads back.
    True division, fractional powers and arithmetic with floats give no dimension but a number that
    is known when a program runs: a tensor (`install_numbers`).
    """

    __slots__ = ("_hash", "_terms")
    __array_ufunc__ = None  # a NumPy scalar on the left leaves the operation to us
    _hash: int
    _terms: Poly

    def __init__(self) -> None:
        raise TypeError('a DimExpr comes from arithmetic on dimensions; start from Dim("name")')

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"dimension {self} is immutable")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"dimension {self} is immutable")

    def __reduce__(self) -> tuple[Any, ...]:
        return wrap, (self._terms,)

    def __repr__(self) -> str:
        return to_text(self._terms)

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: DimLike) -> DimLike:
        poly = as_poly(other)
        return _number(operator.add, self, other) if poly is None else wrap(add(self._terms, poly))

    def __sub__(self, other: DimLike) -> DimLike:
        poly = as_poly(other)
        return _number(operator.sub, self, other) if poly is None else wrap(sub(self._terms, poly))

    def __rsub__(self, other: int) -> DimLike:
        poly = as_poly(other)
        return _number(operator.sub, other, self) if poly is None else wrap(sub(poly, self._terms))

    def __mul__(self, other: DimLike) -> DimLike:
        poly = as_poly(other)
        return _number(operator.mul, self, other) if poly is None else wrap(mul(self._terms, poly))

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: DimLike) -> DimLike:
        poly = as_poly(other)
        if poly is None:
            return _number(operator.floordiv, self, other)
        return wrap(floordiv(self._terms, poly))

    def __rfloordiv__(self, other: int) -> DimLike:
        poly = as_poly(other)
        if poly is None:
            return _number(operator.floordiv, other, self)
        return wrap(floordiv(poly, self._terms))

    def __mod__(self, other: DimLike) -> DimLike:
        poly = as_poly(other)
        return _number(operator.mod, self, other) if poly is None else wrap(mod(self._terms, poly))

    def __rmod__(self, other: int) -> DimLike:
        poly = as_poly(other)
        return _number(operator.mod, other, self) if poly is None else wrap(mod(poly, self._terms))

    def __divmod__(self, other: DimLike) -> tuple[DimLike, DimLike]:
        return self // other, self % other

    def __rdivmod__(self, other: int) -> tuple[DimLike, DimLike]:
        return other // self, other % self

    def __pow__(self, power: int) -> DimLike:
        if not isinstance(power, int):
            return _number(operator.pow, self, power)
        if not 0 <= power <= MAX_POWER:
            raise ShapeError(f"({self})**{power}: a power must be an int from 0 to {MAX_POWER}")
        result = ONE
        for _ in range(power):
            result = mul(result, self._terms)
        return wrap(result)

    def __rpow__(self, base: float) -> Any:
        return _number(operator.pow, base, self)

    def __truediv__(self, other: Any) -> Any:
        return _number(operator.truediv, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _number(operator.truediv, other, self)

    def __neg__(self) -> DimLike:
        return wrap(scale(self._terms, -1))

    def __pos__(self) -> DimExpr:
        return self

    def __abs__(self) -> DimLike:
        return wrap(maximum([self._terms, scale(self._terms, -1)]))

    def __eq__(self, other: object) -> bool:  # noqa: RET503  # the last call raises
        poly = as_poly(other)
        if poly is None:
            return NotImplemented
        if poly == self._terms:
            return True
        gap = terms_of(wrap(sub(self._terms, poly)))
        lo, hi = interval(gap)
        g = math.gcd(*(c for mono, c in gap if mono))
        rest = dict(gap).get((), 0)
        if lo > 0 or hi < 0 or (g and rest % g):  # 2*b is never 3
            return False
        if lo == hi == 0:
            return True
        self._undecided("==", other)

    def __lt__(self, other: DimLike) -> bool:
        return self._ordered("<", other, 1, 1)

    def __le__(self, other: DimLike) -> bool:
        return self._ordered("<=", other, 1, 0)

    def __gt__(self, other: DimLike) -> bool:
        return self._ordered(">", other, -1, 1)

    def __ge__(self, other: DimLike) -> bool:
        return self._ordered(">=", other, -1, 0)

    def _ordered(  # noqa: RET503  # the last call raises
        self, sign: str, other: DimLike, direction: int, least: int
    ) -> bool:
        """Whether ``direction*(other - self) >= least``."""
        poly = as_poly(other)
        if poly is None:
            return NotImplemented
        gap = scale(terms_of(wrap(sub(poly, self._terms))), direction)
        lo, hi = interval(gap)
        if lo >= least:
            return True
        if hi < least:
            return False
        self._undecided(sign, other)

    def _undecided(self, sign: str, other: object) -> NoReturn:
        polys = [self._terms, as_poly(other) or ()]
        raise ShapeError(
            f"cannot decide {self} {sign} {other} for every size ({known(*polys)}). Declare "
            "tighter bounds, such as Dim(name, min=..., max=...), or use one Dim where sizes are "
            "equal; dim_max and dim_min choose between dimensions without comparing them."
        )

    def _no_value(self, what: str) -> NoReturn:
        raise ShapeError(
            f"{what} of the symbolic dimension {self} has no value while tracing "
            f"({known(self._terms)}). Compare it explicitly, keep it symbolic in arithmetic (also "
            f"n / 2, n * 0.5 and n ** 0.5, which give tensors), or trace with a concrete size."
        )

    def __bool__(self) -> bool:  # noqa: PLE0304  # it raises
        self._no_value("bool()")

    def __float__(self) -> float:
        self._no_value("float()")

    def __int__(self) -> int:
        self._no_value("int()")

    def __index__(self) -> int:  # noqa: PLE0305  # it raises
        self._no_value("the integer value (int(), range(), indexing)")


DimLike: TypeAlias = int | DimExpr
Shape: TypeAlias = tuple[DimLike, ...]


class Dim(DimExpr):
    """A dimension whose size is not fixed: ``Dim("batch")``, ``Dim("seq", min=2, max=512)``.

    Arguments: ``name`` (a Python identifier), ``min`` (least size, 1 unless given, never negative)
    and ``max`` (greatest size, None for no limit). What is decided while tracing holds for every
    size in these bounds, and a size outside them is refused when the program is used.
    """

    __slots__ = ()

    def __init__(self, name: str, *, min: int = 1, max: int | None = None) -> None:
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ShapeError(f"a dimension's name must be a Python identifier, not {name!r}")
        if name in ("max", "min"):
            raise ShapeError(f"a dimension cannot be named {name!r}: expressions use that word")
        if not isinstance(min, int) or not (max is None or isinstance(max, int)):
            raise ShapeError(f"the bounds of {name} must be ints, not min={min!r}, max={max!r}")
        if min < 0 or (max is not None and max <= min):
            raise ShapeError(
                f"Dim({name!r}, min={min}, max={max}) needs 0 <= min < max; a size that can take "
                "one value only is written as that int"
            )
        _fill(self, single(Atom("dim", name, (int(min), math.inf if max is None else int(max)))))

    @property
    def name(self) -> str:
        return self._terms[0][0][0].name

    @property
    def min(self) -> int:
        return self._terms[0][0][0].limits[0]

    @property
    def max(self) -> int | None:
        high = self._terms[0][0][0].limits[1]
        return high if isinstance(high, int) else None


def _fill(dim: DimExpr, poly: Poly) -> None:
    limits: dict[str, tuple[Bound, Bound]] = {}
    for atom in variables(poly):
        if limits.setdefault(atom.name, atom.limits) != atom.limits:
            raise ShapeError(
                f"two different dimensions are named {atom.name}, with bounds "
                f"{limits[atom.name]} and {atom.limits}: reuse one Dim, or give them two names"
            )
    object.__setattr__(dim, "_terms", poly)
    object.__setattr__(dim, "_hash", hash(poly))


def wrap(poly: Poly) -> DimLike:
    if (value := as_int(poly)) is not None:
        return value
    mono, c = poly[0]
    alone = len(poly) == 1 and c == 1 and len(mono) == 1 and mono[0].kind == "dim"
    dim = object.__new__(Dim if alone else DimExpr)
    _fill(dim, poly)
    return dim


_numbers: list[Callable[[DimExpr], Any]] = []


def install_numbers(convert: Callable[[DimExpr], Any]) -> None:
    """Say what a dimension is as a number, for arithmetic whose results are no dimensions."""
    _numbers[:] = [convert]


def _number(apply: Callable[[Any, Any], Any], first: Any, second: Any) -> Any:
    """Arithmetic of a dimension and another number; whatever else may answer for itself."""
    pair = (first, second)
    if not _numbers or not all(isinstance(each, DimExpr | numbers.Real) for each in pair):
        return NotImplemented
    return apply(*(_numbers[0](each) if isinstance(each, DimExpr) else each for each in pair))


def as_poly(x: object) -> Poly | None:
    if isinstance(x, DimExpr):
        return x._terms  # the reader for other files
    # Not everything with __index__: a tensor on the other side must get its turn.
    return const(int(x)) if isinstance(x, numbers.Integral) else None


def terms_of(x: object) -> Poly:
    poly = as_poly(x)
    if poly is None:
        raise ShapeError(f"a dimension is an int or a Dim expression, not {x!r}")
    return poly
