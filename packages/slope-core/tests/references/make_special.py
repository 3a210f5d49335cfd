"""Write ``special.json``: special functions at some places, in arithmetic of 40 digits.

It needs mpmath: ``python make_special.py``. The places are exact in float32.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mpmath
from mpmath import mp, mpf

mp.dps = 40
LINE = [-9.5, -3.75, -1.0, -0.25, 0.0078125, 0.5, 1.0, 2.5, 7.75, 8.25, 20.0]
POSITIVE = [0.0078125, 0.5, 1.0, 1.75, 2.25, 5.5, 7.75, 8.25, 13.0, 20.0, 40.0]
PAIRS = [
    (0.125, 0.0625), (0.0009765625, 0.5), (0.5, 1.5), (1.5, 0.25), (3.0, 2.5), (3.0, 9.0),
    (12.0, 4.5), (12.5, 30.0), (60.0, 63.0), (250.0, 240.0), (250.0, 160.0), (1000.0, 1030.0),
]  # fmt: skip
TRIPLES = [
    (0.125, 0.5, 0.25), (0.5, 0.125, 0.9375), (2.0, 3.0, 0.5), (1.0, 9.0, 0.0625),
    (20.0, 30.0, 0.375), (15.0, 12.0, 0.75), (200.0, 150.0, 0.5625), (40.0, 0.75, 0.96875),
]  # fmt: skip


def normal(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def inverse_normal(p: Any) -> Any:
    start = -mpmath.sqrt(-2 * mpmath.log(p)) if p < 0.1 else 0
    return mpmath.findroot(lambda x: mpmath.log(normal(x)) - mpmath.log(p), start)


FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "i0": (lambda x: mpmath.besseli(0, x), LINE),
    "i0e": (lambda x: mpmath.besseli(0, x) * mpmath.exp(-abs(x)), LINE),
    "i1": (lambda x: mpmath.besseli(1, x), LINE),
    "i1e": (lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x)), LINE),
    "bessel_j0": (lambda x: mpmath.besselj(0, x), LINE),
    "bessel_j1": (lambda x: mpmath.besselj(1, x), LINE),
    "bessel_y0": (lambda x: mpmath.bessely(0, x), POSITIVE),
    "bessel_y1": (lambda x: mpmath.bessely(1, x), POSITIVE),
    "modified_bessel_k0": (lambda x: mpmath.besselk(0, x), POSITIVE),
    "modified_bessel_k1": (lambda x: mpmath.besselk(1, x), POSITIVE),
    "scaled_modified_bessel_k0": (lambda x: mpmath.besselk(0, x) * mpmath.exp(x), POSITIVE),
    "scaled_modified_bessel_k1": (lambda x: mpmath.besselk(1, x) * mpmath.exp(x), POSITIVE),
    "spherical_bessel_j0": (lambda x: mpmath.sin(x) / x, LINE),
    "erfcx": (lambda x: mpmath.exp(x * x) * mpmath.erfc(x), LINE[1:]),
    "ndtr": (normal, LINE),
    "log_ndtr": (lambda x: mpmath.log(normal(x)), [*LINE[:-1], -37.5]),
    "ndtri": (inverse_normal, [2.0**-60, 2.0**-20, 0.125, 0.21875, 0.5, 0.625, 0.9375]),
    "entr": (lambda x: -x * mpmath.log(x), POSITIVE),
    "xlog1py": (lambda x, y: x * mpmath.log(1 + y), PAIRS[:6]),
    "rel_entr": (lambda x, y: x * mpmath.log(x / y), PAIRS[:6]),
    "kl_div": (lambda x, y: x * mpmath.log(x / y) - x + y, PAIRS[:6]),
    "exp1": (mpmath.e1, POSITIVE),
    "expi": (mpmath.ei, [-3.5, -0.25, *POSITIVE]),
    "spence": (lambda x: mpmath.re(mpmath.polylog(2, 1 - x)), POSITIVE),
    "gamma": (mpmath.gamma, [-3.75, -0.5, *POSITIVE[:7]]),
    "factorial": (mpmath.factorial, POSITIVE[:7]),
    "poch": (mpmath.rf, PAIRS[:7]),
    "betaln": (lambda a, b: mpmath.log(mpmath.beta(a, b)), PAIRS),
    "beta": (mpmath.beta, PAIRS[:8]),
    "zeta": (mpmath.zeta, [(1.25, 1.0), (2.0, 0.0625), (3.5, 4.0), (10.0, 2.5), (2.0, 300.0)]),
    "gammainc": (lambda a, x: mpmath.gammainc(a, 0, x, regularized=True), PAIRS),
    "gammaincc": (lambda a, x: mpmath.gammainc(a, x, regularized=True), PAIRS),
    "betainc": (lambda a, b, x: mpmath.betainc(a, b, 0, x, regularized=True), TRIPLES),
    "polygamma(1)": (lambda x: mpmath.polygamma(1, x), [-3.75, -0.5, *POSITIVE]),
    "polygamma(4)": (lambda x: mpmath.polygamma(4, x), [-3.75, -0.625, *POSITIVE]),
    "multigammaln(3)": (
        lambda x: (
            1.5 * mpmath.log(mpmath.pi) + sum(mpmath.loggamma(x - mpf(k) / 2) for k in range(3))
        ),
        [1.125, 2.25, 5.5, 40.0],
    ),
}


def main() -> None:
    table = {}
    for name, (function, places) in FUNCTIONS.items():
        rows = [each if isinstance(each, tuple) else (each,) for each in places]
        values = [float(mpmath.re(function(*map(mpf, row)))) for row in rows]
        table[name] = {"args": [list(column) for column in zip(*rows, strict=True)], "out": values}
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in table.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    Path(__file__).with_name("special.json").write_text(text)


if __name__ == "__main__":
    main()
