"""What a scan need not do turn by turn, done for all turns at once, before the loop or behind it.

Hoisting: what depends on constants and slices alone. The products ``x @ w`` of a recurrent net's
inputs become one product, and what is the same in every turn is computed once. Sinking: what only
the stacked outputs need, such as ``h @ w_out`` or the derivative of a sigmoid whose value is kept
anyway. A turn of small arrays costs what its instructions cost to start, so fewer are faster on
every backend, and one large product is faster than many small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from slope.core.program import Atom, Instr, Literal, Program, ProgramTrace, Var, evaluate
from slope.core.trace import EVAL
from slope.ops._pointwise import Pointwise
from slope.ops.linear import batched_at
from slope.passes._rewriter import Rewriter
from slope.transforms.vmap import batch_program

LARGEST: Final = 2**16
"""Elements of a turn's result up to which it moves: larger ones are better off in the cache."""

AFFORDABLE: Final = 2**26
"""Bytes that what moves may take in any case; or as many as the scan's slices and outputs."""

_MOVABLE: Final = frozenset((
    "all", "amax", "amin", "any", "argmax", "argmin", "broadcast", "cast", "concatenate", "cumsum",
    "dot_general", "flip", "interior_pad", "iota", "permute", "prod", "reshape", "slice", "sum",
))  # fmt: skip
"""What moves besides elementwise operators: what a batch of turns costs no more than the turns."""

_VIEWS: Final = frozenset(("broadcast", "iota", "permute", "reshape", "slice"))
"""What is as cheap in each turn as reading its result from memory would be."""


def move_out_of_scans(program: Program) -> Program:
    """Take out of scans what needs no other turn's results.

    An instruction moves if its result has at most :data:`LARGEST` elements a turn, and all that
    moves fits in :data:`AFFORDABLE` bytes or in as many as the scan goes through and stacks. The
    scan never stacks more than before.
    """
    rewriter = Rewriter(program)
    for instr in program.instrs:
        inputs = tuple([rewriter.read(atom) for atom in instr.inputs])
        if instr.op.name != "run_scan" or not _fixed(instr):
            rewriter.keep(instr, inputs)
            continue
        scan = _Scan(instr, inputs)
        before = _hoisted(scan)
        behind, replaced = _sunk(scan)
        if not (before or replaced):
            rewriter.keep(instr, inputs)
            continue
        for each in (*before, scan.instr(), *behind):
            rewriter.keep(each, each.inputs)
        for var, atom in replaced.items():
            rewriter.replace(var, atom)
        rewriter.changed = True
    return rewriter.finish()


def _fixed(scan: Instr) -> bool:
    """Whether all lengths are numbers, there is a turn, and the body's constants are operands."""
    body, length = scan.params["body"], scan.params["length"]
    atoms = (*body.inputs, *(var for instr in body.instrs for var in instr.outputs))
    return (
        isinstance(length, int)
        and length > 0
        and not body.constants
        and all(isinstance(atom.type.size, int) for atom in atoms)
    )


class _Scan:
    """A scan whose parts are rearranged.

    Attributes:
        instrs: the body's instructions.
        consts, slices: variables of the body, and the operands that they stand for.
        stacked: what the turns give, and the results that it is stacked in.
        ends: the next carries, and the results that they are at the end.
        length: the number of turns.
    """

    def __init__(self, old: Instr, operands: Sequence[Atom]) -> None:
        body, consts, carries = (old.params[name] for name in ("body", "consts", "carries"))
        given = list(zip(body.inputs, operands, strict=True))
        outs = list(zip(body.outputs, old.outputs, strict=True))
        self._old = old
        self._carried = given[consts : consts + carries]
        self.instrs: list[Instr] = list(body.instrs)
        self.consts: dict[Var, Atom] = dict(given[:consts])
        self.slices: dict[Var, Atom] = dict(given[consts + carries :])
        self.ends: list[tuple[Atom, Var]] = outs[:carries]
        self.stacked: list[tuple[Atom, Var]] = outs[carries:]
        self.length: int = old.params["length"]

    def instr(self) -> Instr:
        """The scan as it is now."""
        given = [*self.consts.items(), *self._carried, *self.slices.items()]
        outs = [*self.ends, *self.stacked]
        name = self._old.params["body"].name
        body = Program([var for var, _ in given], (), self.instrs, [atom for atom, _ in outs], name)
        params = {**self._old.params, "body": body, "consts": len(self.consts)}
        inputs, outputs = tuple(atom for _, atom in given), tuple(var for _, var in outs)
        return Instr(self._old.op, inputs, params, outputs, self._old.source)

    def affords(self, instrs: Iterable[Instr]) -> bool:
        """Whether the results of all turns of these instructions may be in memory together."""
        there = {*self.slices, *(atom for atom, _ in self.stacked)}
        more = sum(var.type.nbytes for instr in instrs for var in instr.outputs)
        return self.length * more <= max(self.length * _nbytes(there), AFFORDABLE)

    def at_once(
        self,
        moved: Sequence[Instr],
        wanted: Sequence[Atom],
        given: Mapping[Atom, Atom],
        *,
        stack: bool,
    ) -> tuple[list[Instr], list[tuple[Atom, bool]]]:
        """Instructions of the body outside of it, for all turns together.

        Args:
            moved: the instructions.
            wanted: results of theirs, or variables of ``given``.
            given: what variables stand for outside: constants as they are, all else stacked.
            stack: whether to stack what is the same in all turns, too.

        Returns:
            The instructions, and for each of ``wanted`` what it is outside, and whether stacked.
        """
        read = {*wanted, *(atom for each in moved for atom in each.inputs)}
        inputs = [var for var in given if isinstance(var, Var) and var in read]
        dims = tuple([None if var in self.consts else 0 for var in inputs])
        alone = Program(inputs, (), moved, wanted, self._old.params["body"].name)
        batched, ats = batch_program(alone, self.length, dims)
        with ProgramTrace(EVAL, alone.name) as trace:
            outs = evaluate(batched, [trace.new_input(each) for each in batched.input_types])
            placed = [
                batched_at(out, at, self.length, 0) if stack or at is not None else out
                for out, at in zip(outs, ats, strict=True)
            ]
            made = trace.finish(placed, alone.name)
        outside = Rewriter(made)
        for var, own in zip(made.inputs, inputs, strict=True):
            outside.replace(var, given[own])
        for each in made.instrs:
            outside.keep(each, tuple([outside.read(atom) for atom in each.inputs]))
        values = [outside.read(atom) for atom in made.outputs]
        return outside.instrs, [(v, at is not None) for v, at in zip(values, ats, strict=True)]


def _movable(instr: Instr) -> bool:
    pointwise = isinstance(instr.op, Pointwise) and not instr.op.effect
    return instr.op.name in _MOVABLE or pointwise


def _small(instr: Instr) -> bool:
    return all(var.type.size <= LARGEST for var in instr.outputs)


def _nbytes(atoms: Iterable[Atom]) -> int:
    return sum(atom.type.nbytes for atom in atoms)


# --- before the loop


def _hoisted(scan: _Scan) -> list[Instr]:
    """Take instructions out of the scan's front; what stands before it now."""
    once, each_turn = _free(scan)
    moved, left = _without_views(scan, once | each_turn)
    if not scan.affords(each_turn & set(moved)):
        moved, left = _without_views(scan, once)
    if len(moved) == len(left):
        return []
    gone = set(moved) - left
    scan.instrs = [instr for instr in scan.instrs if instr not in gone]
    read = _read(scan)
    wanted = [var for instr in moved if instr in gone for var in instr.outputs if var in read]
    given: dict[Atom, Atom] = {**scan.consts, **scan.slices}
    before, values = scan.at_once(moved, wanted, given, stack=False)
    for var, (value, stacked) in zip(wanted, values, strict=True):
        (scan.slices if stacked else scan.consts)[var] = value
    return before


def _free(scan: _Scan) -> tuple[set[Instr], set[Instr]]:
    """What depends on constants alone; what depends on slices, too, and on nothing else."""
    fixed: set[Atom] = set(scan.consts)
    known: set[Atom] = fixed | set(scan.slices)
    once: set[Instr] = set()
    each_turn: set[Instr] = set()
    for instr in scan.instrs:
        operands = {atom for atom in instr.inputs if isinstance(atom, Var)}
        if not (_movable(instr) and operands <= known):
            continue
        if operands <= fixed:
            once.add(instr)
            fixed.update(instr.outputs)
            known.update(instr.outputs)
        elif _small(instr):
            each_turn.add(instr)
            known.update(instr.outputs)
    return once, each_turn


def _without_views(scan: _Scan, candidates: set[Instr]) -> tuple[list[Instr], set[Instr]]:
    """The candidates to move, in order, and those of them that the body repeats.

    Views that the body reads stay in it; if what moves reads them, too, they are at both places.
    """
    inside: set[Atom] = {atom for atom, _ in (*scan.ends, *scan.stacked)}
    outside: set[Atom] = set()
    moved: list[Instr] = []
    left: set[Instr] = set()
    for instr in reversed(scan.instrs):
        stays = instr.op.name in _VIEWS and any(var in inside for var in instr.outputs)
        if stays or instr not in candidates:
            inside.update(instr.inputs)
        if instr in candidates and (not stays or any(var in outside for var in instr.outputs)):
            outside.update(instr.inputs)
            moved.append(instr)
            if stays:
                left.add(instr)
    return moved[::-1], left


def _read(scan: _Scan) -> set[Atom]:
    """What the body's instructions and outputs read."""
    read = {atom for instr in scan.instrs for atom in instr.inputs}
    return read | {atom for atom, _ in (*scan.ends, *scan.stacked)}


# --- behind the loop


def _sunk(scan: _Scan) -> tuple[list[Instr], dict[Var, Atom]]:
    """Take instructions out of the scan's end.

    Returns:
        What stands behind it now, and what replaces results that it no longer has.
    """
    moved = _only_stacked(scan)
    if not scan.affords(moved):
        moved = []
    scan.instrs = [instr for instr in scan.instrs if instr not in set(moved)]
    outside = {*scan.consts, *scan.slices, *(var for instr in moved for var in instr.outputs)}
    needed = [*(atom for atom, _ in scan.stacked), *(a for each in moved for a in each.inputs)]
    stacks: dict[Atom, Var] = {}
    replaced: dict[Var, Atom] = {}
    behind: dict[Var, Atom] = {}
    for atom, var in scan.stacked:
        if isinstance(atom, Literal):
            replaced[var] = Literal(atom.value, var.type)
        elif atom in outside:
            behind[var] = atom
        elif stacks.setdefault(atom, var) is not var:
            replaced[var] = stacks[atom]
    for atom in needed:
        if isinstance(atom, Var) and atom not in outside and atom not in stacks:
            stacks[atom] = Var(atom.type.with_shape((scan.length, *atom.type.shape)))
    scan.stacked = list(stacks.items())
    given: dict[Atom, Atom] = {**scan.consts, **scan.slices, **stacks}
    instrs, values = scan.at_once(moved, list(behind.values()), given, stack=True)
    replaced.update((var, value) for var, (value, _) in zip(behind, values, strict=True))
    return instrs, replaced


def _only_stacked(scan: _Scan) -> list[Instr]:
    """The instructions whose results only stacked outputs need, if these need no more memory."""
    there = {*scan.consts, *scan.slices}
    read: set[Atom] = {atom for atom, _ in scan.ends}
    stack: set[Atom] = {a for a, _ in scan.stacked if isinstance(a, Var) and a not in there}
    moved: list[Instr] = []
    for instr in reversed(scan.instrs):
        gone = stack & set(instr.outputs)
        new = {atom for atom in instr.inputs if isinstance(atom, Var)} - there - stack
        free = gone and _movable(instr) and _small(instr) and not read & set(instr.outputs)
        if free and _nbytes(new) <= _nbytes(gone):
            stack = (stack - gone) | new
            moved.append(instr)
        else:
            read.update(instr.inputs)
    return moved[::-1]
