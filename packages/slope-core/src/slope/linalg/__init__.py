"""Linear algebra: factors of matrices, and equations solved by them; names as in ``torch.linalg``.

Matrices are the last two dimensions; those before are batches. Each factor is an operator with its
closed-form derivative and an expansion in products and loops, so that it runs and differentiates on
every backend; NumPy's computes with LAPACK.
"""

from __future__ import annotations

from slope.functions.matrices import matrix_norm, multi_dot, norm, vecdot, vector_norm
from slope.linalg._cholesky import cholesky, cholesky_inverse, cholesky_solve
from slope.linalg._lu import lu, lu_factor, lu_solve
from slope.linalg._solve import det, inv, logdet, matrix_power, slogdet, solve
from slope.linalg._triangular import solve_triangular

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "inv",
    "logdet",
    "lu",
    "lu_factor",
    "lu_solve",
    "matrix_norm",
    "matrix_power",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
    "solve_triangular",
    "vecdot",
    "vector_norm",
]
