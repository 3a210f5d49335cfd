"""Symbolic dimensions: ``Dim("batch")`` and the integer expressions made of such names.

A dimension is an ``int`` or a `DimExpr`. An expression is kept in one normal form, a polynomial
with integer coefficients over *atoms*: variables, ``n // d`` and ``max(...)``. Remainder and
minimum are written with those two (``n % d = n - d*(n // d)``, ``min(a, b) = a + b - max(a, b)``)
and folded back for printing, so ``(n // d)*d + n % d`` is ``n`` itself. An expression without a
variable is an ``int``, and ints never enter the algebra.

Comparisons answer when the declared bounds prove the answer and raise `ShapeError` otherwise: a
guess would silently specialise a program.

**Equality, hashing and dictionaries.** ``==`` follows the same rule: identical forms are equal
(and hash alike), forms that cannot take the same value differ, anything else raises. So ``==`` is
a question about sizes, not the equality that a cache wants. Whatever uses shapes in dictionary
keys (types, caches) hashes and compares ``key(shape)``: nested tuples of ints and strings, whose
comparison is structural and cannot raise. A bare shape as a key is safe in practice too, because
a dictionary calls ``==`` only for keys whose whole hashes agree; `key` removes even that chance.
Bounds sometimes prove two different forms equal; then ``==`` says so, while hash and `key` keep
them apart, which costs a cache a miss and never a wrong hit.

Everything here is immutable, and there is no table of names: two ``Dim`` of the same name and
bounds are the same dimension. The same name with other bounds in one expression is an error.
"""

from slope.dims._expr import Dim, DimExpr, DimLike, Shape, install_numbers
from slope.dims._shapes import (
    bounds,
    broadcast,
    computed,
    dim_max,
    dim_min,
    evaluate,
    is_static,
    key,
    names,
    same,
    size,
    substitute,
    unify,
)
from slope.dims._text import dim_str, parse

__all__ = [
    "Dim",
    "DimExpr",
    "DimLike",
    "Shape",
    "bounds",
    "broadcast",
    "computed",
    "dim_max",
    "dim_min",
    "dim_str",
    "evaluate",
    "install_numbers",
    "is_static",
    "key",
    "names",
    "parse",
    "same",
    "size",
    "substitute",
    "unify",
]
