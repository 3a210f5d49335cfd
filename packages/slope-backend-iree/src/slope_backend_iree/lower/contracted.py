"""Sums of products that IREE takes for contractions and then refuses.

In ``(x * w).sum()`` with a matrix x and a row w, IREE (3.13, at every level of optimization) makes
a contraction of multiplication and sum, forgets that the row is repeated along one of the summed
dimensions and not along the other, and refuses what it made: "'vector.contract' op invalid
accumulator/result vector shape". It makes none where something stands between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from slope.extend import Atom, Instr, Program, Var, ops

from .context import Context, Value

_Dims = frozenset[int]
_NONE: _Dims = frozenset()


def refused_sums(program: Program) -> frozenset[int]:
    """The identities of the sums of products with factors that are repeated along some dimensions.

    That is along some of those that the sum runs over, alone or with sums that follow.
    """
    made = {var: instr for instr in program.instrs for var in instr.outputs}
    repeated: dict[Atom, _Dims] = {}
    found: set[int] = set()
    for instr in program.instrs:
        same = _repeated(instr, repeated)
        if same:
            repeated.update(dict.fromkeys(instr.outputs, same))
        if instr.op is ops.sum_:
            found.update(_refused(instr, made, repeated))
    return frozenset(found)


def set_apart(ctx: Context, x: Value) -> Value:
    """What a sum reads, with something between it and what makes it."""
    if x.dtype.is_floating_point:
        return ctx.same("add", x, ctx.like(0.0, x))  # which is no operation to strict arithmetic
    return ctx.apart(x)


def _refused(
    instr: Instr, made: Mapping[Var, Instr], repeated: Mapping[Atom, _Dims]
) -> Iterator[int]:
    """The last sum before a product, if there is one and it is such a sum."""
    last, dims = instr, _NONE
    behind: Instr | None = instr
    while behind is not None and (behind.op is ops.sum_ or behind.op in _VIEWS):
        if behind.op is ops.sum_:
            last = behind
        dims = _before(behind, dims)
        behind = _maker(behind.inputs[0], made)
    if behind is None or behind.op is not ops.mul:
        return
    shape = behind.outputs[0].type.shape
    summed = {dim for dim in dims if shape[dim] != 1}
    same = (repeated.get(factor, _NONE) for factor in behind.inputs if isinstance(factor, Var))
    if any(not each.isdisjoint(summed) and not summed <= each for each in same):
        yield id(last)


def _maker(atom: Atom, made: Mapping[Var, Instr]) -> Instr | None:
    return made.get(atom) if isinstance(atom, Var) else None


_VIEWS = frozenset((ops.reshape, ops.permute, ops.slice_, ops.broadcast))


def _repeated(instr: Instr, repeated: Mapping[Atom, _Dims]) -> _Dims:
    """The dimensions along which the elements of a result are known to be the same."""
    operands = [atom for atom in instr.inputs if isinstance(atom, Var)]
    if not operands or not (instr.op.elementwise or instr.op in _VIEWS):
        return _NONE
    known = [repeated.get(atom, _NONE) for atom in operands]
    params = instr.params
    if instr.op is ops.broadcast:
        given = {place for dim, place in enumerate(params["dims"]) if dim not in known[0]}
        return frozenset(range(len(params["shape"]))) - given
    if instr.op is ops.permute:
        return frozenset(place for place, dim in enumerate(params["dims"]) if dim in known[0])
    if instr.op is ops.reshape:
        groups = _groups(operands[0].type.shape, params["shape"])
        return frozenset(
            dim for before, after in groups if known[0].issuperset(before) for dim in after
        )
    return frozenset.intersection(*known)


def _before(instr: Instr, dims: _Dims) -> _Dims:
    """The dimensions of a sum's or a view's operand that sums behind it run over.

    Args:
        instr: the sum or view.
        dims: the dimensions of its result.
    """
    shape, params = instr.inputs[0].type.shape, instr.params
    if instr.op is ops.sum_:
        kept = [dim for dim in range(len(shape)) if dim not in params["dim"]]
        return frozenset((*params["dim"], *(kept[dim] for dim in dims)))
    if instr.op is ops.broadcast:
        return frozenset(dim for dim, place in enumerate(params["dims"]) if place in dims)
    if instr.op is ops.permute:
        return frozenset(params["dims"][dim] for dim in dims)
    if instr.op is ops.reshape:
        groups = _groups(shape, params["shape"])
        return frozenset(
            dim for before, after in groups if not dims.isdisjoint(after) for dim in before
        )
    return dims


def _groups(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The dimensions of a shape with those that a reshape makes of them; none of length 1.

    There are none where the shape has no elements.
    """
    if 0 in before:
        return
    sides = [[(dim, n) for dim, n in enumerate(shape) if n != 1] for shape in (before, after)]
    while sides[0] and sides[1]:
        group: tuple[list[int], list[int]] = ([], [])
        sizes = [1, 1]
        while not group[0] or sizes[0] != sizes[1]:
            side = int(sizes[1] < sizes[0])
            dim, length = sides[side].pop(0)
            group[side].append(dim)
            sizes[side] *= length
        yield group
