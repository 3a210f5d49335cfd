"""Checks for authors of operators and backends; nothing here is imported by slope itself.

- :func:`check_operator`: all of an operator's contract, from its samples.
- :func:`check_grads`: a function's derivatives against differences.
- ``python -m slope.testing conformance --backend NAME``: all that a backend has to hold.
"""

from slope.testing.gradients import check_grads as check_grads
from slope.testing.kit import conformance as run_conformance
from slope.testing.operators import check_batching as check_batching
from slope.testing.operators import check_derivatives as check_derivatives
from slope.testing.operators import check_operator as check_operator
from slope.testing.operators import check_values as check_values
from slope.testing.promises import check_types as check_types
from slope.testing.runner import tolerance as tolerance

__all__ = [
    "check_batching",
    "check_derivatives",
    "check_grads",
    "check_operator",
    "check_types",
    "check_values",
    "run_conformance",
    "tolerance",
]
