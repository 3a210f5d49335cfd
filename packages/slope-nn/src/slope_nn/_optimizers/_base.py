"""What all optimizers share: gradients matched with parameters, and a state for each."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar, Self, TypeVar

import slope
from slope.extend import ArgumentError, ShapeError, TreeError
from slope_nn._node import Node, walk
from slope_nn._plan import PARAMETER

Model = TypeVar("Model")


class Optimizer(Node):
    """The base of optimizers; a pytree, so it goes into and out of jitted functions like a model.

    ``new_model, new_optimizer = optimizer(model, gradients)`` is pure. Numbers among the fields
    (learning rate, momentum, counters) are leaves: a new value compiles nothing. A number that is
    ``None`` is switched off, and the program holds no work for it.

    Subclasses assign their numbers, call ``super().__init__(model)``, and define :meth:`update`
    and, if they keep state, :meth:`initial`.

    Args:
        model: a module or any pytree of tensors. Floating-point parameters that are neither frozen
            nor buffers are trained; the rest passes through.
    """

    _number_leaves: ClassVar[bool] = True

    def __init__(self, model: Any) -> None:
        found = list(walk(model))
        _warn_of_shared(found)
        self._names = tuple(_name(path) for path, _, _ in found)
        self._state = tuple(
            self.initial(leaf) if kind is PARAMETER and leaf.dtype.is_floating_point else None
            for _, kind, leaf in found
        )
        if all(state is None for state in self._state):
            raise ArgumentError(
                f"{type(self).__name__}: there is nothing to train in a {type(model).__name__} of "
                f"{len(found)} tensors: it holds no floating-point parameter that is not frozen."
            )

    def initial(self, parameter: slope.Tensor) -> Any:
        """The state that a parameter starts with: a pytree, ``()`` for none."""
        return ()

    def update(
        self, parameter: slope.Tensor, gradient: slope.Tensor, state: Any
    ) -> tuple[Any, Any]:
        """The new value and the new state of one parameter."""
        raise NotImplementedError

    def advance(self) -> None:
        """Move counters on, once for each call; on the new optimizer."""

    def __call__(self, model: Model, gradients: Any) -> tuple[Model, Self]:
        """One step.

        Args:
            model: what the optimizer was made for, at any later stage.
            gradients: of the model's structure, as ``slope.grad`` gives them. ``None`` leaves a
                parameter as it is.

        Returns:
            The new model and the new optimizer; the old ones stay as they are.

        Raises:
            TreeError: the model is not the one that the optimizer was made for, or the gradients
                are not its own.
            ShapeError: a gradient is of another shape or dtype than its parameter.
        """
        leaves, structure = slope.tree_flatten(model)
        names = _leaf_names(structure)
        if names != self._names:
            raise TreeError(
                f"{type(self).__name__} was made for another model: "
                f"{_difference(*_apart(self._names, names))}. Make a new optimizer for this model."
            )
        matched = _match(type(self).__name__, structure, names, gradients)
        values, states = [], []
        for name, leaf, gradient, state in zip(names, leaves, matched, self._state, strict=True):
            if gradient is not None:
                self._check(name, leaf, gradient, state)
                leaf, state = self.update(leaf, gradient, state)
            values.append(leaf)
            states.append(state)
        new = copy.copy(self)
        new._state = tuple(states)  # noqa: SLF001  # a copy of itself  # a copy of itself
        new.advance()
        return slope.tree_unflatten(structure, values), new

    def _check(self, name: str, leaf: slope.Tensor, gradient: Any, state: Any) -> None:
        me = type(self).__name__
        if not isinstance(gradient, slope.Tensor) or gradient.type != leaf.type:
            got = gradient.type if isinstance(gradient, slope.Tensor) else repr(gradient)
            raise ShapeError(
                f"{me}: the gradient of {name!r} is {got}, and the parameter is {leaf.type}. "
                f"Differentiate with respect to the model that the optimizer updates."
            )
        if state is None:
            raise TreeError(
                f"{me}: {name!r} has a gradient, but it was frozen, a buffer or of integers when "
                f"the optimizer was made. Make a new optimizer after unfreeze()."
            )

    def __repr__(self) -> str:
        fields = (f"{name}={value!r}" for name, value in self.__dict__.items() if name[0] != "_")
        trained = sum(state is not None for state in self._state)
        return (
            f"{type(self).__name__}({', '.join(fields)}; {trained} of {len(self._state)} tensors)"
        )


def hyperparameter(who: str, name: str, value: Any, *, optional: bool = True) -> Any:
    """A number of an optimizer, checked; ``None`` for zero if it is optional: switched off.

    Raises:
        ArgumentError: it is no number, or negative.
    """
    if isinstance(value, slope.Tensor):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ArgumentError(f"{who}: {name} must be a number of at least 0, not {value!r}.")
    return None if optional and value == 0 else float(value)


@lru_cache(maxsize=256)
def _leaf_names(structure: Any) -> tuple[str, ...]:
    tree = slope.tree_unflatten(structure, range(structure.num_leaves))
    return tuple(_name(path) for path, _, _ in walk(tree))


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the parameter"


def _match(who: str, structure: Any, names: tuple[str, ...], gradients: Any) -> list[Any]:
    """The gradient of each leaf of the model, None where there is none."""
    try:
        return structure.flatten_up_to(gradients)
    except (ValueError, TypeError) as error:
        leaves, found = slope.tree_flatten(gradients, is_leaf=lambda leaf: leaf is None)
        places = zip(_leaf_names(found), leaves, strict=True)
        given = {name: leaf is not None for name, leaf in places}
        lacking = [name for name in names if name not in given]
        strange = [name for name, there in given.items() if there and name not in names]
        if lacking or strange:
            told = _difference(lacking, strange)
        else:
            why = str(error).splitlines()[0]
            told = f"a static field differs, such as a mode or a size ({why:.300})"
        raise TreeError(
            f"{who}: the gradients ({type(gradients).__name__}) do not have the model's structure: "
            f"{told}. Pass what slope.grad gives for the model itself."
        ) from None


def _apart(expected: Sequence[str], found: Sequence[str]) -> tuple[list[str], list[str]]:
    return [one for one in expected if one not in found], [o for o in found if o not in expected]


def _difference(lacking: Sequence[str], strange: Sequence[str]) -> str:
    """In words: the first names that are missing and the first that are too many."""
    if not lacking and not strange:
        return "the order is another"
    return (
        f"expected {', '.join(lacking[:3]) or 'nothing more'}; "
        f"found {', '.join(strange[:3]) or 'nothing'} instead"
    )


def _warn_of_shared(found: list[tuple[tuple[str, ...], str, Any]]) -> None:
    seen: dict[int, str] = {}
    for path, kind, leaf in found:
        name = _name(path)
        if not isinstance(leaf, slope.Tensor):
            raise ArgumentError(
                f"an optimizer takes a module or a pytree of tensors; {name!r} is {leaf!r}."
            )
        if kind is PARAMETER and (first := seen.setdefault(id(leaf), name)) != name:
            warnings.warn(
                f"one tensor is the parameter {first!r} and the parameter {name!r}. They will be "
                f"updated apart; to keep them one, declare it in the module that holds both: "
                f"self.tie({name!r}, {first!r}).",
                stacklevel=4,
            )
