"""In how many parts long sums are taken, so that several processors share them."""

from __future__ import annotations

_SHORTEST = 128  # rows; shorter parts cost more than they gain
_LONGEST = 4096  # rows; those of longer parts have left the cache when they are read again


def parts_of(rows: int, least: int, most: int | None = None) -> int:
    """In how many equal parts to sum up rows: at least so many, where rows divide by such a number.

    Args:
        rows: how many there are.
        least: how many parts there should be; fewer where they would be short, more where long.
        most: about how many there may be.
    """
    wanted = min(max(least, rows // _LONGEST), rows // _SHORTEST)
    if most is not None:
        wanted = min(wanted, most)
    if wanted < 2:
        return 1
    fitting = (count for count in range(wanted, 2 * wanted) if rows % count == 0)
    return next(fitting, 1)
