"""What a compiled function keeps of each specialization: the program, and what its call needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from slope.api._leaves import TENSOR
from slope.compile import Compiled
from slope.core.program import Program
from slope.core.tensor import Tensor
from slope.lowering import close, fold_scalars
from slope.passes import optimize
from slope.tree import tree_unflatten

if TYPE_CHECKING:
    from optree import PyTreeSpec

    from slope.api._exports.loaded import Exported


class Entry:
    """A traced and compiled specialization of a function."""

    __slots__ = (
        "all_outputs",
        "all_tensors",
        "closed",
        "compiled",
        "constants",
        "donated",
        "draws",
        "forwarded",
        "in_kinds",
        "out_plan",
        "out_structure",
        "program",
    )

    def __init__(
        self,
        program: Program,
        in_kinds: list[int],
        out_plan: list[tuple[int, Any]],
        out_structure: PyTreeSpec,
        draws: bool,
        donated: Mapping[int, int],
    ) -> None:
        self.program = program
        self.closed, self.constants = close(program)
        self.in_kinds = in_kinds
        # For each result leaf: (0, number of an output), (1, number of an argument leaf), (2, a
        # value), (3, a weak output).
        self.out_plan = out_plan
        self.out_structure = out_structure
        self.draws = draws
        # Argument leaves that the function returns as it got them. They are not given away.
        self.forwarded = frozenset(what for how, what in out_plan if how == 1)
        # For each argument leaf that is given away: its input's position.
        self.donated = {leaf: at for leaf, at in donated.items() if leaf not in self.forwarded}
        self.all_tensors = all(kind == TENSOR for kind in in_kinds)
        self.all_outputs = out_plan == [(0, number) for number in range(len(out_plan))]
        self.compiled: Compiled | None = None

    def results(self, outs: Sequence[Tensor], leaves: Sequence[Any]) -> Any:
        """The result pytree."""
        if self.all_outputs:
            return tree_unflatten(self.out_structure, outs)
        values: list[Any] = []
        for how, what in self.out_plan:
            if how == 0:
                values.append(outs[what])
            elif how == 1:
                values.append(leaves[what])
            elif how == 2:
                values.append(what)
            else:
                outs[what].weak = True
                values.append(outs[what])
        return tree_unflatten(self.out_structure, values)


class Lowered:
    """A function specialized to arguments and compiled: what it became.

    Attributes:
        program: the traced program after the passes; print it to read it, as Python that runs.
    """

    def __init__(self, entry: Entry, compiled: Compiled, export: Callable[..., Exported]) -> None:
        self._entry = entry
        self._export = export
        self._compiled = compiled
        self.program: Program = optimize(entry.program, evaluate=fold_scalars)

    @property
    def code(self) -> str:
        """The backend's own text of it: Python source, StableHLO, an ONNX graph."""
        return self._compiled.executable.code

    def export(self, path: str | PathLike[str], **settings: Any) -> Exported:
        """Write it to a file that runs without slope: :func:`slope.export` of the same call.

        Args:
            path: of the file; its suffix says in which format.
            settings: the others of :func:`slope.export`.
        """
        return self._export(path=path, **settings)

    def cost(self) -> Any:
        """Operations, bytes and peak memory of the program."""
        return self.program.cost()

    def __repr__(self) -> str:
        count, backend = len(self.program.instrs), self._compiled.backend.name
        plural = "" if count == 1 else "s"
        return f"<lowered {self.program.name}: {count} instruction{plural} for {backend}>"
