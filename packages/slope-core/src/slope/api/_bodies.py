"""Python functions as programs of loops, branches and custom rules: traced and made alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from slope.api._arguments import (
    definition,
    function_name,
    output_leaves,
    require_callable,
    tensor_leaf,
)
from slope.core.program import Program, ProgramTrace, Var
from slope.core.tensor import Splat, Tensor
from slope.core.trace import current_trace, use_trace
from slope.core.types import TensorType
from slope.dtypes import DType, default_dtype, float64, int64, promote_types
from slope.errors import DTypeError, RandomnessError, TreeError
from slope.functions.generator import JitScope, Scope, current_scope, use_scope
from slope.functions.keys import KEY_TYPE
from slope.ops import cast
from slope.tree import leaf_paths, tree_flatten, tree_unflatten

if TYPE_CHECKING:
    from optree import PyTreeSpec


class Body:
    """A function while it is traced to a program.

    Attributes:
        name: what messages call it.
        draws: whether it drew from the default generator: then its last input is the key that it
            began with.
        weak: which of its results are Python numbers or made of such alone.
    """

    def __init__(self, function: Callable[..., Any], user: str) -> None:
        require_callable(function, user)
        self.function = function
        self.user = user
        self.name = function_name(function)
        self.trace = ProgramTrace(current_trace(), self.name, definition(function))
        self.scope = JitScope(lambda: self.trace.new_input(KEY_TYPE))
        self.result: Any = None
        self.structure: PyTreeSpec
        self.leaves: list[Tensor] = []
        self.weak: list[bool] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.trace.alive = False

    def run(self, *args: Any) -> Body:
        """Trace the function on these arguments."""
        with use_trace(self.trace), use_scope(self.scope):
            self.result = self.function(*args)
            raw, self.structure = tree_flatten(self.result)
            self.weak = [is_weak(leaf) for leaf in raw]
            self.leaves = output_leaves(raw, self.result, f"{self.user} of {self.name}")
        return self

    @property
    def draws(self) -> bool:
        return self.scope.used

    def cast(self, number: int, dtype: DType) -> None:
        """Bring one result to a dtype."""
        with use_trace(self.trace):
            self.leaves[number] = cast(self.leaves[number], dtype=dtype)

    def finish(self, leaves: Sequence[Tensor] | None = None) -> Program:
        """The program: inputs as made (the key last), and the captured values as constants."""
        return self.trace.finish(self.leaves if leaves is None else leaves, self.name)


def is_weak(leaf: Any) -> bool:
    """Whether a leaf is a Python or NumPy number, or a tensor made of such alone."""
    return (
        leaf.weak and leaf.shape == ()
        if isinstance(leaf, Tensor)
        else isinstance(leaf, (bool, int, float, np.generic))
    )


def joint_dtype(first: DType, weak: bool, second: DType, other_weak: bool) -> DType | None:
    """The dtype that two scalar results share because one is weak; ``None`` if they cannot."""
    if first is second:
        return first
    if weak and other_weak:
        return default_dtype(promote_types(first, second).kind)
    strong, free = (second, first) if weak else (first, second)
    order = "buif"
    fits = (weak or other_weak) and order.index(free.kind) <= max(
        order.index(strong.kind), 2 if strong.kind in "ui" else 0
    )
    return strong if fits else None


class Operands:
    """Arguments of traced functions: tensors become inputs, numbers weak inputs, all else stays."""

    def __init__(self, trees: tuple[Any, ...]) -> None:
        leaves, self.structure = tree_flatten(trees)
        self.tensors: list[Tensor] = []
        self.plan: list[tuple[bool, bool, Any]] = []  # is an input, is weak, or the value
        for leaf in leaves:
            tensor, weak = _operand(leaf)
            self.plan.append((tensor is not None, weak, leaf))
            if tensor is not None:
                self.tensors.append(tensor)

    def inputs(self, trace: ProgramTrace) -> tuple[Any, ...]:
        """The arguments of a function that is traced."""
        types = iter([tensor.type for tensor in self.tensors])
        made: list[Any] = []
        for is_input, weak, value in self.plan:
            if is_input:
                value = trace.new_input(next(types))
                value.weak = weak
            made.append(value)
        return tree_unflatten(self.structure, made)


def _operand(leaf: Any) -> tuple[Tensor | None, bool]:
    if isinstance(leaf, Tensor):
        if leaf.weak and leaf.shape == ():
            return cast(leaf, dtype=float64 if leaf.dtype.kind == "f" else int64), True
        return leaf, False
    if isinstance(leaf, np.ndarray):
        return tensor_leaf(leaf, "an operand"), False
    if isinstance(leaf, (bool, np.bool_)) or not isinstance(
        leaf, (int, float, np.integer, np.floating)
    ):
        return None, False
    floating = isinstance(leaf, (float, np.floating))
    return Splat(
        float(leaf) if floating else int(leaf), TensorType((), float64 if floating else int64)
    ), True


# --- random keys


def keyed(bodies: Sequence[Body], programs: Sequence[Program]) -> list[Program]:
    """Programs that all take a key, if any of them draws."""
    if not any(body.draws for body in bodies):
        return list(programs)
    return [
        program
        if body.draws
        else Program(
            [*program.inputs, Var(KEY_TYPE)],
            program.constants,
            program.instrs,
            program.outputs,
            program.name,
        )
        for body, program in zip(bodies, programs, strict=True)
    ]


class fresh_key:  # noqa: N801  # a context manager that reads as a noun
    """A list of one key that nobody else gets, for a call that draws; none for one that does not.

    What is drawn inside a branch or a loop goes on from this key, and the generator outside goes on
    alike whatever happens there. If the ``with`` block fails, it stays where it was.
    """

    def __init__(self, draws: bool) -> None:
        self._draws = draws

    def __enter__(self) -> list[Tensor]:
        if not self._draws:
            return []
        self._scope = current_scope()
        self._scope.lock.acquire()
        try:
            self._before = self._scope.key
            return [self._scope.draw()]
        except BaseException:
            self._scope.lock.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._draws:
            if kind is not None:
                self._scope.key = self._before
            self._scope.lock.release()


class KeyScope(Scope):
    """The scope of a rule: begins with a key that is an operand."""

    def __init__(self, key: Tensor) -> None:
        super().__init__()
        self._key = key

    @property
    def key(self) -> Tensor:
        """The current key."""
        return self._key

    @key.setter
    def key(self, value: Tensor) -> None:
        self._key = value


class NoDraws(Scope):
    """The scope where drawing would have no meaning that lasts."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def mark(self) -> None:
        """Nothing: it stands nowhere."""

    def reset(self, mark: None) -> None:
        """Nothing to do."""

    @property
    def key(self) -> Tensor:
        """Refused."""
        raise RandomnessError(
            f"{self.where} draws from the default generator; make the key an argument, and draw "
            "from it (slope.random)."
        )


# --- messages


def require_same_structure(user: str, first: Any, second: Any, names: tuple[str, str]) -> None:
    """Refuse results of different structures.

    Raises:
        TreeError: says what each is.
    """
    one, two = tree_flatten(first)[1], tree_flatten(second)[1]
    if one == two:
        return
    mine, yours = leaf_paths(first), leaf_paths(second)
    place = next((path for path in [*mine, *yours] if (path in mine) != (path in yours)), "")
    hint = f"; only one of them has a leaf{place}" if place else ""
    raise TreeError(
        f"{user}: {names[0]} and {names[1]} must have one structure, and are {one} and {two}{hint}."
    )


def require_same_type(
    user: str,
    tree: Any,
    number: int,
    types: tuple[TensorType, TensorType],
    names: tuple[str, str],
    hint: str = "",
) -> None:
    """Refuse a leaf that has two types.

    Raises:
        DTypeError: names the leaf and both types.
    """
    if types[0] != types[1]:
        path = leaf_paths(tree)[number]
        where = f"the leaf{path}" if path else "the result"
        raise DTypeError(
            f"{user}: {where} is {types[0]} in {names[0]}, and {types[1]} in {names[1]}; they "
            f"must be alike.{hint}"
        )
