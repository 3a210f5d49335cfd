"""Random bits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slope_backend_numpy.lower.elementwise import Rule

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value


def threefry2x32(
    context: Context, key0: Value, key1: Value, counter0: Value, counter1: Value
) -> list[Value]:
    operands = ", ".join(each.code for each in (key0, key1, counter0, counter1))
    return context.several(f"kernels.threefry2x32({operands}, {context.type.shape})")


LOWERINGS: Final[dict[str, Rule]] = {"threefry2x32": threefry2x32}
