"""Loops over small values, and products of one row, as single kernels.

IREE runs a ``stablehlo.while`` on its virtual machine, and starts every fused operator of the body
in every turn: 18 us a turn even if the body only adds a few numbers. Here a loop whose values are
small becomes one kernel, a function of machine code that holds the loop itself, written in MLIR's
``scf``, ``arith``, ``math``, ``vector`` and ``memref`` dialects and started once by
``flow.dispatch``. So do products of a row and a matrix, which IREE reads at half the speed, with
the small instructions around them.

- ``elements``: scalars and vectors, with the rules of elementwise operators.
- ``arrays``: memory, views of it, and expressions.
- ``kernel``: memory, and loops over elements.
- ``reduction``: sums and their like.
- ``rules``: the table of first-order operators, and ``places``: those that go to computed
  places. A loop that holds any other is not made a kernel.
- ``radix``: sorting, a kernel of its own.
- ``programs``: instructions, loops and branches.
- ``work``: which loops are worth a kernel, and ``clusters``: which other instructions.
- ``launch``: how a program starts kernels.
"""

from __future__ import annotations

from .clusters import clusters as clusters
from .launch import cluster_kernel as cluster_kernel
from .launch import loop_kernel as loop_kernel
from .launch import sort_kernel as sort_kernel
from .work import cost as cost
from .work import fits as fits
