"""W9 in JAX and PyTorch, each in its own idiom; see gradbench.py for what is computed."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np


def kind(size: Any) -> str:
    """``"gmm"``, ``"lstm"`` or ``"kmeans"``."""
    return type(size).__name__.lower()


def jax_calls(size: Any) -> tuple[Any, Any]:
    """The objective and its gradient (or Newton's step) in JAX."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    given = {name: jnp.asarray(each) for name, each in size.data().items()}
    if kind(size) == "kmeans":
        points, centers = given.values()
        cost = jax.jit(jax_kmeans)

        @jax.jit
        def direction(points: Any, centers: Any) -> Any:
            gradient = jax.grad(lambda c: jax_kmeans(points, c))
            first, second = jax.jvp(gradient, (centers,), (jnp.ones_like(centers),))
            return first / second

        return lambda: float(cost(points, centers)), lambda: np.asarray(direction(points, centers))
    function = jax_gmm(size) if kind(size) == "gmm" else jax_lstm(size)
    arguments = size.arguments(given)
    objective, gradient = jax.jit(function), jax.jit(jax.grad(function))
    return (
        lambda: float(objective(*arguments)),
        lambda: [np.asarray(each) for each in gradient(*arguments)],
    )


def jax_gmm(size: Any) -> Any:
    """The log-likelihood in JAX."""
    import jax
    import jax.numpy as jnp

    rows, columns = np.tril_indices(size.d, -1)
    order = np.lexsort((rows, columns))

    def objective(parameters: Any, x: Any) -> Any:
        alpha, means, q, factors = parameters
        diagonal, sums = jnp.exp(q), q.sum(1)
        lower = jnp.zeros((size.k, size.d, size.d)).at[:, rows[order], columns[order]].set(factors)
        centered = x[:, None, :] - means
        turned = diagonal * centered + jnp.einsum("ijk,mik->mij", lower, centered)
        inner = alpha + sums - 0.5 * (turned**2).sum(2)
        logsumexp = jax.nn.logsumexp
        likelihood = logsumexp(inner, 1).sum() - size.n * logsumexp(alpha)
        return size.constant() + likelihood + 0.5 * ((diagonal**2).sum() + (factors**2).sum())

    return objective


def jax_lstm(size: Any) -> Any:
    """The loss in JAX."""
    import jax
    import jax.numpy as jnp

    def objective(parameters: Any, state: Any, text: Any) -> Any:
        main, extra = parameters
        into, out, bias = extra

        def step(carry: Any, given: Any) -> Any:
            character, following = given
            x, new = character * into, []
            for (weight, shift), (hidden, cell) in zip(main, carry, strict=True):
                forget = jax.nn.sigmoid(x * weight[0] + shift[0])
                ingate = jax.nn.sigmoid(hidden * weight[1] + shift[1])
                outgate = jax.nn.sigmoid(x * weight[2] + shift[2])
                change = jnp.tanh(hidden * weight[3] + shift[3])
                cell = cell * forget + ingate * change
                x = outgate * jnp.tanh(cell)
                new.append((x, cell))
            predicted = x * out + bias
            scores = predicted - jnp.log(jnp.exp(predicted).sum() + 2)
            return new, (following * scores).sum()

        start = [(hidden, cell) for hidden, cell in state]
        _, each = jax.lax.scan(step, start, (text[:-1], text[1:]))
        return -each.sum() / ((size.c - 1) * size.bits)

    return objective


def jax_kmeans(points: Any, centers: Any) -> Any:
    """The sum of squared distances to the nearest center, in JAX."""
    squares = (points**2).sum(1), (centers**2).sum(1)[:, None]
    return (squares[0] + squares[1] - 2 * (centers @ points.T)).min(0).sum()


def torch_calls(size: Any) -> tuple[Any, Any]:
    """The objective and its gradient (or Newton's step) in PyTorch, eager."""
    import torch

    given = {name: torch.from_numpy(each) for name, each in size.data().items()}
    if kind(size) == "kmeans":
        points, centers = given.values()

        def direction() -> Any:
            variable = centers.clone().requires_grad_()
            cost = torch_kmeans(points, variable)
            (first,) = torch.autograd.grad(cost, variable, create_graph=True)
            (second,) = torch.autograd.grad(first.sum(), variable)
            return (first.detach() / second).numpy()

        return lambda: torch_kmeans(points, centers).item(), direction
    function = torch_gmm(size) if kind(size) == "gmm" else torch_lstm(size)
    parameters, *rest = size.arguments(given)
    for each in parameters:
        each.requires_grad_()

    def objective() -> float:
        with torch.no_grad():
            return function(parameters, *rest).item()

    def gradient() -> Any:
        return [
            each.numpy() for each in torch.autograd.grad(function(parameters, *rest), parameters)
        ]

    return objective, gradient


def torch_gmm(size: Any) -> Any:
    """The log-likelihood in PyTorch."""
    import torch

    rows, columns = np.tril_indices(size.d, -1)
    order = np.lexsort((rows, columns))
    where = (torch.from_numpy(rows[order]), torch.from_numpy(columns[order]))

    def objective(parameters: Any, x: Any) -> Any:
        alpha, means, q, factors = parameters
        diagonal, sums = torch.exp(q), q.sum(1)
        lower = torch.zeros(size.k, size.d, size.d, dtype=torch.float64)
        lower[:, where[0], where[1]] = factors
        centered = x[:, None, :] - means
        turned = diagonal * centered + torch.einsum("ijk,mik->mij", lower, centered)
        inner = alpha + sums - 0.5 * (turned**2).sum(2)
        likelihood = torch.logsumexp(inner, 1).sum() - size.n * torch.logsumexp(alpha, 0)
        return size.constant() + likelihood + 0.5 * ((diagonal**2).sum() + (factors**2).sum())

    return objective


def torch_lstm(size: Any) -> Any:
    """The loss in PyTorch: a loop, as PyTorch runs it."""
    import torch

    def objective(parameters: Any, state: Any, text: Any) -> Any:
        main, extra = parameters
        into, out, bias = extra
        layers = [(*each[0], *each[1]) for each in main]
        carry = [(hidden, cell) for hidden, cell in state]
        total: Any = 0.0
        for character, following in pairwise(text):
            x = character * into
            for number, (wf, wi, wo, wc, bf, bi, bo, bc) in enumerate(layers):
                hidden, cell = carry[number]
                forget = torch.sigmoid(x * wf + bf)
                ingate = torch.sigmoid(hidden * wi + bi)
                outgate = torch.sigmoid(x * wo + bo)
                change = torch.tanh(hidden * wc + bc)
                cell = cell * forget + ingate * change
                x = outgate * torch.tanh(cell)
                carry[number] = (x, cell)
            predicted = x * out + bias
            scores = predicted - torch.log(torch.exp(predicted).sum() + 2)
            total = total + (following * scores).sum()
        return -total / ((size.c - 1) * size.bits)

    return objective


def torch_kmeans(points: Any, centers: Any) -> Any:
    """The sum of squared distances to the nearest center, in PyTorch."""
    squares = (points**2).sum(1), (centers**2).sum(1)[:, None]
    return (squares[0] + squares[1] - 2 * (centers @ points.T)).amin(0).sum()
