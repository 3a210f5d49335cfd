"""W9: objectives and gradients as GradBench defines them, at its sizes, in float64.

Source of the definitions: gradbench/gradbench (``evals/gmm``, ``evals/lstm``, ``evals/kmeans``),
which took the first two from microsoft/ADBench.

- GMM: the log-likelihood of n = 1,000 points in d dimensions under k Gaussians, whose inverse
  covariances are given by factors, with a Wishart prior; gradient by weights, means and factors.
- LSTM: the loss of predicting a text of c characters of 14 bits with l layers whose weight matrices
  are diagonal; gradient by all parameters.
- k-means: the sum of the squared distances of n points to their nearest of k centers; and the step
  of Newton's method, gradient over the diagonal of the Hessian.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import gradbench_peers
import numpy as np
from systems import Array, chosen

Call = Callable[[], Any]


class GMM(NamedTuple):
    """Dimensions, Gaussians and points; published: d of 2 to 64, k of 5 to 100, n of 1,000."""

    d: int
    k: int
    n: int = 1000

    def data(self) -> dict[str, Array]:
        """Parameters alpha, means, q and l, and the points x."""
        random = np.random.default_rng(31337)
        d, k = self.d, self.k
        return {
            "x": random.normal(size=(self.n, d)),
            "means": random.uniform(size=(k, d)),
            "q": random.normal(size=(k, d)),
            "l": random.normal(size=(k, d * (d - 1) // 2)),
            "alpha": random.normal(size=k),
        }

    def arguments(self, given: Mapping[str, Any]) -> tuple[list[Any], *tuple[Any, ...]]:
        """The objective's: the parameters that it is differentiated by, and the rest."""
        return [given[name] for name in ("alpha", "means", "q", "l")], given["x"]

    def constant(self) -> float:
        """What of the result no parameter changes (gamma is 1 and m is 0)."""
        d, k = self.d, self.k
        freedom = d + 1
        multigamma = d * (d - 1) / 4 * math.log(math.pi) + sum(
            math.lgamma((freedom - i) / 2) for i in range(d)
        )
        prior = freedom * d * math.log(1 / math.sqrt(2)) - multigamma
        return -self.n * d * 0.5 * math.log(2 * math.pi) - k * prior


class LSTM(NamedTuple):
    """Layers and characters; published: 2 and 4, c of 1,024 and 4,096; a character's bits."""

    layers: int
    c: int
    bits: int = 14

    def data(self) -> dict[str, Array]:
        """Parameters, the state before the text, and the text, bit by bit."""
        random = np.random.default_rng(1)
        return {
            "main": random.random((self.layers, 2, 4, self.bits)),
            "extra": random.random((3, self.bits)),
            "state": random.random((self.layers, 2, self.bits)),
            "text": random.integers(0, 2, (self.c, self.bits)).astype(np.float64),
        }

    def arguments(self, given: Mapping[str, Any]) -> tuple[list[Any], *tuple[Any, ...]]:
        """The objective's: the parameters that it is differentiated by, and the rest."""
        return [given["main"], given["extra"]], given["state"], given["text"]


class KMeans(NamedTuple):
    """Centers, points, dimensions; published: k of 10 to 1,000, n of 1,000 to 100,000, d 8, 16."""

    k: int
    n: int
    d: int

    def data(self) -> dict[str, Array]:
        """Points, and the last of them as centers, so that none is without points."""
        points = np.random.default_rng(0).random((self.n, self.d))
        return {"points": points, "centers": points[-self.k :].copy()}


SIZES: dict[str, Any] = {
    "gmm small": GMM(2, 5),
    "gmm middle": GMM(10, 25),
    "lstm small": LSTM(2, 1024),
    "lstm middle": LSTM(4, 1024),
    "kmeans small": KMeans(10, 1000, 8),
    "kmeans middle": KMeans(100, 10000, 8),
}
TINY = {"gmm": GMM(3, 2, 7), "lstm": LSTM(2, 6, 3), "kmeans": KMeans(2, 9, 3)}


def gmm_objective(size: GMM) -> Callable[..., Any]:
    """The log-likelihood in slope, of (alpha, means, q, l) and x."""
    import slope

    rows, columns = np.tril_indices(size.d, -1)
    order = np.lexsort((rows, columns))  # the factors stand column by column

    def objective(parameters: Any, x: Any) -> Any:
        alpha, means, q, factors = parameters
        diagonal, sums = slope.exp(q), q.sum(dim=1)
        lower = slope.zeros(size.k, size.d, size.d, dtype=slope.float64)
        lower = lower.at[:, rows[order], columns[order]].set(factors)
        centered = x[:, None, :] - means
        turned = diagonal * centered + slope.einsum("ijk,mik->mij", lower, centered)
        inner = alpha + sums - 0.5 * (turned * turned).sum(dim=2)
        likelihood = slope.logsumexp(inner, 1).sum() - size.n * slope.logsumexp(alpha, 0)
        prior = 0.5 * ((diagonal * diagonal).sum() + (factors * factors).sum())
        return size.constant() + likelihood + prior

    return objective


def lstm_objective(size: LSTM) -> Callable[..., Any]:
    """The loss in slope, of (main, extra) and state and text; one scan over the characters."""
    import slope

    def objective(parameters: Any, state: Any, text: Any) -> Any:
        main, extra = parameters
        into, out, bias = extra

        def step(carry: Any, given: Any) -> Any:
            character, following = given
            x, new = character * into, []
            for layer in range(size.layers):
                hidden, cell = carry[layer]
                weight, shift = main[layer]
                forget = slope.sigmoid(x * weight[0] + shift[0])
                ingate = slope.sigmoid(hidden * weight[1] + shift[1])
                outgate = slope.sigmoid(x * weight[2] + shift[2])
                change = slope.tanh(hidden * weight[3] + shift[3])
                cell = cell * forget + ingate * change
                x = outgate * slope.tanh(cell)
                new.append((x, cell))
            predicted = x * out + bias
            scores = predicted - slope.log(slope.exp(predicted).sum() + 2)
            return new, (following * scores).sum()

        start = [(state[layer, 0], state[layer, 1]) for layer in range(size.layers)]
        _, each = slope.scan(step, start, (text[:-1], text[1:]))
        return -each.sum() / ((size.c - 1) * size.bits)

    return objective


def kmeans_cost(points: Any, centers: Any) -> Any:
    """The sum of squared distances to the nearest center, in slope."""
    squares = (points * points).sum(dim=1), (centers * centers).sum(dim=1)[:, None]
    return (squares[0] + squares[1] - 2 * (centers @ points.T)).amin(dim=0).sum()


def slope_calls(backend: str, size: Any) -> tuple[Call, Call]:
    """The objective and its gradient (or Newton's step) on a backend of slope."""
    import slope

    given = {name: slope.from_numpy(each) for name, each in size.data().items()}
    if isinstance(size, KMeans):
        points, centers = given.values()

        def direction(points: Any, centers: Any) -> Any:
            gradient = slope.grad(lambda c: kmeans_cost(points, c))
            first, second = slope.jvp(gradient, (centers,), (slope.ones_like(centers),))
            return first / second

        cost = slope.jit(kmeans_cost, backend=backend)
        newton = slope.jit(direction, backend=backend)
        return lambda: cost(points, centers).item(), lambda: newton(points, centers).numpy()
    function = gmm_objective(size) if isinstance(size, GMM) else lstm_objective(size)
    arguments = size.arguments(given)
    objective = slope.jit(function, backend=backend)
    gradient = slope.jit(slope.grad(function), backend=backend)

    def jacobian() -> Any:
        return [each.numpy() for each in gradient(*arguments)]

    return lambda: objective(*arguments).item(), jacobian


def contenders(backends: list[str], peers: list[str], size: Any) -> Iterator[dict[str, Call]]:
    """All that compute the objective, and then all that compute the gradient; both checked."""
    makers: dict[str, Callable[[], Any]] = {
        "jax": lambda: gradbench_peers.jax_calls(size),
        "torch": lambda: gradbench_peers.torch_calls(size),
    }
    made: dict[str, Any] = {f"slope/{name}": slope_calls(name, size) for name in backends}
    made |= chosen(peers, makers)
    for which in (0, 1):
        calls = {name: pair[which] for name, pair in made.items()}
        first: Any = None
        for name, call in calls.items():
            numbers = flat(call())
            first = numbers if first is None else first
            np.testing.assert_allclose(numbers, first, rtol=1e-6, atol=1e-9, err_msg=name)
        yield calls


def flat(result: Any) -> Array:
    """All numbers of a result in a row."""
    parts = result if isinstance(result, list | tuple) else [result]
    return np.concatenate([np.ravel(np.asarray(part)) for part in parts])
