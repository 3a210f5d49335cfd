"""What a loop carries from one iteration to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from slope.api._arguments import (
    tensor_leaves,
)
from slope.api._bodies import (
    Body,
    is_weak,
    joint_dtype,
    require_same_structure,
    require_same_type,
)
from slope.core.tensor import Tensor
from slope.core.trace import use_trace
from slope.dtypes import float64
from slope.errors import DTypeError
from slope.functions import cast
from slope.functions._base import weakly
from slope.tree import tree_flatten, tree_unflatten

_RUNS: Final = 4  # bool to int to float: no carry that settles changes its type more often


class Carry:
    """The first carries: numbers among them take the dtype that the loop gives them.

    Those that the loop makes of numbers alone are numbers behind it, too (an optimizer's learning
    rate and counters), so that a jitted function of its own results compiles once.
    """

    def __init__(self, init: Any, user: str) -> None:
        leaves, self.structure = tree_flatten(init)
        self.init = init
        self.user = user
        self.free = [is_weak(leaf) for leaf in leaves]
        self.tensors = tensor_leaves(leaves, init, user, "init")
        self._weak = self.free
        self._runs = 0

    def inputs(self, body: Body) -> Any:
        """The carries as inputs of a body that is traced."""
        made = [body.trace.new_input(tensor.type) for tensor in self.tensors]
        for each, weak in zip(made, self._weak, strict=True):
            each.weak = weak
        return tree_unflatten(self.structure, made)

    def settle(
        self, body: Body, result: Any, leaves: Sequence[Tensor], weak: Sequence[bool]
    ) -> list[Tensor] | None:
        """The body's carries in the first ones' types; ``None`` if those changed: run it again.

        Types only ever go up, from bool to int to float, so a few runs are enough.
        """
        names = ("init", f"the carry that {body.name} returns")
        require_same_structure(self.user, self.init, result, names)
        settled, again = list(leaves), False
        for number, (tensor, out) in enumerate(zip(self.tensors, leaves, strict=True)):
            if out.dtype is not tensor.dtype and out.shape == tensor.shape == ():
                dtype = joint_dtype(tensor.dtype, self.free[number], out.dtype, weak[number])
                if dtype is not None and dtype is tensor.dtype:
                    with use_trace(body.trace):
                        settled[number] = cast(out, dtype=dtype)
                elif dtype is not None:
                    self.tensors[number], again = cast(tensor, dtype=dtype), True
        if again:
            self._runs += 1
            if self._runs == _RUNS:
                raise DTypeError(
                    f"{self.user}: the types of the carries do not settle; start with tensors of "
                    f"the types that the loop makes."
                )
            return None
        for number, (tensor, out) in enumerate(zip(self.tensors, settled, strict=True)):
            hint = " Start with a tensor of the type that the loop makes, or cast the result."
            require_same_type(self.user, self.init, number, (tensor.type, out.type), names, hint)
        self._weak = [free and still for free, still in zip(self.free, weak, strict=True)]
        return settled

    def results(self, outs: Sequence[Tensor]) -> Any:
        """What the loop gave, as the first carries' tree."""
        made = [
            weakly(cast(out, dtype=float64 if out.dtype.kind == "f" else out.dtype), True)
            if weak
            else out
            for out, weak in zip(outs, self._weak, strict=True)
        ]
        return tree_unflatten(self.structure, made)
