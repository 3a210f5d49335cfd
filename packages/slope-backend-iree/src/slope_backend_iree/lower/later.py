"""Derivatives of activations, which are computed where they are read, behind the loss.

A program from reverse mode computes a gelu's derivative beside the gelu, and reads it much later.
IREE would compute it late as well, and keep three tensors for it, which the gelu's loop then
writes. Here the loop that reads the derivative computes it from what the gelu is computed from.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Container
from typing import Final

from slope.extend import Instr, Program, Var, ops

from .fusion import LARGE, Loop, Plan

# What takes dozens of instructions an element.
LONG: Final = frozenset(
    ("exp", "expm1", "log", "log1p", "pow", "tanh", "sigmoid", "erf", "sin", "cos")
)
_MOST: Final = 2  # large values that are read to compute one anew
_PRODUCTS: Final = (ops.dot_general, ops.conv, ops.conv_input_grad, ops.conv_weight_grad)


def later(program: Program, taken: Container[int]) -> Plan:
    """Find what is computed anew where it is read.

    Args:
        program: where to look.
        taken: identities of instructions which others write.
    """
    return _Finder(program, taken).run()


class _Finder:
    def __init__(self, program: Program, taken: Container[int]) -> None:
        self.program = program
        self.taken = taken
        self.made = {var: instr for instr in program.instrs for var in instr.outputs}
        self.place = {id(instr): place for place, instr in enumerate(program.instrs)}
        self.products = [
            place for place, instr in enumerate(program.instrs) if instr.op in _PRODUCTS
        ]
        self.users: dict[Var, list[Instr]] = {var: [] for var in self.made}
        # What others than elementwise operators read is in memory anyway.
        self.stored = {atom for atom in program.outputs if isinstance(atom, Var)}
        for instr in program.instrs:
            for atom in instr.inputs:
                if isinstance(atom, Var):
                    self.users.get(atom, []).append(instr)
                    if not self._joins(instr):
                        self.stored.add(atom)

    def run(self) -> Plan:
        loops: dict[int, Loop] = {}
        private: set[int] = set()
        for instr in self.program.instrs:
            reader = self._late_reader(instr)
            if reader is None or id(reader) in loops or not self._is_long(instr):
                continue
            found = self._loops(reader, instr)
            held = {id(each) for loop in found or () for each in (*loop.body, *loop.roots)}
            if found is not None and held.isdisjoint(private | loops.keys()):
                loops.update((id(loop.roots[0]), loop) for loop in found)
                private.update(id(each) for loop in found for each in loop.body)
                self.stored.add(reader.outputs[0])
        return Plan(loops, frozenset(private - loops.keys()))

    def _loops(self, reader: Instr, late: Instr) -> list[Loop] | None:
        """The reader's loop, and one for each value that shares instructions with one of them.

        ``None`` unless these loops hold all users of what they compute: nothing else could read it,
        and IREE would take from outside what it finds there as well.
        """
        body = self._body(late)
        if body is None:
            return None
        loops, inside = [Loop((reader,), body)], {id(each) for each in (*body, reader)}
        waiting = list(body)
        while waiting:
            for user in self.users[waiting.pop().outputs[0]]:
                if id(user) in inside:
                    continue
                inside.add(id(user))
                if not user.op.elementwise or id(user) in self.taken:
                    return None
                if user.outputs[0] not in self.stored:
                    waiting.append(user)
                    continue
                other = self._body(user)
                if other is None:
                    return None
                loops.append(Loop((user,), other[:-1]))
                joining = [each for each in other if id(each) not in inside]
                inside.update(map(id, joining))
                waiting += joining
        computed = {id(each) for loop in loops for each in loop.body}
        outside = {id(self.made.get(atom)) for atom in reader.inputs if isinstance(atom, Var)}
        if not (outside & computed).issubset(map(id, body)):  # the reader's loop has no more
            return None
        return loops if inside <= computed | {id(loop.roots[0]) for loop in loops} else None

    def _joins(self, instr: Instr) -> bool:
        """Whether an instruction can be a part of a loop over the elements."""
        repeats = instr.op is ops.broadcast and instr.inputs[0].type.size < LARGE
        return (instr.op.elementwise or repeats) and id(instr) not in self.taken

    def _late_reader(self, instr: Instr) -> Instr | None:
        """What reads a large value behind a product that follows; ``None`` where more read it."""
        result = instr.outputs[0]
        if not self._joins(instr) or result.type.size < LARGE or result in self.stored:
            return None
        readers = self.users[result]
        if len(readers) != 1 or not readers[0].op.elementwise:
            return None
        following = bisect(self.products, self.place[id(instr)])
        behind = following < len(self.products) and (
            self.place[id(readers[0])] > self.products[following]
        )
        return readers[0] if behind else None

    def _is_long(self, last: Instr) -> bool:
        body = self._body(last)
        return body is not None and any(instr.op.name in LONG for instr in body)

    def _body(self, last: Instr) -> tuple[Instr, ...] | None:
        """What computes a value from stored ones, in order; ``None`` where these are many."""
        body = {id(last): last}
        waiting, reads = list(last.inputs), set[Var]()
        while waiting:
            atom = waiting.pop()
            if not isinstance(atom, Var) or atom.type.size < LARGE:
                continue
            behind: Instr | None = None if atom in self.stored else self.made.get(atom)
            if behind is None or not self._joins(behind):
                reads.add(atom)
            elif id(behind) not in body:
                body[id(behind)] = behind
                waiting += behind.inputs
        if len(reads) > _MOST:
            return None
        return tuple(sorted(body.values(), key=lambda instr: self.place[id(instr)]))
