"""Control flow that depends on values: cond, switch, while_loop, fori_loop, scan, map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from slope.api._arguments import (
    function_name,
    require_callable,
    tensor_leaf,
    tensor_leaves,
    type_name,
)
from slope.api._bodies import (
    Body,
    Operands,
    fresh_key,
    is_weak,
    joint_dtype,
    keyed,
    require_same_structure,
    require_same_type,
)
from slope.control.branch import call_branch
from slope.control.scan import call_scan
from slope.control.while_loop import call_while
from slope.core.program import Program
from slope.core.tensor import Splat, Tensor
from slope.core.trace import use_trace
from slope.core.types import TensorType
from slope.dtypes import bool_, int64
from slope.errors import ArgumentError, DTypeError, RandomnessError, ShapeError
from slope.functions import add, arange, cast, concatenate, lt, stack
from slope.functions.generator import all_or_nothing
from slope.tree import leaf_paths, tree_flatten, tree_unflatten

# --- branches


@all_or_nothing
def cond(
    pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any
) -> Any:
    """Call ``true_fn(*operands) if pred else false_fn(*operands)``, decided in the program's run.

    Both functions are traced, and only the chosen one runs. Under ``vmap`` with a predicate for
    each example both run on all
    examples, and the results are selected. Derivatives of every order and mode pass through the
    chosen branch.

    Args:
        pred: a bool, or a bool tensor of shape ().
        true_fn: a function of the operands that gives a pytree.
        false_fn: another, whose pytree has the same structure and types; a Python number takes the
            dtype of its counterpart (two numbers stay one, which never widens another tensor).
        operands: pytrees of tensors and numbers. What the functions use of their surroundings need
            not be among them.

    Raises:
        TreeError, DTypeError: the results differ; the message names the first leaf that does.

    Example:
        >>> slope.cond(
        ...     slope.tensor(True), lambda x: x + 1, lambda x: x * 2, slope.tensor(5.0)
        ... ).item()
        6.0
    """
    index = _scalar(pred, "cond", "pred")
    if index.dtype is not bool_:
        raise DTypeError(
            f"cond: pred must be a bool, and is {index.type}; compare it, for instance with pred "
            "!= 0."
        )
    return _branch("cond", index, [false_fn, true_fn], operands, [1, 0])


@all_or_nothing
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """Call ``branches[index](*operands)``, decided when the program runs.

    Args:
        index: an int, or an integer tensor of shape (); clamped to the branches there are.
        branches: functions of the operands; see :func:`cond`.
        operands: pytrees of tensors and numbers.

    Example:
        >>> slope.switch(slope.tensor(1), [slope.sin, slope.exp], slope.tensor(0.0)).item()
        1.0
    """
    if not isinstance(branches, (list, tuple)) or not branches:
        raise ArgumentError(
            f"switch: branches must be a list of at least one function, and is {branches!r:.80}."
        )
    functions = list(branches)
    place = _scalar(index, "switch", "index")
    if not place.dtype.is_integer:
        raise DTypeError(f"switch: index must be an integer, and is {place.type}.")
    if place.dtype.name == "uint64":
        place = _clamped_unsigned(place, len(functions))
    return _branch("switch", cast(place, dtype=int64), functions, operands, range(len(functions)))


def _clamped_unsigned(index: Tensor, count: int) -> Tensor:
    from slope.functions import minimum

    return minimum(index, Splat(count - 1, index.type))


def _scalar(value: Any, user: str, name: str) -> Tensor:
    tensor = tensor_leaf(value, user, name)
    if tensor.shape != ():
        raise ShapeError(
            f"{user}: {name} must have shape (), and is {tensor.type}; reduce it with .any() or "
            ".all(), choose elements with slope.where, or use "
            f"slope.vmap for a choice for each example."
        )
    return tensor


def _branch(
    user: str,
    index: Tensor,
    functions: Sequence[Callable[..., Any]],
    operands: tuple[Any, ...],
    order: Sequence[int],
) -> Any:
    given = Operands(operands, user)
    bodies = [Body(function, user) for function in functions]
    try:
        for number in order:
            bodies[number].run(*given.inputs(bodies[number].trace))
        first = bodies[order[0]]
        for number in order[1:]:
            require_same_structure(
                user,
                first.result,
                bodies[number].result,
                _branch_names(user, first, bodies[number], order[0], number),
            )
        for leaf in range(len(first.leaves)):
            _unify(user, bodies, leaf, order)
        programs = [body.finish() for body in bodies]
    finally:
        for body in bodies:
            body.trace.alive = False
    with fresh_key(any(body.draws for body in bodies)) as key:
        outs = call_branch(index, [*given.tensors, *key], keyed(bodies, programs))
    for leaf, out in enumerate(outs):
        out.weak = all(body.weak[leaf] for body in bodies)  # numbers in, numbers out
    return tree_unflatten(first.structure, outs)


def _branch_names(user: str, first: Body, second: Body, one: int, two: int) -> tuple[str, str]:
    words = ("false_fn", "true_fn") if user == "cond" else None
    names = (words[one], words[two]) if words else (f"branch {one}", f"branch {two}")
    return f"the result of {names[0]} ({first.name})", f"that of {names[1]} ({second.name})"


def _unify(user: str, bodies: Sequence[Body], leaf: int, order: Sequence[int]) -> None:
    """Bring a weak result of shape () to the dtype that it has in the other branches."""
    first = bodies[order[0]]
    dtype, weak = first.leaves[leaf].dtype, first.weak[leaf]
    for number in order[1:]:
        body = bodies[number]
        if body.leaves[leaf].dtype is not dtype:
            joint = joint_dtype(dtype, weak, body.leaves[leaf].dtype, body.weak[leaf])
            dtype = dtype if joint is None else joint
        weak = weak and body.weak[leaf]
    for body in bodies:
        if body.weak[leaf]:
            body.cast(leaf, dtype)
    for number in order[1:]:
        types = (first.leaves[leaf].type, bodies[number].leaves[leaf].type)
        require_same_type(
            user,
            first.result,
            leaf,
            types,
            _branch_names(user, first, bodies[number], order[0], number),
        )


# --- carries


class _Carry:
    """The first carries: numbers among them take the dtype that the loop gives them."""

    def __init__(self, init: Any, user: str) -> None:
        leaves, self.structure = tree_flatten(init)
        self.init = init
        self.user = user
        self.free = [is_weak(leaf) for leaf in leaves]
        self.tensors = tensor_leaves(leaves, init, user, "init")

    def inputs(self, body: Body) -> Any:
        return tree_unflatten(
            self.structure, [body.trace.new_input(tensor.type) for tensor in self.tensors]
        )

    def settle(
        self, body: Body, result: Any, leaves: Sequence[Tensor], weak: Sequence[bool]
    ) -> list[Tensor] | None:
        """The body's carries in the first ones' types; ``None`` if those changed: run it again."""
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
            return None
        for number, (tensor, out) in enumerate(zip(self.tensors, settled, strict=True)):
            hint = " Start with a tensor of the type that the loop makes, or cast the result."
            require_same_type(self.user, self.init, number, (tensor.type, out.type), names, hint)
        return settled


_ATTEMPTS = 4  # bool to int to float: no carry changes its type more often


@all_or_nothing
def while_loop(cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
    """Call ``carry = body_fn(carry)``, from ``init`` on, as long as ``cond_fn(carry)`` is true.

    Forward-mode derivatives pass through it; reverse mode would need the number of iterations: use
    :func:`fori_loop` with Python ints as
    bounds, or :func:`scan`. Under ``vmap`` it runs until all examples are done, and those that are
    keep their carries.

    Args:
        cond_fn: from the carry to a bool of shape ().
        body_fn: from the carry to the next one, of the same structure and types.
        init: a pytree of tensors and numbers.

    Returns:
        The last carry.

    Example:
        >>> slope.while_loop(lambda n: n < 100, lambda n: n * 2, slope.tensor(3)).item()
        192
    """
    carry = _Carry(init, "while_loop")
    for _ in range(_ATTEMPTS):
        with Body(body_fn, "while_loop") as body, Body(cond_fn, "while_loop") as test:
            body.run(carry.inputs(body))
            settled = carry.settle(body, body.result, body.leaves, body.weak)
            if settled is None:
                continue
            test.run(carry.inputs(test))
            _require_bool(test)
            step = body.finish([*settled, body.scope.key] if body.draws else settled)
            programs = keyed([test, body], [test.finish(), step])
            break
    else:  # pragma: no cover  # joint_dtype only ever goes up
        raise DTypeError(
            "while_loop: the types of the carries do not settle; start with tensors of the "
            "types that the loop makes."
        )
    with fresh_key(body.draws) as key:
        outs = call_while((), [*carry.tensors, *key], *programs)
    return tree_unflatten(carry.structure, outs[: len(carry.tensors)])


def _require_bool(test: Body) -> None:
    types = [leaf.type for leaf in test.leaves]
    if types != [TensorType((), bool_)]:
        found = ", ".join(map(str, types)) or "nothing"
        raise DTypeError(
            f"while_loop: cond_fn ({test.name}) must give one bool of shape (), and gives "
            f"{found}; compare, or reduce with .any() or .all()."
        )
    if test.draws:
        raise RandomnessError(
            f"while_loop: cond_fn ({test.name}) draws from the default generator; draw in "
            "body_fn, and let the carry hold the result."
        )


@all_or_nothing
def fori_loop(lower: Any, upper: Any, body: Callable[[Any, Any], Any], init: Any) -> Any:
    """Call ``carry = body(i, carry)`` for ``i`` from ``lower`` to before ``upper``.

    With Python ints as bounds it is a :func:`scan`, and differentiates in both modes; with tensors
    it is a :func:`while_loop`.

    Args:
        lower: the first ``i``, an int or an integer tensor of shape ().
        upper: the end of ``i``, likewise.
        body: takes the number of the iteration (an int64 tensor) and the carry to the next carry.
        init: a pytree of tensors and numbers.

    Example:
        >>> slope.fori_loop(0, 4, lambda i, x: x + i, slope.tensor(0)).item()
        6
    """
    require_callable(body, "fori_loop")
    if _is_int(lower) and _is_int(upper):
        return _scan(
            "fori_loop",
            _Swapped(body),
            init,
            arange(int(lower), max(int(lower), int(upper))),
            None,
            False,
        )[0]
    first, last = (
        _scalar(bound, "fori_loop", name) for bound, name in ((lower, "lower"), (upper, "upper"))
    )
    for bound, name in ((first, "lower"), (last, "upper")):
        if not bound.dtype.is_integer:
            raise DTypeError(f"fori_loop: {name} must be an integer, and is {bound.type}.")
    first, last = cast(first, dtype=int64), cast(last, dtype=int64)

    def step(state: Any) -> Any:
        i, carry = state
        return add(i, 1), body(i, carry)

    step.__name__ = function_name(body)
    return while_loop(lambda state: lt(state[0], last), step, (first, init))[1]


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


class _Swapped:
    """The body of a counting loop as that of a scan."""

    def __init__(self, body: Callable[[Any, Any], Any]) -> None:
        self.body = body
        self.__name__ = function_name(body)

    def __call__(self, carry: Any, i: Any) -> Any:
        return self.body(i, carry), None


# --- scan


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

    One program whatever the length. Differentiates in both modes and to any order; reverse mode
    keeps what the backward loop needs of each
    iteration (wrap ``f`` in :func:`checkpoint` to keep only the carries), and what depends on no
    iteration once.

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

    Example:
        >>> total, sums = slope.scan(
        ...     lambda c, x: (c + x, c + x), 0.0, slope.tensor([1.0, 2.0, 3.0])
        ... )
        >>> sums.tolist()
        [1.0, 3.0, 6.0]
    """
    return _scan("scan", f, init, xs, length, reverse, unroll)


def _scan(
    user: str,
    f: Callable[..., Any],
    init: Any,
    xs: Any,
    length: Any,
    reverse: bool,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    if not isinstance(unroll, (bool, int)) or unroll < 0 or unroll is False or (unroll == 0):
        raise ArgumentError(f"{user}: unroll must be a positive int or True, and is {unroll!r}.")
    leaves, structure = tree_flatten(xs)
    tensors = tensor_leaves(leaves, xs, user, "xs")
    count = _length(user, tensors, xs, length)
    if unroll is not True and unroll > 1:
        unroll = True if unroll >= count else unroll
    if unroll is True:
        return _unrolled(
            user,
            f,
            init,
            [tree_unflatten(structure, [x[i] for x in tensors]) for i in range(count)],
            tensors,
            structure,
            reverse,
        )
    if unroll > 1:
        return _chunked(user, f, init, tensors, structure, count, reverse, unroll)
    return _rolled(user, f, init, tensors, structure, count, reverse)


def _rolled(
    user: str,
    f: Callable[..., Any],
    init: Any,
    tensors: Sequence[Tensor],
    structure: Any,
    count: Any,
    reverse: bool,
) -> tuple[Any, Any]:
    carry = _Carry(init, user)
    for _ in range(_ATTEMPTS):
        with Body(_paired(f, user), user) as body:
            state = carry.inputs(body)
            slices = [body.trace.new_input(x.type.with_shape(x.shape[1:])) for x in tensors]
            body.run(state, tree_unflatten(structure, slices))
            new, out = body.result
            total = len(tree_flatten(new)[0])
            settled = carry.settle(body, new, body.leaves[:total], body.weak[:total])
            if settled is None:
                continue
            outputs = body.leaves[total:]
            program = body.finish([*settled, *outputs, *([body.scope.key] if body.draws else [])])
            break
    else:  # pragma: no cover  # joint_dtype only ever goes up
        raise DTypeError(
            f"{user}: the types of the carries do not settle; start with tensors of the types "
            "that the loop makes."
        )
    out_structure = tree_flatten(out)[1]
    carries = len(carry.tensors)
    with fresh_key(body.draws) as key:
        if key:
            program = _key_as_carry(program, carries)
        outs = call_scan((), [*carry.tensors, *key], tensors, program, count, reverse)
    return tree_unflatten(carry.structure, outs[:carries]), tree_unflatten(
        out_structure, outs[carries + len(key) :]
    )


def _key_as_carry(program: Program, carries: int) -> Program:
    *inputs, key = program.inputs
    *outputs, new = program.outputs
    inputs.insert(carries, key)
    outputs.insert(carries, new)
    return Program(inputs, program.constants, program.instrs, outputs, program.name)


class _paired:  # noqa: N801  # wraps a function and is called as one
    """Checks that the function gives a pair."""

    def __init__(self, f: Callable[..., Any], user: str) -> None:
        if not callable(f):
            raise ArgumentError(
                f"{user} takes a function, and got a {type(f).__name__} ({f!r:.80})."
            )
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


def _length(user: str, tensors: Sequence[Tensor], xs: Any, length: Any) -> Any:
    paths = leaf_paths(xs)
    for tensor, path in zip(tensors, paths, strict=True):
        if not tensor.shape:
            raise ShapeError(
                f"{user}: xs{path} is {tensor.type}, which has no dimension to go along."
            )
    lengths = [tensor.shape[0] for tensor in tensors]
    if length is not None:
        if not _is_int(length) or length < 0:
            raise ArgumentError(
                f"{user}: length must be an int that is not negative, and is {length!r:.60}."
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


def _unrolled(
    user: str,
    f: Callable[..., Any],
    init: Any,
    slices: Sequence[Any],
    tensors: Sequence[Tensor],
    structure: Any,
    reverse: bool,
) -> tuple[Any, Any]:
    """Every iteration on its own; with none, the loop says what an output would be."""
    if not slices:
        return _rolled(user, f, init, tensors, structure, 0, reverse)
    step, carry = _paired(f, user), init
    outs: list[Any] = []
    for x in reversed(slices) if reverse else slices:
        old = _Carry(carry, user)
        carry, y = step(tree_unflatten(old.structure, old.tensors), x)
        require_same_structure(
            user, old.init, carry, ("the carry", f"the one that {step.__name__} returns")
        )
        outs.append(y)
    ordered = list(reversed(outs)) if reverse else outs
    columns = zip(
        *[tensor_leaves(tree_flatten(out)[0], out, user, "the output") for out in ordered],
        strict=True,
    )
    last = _Carry(carry, user)
    return tree_unflatten(last.structure, last.tensors), tree_unflatten(
        tree_flatten(outs[0])[1], [stack(list(column)) for column in columns]
    )


def _chunked(
    user: str,
    f: Callable[..., Any],
    init: Any,
    tensors: Sequence[Tensor],
    structure: Any,
    count: int,
    reverse: bool,
    unroll: int,
) -> tuple[Any, Any]:
    """A loop whose body holds several iterations, and a shorter one for the rest."""
    whole = count - count % unroll

    def several(carry: Any, chunk: list[Tensor]) -> tuple[Any, Any]:
        slices = [tree_unflatten(structure, [x[i] for x in chunk]) for i in range(unroll)]
        return _unrolled(user, f, carry, slices, chunk, structure, reverse)

    several.__name__ = function_name(f)
    chunks = [x[:whole].reshape((whole // unroll, unroll, *x.shape[1:])) for x in tensors]
    rest = [x[whole:] for x in tensors]
    leaves, chunk_structure = tree_flatten(chunks)

    def main(carry: Any) -> tuple[Any, Any]:
        carry, out = _rolled(
            user, several, carry, leaves, chunk_structure, whole // unroll, reverse
        )
        parts, made = tree_flatten(out)
        return carry, tree_unflatten(
            made, [part.reshape((whole, *part.shape[2:])) for part in parts]
        )

    def remainder(carry: Any) -> tuple[Any, Any]:
        return _rolled(user, f, carry, rest, structure, count - whole, reverse)

    if whole == count:
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


@all_or_nothing
def map_(f: Callable[[Any], Any], xs: Any) -> Any:
    """Apply a function to each slice of ``xs`` along dimension 0 in turn; stack the results.

    Like :func:`vmap`, in the memory of one example.

    Args:
        f: a function of one pytree of slices.
        xs: a pytree of tensors.

    Example:
        >>> slope.map(lambda x: x * x, slope.tensor([1.0, 2.0])).tolist()
        [1.0, 4.0]
    """
    if not callable(f):
        raise ArgumentError(f"map takes a function, and got a {type(f).__name__} ({f!r:.80}).")

    def step(carry: None, x: Any) -> tuple[None, Any]:
        return None, f(x)

    step.__name__ = function_name(f)
    return _scan("map", step, None, xs, None, False)[1]


map_.__name__ = map_.__qualname__ = "map"
