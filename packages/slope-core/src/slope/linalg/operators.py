"""The operators that :mod:`slope.linalg` is made of, as printed programs call them."""

from __future__ import annotations

from slope.linalg._cholesky import cholesky_factor, symmetric
from slope.linalg._eigh import eigh_factors
from slope.linalg._exponential import matrix_exponential
from slope.linalg._least_squares import pseudo_inverse
from slope.linalg._lu import lu_factors
from slope.linalg._qr import qr_factors
from slope.linalg._solve import inverse_matrix, sign_log_det, solve_matrix
from slope.linalg._svd import svd_factors
from slope.linalg._triangular import solve_triangle

__all__ = [
    "cholesky_factor",
    "eigh_factors",
    "inverse_matrix",
    "lu_factors",
    "matrix_exponential",
    "pseudo_inverse",
    "qr_factors",
    "sign_log_det",
    "solve_matrix",
    "solve_triangle",
    "svd_factors",
    "symmetric",
]
