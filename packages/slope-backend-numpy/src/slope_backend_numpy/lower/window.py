"""Windows at computed places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slope_backend_numpy.lower.elementwise import Rule
from slope_backend_numpy.sizes import differ, never_zero, same

if TYPE_CHECKING:
    from slope_backend_numpy.context import Context, Value


def _window(context: Context, x: Value, sizes: tuple[int, ...], starts: tuple[Value, ...]) -> str:
    """The index of a window; whole dimensions are slices of everything."""
    parts = []
    for length, size, start in zip(x.type.shape, sizes, starts, strict=True):
        parts.append(
            "slice(None)"
            if not differ(size, length)
            else f"kernels.window({start.code}, {size}, {length - size})"
        )
    return f"({''.join(f'{part}, ' for part in parts)})"


def dynamic_slice(context: Context, x: Value, *starts: Value, sizes: tuple[int, ...]) -> Value:
    if x.number is not None or same(sizes, x.type.shape):
        return context.same(x)
    return context.fresh(f"{context.full(x)}[{_window(context, x, sizes, starts)}].copy()")


def dynamic_update_slice(context: Context, x: Value, update: Value, *starts: Value) -> Value:
    if not never_zero(update.type.size) and update.type.size == 0:
        return context.same(x)
    if same(update.type.shape, x.type.shape):
        return context.same(update)
    place = _window(context, x, update.type.shape, starts)
    if context.reusable(x, x.dtype, x.type.shape):  # x is dead: the update alone is written
        return context.write(x, f"{x.code}[{place}] = {context.full(update)}")
    return context.fresh(f"kernels.updated({context.full(x)}, {place}, {context.full(update)})")


LOWERINGS: Final[dict[str, Rule]] = {
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
}
