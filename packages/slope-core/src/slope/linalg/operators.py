"""The operators that :mod:`slope.linalg` is made of, as printed programs call them."""

from __future__ import annotations

from slope.linalg._cholesky import cholesky_factor, symmetric
from slope.linalg._lu import lu_factors
from slope.linalg._solve import inverse_matrix, sign_log_det, solve_matrix
from slope.linalg._triangular import solve_triangle

__all__ = [
    "cholesky_factor",
    "inverse_matrix",
    "lu_factors",
    "sign_log_det",
    "solve_matrix",
    "solve_triangle",
    "symmetric",
]
