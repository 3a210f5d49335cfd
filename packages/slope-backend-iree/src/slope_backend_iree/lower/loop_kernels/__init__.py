"""Loops over small values as single kernels.

IREE runs a ``stablehlo.while`` on its virtual machine, and starts every fused operator of the body
in every turn: 18 us a turn even if the body only adds a few numbers. Here a loop whose values are
small becomes one kernel, a function of machine code that holds the loop itself, written in MLIR's
``scf``, ``arith``, ``math``, ``vector`` and ``memref`` dialects and started once by
``flow.dispatch``. So does the product of a row and a matrix, which IREE reads at half the speed.

- ``elements``: scalars and vectors, with the rules of elementwise operators.
- ``arrays``: memory, views of it, and expressions.
- ``kernel``: memory, and loops over elements.
- ``reduction``: sums and their like.
- ``rules``: the table of first-order operators, and ``places``: those that go to computed
  places. A loop that holds any other is not made a kernel.
- ``programs``: instructions, loops and branches.
- ``launch``: which loops, and how they are started.
"""

from __future__ import annotations

from .launch import fits as fits
from .launch import is_row_product as is_row_product
from .launch import loop_kernel as loop_kernel
from .launch import row_product as row_product
