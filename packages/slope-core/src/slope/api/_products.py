"""Products with derivatives: vjp, jvp, linearize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from slope.api._arguments import (
    definition,
    function_name,
    output_leaves,
    require_callable,
    require_flag,
    tensor_leaves,
    type_name,
)
from slope.core.operator import Linear, Tangent
from slope.core.program import Program, evaluate
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType
from slope.errors import ArgumentError, ShapeError, TreeError, boundary
from slope.functions.generator import all_or_nothing
from slope.transforms.jvp import jvp_flat
from slope.transforms.linearize import linearize_flat
from slope.transforms.transpose import backward
from slope.tree import differentiable_mask, flatten_up_to, leaf_paths, tree_flatten, tree_unflatten

if TYPE_CHECKING:
    from optree import PyTreeSpec


R = TypeVar("R")
Aux = TypeVar("Aux")


class Flattened:
    """Some arguments of a call, flattened: what is differentiated with respect to.

    Attributes:
        tensors: the leaves.
        moving: which of them are differentiated.
        moving_tensors: those.
    """

    def __init__(self, trees: Any, user: str, what: str = "the arguments") -> None:
        leaves, self.structure = tree_flatten(trees)
        self.trees = trees
        self.tensors = tensor_leaves(leaves, trees, user, what)
        allowed = differentiable_mask(trees, self.structure)
        self.moving = [
            ok and tensor.dtype.is_floating_point
            for ok, tensor in zip(allowed, self.tensors, strict=True)
        ]

    @property
    def moving_tensors(self) -> list[Tensor]:
        return [x for x, moves in zip(self.tensors, self.moving, strict=True) if moves]


class FlatFunction:
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
                    f"auxiliary data); it returned a {type_name(result)}."
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
        args: Flattened,
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


def linearized(
    function: Callable[..., Any], args: Flattened, flat: FlatFunction
) -> tuple[list[Tensor], Pullback, list[Tensor]]:
    """The results, the pullback, and the tensors of the auxiliary data."""
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


@overload
def vjp(
    function: Callable[..., R], *primals: Any, has_aux: Literal[False] = False
) -> tuple[R, Pullback]: ...
@overload
def vjp(
    function: Callable[..., tuple[R, Aux]], *primals: Any, has_aux: Literal[True]
) -> tuple[R, Pullback, Aux]: ...
@overload
def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool) -> Any: ...
@all_or_nothing
def vjp(function: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """Run a function and get its pullback (vector-Jacobian product).

    Args:
        function: of pytrees of tensors.
        primals: its arguments.
        has_aux: whether it returns a pair of the result and auxiliary data, which is not
            differentiated.

    Returns:
        ``(result, pullback)``, with ``has_aux`` ``(result, pullback, aux)``.
        ``pullback(cotangent)`` is the tuple of the arguments' cotangents, with ``None`` at integer,
        buffer and frozen leaves.

    Raises:
        ArgumentError: a leaf of the arguments or of the result is no tensor, number or NumPy array,
            or the result is no pair though ``has_aux`` is true. The pullback raises
            :class:`~slope.errors.TreeError` and :class:`~slope.errors.ShapeError` for a cotangent
            of another structure or type than the result's.

    Example:
        >>> y, pullback = slope.vjp(slope.sin, slope.tensor(0.0))
        >>> pullback(slope.tensor(1.0))[0].item()
        1.0
    """
    require_callable(function, "vjp")
    require_flag(has_aux, "vjp", "has_aux")
    args = Flattened(primals, "vjp")
    flat = FlatFunction(lambda trees: function(*trees), args.structure, "vjp", has_aux)
    outs, pullback, aux = linearized(function, args, flat)
    result = tree_unflatten(flat.out_structure, outs)
    return (result, pullback, flat.aux(aux)) if has_aux else (result, pullback)


@all_or_nothing
def linearize(function: Callable[..., R], *primals: Any) -> tuple[R, Callable[..., R]]:
    """Run a function and get its derivative there as a linear function of tangents.

    Args:
        function: of pytrees of tensors.
        primals: its arguments.

    Returns:
        ``(result, derivative)``; ``derivative(*tangents)`` is the result's tangent, and runs only
        the linear part. Its ``program`` is that part.

    Raises:
        ArgumentError: a leaf of the arguments or of the result is no tensor, number or NumPy array.
            ``derivative`` raises :class:`~slope.errors.TreeError` and
            :class:`~slope.errors.ShapeError` for tangents of other structures or types than the
            arguments'.

    Example:
        >>> y, derivative = slope.linearize(slope.sin, slope.tensor(0.0))
        >>> derivative(slope.tensor(2.0)).item()
        2.0
    """
    require_callable(function, "linearize")
    args = Flattened(primals, "linearize")
    flat = FlatFunction(lambda trees: function(*trees), args.structure, "linearize", False)
    outs, pullback, _ = linearized(function, args, flat)
    program = pullback.program

    @boundary
    def derivative(*tangents: Any) -> Any:
        given = _tangent_leaves(args, tangents, "the derivative of linearize")
        results = evaluate(
            program,
            [
                tangent
                for tangent, moves in zip(given, args.moving, strict=True)
                if moves and tangent is not None
            ],
        )
        return tree_unflatten(flat.out_structure, results)

    derivative.program = program  # for people to print
    return tree_unflatten(flat.out_structure, outs), derivative


def _tangent_leaves(args: Flattened, tangents: Any, user: str) -> list[Tangent]:
    """Tangents checked against the primals; ``None`` where the primal does not differentiate."""
    leaves = flatten_up_to(args.structure, tuple(tangents), "the tangents")
    paths = leaf_paths(args.trees)
    checked: list[Tangent] = []
    for leaf, primal, moves, path in zip(leaves, args.tensors, args.moving, paths, strict=True):
        if not moves or leaf is None:
            checked.append(None if not moves else Splat(0.0, primal.type))
            continue
        checked.append(_like(leaf, primal.type, user, f"the tangent{path}", "its primal's"))
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


@overload
def jvp(
    function: Callable[..., R], primals: Any, tangents: Any, *, has_aux: Literal[False] = False
) -> tuple[R, R]: ...
@overload
def jvp(
    function: Callable[..., tuple[R, Aux]], primals: Any, tangents: Any, *, has_aux: Literal[True]
) -> tuple[R, R, Aux]: ...
@overload
def jvp(function: Callable[..., Any], primals: Any, tangents: Any, *, has_aux: bool) -> Any: ...
@all_or_nothing
def jvp(function: Callable[..., Any], primals: Any, tangents: Any, *, has_aux: bool = False) -> Any:
    """Run a function and push tangents forward (Jacobian-vector product).

    Args:
        function: of pytrees of tensors.
        primals: its arguments, a tuple.
        tangents: a tuple of the same structure; ``None`` is zero, and is what integer leaves have.
        has_aux: whether it returns a pair of the result and auxiliary data.

    Returns:
        ``(result, tangent of the result)``, with ``has_aux`` ``(result, tangent, aux)``. The
        tangent has the result's structure, shapes and dtypes.

    Raises:
        ArgumentError: ``primals`` or ``tangents`` is no tuple, or holds a leaf that is no tensor,
            number or NumPy array.
        TreeError: the structures of ``primals`` and ``tangents`` differ.
        ShapeError: a tangent's shape or dtype is not its primal's.

    Example:
        >>> slope.jvp(slope.sin, (slope.tensor(0.0),), (slope.tensor(2.0),))[1].item()
        2.0
    """
    require_callable(function, "jvp")
    require_flag(has_aux, "jvp", "has_aux")
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise ArgumentError(
            "jvp takes the primals and the tangents as tuples: slope.jvp(f, (x,), (dx,))."
        )
    if len(primals) != len(tangents):
        raise TreeError(
            f"jvp got {len(primals)} primals and {len(tangents)} tangents; there must be one for "
            f"each."
        )
    args = Flattened(tuple(primals), "jvp")
    flat = FlatFunction(lambda trees: function(*trees), args.structure, "jvp", has_aux)
    given = _tangent_leaves(args, tangents, "jvp")
    outs, out_tangents = jvp_flat(
        flat, args.tensors, given, function_name(function), definition(function)
    )
    pushed = [
        Splat(0, out.type) if tangent is None else tangent
        for out, tangent in zip(outs, out_tangents, strict=True)
    ]
    count = flat.count
    result = tree_unflatten(flat.out_structure, outs[:count])
    tangent = tree_unflatten(flat.out_structure, pushed[:count])
    return (result, tangent, flat.aux(outs[count:])) if has_aux else (result, tangent)
