"""Which elementwise instructions are computed anew in each loop that needs them.

IREE stores what several loops read, and sums over rows have loops of their own. So a training
step with batch normalization would store what costs next to nothing: the distance of each element
from its mean, the mask of each rectifier, the gradient behind it. Where such a value can be had
from what a loop reads anyway, it is computed there. Sums over the same elements share a loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from slope.extend import Atom, Instr, Program, Var

LARGE: Final = 1 << 14  # elements; what has fewer is not worth a thought
NARROW: Final = 64  # elements of a row
_COSTLY: Final = 10  # instructions; computing more again may take longer than reading a result
_MOST: Final = 4  # large values that a chain may read

_CHEAP: Final = frozenset(
    ("neg", "add", "sub", "mul", "abs", "maximum", "minimum", "where", "cast", "stop_gradient",
     "eq", "ne", "lt", "le", "gt", "ge", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not")
)  # fmt: skip
_PRODUCTS: Final = frozenset(("dot_general", "reshape", "permute"))  # and what only moves them
_Reads = frozenset[Var]


class Loop(NamedTuple):
    """A part of a program that runs as one loop.

    Attributes:
        roots: what it computes: sums over the same rows of tensors of one shape, or one elementwise
            instruction.
        body: the elementwise instructions that lead to them, in order.
    """

    roots: tuple[Instr, ...]
    body: tuple[Instr, ...]


class Plan(NamedTuple):
    """How to write a program.

    Attributes:
        loops: by the identity of the instruction at whose place a loop stands, its last root.
        absent: identities of instructions that do not stand at their own place.
    """

    loops: dict[int, Loop]
    absent: frozenset[int]


def plan(program: Program) -> Plan:
    """Find the loops of a program that sums over rows."""
    if not all(isinstance(length, int) for var in program.inputs for length in var.type.shape):
        return Plan({}, frozenset())  # refused elsewhere
    return _Planner(program).run()


def sums_rows(instr: Instr) -> bool:
    """Whether an instruction adds up rows: sums over the first dimensions of a large tensor."""
    if instr.op.name != "sum":
        return False
    (x,), dim = instr.inputs, instr.params["dim"]
    return (
        isinstance(x, Var)
        and x.type.dtype.is_floating_point
        and x.type.size >= LARGE
        and 0 < len(dim) < x.type.ndim
        and tuple(sorted(dim)) == tuple(range(len(dim)))
    )


def is_narrow(instr: Instr) -> bool:
    """Whether an instruction adds up rows of few elements, which IREE would give to one thread."""
    return sums_rows(instr) and instr.outputs[0].type.size <= NARROW


class _Planner:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.place = {id(instr): place for place, instr in enumerate(program.instrs)}
        self.made = {var: instr for instr in program.instrs for var in instr.outputs}
        self.users: dict[Var, list[Instr]] = {var: [] for var in self.made}
        for instr in program.instrs:
            for var in _variables(instr.inputs):
                if var in self.users:
                    self.users[var].append(instr)
        self.kept = set(_variables(program.outputs))
        # IREE unpacks a product's tiles in the loops that use them.
        self.products = {var for var, instr in self.made.items() if instr.op.name in _PRODUCTS}
        self.reads: dict[Var, _Reads] = {}  # what it takes to compute a variable in a loop
        self.costs: dict[Var, int] = {}
        self.near = self._near_sums()
        self.groups = self._groups()
        self.group_of = {id(instr): group for group in self.groups for instr in group}

    def run(self) -> Plan:
        if not any(map(sums_rows, self.program.instrs)):
            return Plan({}, frozenset())
        for instr in self.program.instrs:
            if self._inlines(instr):
                self._decide(instr)
        loops: dict[int, Loop] = {}
        private: set[int] = set()
        public: set[int] = set()
        for roots in self._all_roots():
            body = self._body(roots)
            again = any(self._recomputed(instr) for instr in body)
            if again or is_narrow(roots[0]) or len(roots) > 1:
                loops[id(roots[-1])] = Loop(roots, tuple(body))
                private.update(id(each) for each in (*body, *roots[:-1]))
            else:
                public.update(map(id, body))
        stored = {id(self.made[var]) for var in self.reads if self._stored(var)}
        return Plan(loops, frozenset(private - public - stored))

    # --- values

    def _inlines(self, instr: Instr) -> bool:
        """Whether an instruction can be a part of a loop."""
        if len(instr.outputs) != 1 or instr.outputs[0].type.size < LARGE:
            return False
        if instr.op.name == "broadcast":
            dims, ndim = instr.params["dims"], instr.outputs[0].type.ndim
            # Of each row alike. Of others, such as a layer normalization's, IREE's own loops know
            # more: they hold whole rows.
            return tuple(dims) == tuple(range(ndim - len(dims), ndim))
        return instr.op.name in _CHEAP

    def _stored(self, var: Var) -> bool:
        """Whether a variable is in memory, whoever computes it anew."""
        if var in self.kept or self.reads[var] == {var}:
            return True
        users = self.users[var]
        return not users or not all(sums_rows(user) or self._inlines(user) for user in users)

    def _recomputed(self, instr: Instr) -> bool:
        (var,) = instr.outputs
        return bool(self.reads[var]) and (len(self.users[var]) > 1 or self._stored(var))

    def _reads_of(self, atom: Atom) -> _Reads:
        if not isinstance(atom, Var) or atom.type.size < LARGE:
            return frozenset()
        return self.reads.get(atom, frozenset((atom,)))

    def _near_sums(self) -> set[Var]:
        """Variables that a sum over rows reads, directly or through elementwise instructions."""
        found: set[Var] = set()
        for instr in reversed(self.program.instrs):
            passes = self._inlines(instr) and instr.outputs[0] in found
            if sums_rows(instr) or passes:
                found.update(_variables(instr.inputs))
        return found

    def _decide(self, instr: Instr) -> None:
        """Settle whether loops compute a variable anew, and from what."""
        (var,) = instr.outputs
        itself = frozenset((var,))
        reads = frozenset[Var]().union(*(self._reads_of(atom) for atom in instr.inputs))
        own = instr.op.name != "broadcast"
        cost = own + sum(self.costs.get(each, 0) for each in _variables(instr.inputs))
        self.reads[var] = reads
        if reads and (cost > _COSTLY or len(reads) > _MOST or not self.users[var]):
            self.reads[var] = itself
        elif reads and (len(self.users[var]) > 1 or self._stored(var)):
            few = len(reads) == 1 or (
                len(reads) == 2 and not self._stored(var) and self._pays(var, reads)
            )
            if var not in self.near or not few or not reads.isdisjoint(self.products):
                self.reads[var] = itself
        self.costs[var] = 0 if self.reads[var] == itself else cost

    def _pays(self, var: Var, reads: _Reads) -> bool:
        """Whether no loop that needs a variable reads more where it computes the variable."""
        waiting, seen = [var], {var}
        while waiting:
            for user in self.users[waiting.pop()]:
                (result,) = user.outputs
                if result in seen:
                    continue
                seen.add(result)
                if len(seen) > _COSTLY:
                    return False
                ends = sums_rows(user) or not all(map(self._inlines, self.users[result]))
                if self._inlines(user) and len(self.users[result]) == 1 and not ends:
                    waiting.append(result)
                    continue
                others = self._others(self.group_of.get(id(user), (user,)), var)
                if others is None or len(others | reads) > len(others) + 1:
                    return False
        return True

    def _others(self, roots: tuple[Instr, ...], var: Var) -> _Reads | None:
        """What else a loop reads; ``None`` where that is much."""
        found: set[Var] = set()
        waiting = [each for root in roots for each in _variables(root.inputs)]
        seen = {var}
        while waiting:
            each = waiting.pop()
            if each in seen or each.type.size < LARGE:
                continue
            seen.add(each)
            if len(seen) > 3 * _COSTLY:
                return None
            if each in self.reads:
                found |= self.reads[each]
            elif each in self.made and self._inlines(self.made[each]):
                waiting += _variables(self.made[each].inputs)
            else:
                found.add(each)
        return frozenset(found)

    # --- loops

    def _all_roots(self) -> Iterator[tuple[Instr, ...]]:
        yield from self.groups
        for var in self.reads:
            if self._stored(var):
                yield (self.made[var],)

    def _groups(self) -> list[tuple[Instr, ...]]:
        """Sums over rows, those over the same elements together."""
        groups: dict[object, list[Instr]] = {}  # the last group of each kind
        found: list[list[Instr]] = []
        for instr in filter(sums_rows, self.program.instrs):
            kind = instr.inputs[0].type, len(instr.params["dim"])
            group = groups.get(kind)
            if group is not None and self._joins(group, instr):
                group.append(instr)
            else:
                groups[kind] = [instr]
                found.append(groups[kind])
        return [tuple(group) for group in found]

    def _joins(self, group: list[Instr], instr: Instr) -> bool:
        place = self.place[id(instr)]
        known = self._others((group[0],), group[0].outputs[0])
        more = self._others((instr,), instr.outputs[0])
        return (
            known is not None
            and more is not None
            and not known.isdisjoint(more)
            and not any(
                self.place[id(user)] < place
                for member in group
                for user in self.users[member.outputs[0]]
            )
        )

    def _body(self, roots: tuple[Instr, ...]) -> list[Instr]:
        """The instructions of a loop in front of its roots, in order."""
        body: dict[int, Instr] = {}
        reads: set[Var] = set()
        ready: set[Var] = set()  # in memory, and cheap to compute from other things there
        self._walk([atom for root in roots for atom in root.inputs], body, reads, ready)
        for var in sorted(ready, key=lambda each: self.place[id(self.made[each])], reverse=True):
            if self.reads[var] <= reads:
                self._walk(self.made[var].inputs, body, reads, ready)
                body[id(self.made[var])] = self.made[var]
        return sorted(body.values(), key=lambda instr: self.place[id(instr)])

    def _walk(
        self, atoms: Iterable[Atom], body: dict[int, Instr], reads: set[Var], ready: set[Var]
    ) -> None:
        waiting = list(_variables(atoms))
        while waiting:
            var = waiting.pop()
            if var.type.size < LARGE:
                continue
            known = self.reads.get(var)
            if known is None or known == {var}:
                reads.add(var)
            elif known and self._stored(var):
                ready.add(var)
            elif id(self.made[var]) not in body:
                body[id(self.made[var])] = self.made[var]
                waiting += _variables(self.made[var].inputs)


def _variables(atoms: Iterable[Atom]) -> Iterator[Var]:
    return (atom for atom in atoms if isinstance(atom, Var))
