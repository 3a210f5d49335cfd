"""Learn to learn: `python examples/maml.py` (C. Finn, P. Abbeel, S. Levine, 2017, section 5.1).

Every task is a sine wave of its own amplitude and phase, known at ten points. MAML looks for
weights from which one step of gradient descent on a new task's ten points does well. So the loss
holds a gradient, and training takes the gradient of that: `grad` through `scan` of `grad`, `vmap`
over the tasks of a batch, all in one jitted program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from common.command import small_parser, start
from common.plots import BLUE, FAINT, GREEN, INK, RED, panels, plain, save
from tqdm.auto import tqdm

import slope
from slope import nn

POINTS, RATE = 10, 0.01  # of a task, and of its gradient descent, as in the paper
Task = tuple[slope.Tensor, slope.Tensor]


def network() -> nn.Sequential:
    """The paper's: two hidden layers of 40."""
    return nn.Sequential(
        nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
    )


def sines(count: int) -> tuple[Task, Task]:
    """Points of `count` tasks to learn from and to be judged by: (count, POINTS, 1) each."""
    amplitude = 0.1 + 4.9 * slope.rand(count, 1, 1)
    phase = np.pi * slope.rand(count, 1, 1)
    x = 10 * slope.rand(count, 2 * POINTS, 1) - 5
    y = amplitude * slope.sin(x - phase)
    return (x[:, :POINTS], y[:, :POINTS]), (x[:, POINTS:], y[:, POINTS:])


def loss_of(model: nn.Sequential, task: Task) -> slope.Tensor:
    """The mean squared error."""
    x, y = task
    return slope.mse_loss(model(x), y)


def adapted(
    model: nn.Sequential, task: Task, steps: int, look: Callable[[nn.Sequential], Any] | None = None
) -> tuple[nn.Sequential, Any]:
    """The model after some steps of plain gradient descent on a task: the inner loop.

    And what `look` saw of the model before each of them, stacked.
    """

    def step(model: nn.Sequential, _: None) -> tuple[nn.Sequential, Any]:
        gradient = slope.grad(loss_of)(model, task)
        return slope.tree_map(lambda w, g: w - RATE * g, model, gradient), look and look(model)

    return slope.scan(step, model, None, length=steps)


def after(model: nn.Sequential, known: Task, judged: Task, steps: int) -> slope.Tensor:
    """The mean loss over a batch of tasks, each adapted to what is known of it."""

    def of_one(known: Task, judged: Task) -> slope.Tensor:
        return loss_of(adapted(model, known, steps)[0], judged)

    return slope.vmap(of_one)(known, judged).mean()


@slope.jit(static_argnames=("tasks", "steps"))
def train_step(
    model: nn.Sequential, optimizer: nn.Adam, tasks: int, steps: int
) -> tuple[nn.Sequential, nn.Adam, slope.Tensor]:
    """One step of the outer loop on tasks drawn here: the gradient through the inner loop's.

    With `steps=0` nothing is adapted: the model learns the mean of all tasks.
    """
    known, judged = sines(tasks)
    loss, gradient = slope.value_and_grad(after)(model, known, judged, steps)
    model, optimizer = optimizer(model, gradient)
    return model, optimizer, loss


@slope.jit
def evaluate(model: nn.Sequential, known: Task, judged: Task) -> slope.Tensor:
    """The mean loss of many tasks after 0 ... 10 steps, (11,)."""

    def of_one(known: Task, judged: Task) -> slope.Tensor:
        return adapted(model, known, 11, lambda model: loss_of(model, judged))[1]

    return slope.vmap(of_one)(known, judged).mean(dim=0)


@slope.jit
def agreement(model: nn.Sequential, known: Task) -> slope.Tensor:
    """How alike the tasks pull: the mean cosine of their gradients, by `vmap` of `grad`."""
    gradients = slope.vmap(slope.grad(loss_of), in_dims=(None, 0))(model, known)
    rows = slope.cat([g.reshape(g.shape[0], -1) for g in slope.tree_leaves(gradients)], dim=1)
    rows = slope.normalize(rows, dim=1)
    count = rows.shape[0]
    return ((rows @ rows.T).sum() - count) / (count * (count - 1))


def train(inner: int, count: int, tasks: int, name: str) -> tuple[nn.Sequential, list[float]]:
    """Weights that were trained through `inner` steps of adaptation, and the losses."""
    model = network()
    optimizer, losses = nn.Adam(model, lr=1e-3), []
    with tqdm(range(count), desc=name, unit="step") as bar:
        for _ in bar:
            model, optimizer, loss = train_step(model, optimizer, tasks=tasks, steps=inner)
            losses.append(loss.item())
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.2f}", refresh=False)
    return model, losses


def main() -> None:
    """Train both ways, adapt both to new tasks, print the losses and draw one task."""
    args, backend = start(
        small_parser(
            "maml",
            "Model-agnostic meta-learning of sine waves.",
            steps=(5000, "of the outer loop"),
            tasks=(25, "in each of them"),
        )
    )
    count = 20 if args.tiny else args.steps
    models = {
        "MAML": train(1, count, args.tasks, "MAML"),
        "pretrained": train(0, count, args.tasks, "Pretrained"),
    }
    known, judged = sines(20 if args.tiny else 500)
    print(f"Backend {backend}; mean squared error on {known[0].shape[0]} new tasks")
    curves = {}
    for name, (model, _) in models.items():
        curves[name] = evaluate(model, known, judged).tolist()
        told = ", ".join(f"{curves[name][n]:.3f} after {n}" for n in (0, 1, 10))
        cosine = agreement(model, known).item()
        print(f"{name}: {told} steps; the tasks' gradients agree by a cosine of {cosine:.2f}")
    print(f"Picture {draw(args.out, backend, {n: m for n, (m, _) in models.items()}, curves)}")


@slope.jit
def predict(model: nn.Sequential, task: Task, x: slope.Tensor) -> slope.Tensor:
    """What the model says at x after 0 ... 10 steps on a task, (11, *x.shape)."""
    return adapted(model, task, 11, lambda model: model(x))[1]


def draw(out: str, backend: str, models: dict, curves: dict[str, list[float]]) -> object:
    """One task, as both models see it after 0, 1 and 10 steps; the mean loss after each step."""
    figure, axes = panels(
        f"MAML: ten points and one step of gradient descent, slope on {backend}",
        (14, 4.6),
        1,
        1,
        0.9,
    )
    amplitude, phase = 3.5, 0.8
    x = np.linspace(-5, 5, 200, dtype=np.float32)[:, None]
    spots = np.linspace(-4.6, -0.4, POINTS, dtype=np.float32)[:, None]  # the left half alone
    task = (slope.tensor(spots), slope.tensor(amplitude * np.sin(spots - phase)))
    for panel, (name, model) in zip(axes, models.items(), strict=False):
        panel.plot(
            x, amplitude * np.sin(x - phase), color=INK, linewidth=6, alpha=0.12, label="truth"
        )
        lines = predict(model, task, slope.tensor(x)).numpy()
        for steps, colour, style in ((0, "#9aa5b1", ":"), (1, GREEN, "--"), (10, BLUE, "-")):
            panel.plot(
                x, lines[steps], style, color=colour, linewidth=2, label=f"after {steps} steps"
            )
        panel.plot(*(each.numpy() for each in task), "^", color=RED, label="the ten points known")
        plain(panel, title=f"{name}: one new task").set_ylim(-5.5, 7.5)
        panel.legend(frameon=False, fontsize=9, ncols=2, loc="upper left", labelcolor=INK)
    for (name, curve), colour in zip(curves.items(), (BLUE, RED), strict=True):
        axes[2].plot(range(len(curve)), curve, ".-", color=colour, label=name)
    plain(axes[2], title="Mean squared error on new tasks", xlabel="steps of gradient descent")
    axes[2].set_ylim(bottom=0)
    axes[2].legend(frameon=False, labelcolor=INK)
    axes[2].spines["bottom"].set_color(FAINT)
    return save(figure, out)


if __name__ == "__main__":
    main()
