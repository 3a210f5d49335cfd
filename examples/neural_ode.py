"""Learn the law of motion from trajectories: `python examples/neural_ode.py`.

A network stands for the vector field of a differential equation, and a Runge-Kutta step in a
`slope.scan` integrates it (R. Chen and others, "Neural ordinary differential equations", 2018). The
gradient comes two ways that must agree: through the scan, whose steps are remembered, and by the
adjoint method, an integration backwards in time that remembers nothing, as a `slope.custom_vjp`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from common.command import small_parser, start
from common.plots import BLUE, INK, RED, panels, plain, save
from tqdm.auto import tqdm

import slope
from slope import nn

STEP = 0.05  # seconds between the points of a trajectory, one Runge-Kutta step each


def truth(state: slope.Tensor) -> slope.Tensor:
    """Van der Pol's oscillator (B. van der Pol, 1926): every path ends in one cycle."""
    x, v = state[..., 0], state[..., 1]
    return slope.stack([v, (1 - x * x) * v - x], dim=-1)


def network(width: int) -> nn.Sequential:
    """A field to be learned: from places (n, 2) to velocities (n, 2)."""
    return nn.Sequential(
        nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 2)
    )


def advanced(field: Callable[[Any], Any], state: Any, step: float) -> Any:
    """A pytree of states a step later, by the classical Runge-Kutta method (W. Kutta, 1901)."""

    def moved(slopes: Any, scale: float) -> Any:
        return slope.tree_map(lambda s, k: s + scale * k, state, slopes)

    k1 = field(state)
    k2 = field(moved(k1, step / 2))
    k3 = field(moved(k2, step / 2))
    k4 = field(moved(k3, step))
    return slope.tree_map(
        lambda s, a, b, c, d: s + step / 6 * (a + 2 * b + 2 * c + d), state, k1, k2, k3, k4
    )


def trajectory(field: Callable[[Any], Any], first: slope.Tensor, count: int) -> slope.Tensor:
    """The states after 1 ... count steps, (count, *first.shape): one scan."""

    def body(state: slope.Tensor, _: None) -> tuple[slope.Tensor, slope.Tensor]:
        state = advanced(field, state, STEP)
        return state, state

    return slope.scan(body, first, None, length=count)[1]


@partial(slope.custom_vjp, nondiff_argnums=(2,))
def adjoint_trajectory(model: nn.Sequential, first: slope.Tensor, count: int) -> slope.Tensor:
    """As `trajectory`, with a gradient that integrates backwards and keeps no step."""
    return trajectory(model, first, count)


def _forward(model: nn.Sequential, first: slope.Tensor, count: int) -> tuple:
    states = trajectory(model, first, count)
    return states, (model, states[-1])


def _backward(count: int, kept: tuple, cotangents: slope.Tensor) -> tuple:
    model, last = kept

    def dynamics(state: tuple) -> tuple:
        """The state, its adjoint, and the sum for the weights, all in time that runs backwards."""
        place, adjoint, _ = state
        velocity, pullback = slope.vjp(lambda m, p: m(p), model, place)
        of_weights, of_place = pullback(adjoint)
        return -velocity, of_place, of_weights

    def body(state: tuple, cotangent: slope.Tensor) -> tuple:
        place, adjoint, total = state
        return advanced(dynamics, (place, adjoint + cotangent, total), STEP), None

    zero = slope.tree_map(slope.zeros_like, model)
    begun = (last, slope.zeros_like(last), zero)
    (_, adjoint, total), _ = slope.scan(body, begun, cotangents, reverse=True)
    return total, adjoint


adjoint_trajectory.defvjp(_forward, _backward)


def loss_of(
    model: nn.Sequential, first: slope.Tensor, seen: slope.Tensor, adjoint: bool
) -> slope.Tensor:
    """How far the model's trajectories are from what was seen."""
    solve = adjoint_trajectory if adjoint else trajectory
    return slope.mse_loss(solve(model, first, seen.shape[0]), seen)


@slope.jit(static_argnames="adjoint")
def train_step(
    model: nn.Sequential, optimizer: nn.Adam, first: slope.Tensor, seen: slope.Tensor, adjoint: bool
) -> tuple[nn.Sequential, nn.Adam, slope.Tensor]:
    """One step of Adam on the distance between trajectories."""
    loss, gradient = slope.value_and_grad(loss_of)(model, first, seen, adjoint)
    model, optimizer = optimizer(model, gradient)
    return model, optimizer, loss


def difference(model: nn.Sequential, first: slope.Tensor, seen: slope.Tensor) -> float:
    """How far the adjoint's gradient is from the scan's, relative to its length."""
    grad = slope.jit(slope.grad(loss_of), static_argnums=3)
    one, other = (
        slope.cat([leaf.reshape(-1) for leaf in slope.tree_leaves(grad(model, first, seen, way))])
        for way in (False, True)
    )
    return (slope.norm(one - other) / slope.norm(one)).item()


def main() -> None:
    """Make trajectories, learn their law, compare the gradients, draw true and learned flow."""
    args, backend = start(
        small_parser(
            "neural_ode",
            "Learn a vector field from trajectories.",
            steps=(2000, "of Adam"),
            width=(64, "of the hidden layers"),
            lr=(3e-3, "learning rate"),
        )
    )
    paths, length = (8, 10) if args.tiny else (64, 20)
    count = 10 if args.tiny else args.steps
    first = 6 * slope.rand(paths, 2) - 3
    seen = slope.jit(lambda first: trajectory(truth, first, length))(first)
    seen = seen + 0.02 * slope.randn(*seen.shape)

    model = network(args.width)
    apart = difference(model, first, seen)
    print(f"Backend {backend}; the gradients of scan and adjoint differ by {apart:.1e}")
    optimizer, losses = nn.Adam(model, lr=args.lr), []
    with tqdm(range(count), desc="Training", unit="step") as bar:
        for number in bar:
            optimizer.lr = args.lr * (1 - number / count)
            model, optimizer, loss = train_step(model, optimizer, first, seen, adjoint=False)
            losses.append(loss.item())
            bar.set_postfix(loss=f"{losses[-1]:.5f}", refresh=False)

    steps = 40 if args.tiny else 300
    fresh = slope.tensor([[0.1, 0.0], [-2.5, 2.5], [2.5, -2.5], [0.0, -2.8]])
    both = [
        slope.jit(lambda first, f=f: trajectory(f, first, steps))(fresh).numpy()
        for f in (truth, model)
    ]
    error = float(np.sqrt(np.mean(np.sum((both[0] - both[1]) ** 2, axis=-1))))
    print(f"Loss {losses[-1]:.5f} (the noise alone is {0.02**2:.5f})")
    seconds = f"{steps * STEP:.0f} s from 4 new places; training saw {length * STEP:.1f} s"
    print(f"Distance {error:.3f} over {seconds}")
    print(f"Picture {draw(args.out, backend, model, both, losses)}")


def draw(out: str, backend: str, model: nn.Sequential, both: list, losses: list[float]) -> object:
    """The true flow and the learned one with the same four paths; the loss."""
    figure, axes = panels(
        f"The law of motion, learned from short paths: slope on {backend}", (14, 4.8), 1, 1, 0.9
    )
    grid = np.stack(np.meshgrid(np.linspace(-3.2, 3.2, 40), np.linspace(-3.4, 3.4, 40)), -1)
    places = slope.tensor(grid.astype(np.float32))
    for panel, field, paths, title in zip(
        axes,
        (truth, model),
        both,
        ("True: van der Pol's oscillator", "Learned by the network"),
        strict=False,
    ):
        u, v = np.moveaxis(field(places).numpy(), -1, 0)
        speed = np.log1p(np.hypot(u, v))
        panel.streamplot(
            grid[..., 0],
            grid[..., 1],
            u,
            v,
            color=speed,
            cmap="Blues",
            density=1.3,
            linewidth=0.8,
            arrowsize=0.8,
        )
        for path in np.moveaxis(paths, 1, 0):
            panel.plot(*path.T, color=RED, linewidth=1.8)
            panel.plot(*path[0], "o", color=INK, markersize=5)
        plain(panel, title=title).set(xlim=(-3.2, 3.2), ylim=(-3.4, 3.4))
        panel.grid(visible=False)
    axes[2].semilogy(losses, color=BLUE, linewidth=1)
    axes[2].axhline(0.02**2, color=INK, linewidth=1, linestyle=":")
    axes[2].annotate(
        "the noise", (0, 0.02**2), xytext=(2, 4), textcoords="offset points", color=INK
    )
    plain(axes[2], title="Distance between paths, mean square", xlabel="step")
    return save(figure, out)


if __name__ == "__main__":
    main()
