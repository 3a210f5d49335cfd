"""Gradients of scalar functions: grad and value_and_grad."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, ParamSpec, TypeVar, overload

from slope.api._arguments import (
    function_name,
    positional_names,
    require_callable,
    require_flag,
    tensor_leaves,
    whole_numbers,
    words,
)
from slope.api._products import FlatFunction, Flattened, linearized
from slope.core.tensor import Splat, Tensor
from slope.errors import ArgumentError, GradientError, boundary
from slope.functions.generator import all_or_nothing
from slope.tree import tree_flatten

Argnums = int | Sequence[int] | None
Aux = TypeVar("Aux")
P = ParamSpec("P")


class Selection:
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
        require_callable(function, user)
        default = (0,) if argnames is None else ()
        self.numbers = default if argnums is None else whole_numbers(argnums, user, "argnums")
        self.names = () if argnames is None else words(argnames, user, "argnames")
        self.single_name = isinstance(argnames, str)
        self._positions = positional_names(function) if self.names else []
        self.function = function

    def split(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, Callable[[Any], Any]]:
        """The selected arguments, and a function of them alone.

        The arguments are a pair ``(tuple by number, dict by name)``, and the function takes one.
        """
        numbers = self._numbers_in(len(args))
        places = {name: self._place_of(name, args, kwargs) for name in self.names}
        for name, place in places.items():
            if place in numbers:
                raise ArgumentError(
                    f"{self.user} of {function_name(self.function)}: the argument {name!r} is in "
                    f"argnums and in argnames."
                )

        def call(selected: Any) -> Any:
            chosen, named = selected
            full, keywords = list(args), dict(kwargs)
            for number, value in zip(numbers, chosen, strict=True):
                full[number] = value
            for name, value in named.items():
                place = places[name]
                if place is None:
                    keywords[name] = value
                else:
                    full[place] = value
            return self.function(*full, **keywords)

        by_name = {
            name: kwargs[name] if place is None else args[place] for name, place in places.items()
        }
        return (tuple(args[number] for number in numbers), by_name), call

    def _numbers_in(self, count: int) -> list[int]:
        """The selected positions among so many arguments, counted from the first."""
        numbers = [number + count if number < 0 else number for number in self.numbers]
        for given, number in zip(self.numbers, numbers, strict=True):
            if not 0 <= number < count:
                raise ArgumentError(
                    f"{self.user} of {function_name(self.function)}: argnums={given} but there are "
                    f"{count} positional arguments."
                )
        if len({*numbers}) < len(numbers):
            raise ArgumentError(
                f"{self.user} of {function_name(self.function)}: argnums={self.numbers} names an "
                f"argument twice."
            )
        return numbers

    def _place_of(self, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> int | None:
        """The position of an argument that is selected by name; ``None``: it is given by name."""
        if name in kwargs:
            return None
        if name in self._positions and self._positions.index(name) < len(args):
            return self._positions.index(name)
        raise ArgumentError(
            f"{self.user} of {function_name(self.function)}: there is no argument named {name!r} "
            f"in this call."
        )

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


@overload
def value_and_grad(
    function: Callable[P, Tensor],
    argnums: Argnums = None,
    *,
    argnames: str | Sequence[str] | None = None,
    has_aux: Literal[False] = False,
) -> Callable[P, tuple[Tensor, Any]]: ...
@overload
def value_and_grad(
    function: Callable[P, tuple[Tensor, Aux]],
    argnums: Argnums = None,
    *,
    argnames: str | Sequence[str] | None = None,
    has_aux: Literal[True],
) -> Callable[P, tuple[tuple[Tensor, Aux], Any]]: ...
@overload
def value_and_grad(
    function: Callable[P, Any],
    argnums: Argnums = None,
    *,
    argnames: str | Sequence[str] | None = None,
    has_aux: bool = False,
) -> Callable[P, tuple[Any, Any]]: ...
@boundary
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
        integer, buffer and frozen leaves, and the shapes and dtypes of its leaves.

    Raises:
        GradientError: when called, the function is not scalar, or the argument holds nothing that
            can be differentiated.
        ArgumentError: when called, there is no such argument, or it is named twice.

    Example:
        >>> value, gradient = slope.value_and_grad(lambda x: x**3)(slope.tensor(2.0))
        >>> value.item(), gradient.item()
        (8.0, 12.0)
    """
    selection = Selection(function, argnums, argnames, "grad")
    require_flag(has_aux, "grad", "has_aux")

    @functools.wraps(function)
    @all_or_nothing
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        selected, call = selection.split(args, kwargs)
        flattened = Flattened(selected, "grad")
        require_differentiable(flattened, selected, function, "grad")
        flat = FlatFunction(call, flattened.structure, "grad", has_aux)
        outs, pullback, aux = linearized(function, flattened, flat)
        _require_scalar(outs, flat, function)
        gradient = selection.present(pullback.flat([Splat(1.0, outs[0].type)]))
        return ((outs[0], flat.aux(aux)) if has_aux else outs[0]), gradient

    return wrapped


def require_differentiable(
    flattened: Flattened, selected: Any, function: Callable[..., Any], user: str
) -> None:
    """Refuse arguments with nothing to differentiate.

    Raises:
        GradientError: an argument is one integer tensor, or no leaf may be differentiated.
    """
    name = f"{user} of {function_name(function)}"
    chosen, named = selected
    for tree in (*chosen, *named.values()):
        leaves, structure = tree_flatten(tree)
        if structure.num_nodes == 1 and structure.num_leaves == 1:
            (tensor,) = tensor_leaves(leaves, tree, user, "the argument")
            if not tensor.dtype.is_floating_point:
                raise GradientError(
                    f"{name} with respect to {tensor.type}: only floating-point tensors have "
                    f"gradients. Cast it with .to(slope.float32), or choose another argument with "
                    f"argnums=."
                )
    if not any(flattened.moving):
        raise GradientError(
            f"{name}: the argument holds no floating-point leaf that may be differentiated "
            f"({len(flattened.moving)} leaves, all of them integers, buffers or frozen). Choose "
            f"another with argnums=."
        )


def _require_scalar(
    outs: Sequence[Tensor], flat: FlatFunction, function: Callable[..., Any]
) -> None:
    name = function_name(function)
    if flat.count != 1 or flat.out_structure.num_nodes != 1:
        if flat.out_structure.num_nodes == 1:
            raise GradientError(
                f"grad of {name}: it must return one scalar tensor, and returned None; a `return` "
                f"is missing."
            )
        hint = "" if flat.has_aux else " To return other values beside it, use has_aux=True."
        raise GradientError(
            f"grad of {name}: it must return one scalar tensor, and returned {flat.count} values "
            f"in {flat.out_structure!s:.200}.{hint}"
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


@boundary
def grad(
    function: Callable[P, Any],
    argnums: Argnums = None,
    *,
    argnames: str | Sequence[str] | None = None,
    has_aux: bool = False,
) -> Callable[P, Any]:
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
    @all_or_nothing
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped
