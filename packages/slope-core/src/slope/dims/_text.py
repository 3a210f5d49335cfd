"""Dimensions as text, and text as dimensions."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping

from slope.dims._expr import Dim, DimLike
from slope.dims._polynomials import MAX_POWER
from slope.dims._shapes import dim_max, dim_min
from slope.errors import ShapeError


def dim_str(dim: DimLike) -> str:
    """The dimension as Python text, which `parse` reads back."""
    return str(dim)


def parse(text: str, dims: Iterable[Dim] = ()) -> DimLike:
    """Read what ``str`` of a dimension writes: ints, names, ``+ - * // % **``, ``max`` and ``min``.

    A name is the `Dim` of that name in ``dims``, else ``Dim(name)`` with the default bounds (text
    holds no bounds). Raises `ShapeError` for anything else.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return _read(tree.body, {dim.name: dim for dim in dims})
    except (SyntaxError, ValueError, RecursionError, MemoryError, ZeroDivisionError) as error:
        raise ShapeError(
            f"cannot read {text!r} as a dimension ({error}); write ints, names, + - * // % **, "
            f"max(...) and min(...)"
        ) from error


def _read(node: ast.expr, dims: Mapping[str, Dim]) -> DimLike:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return value
        case ast.Name(id=name):
            return dims[name] if name in dims else Dim(name)
        case ast.UnaryOp(op=ast.USub(), operand=x):
            return -_read(x, dims)
        case ast.Call(func=ast.Name(id="max" | "min" as name), args=args, keywords=[]) if args:
            values = [_read(arg, dims) for arg in args]
            return dim_max(*values) if name == "max" else dim_min(*values)
        case ast.BinOp(left=left, op=op, right=right):
            return _apply(op, _read(left, dims), _read(right, dims))
        case _:
            raise ShapeError(f"{ast.unparse(node)!r} has no meaning for dimensions")


def _apply(op: ast.operator, a: DimLike, b: DimLike) -> DimLike:
    match op:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.FloorDiv():
            return a // b
        case ast.Mod():
            return a % b
        case ast.Pow() if isinstance(b, int) and 0 <= b <= MAX_POWER:
            return a**b
        case _:
            raise ShapeError(f"{type(op).__name__} of {a} and {b} is not offered")
