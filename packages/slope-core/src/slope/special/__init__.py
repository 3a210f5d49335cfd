"""Special functions; names as in ``torch.special``, and SciPy's and JAX's for what it lacks.

All go element by element, broadcast and promote, and are compositions of slope's operators, so they
run on every backend. Derivatives are closed forms where there are any. Those that
:mod:`slope` has, too, are the same functions.
"""

from __future__ import annotations

from typing import Any, Final

from slope.errors import RenamedError
from slope.functions import (
    digamma,
    erf,
    erfc,
    erfinv,
    exp2,
    expm1,
    log1p,
    log_softmax,
    logit,
    logsumexp,
    round,
    sinc,
    softmax,
    xlogy,
)
from slope.functions import lgamma as gammaln
from slope.functions import sigmoid as expit
from slope.special._bessel import (
    bessel_j0,
    bessel_j1,
    bessel_y0,
    bessel_y1,
    i0,
    i0e,
    i1,
    i1e,
    modified_bessel_i0,
    modified_bessel_i1,
    modified_bessel_k0,
    modified_bessel_k1,
    scaled_modified_bessel_k0,
    scaled_modified_bessel_k1,
    spherical_bessel_j0,
)
from slope.special._gamma import (
    beta,
    betaln,
    factorial,
    gamma,
    gammasgn,
    multigammaln,
    poch,
    polygamma,
    zeta,
)
from slope.special._incomplete import (
    betainc,
    gammainc,
    gammaincc,
)
from slope.special._integrals import (
    exp1,
    expi,
    spence,
)
from slope.special._normal import (
    entr,
    erfcx,
    kl_div,
    log_ndtr,
    ndtr,
    ndtri,
    rel_entr,
    xlog1py,
)

# PyTorch's other names.
psi, igamma, igammac, mvlgamma = digamma, gammainc, gammaincc, multigammaln

__all__ = [
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "beta",
    "betainc",
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp1",
    "exp2",
    "expi",
    "expit",
    "expm1",
    "factorial",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "gammasgn",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "igamma",
    "igammac",
    "kl_div",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "mvlgamma",
    "ndtr",
    "ndtri",
    "poch",
    "polygamma",
    "psi",
    "rel_entr",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "sinc",
    "softmax",
    "spence",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]

_POLYNOMIALS = (
    *(f"{shift}chebyshev_polynomial_{kind}" for shift in ("", "shifted_") for kind in "tuvw"),
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
)
_OF_SCIPY = (
    *("airy_ai", "bernoulli", "dawsn", "fresnel", "hyp1f1", "hyp2f1", "owens_t", "sici"),
    *("sph_harm_y", "wofz"),
)
_NOT_HERE: Final = {
    **dict.fromkeys(
        _POLYNOMIALS, "write its recurrence, or use NumPy's polynomials outside of jit"
    ),
    **dict.fromkeys(_OF_SCIPY, "SciPy has it, outside of jit"),
    "bessel_jn": "use bessel_j0 and bessel_j1",
    "boxcox": "write (x**lmbda - 1) / lmbda",
    "comb": "write slope.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))",
    "expn": "use exp1, for n = 1",
    "loggamma": "it is slope.special.gammaln",
}


def __getattr__(name: str) -> Any:
    if name in _NOT_HERE:
        raise RenamedError(f"slope.special has no {name!r}: {_NOT_HERE[name]}.")
    raise AttributeError(f"module 'slope.special' has no attribute {name!r}")
