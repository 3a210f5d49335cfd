"""Looking into programs while they run: prints, callbacks, the operator that gave the first NaN.

A jitted function runs as Python once, while it is traced; these look at every run, on every
backend, under every transform. They have an effect: no pass removes them, merges two of them or
changes their order, and a program without them costs nothing more.
"""

from slope.api._callbacks import callback, print
from slope.api._nans import debug_nans as nans

__all__ = ["callback", "nans", "print"]
