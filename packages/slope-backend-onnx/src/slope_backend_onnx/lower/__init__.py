"""Lowering rules: what each operator is in ONNX.

How rules are written stands in :mod:`slope_backend_onnx.lower.context`.
"""

from __future__ import annotations

from typing import Final

from slope_backend_onnx.lower import (
    composite,
    contract,
    control,
    conv,
    create,
    division,
    elementwise,
    index,
    linear,
    logic,
    matrices,
    order,
    pool,
    reduce,
    window,
)
from slope_backend_onnx.lower.context import Lowering, Result, Rule, Value

__all__ = ["RULES", "Lowering", "Result", "Rule", "Value"]

RULES: Final[dict[str, Rule]] = {
    **linear.RULES,
    **elementwise.RULES,
    **division.RULES,
    **logic.RULES,
    **reduce.RULES,
    **contract.RULES,
    **conv.RULES,
    **index.RULES,
    **create.RULES,
    **composite.RULES,
    **control.RULES,
    **order.RULES,
    **window.RULES,
    **pool.RULES,
    **matrices.RULES,
}
