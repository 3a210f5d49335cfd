"""The kernels of a program that are written here, and not by IREE: of loops, and of clusters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from slope.extend import Instr, Program, Var

if TYPE_CHECKING:
    from .context import Value


class Cluster(NamedTuple):
    """Instructions that run as one kernel.

    Attributes:
        instrs: in order.
        inputs: what they read that others made.
        outputs: what they make that others read.
    """

    instrs: tuple[Instr, ...]
    inputs: tuple[Var, ...]
    outputs: tuple[Var, ...]

    @property
    def program(self) -> Program:
        """The instructions as a program."""
        return Program(self.inputs, (), self.instrs, self.outputs, "cluster")


class LoopKernels:
    """The kernels of a program that are written here: of loops, and of clusters.

    Attributes:
        texts: one of each, written so far.
        parts: names of values that are parts of a longer one, with that one and the place in it.
        computed: their names, with what each start computes.
        work: what is being written.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.parts: dict[str, tuple[Value, int]] = {}
        self.computed: dict[str, Instr | Cluster] = {}
        self.work: Instr | Cluster | None = None
        self._titles: dict[str, str] = {}  # by the text of a kernel without a name

    def title(self, text: Callable[[str], str]) -> str:
        """The name of a kernel, which is written once however often it is started.

        It tells what is computed, for those who read a profile.

        Args:
            text: from its name to its text.
        """
        assert self.work is not None
        found = self._titles.get(text(""))
        if found is None:
            label = _label(self.work)
            same = sum(each.partition("__")[0] == label for each in self.computed)
            found = self._titles[text("")] = f"{label}__{same + 1}" if same else label
            self.texts.append(text(found))
            self.computed[found] = self.work
        return found


def _label(work: Instr | Cluster) -> str:
    """Such as ``scan_10_32x128``: operator, turns, the largest shape; or ``cluster_256x1024``."""
    words = ["cluster"] if isinstance(work, Cluster) else [work.op.name.removeprefix("run_")]
    if isinstance(work, Instr) and "length" in work.params:
        words.append(str(work.params["length"]))
    largest = max((var.type.shape for var in (*work.inputs, *work.outputs)), key=math.prod)
    return "_".join([*words, *(["x".join(map(str, largest))] if largest else [])])
