"""L-BFGS: quasi-Newton steps for functions that can be evaluated again and again."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar

import slope
from slope.extend import ArgumentError, ShapeError, TreeError
from slope_nn._checks import real, whole
from slope_nn._node import Node, walk
from slope_nn._optimizers._base import hyperparameter, is_trained
from slope_nn._optimizers._line_search import Point, strong_wolfe
from slope_nn._vectors import refilled

Model = TypeVar("Model")
State = dict[str, Any]


class LBFGS(Node):
    r"""Quasi-Newton steps from the last gradients and steps, as ``torch.optim.LBFGS``.

    Unlike the other optimizers it takes the loss, not its gradient, since it evaluates it several
    times: ``model, optimizer, loss = optimizer(model, loss_of)``. A call makes up to ``max_iter``
    iterations. It is a loop that compiles, so a call may stand inside :func:`slope.jit`, which also
    spares each call the tracing of the loss.

    Source: D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization",
    Mathematical Programming 45, 1989.

    Args:
        model: a module or any pytree of tensors. Floating-point parameters that are neither frozen
            nor buffers are trained.
        lr: the length of a step, or of the line search's first try.
        max_iter: the number of iterations in a call.
        max_eval: a call ends when the loss was evaluated that often; ``max_iter * 5 // 4`` by
            default.
        tolerance_grad: it ends where no element of the gradient is larger.
        tolerance_change: it ends where no parameter, or the loss, changes by more.
        history_size: how many gradients and steps are kept; their memory is twice that many times
            the parameters'.
        line_search_fn: ``None`` for steps of length ``lr``, or ``"strong_wolfe"``.

    Attributes:
        evaluations: how often the loss was evaluated so far.

    Example:
        >>> optimizer = nn.LBFGS(model, line_search_fn="strong_wolfe")
        >>> fit = slope.jit(lambda m, o, x, y: o(m, lambda m: slope.mse_loss(m(x), y)))
        >>> model, optimizer, loss = fit(model, optimizer, x, y)
    """

    _number_leaves: ClassVar[bool] = True
    _static: ClassVar[frozenset[str]] = frozenset({"max_iter", "max_eval", "history_size"})

    lr: Any
    tolerance_grad: Any
    tolerance_change: Any

    def __init__(
        self,
        model: Any,
        lr: float | slope.Tensor = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        self.lr = hyperparameter("LBFGS", "lr", lr, optional=False)
        self.max_iter = whole("LBFGS", "max_iter", max_iter)
        most = max_iter * 5 // 4 if max_eval is None else max_eval
        self.max_eval = whole("LBFGS", "max_eval", most)
        self.tolerance_grad = real("LBFGS", "tolerance_grad", tolerance_grad)
        self.tolerance_change = real("LBFGS", "tolerance_change", tolerance_change)
        self.history_size = whole("LBFGS", "history_size", history_size)
        if line_search_fn not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"LBFGS: line_search_fn must be None or 'strong_wolfe', not {line_search_fn!r:.60}."
            )
        self.line_search_fn = line_search_fn
        self._trained = tuple(is_trained(kind, leaf) for _, kind, leaf in walk(model))
        if not any(self._trained):
            raise ArgumentError(
                f"LBFGS: there is nothing to train in a {type(model).__name__}: it holds no "
                f"floating-point parameter that is not frozen."
            )
        flat = self._flat(slope.tree_leaves(model))
        zero, one = slope.zeros_like(flat), slope.ones((), dtype=flat.dtype)
        rows = slope.zeros(self.history_size, flat.shape[0], dtype=flat.dtype)
        self.evaluations = slope.tensor(0)
        self._state = {
            "iterations": slope.tensor(0),
            "direction": zero,
            "length": one,
            "gradient": zero,
            "changes": rows,
            "steps": rows,
            "weights": slope.zeros(self.history_size, dtype=flat.dtype),
            "scale": one,
        }

    def _flat(self, leaves: list[Any]) -> slope.Tensor:
        parts = [leaf.reshape(-1) for leaf, on in zip(leaves, self._trained, strict=True) if on]
        dtype = parts[0].dtype
        for part in parts[1:]:
            dtype = slope.promote_types(dtype, part.dtype)
        return slope.cat([part.astype(dtype) for part in parts])

    def __call__(
        self, model: Model, loss: Callable[..., Any], *args: Any
    ) -> tuple[Model, Self, slope.Tensor]:
        """Up to ``max_iter`` iterations.

        Args:
            model: what the optimizer was made for, at any later stage.
            loss: gives a tensor of shape () of a model (and ``args``).
            args: what else the loss takes.

        Returns:
            The new model, the new optimizer, and the loss of the model that was given.

        Raises:
            TreeError: the model is not the one that the optimizer was made for.
            ArgumentError: ``loss`` cannot be called.
        """
        if not callable(loss):
            raise ArgumentError(
                f"LBFGS takes the loss, not gradients: model, optimizer, value = optimizer(model, "
                f"lambda model: ...); got a {type(loss).__name__}."
            )
        leaves, structure = slope.tree_flatten(model)
        if len(leaves) != len(self._trained):
            raise TreeError(
                f"LBFGS was made for a model of {len(self._trained)} tensors, and this one has "
                f"{len(leaves)}. Make a new optimizer for this model."
            )

        def rebuilt(flat: slope.Tensor) -> Any:
            return slope.tree_unflatten(structure, refilled(leaves, self._trained, flat))

        measure = slope.value_and_grad(lambda flat: loss(rebuilt(flat), *args))
        flat = self._flat(leaves)
        if flat.shape != self._state["gradient"].shape:
            raise ShapeError(
                f"LBFGS was made for parameters of {self._state['gradient'].numel()} numbers, and "
                f"this model has {flat.numel()}. Make a new optimizer for this model."
            )
        first, gradient = measure(flat)
        done = slope.abs(gradient).amax() <= self.tolerance_grad
        begin = {
            "at": flat,
            "loss": first.astype(flat.dtype),
            "now": gradient,
            "count": slope.tensor(0),
            "evaluations": slope.tensor(1),
            "done": done,
            "state": self._state,
        }
        end = slope.while_loop(
            lambda c: slope.logical_not(c["done"]), lambda c: self._iteration(c, measure), begin
        )
        new = copy.copy(self)
        new._state = end["state"]  # noqa: SLF001  # a copy of itself
        new.evaluations = self.evaluations + end["evaluations"]
        return rebuilt(end["at"]), new, first

    def _iteration(self, carry: State, measure: Callable[..., Any]) -> State:
        state, gradient = carry["state"], carry["now"]
        state = self._directed(state, gradient)
        direction = state["direction"]
        start = Point(
            slope.zeros_like(carry["loss"]), carry["loss"], gradient, (gradient * direction).sum()
        )
        count = carry["count"] + 1
        over = start.slope > -self.tolerance_change

        def evaluate(distance: Any) -> Point:
            value, new = measure(carry["at"] + distance * direction)
            return Point(distance, value.astype(direction.dtype), new, (new * direction).sum())

        def stays() -> tuple[Point, Any]:
            return start, slope.tensor(0)

        def moves() -> tuple[Point, Any]:
            if self.line_search_fn is not None:
                size = slope.abs(direction).amax()
                most = self.max_eval - carry["evaluations"]
                return strong_wolfe(
                    evaluate, start, state["length"], size, most, self.tolerance_change
                )
            blind = start._replace(at=state["length"])  # the last step needs no look
            return slope.cond(
                count == self.max_iter,
                lambda: (blind, slope.tensor(0)),
                lambda: (evaluate(state["length"]), slope.tensor(1)),
            )

        point, looks = slope.cond(over, stays, moves)
        step = point.at * direction
        evaluations = carry["evaluations"] + looks
        for end in (
            count == self.max_iter,
            evaluations >= self.max_eval,
            slope.abs(point.gradient).amax() <= self.tolerance_grad,
            slope.abs(step).amax() <= self.tolerance_change,
            slope.abs(point.value - carry["loss"]) < self.tolerance_change,
        ):
            over = slope.logical_or(over, end)
        return {
            "at": carry["at"] + step,
            "loss": point.value,
            "now": point.gradient,
            "count": count,
            "evaluations": evaluations,
            "done": over,
            "state": {**state, "length": point.at},
        }

    def _directed(self, state: State, gradient: slope.Tensor) -> State:
        """The state with the last change taken in, and the next direction and length."""
        first = state["iterations"] == 0
        change = gradient - state["gradient"]
        step = state["direction"] * state["length"]
        along = (change * step).sum()
        useful = slope.logical_and(along > 1e-10, slope.logical_not(first))
        safe = slope.where(useful, along, 1.0)

        def appended(rows: slope.Tensor, row: slope.Tensor) -> slope.Tensor:
            return slope.where(useful, slope.cat([rows[1:], row.unsqueeze(0)]), rows)

        square = slope.where(useful, (change * change).sum(), 1.0)
        new = {
            "iterations": state["iterations"] + 1,
            "gradient": gradient,
            "changes": appended(state["changes"], change),
            "steps": appended(state["steps"], step),
            "weights": appended(state["weights"], 1.0 / safe),
            "scale": slope.where(useful, safe / square, state["scale"]),
        }
        direction = -_inverse_hessian_times(gradient, new)
        shortened = slope.minimum(1.0 / slope.abs(gradient).sum(), 1.0) * self.lr
        length = slope.where(first, shortened, self.lr)
        return {**new, "direction": direction, "length": length.astype(gradient.dtype)}


def _inverse_hessian_times(vector: slope.Tensor, state: State) -> slope.Tensor:
    """The product, by two loops over what is kept; rows that are not filled weigh nothing."""
    kept = (state["changes"], state["steps"], state["weights"])

    def back(rest: slope.Tensor, row: Any) -> tuple[slope.Tensor, slope.Tensor]:
        change, step, weight = row
        share = (step * rest).sum() * weight
        return rest - share * change, share

    def forth(result: slope.Tensor, row: Any) -> tuple[slope.Tensor, None]:
        (change, step, weight), share = row
        return result + (share - (change * result).sum() * weight) * step, None

    rest, shares = slope.scan(back, vector, kept, reverse=True)
    return slope.scan(forth, rest * state["scale"], (kept, shares))[0]
