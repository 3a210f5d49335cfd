"""Derivatives: grad, value_and_grad, vjp, jvp, linearize, Jacobians and Hessians."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optree import PyTreeSpec

from slope.api._arguments import (
    definition,
    function_name,
    output_leaves,
    positional_names,
    tensor_leaves,
)
from slope.api._vmap import vmap
from slope.core.operator import Linear, Tangent
from slope.core.program import Program, evaluate
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.dims import is_static
from slope.errors import ArgumentError, GradientError, ShapeError, TreeError, boundary
from slope.functions import eye, reshape
from slope.transforms.jvp import jvp_flat
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.tree import differentiable_mask, flatten_up_to, leaf_paths, tree_flatten, tree_unflatten

Argnums = int | Sequence[int] | None


class _Flattened:
    """Some arguments of a call, flattened: what is differentiated with respect to."""

    def __init__(self, trees: Any, user: str, what: str = "the arguments") -> None:
        leaves, self.structure = tree_flatten(trees)
        self.trees = trees
        self.tensors = tensor_leaves(leaves, trees, user, what)
        allowed = differentiable_mask(trees, self.structure)
        self.moving = [
            ok and tensor.dtype.is_floating_point
            for ok, tensor in zip(allowed, self.tensors, strict=True)
        ]


class _FlatFunction:
    """A function of flat tensors made from a user's function of pytrees.

    It remembers the structure of the last result.
    """

    def __init__(
        self, function: Callable[..., Any], structure: PyTreeSpec, user: str, has_aux: bool
    ) -> None:
        self.function = function
        self.structure = structure
        self.user = user
        self.has_aux = has_aux
        self.out_structure: PyTreeSpec
        self.aux_structure: PyTreeSpec
        self.aux_leaves: list[Any] = []
        self.count = 0

    def __call__(self, *tensors: Tensor) -> list[Tensor]:
        result = self.function(tree_unflatten(self.structure, tensors))
        if self.has_aux:
            if not isinstance(result, tuple) or len(result) != 2:
                raise ArgumentError(
                    f"{self.user}: with has_aux=True the function must return a pair (result, "
                    f"auxiliary data); it returned a {type(result).__name__}."
                )
            result, aux = result
            self.aux_leaves, self.aux_structure = tree_flatten(aux)
        leaves, self.out_structure = tree_flatten(result)
        outs = output_leaves(leaves, result, self.user)
        self.count = len(outs)
        return [*outs, *(leaf for leaf in self.aux_leaves if isinstance(leaf, Tensor))]

    def aux(self, tensors: Sequence[Tensor]) -> Any:
        """The auxiliary data, with the primals of its tensors."""
        values = iter(tensors)
        leaves = [next(values) if isinstance(leaf, Tensor) else leaf for leaf in self.aux_leaves]
        return tree_unflatten(self.aux_structure, leaves)


class Pullback:
    """What :func:`vjp` returns: from the result's cotangent to those of the arguments.

    It can be called many times.
    """

    def __init__(
        self,
        program: Program,
        moved: Sequence[bool],
        out_types: Sequence[TensorType],
        out_structure: PyTreeSpec,
        args: _Flattened,
    ) -> None:
        self.program = program
        self._moved = moved
        self._out_types = out_types
        self._out_structure = out_structure
        self._args = args

    @boundary
    def __call__(self, cotangent: Any) -> Any:
        """The cotangents of the arguments, a tuple in their structure.

        Leaves that do not differentiate get ``None``.

        Args:
            cotangent: of the result's structure, shapes and dtypes.
        """
        leaves = flatten_up_to(self._out_structure, cotangent, "the cotangent")
        return self.flat(
            [
                _like(leaf, wanted, "a pullback", "the cotangent", "the result's")
                for leaf, wanted in zip(leaves, self._out_types, strict=True)
            ]
        )

    def flat(self, cotangents: Sequence[Tensor]) -> Any:
        """As calling it, with the cotangents as a list."""
        outs = [ct if moves else None for ct, moves in zip(cotangents, self._moved, strict=True)]
        padded = [*outs, *[None] * (len(self.program.outputs) - len(outs))]
        results = iter(
            backward(self.program, [Linear(var.type) for var in self.program.inputs], padded)
        )
        leaves: list[Tangent] = []
        for tensor, moves in zip(self._args.tensors, self._args.moving, strict=True):
            found = next(results) if moves else None
            leaves.append(Splat(0.0, tensor.type) if moves and found is None else found)
        return tree_unflatten(self._args.structure, leaves)


def _linearized(
    function: Callable[..., Any], args: _Flattened, flat: _FlatFunction
) -> tuple[list[Tensor], Pullback, list[Tensor]]:
    outs, program, moved = linearize_flat(
        flat, args.tensors, args.moving, function_name(function), definition(function)
    )
    count = flat.count
    types = [out.type for out in outs[:count]]
    return (
        outs[:count],
        Pullback(program, moved[:count], types, flat.out_structure, args),
        outs[count:],
    )


@boundary
def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Run a function and get its pullback (vector-Jacobian product).

    Args:
        function: of pytrees of tensors.
        primals: its arguments.
        has_aux: whether it returns a pair of the result and auxiliary data, which is not
            differentiated.

    Returns:
        ``(result, pullback)``, with ``has_aux`` ``(result, pullback, aux)``.
        ``pullback(cotangent)`` is the tuple of the arguments' cotangents.

    Example:
        >>> y, pullback = slope.vjp(slope.sin, slope.tensor(0.0))
        >>> pullback(slope.tensor(1.0))[0].item()
        1.0
    """
    args = _Flattened(primals, "vjp")
    flat = _FlatFunction(lambda trees: function(*trees), args.structure, "vjp", has_aux)
    outs, pullback, aux = _linearized(function, args, flat)
    result = tree_unflatten(flat.out_structure, outs)
    return (result, pullback, flat.aux(aux)) if has_aux else (result, pullback)


@boundary
def linearize(function: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Run a function and get its derivative there as a linear function of tangents.

    Returns:
        ``(result, derivative)``; ``derivative(*tangents)`` is the result's tangent, and runs only
        the linear part. Its ``program`` is that part.
    """
    args = _Flattened(primals, "linearize")
    flat = _FlatFunction(lambda trees: function(*trees), args.structure, "linearize", False)
    outs, pullback, _ = _linearized(function, args, flat)
    program = pullback.program

    @boundary
    def derivative(*tangents: Any) -> Any:
        given = _tangent_leaves(args, tangents)
        results = evaluate(
            program,
            [
                tangent
                for tangent, moves in zip(given, args.moving, strict=True)
                if moves and tangent is not None
            ],
        )
        return tree_unflatten(flat.out_structure, results)

    derivative.program = program  # pyright: ignore[reportFunctionMemberAccess]  # for people to print
    return tree_unflatten(flat.out_structure, outs), derivative


def _tangent_leaves(args: _Flattened, tangents: Any) -> list[Tangent]:
    """Tangents checked against the primals; ``None`` where the primal does not differentiate."""
    leaves = flatten_up_to(args.structure, tuple(tangents), "the tangents")
    paths = leaf_paths(args.trees)
    checked: list[Tangent] = []
    for leaf, primal, moves, path in zip(leaves, args.tensors, args.moving, paths, strict=True):
        if not moves or leaf is None:
            checked.append(None if not moves else Splat(0.0, primal.type))
            continue
        checked.append(_like(leaf, primal.type, "jvp", f"the tangent{path}", "its primal's"))
    return checked


def _like(leaf: Any, wanted: TensorType, user: str, what: str, whose: str) -> Tensor:
    """A tangent or cotangent as a tensor of the type it must have.

    ``None`` is zero, numbers take its dtype.
    """
    if leaf is None:
        return Splat(0, wanted)
    if isinstance(leaf, (int, float)) and wanted.shape == ():
        return Splat(float(leaf), wanted)
    (tensor,) = tensor_leaves([leaf], leaf, user, what)
    if tensor.type != wanted:
        raise ShapeError(f"{what} must have {whose} type {wanted}, and has {tensor.type}.")
    return tensor


@boundary
def jvp(function: Callable[..., Any], primals: Any, tangents: Any, *, has_aux: bool = False) -> Any:
    """Run a function and push tangents forward (Jacobian-vector product).

    Args:
        function: of pytrees of tensors.
        primals: its arguments, a tuple.
        tangents: a tuple of the same structure; ``None`` is zero, and is what integer leaves have.
        has_aux: whether it returns a pair of the result and auxiliary data.

    Returns:
        ``(result, tangent of the result)``, with ``has_aux`` ``(result, tangent, aux)``.
    """
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentError(
            "jvp takes the primals and the tangents as tuples: slope.jvp(f, (x,), (dx,))."
        )
    if len(primals) != len(tangents):
        raise TreeError(
            f"jvp got {len(primals)} primals and {len(tangents)} tangents; there must be one for "
            f"each."
        )
    args = _Flattened(tuple(primals), "jvp")
    flat = _FlatFunction(lambda trees: function(*trees), args.structure, "jvp", has_aux)
    given = _tangent_leaves(args, tangents)
    outs, out_tangents = jvp_flat(
        flat, args.tensors, given, function_name(function), definition(function)
    )
    pushed = [
        Splat(0, out.type) if tangent is None else tangent
        for out, tangent in zip(outs, out_tangents, strict=True)
    ]
    count = flat.count
    result, tangent = (
        tree_unflatten(flat.out_structure, outs[:count]),
        tree_unflatten(flat.out_structure, pushed[:count]),
    )
    return (result, tangent, flat.aux(outs[count:])) if has_aux else (result, tangent)


# --- grad


class _Selection:
    """Which arguments of a function to differentiate with respect to."""

    def __init__(
        self,
        function: Callable[..., Any],
        argnums: Argnums,
        argnames: str | Sequence[str] | None,
        user: str,
    ) -> None:
        self.user = user
        self.single = isinstance(argnums, int) or (argnums is None and argnames is None)
        numbers = (
            (0,)
            if argnums is None and argnames is None
            else ()
            if argnums is None
            else (argnums,)
            if isinstance(argnums, int)
            else tuple(argnums)
        )
        self.numbers = numbers
        self.names = (
            ()
            if argnames is None
            else (argnames,)
            if isinstance(argnames, str)
            else tuple(argnames)
        )
        self.single_name = isinstance(argnames, str)
        self._positions = positional_names(function) if self.names else []
        self.function = function

    def split(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, Callable[[Any], Any]]:
        """The selected arguments, and a function of them alone.

        The arguments are a pair ``(tuple by number, dict by name)``, and the function takes one.
        """
        numbers = [number + len(args) if number < 0 else number for number in self.numbers]
        for given, number in zip(self.numbers, numbers, strict=True):
            if not 0 <= number < len(args):
                raise ArgumentError(
                    f"{self.user} of {function_name(self.function)}: argnums={given} but there are "
                    f"{len(args)} positional arguments."
                )
        if len({*numbers}) < len(numbers):
            raise ArgumentError(
                f"{self.user} of {function_name(self.function)}: argnums={self.numbers} names an "
                f"argument twice."
            )
        by_name: dict[str, Any] = {}
        name_places: dict[str, int] = {}
        for name in self.names:
            if name in kwargs:
                by_name[name] = kwargs[name]
            elif name in self._positions and self._positions.index(name) < len(args):
                name_places[name] = self._positions.index(name)
                if name_places[name] in numbers:
                    raise ArgumentError(
                        f"{self.user} of {function_name(self.function)}: the argument {name!r} is "
                        f"in argnums and in argnames."
                    )
                by_name[name] = args[name_places[name]]
            else:
                raise ArgumentError(
                    f"{self.user} of {function_name(self.function)}: there is no argument named "
                    f"{name!r} in this call."
                )

        def call(selected: Any) -> Any:
            chosen, named = selected
            full, keywords = list(args), dict(kwargs)
            for number, value in zip(numbers, chosen, strict=True):
                full[number] = value
            for name, value in named.items():
                if name in name_places:
                    full[name_places[name]] = value
                else:
                    keywords[name] = value
            return self.function(*full, **keywords)

        return (tuple(args[number] for number in numbers), by_name), call

    def present(self, pair: Any) -> Any:
        """The derivative in the form that the caller asked for."""
        chosen, named = pair
        numbered = chosen[0] if self.single else tuple(chosen)
        if not self.names:
            return numbered
        given = (
            next(iter(named.values()))
            if self.single_name
            else {name: named[name] for name in self.names}
        )
        return given if not self.numbers else (numbered, given)


def value_and_grad(
    function: Callable[..., Any],
    argnums: Argnums = None,
    *,
    argnames: str | Sequence[str] | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """A function that returns the value of ``function`` and its gradient.

    Args:
        function: returns one floating-point tensor of shape ``()``, with ``has_aux`` a pair of that
            and any pytree.
        argnums: the positional argument to differentiate with respect to (an int: the gradient
            itself is returned), or several (a tuple is returned). Default: the first.
        argnames: the same by name; several names give a dict.
        has_aux: see ``function``.

    Returns:
        A function of the same arguments, returning ``(value, gradient)`` or
        ``((value, aux), gradient)``. Gradients have the argument's structure, with ``None`` for
        integer, buffer and frozen leaves.

    Raises:
        GradientError: the function is not scalar, or the argument holds nothing that can be
            differentiated.
    """
    selection = _Selection(function, argnums, argnames, "grad")

    @functools.wraps(function)
    @boundary
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        selected, call = selection.split(args, kwargs)
        flattened = _Flattened(selected, "grad")
        _require_differentiable(flattened, selected, function)
        flat = _FlatFunction(call, flattened.structure, "grad", has_aux)
        outs, pullback, aux = _linearized(function, flattened, flat)
        _require_scalar(outs, flat, function)
        gradient = selection.present(pullback.flat([Splat(1.0, outs[0].type)]))
        return ((outs[0], flat.aux(aux)) if has_aux else outs[0]), gradient

    return wrapped


def _require_differentiable(
    flattened: _Flattened, selected: Any, function: Callable[..., Any]
) -> None:
    chosen, named = selected
    for tree in (*chosen, *named.values()):
        leaves, structure = tree_flatten(tree)
        if structure.num_nodes == 1 and structure.num_leaves == 1:
            (tensor,) = tensor_leaves(leaves, tree, "grad", "the argument")
            if not tensor.dtype.is_floating_point:
                raise GradientError(
                    f"grad of {function_name(function)} with respect to {tensor.type}: only "
                    f"floating-point tensors have gradients. Cast it with .to(slope.float32), or "
                    f"choose another argument with argnums=."
                )
    if not any(flattened.moving):
        raise GradientError(
            f"grad of {function_name(function)}: the argument holds no floating-point leaf that "
            f"may be differentiated ({len(flattened.moving)} leaves, all of them integers, buffers "
            f"or frozen). Choose another with argnums=."
        )


def _require_scalar(
    outs: Sequence[Tensor], flat: _FlatFunction, function: Callable[..., Any]
) -> None:
    name = function_name(function)
    if flat.count != 1 or flat.out_structure.num_nodes != 1:
        hint = "" if flat.has_aux else " To return other values beside it, use has_aux=True."
        raise GradientError(
            f"grad of {name}: it must return one scalar tensor, and returned {flat.count} values "
            f"in {flat.out_structure}.{hint}"
        )
    if outs[0].shape != ():
        raise GradientError(
            f"grad of {name}: it must return a tensor of shape (), and returned {outs[0].type}. "
            f"Reduce it with .sum() or .mean(), or use slope.vjp or slope.jacrev."
        )
    if not outs[0].dtype.is_floating_point:
        raise GradientError(
            f"grad of {name}: it must return a floating-point tensor, and returned {outs[0].type}."
        )


def grad(
    function: Callable[..., Any],
    argnums: Argnums = None,
    *,
    argnames: str | Sequence[str] | None = None,
    has_aux: bool = False,
) -> Callable[..., Any]:
    """A function that returns the gradient of ``function``.

    See :func:`value_and_grad` for the arguments.

    Returns:
        A function of the same arguments, returning the gradient, with ``has_aux``
        ``(gradient, aux)``.

    Example:
        >>> slope.grad(lambda x: x**3)(slope.tensor(2.0)).item()
        12.0
    """
    both = value_and_grad(function, argnums, argnames=argnames, has_aux=has_aux)

    @functools.wraps(function)
    @boundary
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


# --- Jacobians


def _basis(tensor: Tensor, user: str) -> Tensor:
    """The unit tensors of a tensor's type, stacked along a first dimension."""
    if not is_static(tensor.shape):
        raise ShapeError(f"{user} needs known sizes, and got {tensor.type}.")
    count = int(np.prod(tensor.shape, dtype=int))
    return reshape(eye(count, dtype=tensor.dtype), (count, *tensor.shape))


def jacfwd(
    function: Callable[..., Any], argnums: Argnums = None, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the Jacobian of ``function``, by forward mode.

    Forward mode is best for few inputs and many outputs.

    Args:
        function: of pytrees of tensors.
        argnums: as in :func:`value_and_grad`.
        has_aux: whether it returns a pair of the result and auxiliary data.

    Returns:
        For each leaf of the result a tree like the argument whose leaves have shape
        ``result leaf shape + argument leaf shape``.
    """
    selection = _Selection(function, argnums, None, "jacfwd")

    @functools.wraps(function)
    @boundary
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        selected, call = selection.split(args, kwargs)
        flattened = _Flattened(selected, "jacfwd")
        _require_differentiable(flattened, selected, function)
        flat = _FlatFunction(call, flattened.structure, "jacfwd", has_aux)
        outs, program, _ = linearize_flat(
            flat, flattened.tensors, flattened.moving, function_name(function), definition(function)
        )
        moving = [
            tensor
            for tensor, moves in zip(flattened.tensors, flattened.moving, strict=True)
            if moves
        ]
        columns: list[list[Tensor]] = []
        for number, tensor in enumerate(moving):

            def push(unit: Tensor, number: int = number) -> Any:
                tangents = [
                    unit if each == number else Splat(0.0, other.type)
                    for each, other in enumerate(moving)
                ]
                return tuple(evaluate(program, tangents)[: flat.count])

            pushed = vmap(push, out_dims=-1)(_basis(tensor, "jacfwd"))
            columns.append(
                [
                    reshape(each, (*out.shape, *tensor.shape))
                    for each, out in zip(pushed, outs, strict=False)
                ]
            )
        trees = [
            selection.present(_spread(flattened, [column[row] for column in columns]))
            for row in range(flat.count)
        ]
        jacobian = tree_unflatten(flat.out_structure, trees)
        return (jacobian, flat.aux(outs[flat.count :])) if has_aux else jacobian

    return wrapped


def jacrev(
    function: Callable[..., Any], argnums: Argnums = None, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the Jacobian of ``function``, by reverse mode.

    Reverse mode is best for many inputs and few outputs.

    Arguments and result as in :func:`jacfwd`.
    """
    selection = _Selection(function, argnums, None, "jacrev")

    @functools.wraps(function)
    @boundary
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        selected, call = selection.split(args, kwargs)
        flattened = _Flattened(selected, "jacrev")
        _require_differentiable(flattened, selected, function)
        flat = _FlatFunction(call, flattened.structure, "jacrev", has_aux)
        outs, pullback, aux = _linearized(function, flattened, flat)
        trees: list[Any] = []
        for number, out in enumerate(outs):
            if not out.dtype.is_floating_point:
                raise GradientError(
                    f"jacrev of {function_name(function)}: the result must be floating-point, and "
                    f"holds {out.type}."
                )

            def pull(unit: Tensor, number: int = number) -> Any:
                cotangents = [
                    unit if each == number else Splat(0.0, other.type)
                    for each, other in enumerate(outs)
                ]
                leaves, _ = tree_flatten(pullback.flat(cotangents))
                return tuple(leaves)

            pulled = vmap(pull)(_basis(out, "jacrev"))
            moving = [
                tensor
                for tensor, moves in zip(flattened.tensors, flattened.moving, strict=True)
                if moves
            ]
            rows = [
                reshape(each, (*out.shape, *tensor.shape))
                for each, tensor in zip(pulled, moving, strict=True)
            ]
            trees.append(selection.present(_spread(flattened, rows)))
        jacobian = tree_unflatten(flat.out_structure, trees)
        return (jacobian, flat.aux(aux)) if has_aux else jacobian

    return wrapped


def _spread(flattened: _Flattened, moving: Sequence[Tensor]) -> Any:
    """The argument's tree with values at its moving leaves and ``None`` at the others."""
    values = iter(moving)
    return tree_unflatten(
        flattened.structure, [next(values) if moves else None for moves in flattened.moving]
    )


def hessian(
    function: Callable[..., Any], argnums: Argnums = None, *, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the Hessian of a scalar function: forward mode over reverse mode.

    Arguments as in :func:`jacfwd`.

    Returns:
        A tree like the argument of trees like the argument, whose leaves have the two leaves'
        shapes one after the other.
    """
    return jacfwd(jacrev(function, argnums, has_aux=has_aux), argnums, has_aux=has_aux)
