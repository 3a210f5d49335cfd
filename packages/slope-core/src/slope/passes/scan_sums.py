"""Sums in scans: a sum of products that a scan carries along becomes one product behind it.

The gradient of ``h @ w`` by weights that every turn of a loop uses is such a sum: each turn adds
``h.T @ dy``, a small product that reads and writes all of the weights' gradient. The factors of all
turns, stacked, give the same sum in one product. The gradient of a bias adds sums: of ``dy`` over
its rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from slope import ops
from slope.core.program import Atom, Instr, Program, Var
from slope.core.types import TensorType


class _Sum(NamedTuple):
    """A carry that only adds up products, or sums.

    Attributes:
        place: which of the carries it is.
        add: what adds, in the body.
        product: what is added, in the body.
    """

    place: int
    add: Instr
    product: Instr


def sum_after_scans(program: Program) -> Program:
    """Take sums of products out of scans where their factors are there for all turns, or small.

    A carry goes if the body only adds a ``dot_general`` or a ``sum`` to it, and depends on it in no
    other way. Factors that are not slices or outputs of the scan are stacked as further outputs, if
    in each turn they are no larger than the product, nor than all that the scan goes through or
    stacks anyway: memory at most doubles.
    """
    instrs: list[Instr] = []
    changed = False
    for instr in program.instrs:
        sums = _sums(instr) if instr.op.name == "run_scan" else []
        instrs += _rewritten(instr, sums) if sums else [instr]
        changed = changed or bool(sums)
    if not changed:
        return program
    return program.with_instrs(instrs)


def _sums(scan: Instr) -> list[_Sum]:
    """The carries that can go."""
    body, consts, carries = (scan.params[name] for name in ("body", "consts", "carries"))
    made = {var: instr for instr in body.instrs for var in instr.outputs}
    uses = Counter(atom for instr in body.instrs for atom in instr.inputs)
    uses.update(body.outputs)
    found: list[_Sum] = []
    for place, (own, out) in enumerate(
        zip(body.inputs[consts : consts + carries], body.outputs[:carries], strict=True)
    ):
        add = made.get(out)
        if add is None or add.op is not ops.add or uses[out] != 1 or uses[own] != 1:
            continue
        if own not in add.inputs:
            continue
        product = made.get(add.inputs[0] if add.inputs[1] is own else add.inputs[1])
        if product is None or product.op.name not in _OVER_ALL_TURNS:
            continue
        if uses[product.outputs[0]] != 1:
            continue
        if product.outputs[0].type.dtype.is_floating_point and _affordable(scan, product):
            found.append(_Sum(place, add, product))
    return found


def _affordable(scan: Instr, product: Instr) -> bool:
    """Whether the product's factors vary from turn to turn and cost little memory to keep."""
    body, consts, carries = (scan.params[name] for name in ("body", "consts", "carries"))
    slices, stacked = body.inputs[consts + carries :], body.outputs[carries:]
    if not all(isinstance(atom, Var) for atom in product.inputs):
        return False
    if any(atom in body.inputs[:consts] for atom in product.inputs):
        return False
    there = {*slices, *stacked}
    more = sum(atom.type.nbytes for atom in set(product.inputs) - there)
    kept = sum(atom.type.nbytes for atom in there)
    if not all(isinstance(each, int) for each in (more, kept, product.outputs[0].type.nbytes)):
        return more == 0 and isinstance(more, int)
    return more <= min(kept, product.outputs[0].type.nbytes)


def _rewritten(scan: Instr, sums: Sequence[_Sum]) -> list[Instr]:
    """The scan without these carries, and behind it a product and an addition for each."""
    body, consts, carries = (scan.params[name] for name in ("body", "consts", "carries"))
    length, first = scan.params["length"], consts + carries
    stacks: dict[Atom, Atom] = dict(
        zip(body.outputs[carries:], scan.outputs[carries:], strict=True)
    )
    stacks |= dict(zip(body.inputs[first:], scan.inputs[first:], strict=True))
    added: dict[Var, Var] = {}
    for atom in (atom for each in sums for atom in each.product.inputs):
        if atom not in stacks:
            assert isinstance(atom, Var)
            added[atom] = Var(_stacked(atom.type, length))
            stacks[atom] = added[atom]
    gone = {each.place for each in sums}
    stay = [place for place in range(carries) if place not in gone]
    dropped = {id(instr) for each in sums for instr in (each.add, each.product)}
    inner = Program(
        [*body.inputs[:consts], *(body.inputs[consts + p] for p in stay), *body.inputs[first:]],
        body.constants,
        [instr for instr in body.instrs if id(instr) not in dropped],
        [*(body.outputs[p] for p in stay), *body.outputs[carries:], *added],
        body.name,
    )
    inputs = [*scan.inputs[:consts], *(scan.inputs[consts + p] for p in stay), *scan.inputs[first:]]
    outputs = [*(scan.outputs[p] for p in stay), *scan.outputs[carries:], *added.values()]
    params = {**scan.params, "body": inner, "carries": len(stay)}
    made = [Instr(scan.op, tuple(inputs), params, tuple(outputs), scan.source)]
    for each in sums:
        total = Var(each.product.outputs[0].type)
        factors = tuple(stacks[atom] for atom in each.product.inputs)
        op, params = each.product.op, each.product.params
        params = {**params, **_OVER_ALL_TURNS[op.name](**params)}
        made.append(Instr(op, factors, params, (total,), each.product.source))
        start, out = scan.inputs[consts + each.place], scan.outputs[each.place]
        made.append(Instr(ops.add, (start, total), {}, (out,), each.add.source))
    return made


def _stacked(each: TensorType, length: Any) -> TensorType:
    return each.with_shape((length, *each.shape))


def _product_over_turns(*, contract: Any, batch: Any) -> dict[str, Any]:
    """The parameters of the product of stacked factors, which also sums over the turns."""
    return {
        "contract": tuple((0, *(dim + 1 for dim in dims)) for dims in contract),
        "batch": tuple(tuple(dim + 1 for dim in dims) for dims in batch),
    }


def _sum_over_turns(*, dim: tuple[int, ...]) -> dict[str, Any]:
    return {"dim": (0, *(each + 1 for each in dim))}


_OVER_ALL_TURNS: Final = {"dot_general": _product_over_turns, "sum": _sum_over_turns}
