"""Which instructions run together as one kernel: products of one row, and what lies around them.

A network that is given one row, as a decoder is for each token, spends most of its dispatches on a
few hundred numbers each. What is small runs in the same kernel as the products before and after it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterator

from slope.extend import Atom, Instr, Program, Var, dtypes
from slope_backend_iree.lower.own_kernels import Cluster

from .work import CONTROL, MOST_ARRAYS, VIEWS, UnfitError, cost

# A row times a matrix is bound by reading the matrix: a kernel of ours reads 80 GB a second from
# the cache, one of IREE's 50. From the memory both are as fast, and IREE's takes all threads.
_MATRIX = range(1 << 14, 1 << 22)  # elements

# What takes longer than some dispatches do is left to IREE, which runs it on all threads.
_SMALL = 1 << 15  # operations, and elements of a result
_SMALL_PRODUCT = 1 << 19  # operations

_MOST_INSTRUCTIONS = 300


def clusters(program: Program, taken: Container[int]) -> Iterator[Cluster]:
    """The clusters of a program; each may run where the last of its instructions stands.

    Args:
        program: where to look.
        taken: ids of instructions that belong to something else.
    """
    uses = Counter(atom for instr in program.instrs for atom in instr.inputs)
    uses.update(program.outputs)
    group = _Group(uses)
    for instr in program.instrs:
        fits = id(instr) not in taken and _is_small(instr)
        if fits and group.takes(instr):
            continue
        if not fits and instr.op.name in VIEWS and group.is_apart(instr):
            continue  # a large array in another shape, which the cluster may read
        yield from group.closed()
        group = _Group(uses)
        if fits:
            group.takes(instr)
    yield from group.closed()


class _Group:
    """Neighbouring instructions that may become a cluster."""

    def __init__(self, uses: Counter[Atom]) -> None:
        self._uses = uses
        self._instrs: list[Instr] = []
        self._inputs: dict[Var, None] = {}
        self._unread: dict[Var, int] = {}  # how many readers of a result are not in here

    def takes(self, instr: Instr) -> bool:
        """Take an instruction, if there is room for its arrays; whether there is."""
        inputs, unread = dict(self._inputs), dict(self._unread)
        for atom in instr.inputs:
            if isinstance(atom, Var):
                if atom in unread:
                    unread[atom] -= 1
                else:
                    inputs[atom] = None
        unread |= {var: self._uses[var] for var in instr.outputs}
        arrays = len(inputs) + sum(count > 0 for count in unread.values())
        if self._instrs and (arrays > MOST_ARRAYS or len(self._instrs) == _MOST_INSTRUCTIONS):
            return False
        self._instrs.append(instr)
        self._inputs, self._unread = inputs, unread
        return True

    def is_apart(self, instr: Instr) -> bool:
        """Whether an instruction reads nothing that is made in here."""
        return self._unread.keys().isdisjoint(instr.inputs)

    def closed(self) -> Iterator[Cluster]:
        """The cluster, if it holds what is worth one."""
        if any(_is_row_product(instr) for instr in self._instrs):
            outputs = tuple(var for var, count in self._unread.items() if count)
            yield Cluster(tuple(self._instrs), tuple(self._inputs), outputs)


def _is_small(instr: Instr) -> bool:
    if instr.op.name in CONTROL or instr.op.effect:
        return False
    try:
        work = cost(instr)
    except UnfitError:
        return False
    if instr.op.name == "dot_general":
        return work <= _SMALL_PRODUCT or _is_row_product(instr)
    return max(work, *(var.type.size for var in instr.outputs)) <= _SMALL


def _is_row_product(instr: Instr) -> bool:
    """Whether an instruction multiplies a row with a matrix, which a kernel does faster."""
    if instr.op.name != "dot_general" or instr.params["batch"][0]:
        return False
    x, y = (atom.type for atom in instr.inputs)
    length = math.prod(x.shape[dim] for dim in instr.params["contract"][0])
    row, matrix = sorted((x.size, y.size))
    whole = x.dtype in (dtypes.float32, dtypes.float64)
    return whole and row == length < matrix and matrix in _MATRIX
