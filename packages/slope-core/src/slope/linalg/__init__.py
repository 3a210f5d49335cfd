"""Linear algebra: factors of matrices, and equations solved by them; names as in ``torch.linalg``.

Matrices are the last two dimensions; those before are batches. Each factor is an operator with its
closed-form derivative and an expansion in products and loops, so that it runs and differentiates on
every backend; NumPy's computes with LAPACK.
"""

from __future__ import annotations

from typing import Any, Final

from slope.errors import RenamedError
from slope.functions import matmul
from slope.functions.matrices import multi_dot, vecdot, vector_norm
from slope.linalg._cholesky import cholesky, cholesky_inverse, cholesky_solve
from slope.linalg._eigh import eig, eigh, eigvals, eigvalsh
from slope.linalg._exponential import matrix_exp
from slope.linalg._least_squares import cond, lstsq, matrix_rank, pinv
from slope.linalg._lu import lu, lu_factor, lu_solve
from slope.linalg._norms import matrix_norm, norm
from slope.linalg._qr import householder_product, qr
from slope.linalg._solve import det, inv, logdet, matrix_power, slogdet, solve
from slope.linalg._svd import svd, svdvals
from slope.linalg._tensors import cross, diagonal, tensorinv, tensorsolve, vander
from slope.linalg._triangular import solve_triangular

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "logdet",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

_NOT_HERE: Final = {
    "LinAlgError": "singular matrices give inf and NaN on every backend, and no error",
    "cholesky_ex": "use slope.linalg.cholesky, which gives NaN where there is no factor",
    "inv_ex": "use slope.linalg.inv, which gives inf or NaN where there is no inverse",
    "ldl_factor": "use slope.linalg.lu_factor, or cholesky",
    "ldl_factor_ex": "use slope.linalg.lu_factor, or cholesky",
    "ldl_solve": "use slope.linalg.lu_solve, or cholesky_solve",
    "lu_factor_ex": "use slope.linalg.lu_factor",
    "matrix_transpose": "use x.mT",
    "outer": "it is slope.outer",
    "solve_ex": "use slope.linalg.solve",
    "tensordot": "it is slope.tensordot",
    "trace": "it is slope.trace",
}


def __getattr__(name: str) -> Any:
    if name in _NOT_HERE:
        raise RenamedError(f"slope.linalg has no {name!r}: {_NOT_HERE[name]}.")
    raise AttributeError(f"module 'slope.linalg' has no attribute {name!r}")
