"""The family base of operators that are linear in each of two operands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slope.core.operator import Operator, Tangent
from slope.ops.elementwise import add


class Bilinear(Operator):
    """The family base: the product rule serves them all; subclasses write ``transpose``."""

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Tangent], **params: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        out = self(x, y, **params)
        first = None if dx is None else self(dx, y, **params)
        second = None if dy is None else self(x, dy, **params)
        if first is None or second is None:
            return out, first if second is None else second
        return out, add(first, second)
