"""Values that one elementwise loop reads along different dimensions.

In ``q = x.sum(1); q[:, None] + q[None, :]`` the sum would be read at ``i`` and at ``j``. IREE
(3.13, at every level of optimization) looks at one of the two reads, computes the sum in the same
loop, and gives wrong results wherever ``i`` and ``j`` are in different tiles. Such values are
computed apart from what reads them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from slope.extend import Instr, Program, Var, ops

# A dispatch of IREE has no more operands, so nothing that reads more values is one loop.
_MOST = 32

_Way = tuple[object, ...]
"""Where the dimensions of a value (those that are longer than 1) lie in what is made of it."""


def crossed(program: Program) -> frozenset[Var]:
    """The results that elementwise instructions, together, read along different dimensions."""
    found: set[Var] = set()
    read: dict[Var, dict[Var, _Way]] = {}  # by value: what its loop reads, and along what
    for instr in program.instrs:
        if not (instr.op.elementwise or instr.op in _MOVES):
            for var in instr.outputs:
                read[var] = {var: _straight(var)}
            continue
        ways: dict[Var, _Way] = {}
        for var, way in _reads(instr, read):
            if ways.setdefault(var, way) != way:
                found.add(var)
        if len(ways) > _MOST:
            ways = {var: _straight(var) for var in instr.outputs}
        read.update(dict.fromkeys(instr.outputs, ways))
    return frozenset(found)


def _reads(instr: Instr, read: dict[Var, dict[Var, _Way]]) -> Iterator[tuple[Var, _Way]]:
    operands = (atom for atom in instr.inputs if isinstance(atom, Var))
    ways = itertools.chain.from_iterable(read.get(var, {}).items() for var in operands)
    return ((var, _moved(instr, way)) for var, way in ways)


_MOVES = frozenset((ops.broadcast, ops.permute, ops.reshape))


def _straight(var: Var) -> _Way:
    return tuple(dim for dim, length in enumerate(var.type.shape) if length != 1)


def _moved(instr: Instr, way: _Way) -> _Way:
    """A way, behind an instruction."""
    if instr.op not in _MOVES:
        return way
    place = _places(instr)
    if all(dim in place for dim in way):
        return tuple(place[dim] for dim in way)
    return (instr.op.name, *instr.params.values(), way)  # other than all that are dimensions


def _places(instr: Instr) -> dict[object, int]:
    """Where an instruction moves each dimension; none where it splits or merges them."""
    (x,), params = instr.inputs, instr.params
    if instr.op is ops.broadcast:
        return dict(enumerate(params["dims"]))
    if instr.op is ops.permute:
        return {dim: place for place, dim in enumerate(params["dims"])}
    shapes = x.type.shape, params["shape"]
    before, after = ([dim for dim, n in enumerate(shape) if n != 1] for shape in shapes)
    same = [shapes[0][dim] for dim in before] == [shapes[1][dim] for dim in after]
    return dict(zip(before, after, strict=True)) if same else {}
