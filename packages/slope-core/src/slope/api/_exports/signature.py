"""What goes into an exported program and what comes out: names, and how pytrees are made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from slope.api._entries import Entry
from slope.api._exports.names import Argument, Names, Path, Returned, joined
from slope.api._exports.results import Leaf, Matching, Part
from slope.api._leaves import STATIC, WEAK
from slope.core.program import Atom, Instr, Program, Var
from slope.core.types import TensorType
from slope.errors import ExportError
from slope.ops import cast
from slope.tree import child_names, is_leaf, named_leaves, one_level, tree_unflatten

GENERATOR = "generator"
"""What the key of the default generator is called, where the function draws from it."""
NEXT = "next."
"""What the name of an output begins with that is the next value of the input of that name."""


class Port(NamedTuple):
    """An input or an output of an exported program.

    Attributes:
        name: what it is called in the file.
        type: its shape and dtype.
        argument: of inputs: the argument that it belongs to; ``""`` for the generator's key.
        path: where it stands in that, or in the result.
        weak: whether it is a Python number.
        feeds: of outputs: the name of the input that it is the next value of.
    """

    name: str
    type: TensorType
    argument: str = ""
    path: Path = ()
    weak: bool = False
    feeds: str | None = None


class Signature:
    """The named inputs and outputs of a function that was traced.

    Args:
        entry: the traced function.
        leaves: of its arguments.
        arguments: those.
        constants: the names of arguments that become a part of the program.

    Attributes:
        arguments: those that the file takes.
        inputs: in the order of the program's.
        outputs: likewise.
        constants: names of the tensors of arguments that become constants, with their leaves'
            numbers.
        result: how the result is made of outputs, for JSON.
    """

    def __init__(
        self,
        entry: Entry,
        leaves: Sequence[Any],
        arguments: Sequence[Argument],
        constants: Sequence[str],
    ) -> None:
        self._entry = entry
        self.arguments = [each for each in arguments if each.name not in constants]
        self._names = Names()
        self.leaves: list[Leaf] = []
        positions = iter(entry.program.inputs)
        self.variables: dict[int, Var] = {}  # by number of the leaf
        for number, (kind, value) in enumerate(zip(entry.in_kinds, leaves, strict=True)):
            if kind == STATIC:
                self.leaves.append(Leaf(None, value=value))
                continue
            var = self.variables[number] = next(positions)
            self.leaves.append(Leaf(var.type, kind in WEAK))
        self.inputs: list[Port] = []
        self.numbers: list[int] = []  # of the leaf that each input is, but for the generator's key
        self.constants: list[tuple[str, int]] = []
        self._called: dict[int, str] = {}  # inputs' names by number of the leaf
        if entry.draws:  # before any argument is called so
            self._names.take(GENERATOR)
            self._names.take(f"{NEXT}{GENERATOR}")
        for argument in arguments:
            self._add(argument, argument.name in constants)
        if entry.draws:
            self.inputs.append(Port(GENERATOR, entry.program.inputs[-1].type))
        self.outputs: list[Port] = []
        self._atoms: list[Atom] = []
        self._casts: list[Instr] = []
        self.result: Any = None

    def _add(self, argument: Argument, constant: bool) -> None:
        pairs = zip(argument.paths, argument.labels, strict=True)
        for number, (path, label) in enumerate(pairs, argument.start):
            leaf = self.leaves[number]
            if leaf.type is None:
                continue
            name = self._names.take(joined(argument.name, *label))
            if constant:
                self.constants.append((name, number))
            else:
                self._called[number] = name
                self.numbers.append(number)
                self.inputs.append(Port(name, leaf.type, argument.name, path, leaf.weak))

    def add_outputs(
        self,
        names: Returned,
        state: Sequence[str] | None,
        *,
        guess: bool,
    ) -> None:
        """Name the results, and find out which of them feed arguments.

        Args:
            names: of results, where they are known; see :func:`named_results`.
            state: see :meth:`Matching.parts`.
            guess: likewise.
        """
        entry = self._entry
        made = [self._made(*each) for each in entry.out_plan]
        tree = tree_unflatten(entry.out_structure, range(len(made)))
        free = [each for each in self.arguments if each.paths]
        donated = {each.name for each in free if self._is_donated(each)}
        parts = Matching(free, self.leaves, made).parts(tree, names, state, donated, guess=guess)
        self.result = self._described(tree, (), made, {part.path: part for part in parts}, None)
        if entry.draws:
            key = entry.program.outputs[-1]
            self._output(key, Port(f"{NEXT}{GENERATOR}", key.type, feeds=GENERATOR))

    def _is_donated(self, argument: Argument) -> bool:
        numbers = range(argument.start, argument.start + len(argument.paths))
        return not self._entry.donated.keys().isdisjoint(numbers)

    def _made(self, how: int, what: Any) -> Leaf:
        if how == 1:
            return self.leaves[what]._replace(source=what)
        if how == 2:
            return Leaf(None, value=what)
        return Leaf(self._entry.program.outputs[what].type, weak=how == 3)

    def _described(
        self,
        tree: Any,
        path: Path,
        made: Sequence[Leaf],
        parts: Mapping[Path, Part],
        part: Part | None,
    ) -> Any:
        """How to make a result of outputs, inputs and static values."""
        part = parts.get(path, part)
        if part is not None and part.feeds is not None:
            return self._fed(part, part.feeds, made)
        if is_leaf(tree):
            assert part is not None
            return self._leaf(tree, made, joined(part.name, *part.labels[tree]), path)
        if tree is None:
            return {"static": None}
        below = [
            (key, self._described(child, (*path, key), made, parts, part))
            for key, child in zip(child_names(tree), one_level(tree)[0], strict=True)
        ]
        if type(tree) in (list, tuple):
            return {type(tree).__name__: [each for _, each in below]}
        return {"dict": dict(below)}

    def _leaf(self, number: int, made: Sequence[Leaf], name: str, path: Path) -> Any:
        leaf = made[number]
        if leaf.type is None:
            return {"static": leaf.value}
        atom = self._atom(number, leaf)
        port = Port(self._names.take(name), atom.type, path=path, weak=leaf.weak)
        return self._output(atom, port)

    def _fed(self, part: Part, argument: Argument, made: Sequence[Leaf]) -> Any:
        """An argument with its next values."""
        described: list[Any] = []
        for place, (path, number) in enumerate(named_leaves(part.tree), argument.start):
            leaf = made[number]
            if leaf.type is None:
                continue  # equal to the argument's
            name = self._called[place]
            if leaf.source == place:
                described.append([path, {"input": name}])
                continue
            atom = self._atom(number, leaf)
            given = self.leaves[place].type
            assert given is not None
            if atom.type != given:  # a number: it goes back as wide as it came
                made_var = Var(given)
                self._casts.append(Instr(cast, (atom,), {"dtype": given.dtype}, (made_var,)))
                atom = made_var
            output = self._names.take(NEXT + name)
            whole = (*part.path, *path)
            port = Port(output, given, path=whole, weak=leaf.weak, feeds=name)
            described.append([path, self._output(atom, port)])
        return {"argument": argument.name, "leaves": described}

    def _atom(self, number: int, leaf: Leaf) -> Atom:
        if leaf.source is not None:
            return self.variables[leaf.source]
        return self._entry.program.outputs[self._entry.out_plan[number][1]]

    def _output(self, atom: Atom, port: Port) -> Any:
        self._atoms.append(atom)
        self.outputs.append(port)
        return {"output": port.name}

    def program(self) -> Program:
        """The program of these inputs and outputs.

        Behind the inputs come those that are constants, and those that the function closed over.
        """
        source = self._entry.program
        if not self._atoms:
            raise ExportError(
                f"export: {source.name} computes nothing: all that it returns are arguments as "
                f"they came, or no tensors."
            )
        named = [self.variables[number] for number in self.numbers]
        key = source.inputs[-1:] if self._entry.draws else ()
        constants = [self.variables[number] for _, number in self.constants]
        captured = [var for var, _ in source.constants]
        return Program(
            [*named, *key, *constants, *captured],
            (),
            [*source.instrs, *self._casts],
            self._atoms,
            source.name,
        )
