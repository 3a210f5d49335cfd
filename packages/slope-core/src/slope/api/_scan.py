"""scan, and map: one function applied to each slice in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from slope.api._arguments import (
    function_name,
    is_whole,
    require_callable,
    tensor_leaves,
    type_name,
)
from slope.api._bodies import Body, fresh_key, require_same_structure
from slope.api._carry import Carry
from slope.control.scan import call_scan
from slope.core.program import Program
from slope.core.tensor import Tensor
from slope.errors import ArgumentError, ShapeError
from slope.functions import concatenate, stack
from slope.functions.generator import all_or_nothing
from slope.tree import leaf_paths, tree_flatten, tree_unflatten

if TYPE_CHECKING:
    from optree import PyTreeSpec


@all_or_nothing
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Call ``carry, y = f(carry, x)`` for each slice ``x`` of ``xs``; stack the ``y``.

    One program whatever the length. What needs no carry, such as ``x @ w``, and what only an output
    needs leave the loop when it is compiled, and are computed for all slices at once, unless that
    takes much memory.

    Differentiates in both modes and to any order. Reverse mode keeps what the backward loop needs
    of each iteration (wrap ``f`` in :func:`checkpoint` to keep only the carries), and once what
    depends on no iteration.

    Args:
        f: from a carry and a slice to the next carry (of the same structure and types) and an
            output.
        init: the first carry, a pytree of tensors and numbers.
        xs: a pytree of tensors; ``f`` gets their slices along dimension 0. ``None``: ``f`` gets
            ``None``.
        length: how many iterations; needed without ``xs``.
        reverse: go from the last slice to the first; outputs still stand at their slices' places.
        unroll: how many iterations the loop's body holds, or ``True`` for all of them, without a
            loop.

    Returns:
        ``(last carry, stacked outputs)``.

    Raises:
        TreeError, DTypeError: the carry that ``f`` returns is not like the one it takes.
        ShapeError: the leaves of ``xs`` have different lengths, or none.
        ArgumentError: ``f`` returns no pair; ``length`` or ``unroll`` is not as above.

    Example:
        >>> total, sums = slope.scan(
        ...     lambda c, x: (c + x, c + x), 0.0, slope.tensor([1.0, 2.0, 3.0])
        ... )
        >>> sums.tolist()
        [1.0, 3.0, 6.0]
    """
    if not isinstance(unroll, int) or unroll < 1:  # False is 0
        raise ArgumentError(f"scan: unroll must be a positive int or True, not {unroll!r}.")
    slices = _slices("scan", xs, length)
    if unroll is True or 1 < unroll >= slices.count:
        return _unrolled("scan", f, init, slices, reverse)
    if unroll > 1:
        return _chunked("scan", f, init, slices, reverse, unroll)
    return _rolled("scan", f, init, slices, reverse)


@all_or_nothing
def map_(f: Callable[[Any], Any], xs: Any) -> Any:
    """Apply a function to each slice of ``xs`` along dimension 0 in turn; stack the results.

    Like :func:`vmap`, in the memory of one example: only what all examples together need little
    memory for is computed for all of them at once.

    Args:
        f: a function of one pytree of slices.
        xs: a pytree of tensors.

    Example:
        >>> slope.map(lambda x: x * x, slope.tensor([1.0, 2.0])).tolist()
        [1.0, 4.0]
    """
    require_callable(f, "map")

    def step(carry: None, x: Any) -> tuple[None, Any]:
        return None, f(x)

    step.__name__ = function_name(f)
    return scan_over("map", step, None, xs)[1]


map_.__name__ = map_.__qualname__ = "map"


def scan_over(user: str, f: Callable[..., Any], init: Any, xs: Any) -> tuple[Any, Any]:
    """:func:`scan` under the name of another function, for its messages."""
    return _rolled(user, f, init, _slices(user, xs, None), reverse=False)


# --- what it goes through


class _Slices(NamedTuple):
    """The slices of a pytree along dimension 0.

    Attributes:
        tensors: the leaves.
        structure: the tree's.
        count: how many slices there are, an int or symbolic.
    """

    tensors: list[Tensor]
    structure: PyTreeSpec
    count: Any

    def at(self, i: int) -> Any:
        """The ``i``-th slice, as a tree."""
        return tree_unflatten(self.structure, [x[i] for x in self.tensors])

    def between(self, start: int, stop: int) -> _Slices:
        """Some of the slices."""
        return self._replace(tensors=[x[start:stop] for x in self.tensors], count=stop - start)


def _slices(user: str, xs: Any, length: Any) -> _Slices:
    leaves, structure = tree_flatten(xs)
    tensors = tensor_leaves(leaves, xs, user, "xs")
    return _Slices(tensors, structure, _length(user, tensors, xs, length))


def _length(user: str, tensors: Sequence[Tensor], xs: Any, length: Any) -> Any:
    paths = leaf_paths(xs)
    for tensor, path in zip(tensors, paths, strict=True):
        if not tensor.shape:
            raise ShapeError(
                f"{user}: xs{path} is {tensor.type}, which has no dimension to go along."
            )
    lengths = [tensor.shape[0] for tensor in tensors]
    if length is not None:
        if not is_whole(length) or length < 0:
            raise ArgumentError(
                f"{user}: length must be an int that is not negative, not {length!r:.60}."
            )
        lengths.insert(0, int(length))
        paths.insert(0, "the argument length")
    if not lengths:
        raise ArgumentError(
            f"{user}: without xs, length says how many iterations there are; it is None."
        )
    if any(each != lengths[0] for each in lengths):
        listed = ", ".join(
            f"{each}{path and f' of {path}'}" for each, path in zip(lengths, paths, strict=True)
        )
        raise ShapeError(
            f"{user}: all of xs must have one length along dimension 0, and have {listed}."
        )
    return lengths[0]


# --- as a loop


def _rolled(
    user: str, f: Callable[..., Any], init: Any, xs: _Slices, reverse: bool
) -> tuple[Any, Any]:
    carry = Carry(init, user)
    while True:
        with Body(_Paired(f, user), user) as body:
            state = carry.inputs(body)
            slices = [body.trace.new_input(x.type.with_shape(x.shape[1:])) for x in xs.tensors]
            body.run(state, tree_unflatten(xs.structure, slices))
            new, out = body.result
            total = len(tree_flatten(new)[0])
            settled = carry.settle(body, new, body.leaves[:total], body.weak[:total])
            if settled is None:
                continue
            outputs = body.leaves[total:]
            program = body.finish([*settled, *outputs, *([body.scope.key] if body.draws else [])])
            break
    out_structure = tree_flatten(out)[1]
    carries = len(carry.tensors)
    with fresh_key(body.draws) as key:
        if key:
            program = _key_as_carry(program, carries)
        outs = call_scan((), [*carry.tensors, *key], xs.tensors, program, xs.count, reverse)
    return tree_unflatten(carry.structure, outs[:carries]), tree_unflatten(
        out_structure, outs[carries + len(key) :]
    )


def _key_as_carry(program: Program, carries: int) -> Program:
    *inputs, key = program.inputs
    *outputs, new = program.outputs
    inputs.insert(carries, key)
    outputs.insert(carries, new)
    return Program(inputs, program.constants, program.instrs, outputs, program.name)


class _Paired:
    """A body that must give a pair."""

    def __init__(self, f: Callable[..., Any], user: str) -> None:
        require_callable(f, user)
        self.f, self.user = f, user
        self.__name__ = function_name(f)
        self.__wrapped__ = f

    def __call__(self, carry: Any, x: Any) -> tuple[Any, Any]:
        result = self.f(carry, x)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ArgumentError(
                f"{self.user}: {self.__name__} must return a pair (carry, output), and returned "
                f"a {type_name(result)} ({result!r:.80})."
            )
        return result


# --- with several iterations in the loop's body, or without a loop


def _unrolled(
    user: str, f: Callable[..., Any], init: Any, xs: _Slices, reverse: bool
) -> tuple[Any, Any]:
    """Every iteration on its own; with none, the loop says what an output would be."""
    if not xs.count:
        return _rolled(user, f, init, xs, reverse)
    step, carry = _Paired(f, user), init
    outs: list[Any] = [None] * xs.count
    for i in reversed(range(xs.count)) if reverse else range(xs.count):
        old = Carry(carry, user)
        carry, outs[i] = step(tree_unflatten(old.structure, old.tensors), xs.at(i))
        require_same_structure(
            user, old.init, carry, ("the carry", f"the one that {step.__name__} returns")
        )
    columns = zip(
        *[tensor_leaves(tree_flatten(out)[0], out, user, "the output") for out in outs],
        strict=True,
    )
    last = Carry(carry, user)
    return tree_unflatten(last.structure, last.tensors), tree_unflatten(
        tree_flatten(outs[0])[1], [stack(list(column)) for column in columns]
    )


def _chunked(
    user: str, f: Callable[..., Any], init: Any, xs: _Slices, reverse: bool, unroll: int
) -> tuple[Any, Any]:
    """A loop whose body holds several iterations, and a shorter one for the rest."""
    whole = xs.count - xs.count % unroll

    def several(carry: Any, chunk: list[Tensor]) -> tuple[Any, Any]:
        return _unrolled(user, f, carry, _Slices(chunk, xs.structure, unroll), reverse)

    several.__name__ = function_name(f)
    chunks = [
        x.reshape((whole // unroll, unroll, *x.shape[1:])) for x in xs.between(0, whole).tensors
    ]

    def main(carry: Any) -> tuple[Any, Any]:
        carry, out = _rolled(user, several, carry, _slices(user, chunks, whole // unroll), reverse)
        parts, made = tree_flatten(out)
        return carry, tree_unflatten(
            made, [part.reshape((whole, *part.shape[2:])) for part in parts]
        )

    def remainder(carry: Any) -> tuple[Any, Any]:
        return _rolled(user, f, carry, xs.between(whole, xs.count), reverse)

    if whole == xs.count:
        return main(init)
    first, second = (remainder, main) if reverse else (main, remainder)
    carry, one = first(init)
    carry, two = second(carry)
    head, tail = (two, one) if reverse else (one, two)
    parts, made = tree_flatten(head)
    return carry, tree_unflatten(
        made,
        [concatenate([a, b], dim=0) for a, b in zip(parts, tree_flatten(tail)[0], strict=True)],
    )
