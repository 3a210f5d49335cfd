"""Lowering rules by operator name, in files named as in ``slope.ops``."""

from __future__ import annotations

from typing import Final

from slope_backend_numpy.lower import (
    contract,
    control,
    conv,
    create,
    elementwise,
    index,
    linear,
    logic,
    matrices,
    order,
    random,
    reduce,
    window,
)
from slope_backend_numpy.lower.elementwise import Rule

LOWERINGS: Final[dict[str, Rule]] = {
    **linear.LOWERINGS,
    **elementwise.LOWERINGS,
    **logic.LOWERINGS,
    **reduce.LOWERINGS,
    **contract.LOWERINGS,
    **conv.LOWERINGS,
    **index.LOWERINGS,
    **create.LOWERINGS,
    **random.LOWERINGS,
    **control.LOWERINGS,
    **order.LOWERINGS,
    **window.LOWERINGS,
    **matrices.LOWERINGS,
}
