"""Factors of matrices and equations, by LAPACK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slope_backend_numpy.lower import factors
from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.lower.elimination import eliminated

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value


def cholesky_factor(context: Context, x: Value) -> Value:
    function = context.constant(factors.cholesky, "cholesky")
    return context.fresh(f"{function}({context.full(x)})")


def solve_triangle(
    context: Context, a: Value, b: Value, *, upper: bool, unit: bool = False
) -> Value:
    function = context.constant(factors.solve_triangle, "solve_triangle")
    return context.fresh(f"{function}({context.full(a)}, {context.full(b)}, {upper}, {unit})")


def solve_matrix(context: Context, a: Value, b: Value, *, transposed: bool = False) -> Value:
    function = context.constant(factors.solve, "solve")
    return context.fresh(f"{function}({context.full(a)}, {context.full(b)}, {transposed})")


def inverse_matrix(context: Context, x: Value) -> Value:
    return context.fresh(f"{context.constant(factors.inverse, 'inverse')}({context.full(x)})")


def sign_log_det(context: Context, x: Value) -> list[Value]:
    return context.several(f"np.linalg.slogdet({context.full(x)})")


def lu_factors(context: Context, x: Value) -> list[Value]:
    function = context.constant(eliminated, "lu")
    return context.several(f"{function}({context.full(x)})")


def qr_factors(context: Context, x: Value, *, complete: bool = False) -> list[Value]:
    function = context.constant(factors.qr, "qr")
    return context.several(f"{function}({context.full(x)}, {complete})")


def eigh_factors(context: Context, x: Value) -> list[Value]:
    return context.several(f"{context.constant(factors.eigh, 'eigh')}({context.full(x)})")


def svd_factors(context: Context, x: Value, *, full: bool = False) -> list[Value]:
    function = context.constant(factors.svd, "svd")
    return context.several(f"{function}({context.full(x)}, {full})")


LOWERINGS: Final[dict[str, Rule]] = {
    "cholesky_factor": cholesky_factor,
    "eigh_factors": eigh_factors,
    "inverse_matrix": inverse_matrix,
    "lu_factors": lu_factors,
    "qr_factors": qr_factors,
    "sign_log_det": sign_log_det,
    "solve_matrix": solve_matrix,
    "solve_triangle": solve_triangle,
    "svd_factors": svd_factors,
}
