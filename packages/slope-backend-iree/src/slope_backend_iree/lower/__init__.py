"""Lowering rules: slope's operators as StableHLO, in files named as in ``slope.ops``."""

from __future__ import annotations

from . import (
    contract,
    control,
    conv,
    conv_weights,
    create,
    elementwise,
    index,
    linear,
    logic,
    order,
    reduce,
    window,
)
from .context import Context as Context
from .context import Rule as Rule
from .context import Value as Value

RULES: dict[str, Rule] = {
    **linear.RULES,
    **elementwise.RULES,
    **logic.RULES,
    **reduce.RULES,
    **contract.RULES,
    **conv.RULES,
    **conv_weights.RULES,
    **index.RULES,
    **create.RULES,
    **control.RULES,
    **order.RULES,
    **window.RULES,
}
