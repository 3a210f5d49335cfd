"""Newton's method beside gradient descent: `python examples/hessian_newton.py`.

Newton's method divides the gradient by the curvature: a step solves `hessian @ step = -gradient`.
Two ways to do that, each one jitted program:

- Rosenbrock's valley (H. Rosenbrock, 1960), two unknowns: `slope.hessian` gives the whole matrix.
- Logistic regression on MNIST (is the digit below 5?), 785 unknowns: no matrix at all. A product of
  the Hessian and a vector is the derivative of the gradient along the vector, `jvp` of `grad`, and
  conjugate gradients (M. Hestenes, E. Stiefel, 1952) need nothing but such products.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from common.command import small_parser, start
from common.plots import BLUE, INK, RED, panels, plain, save
from tqdm.auto import tqdm

import slope
from slope.nn import data

Step = Callable[[slope.Tensor], slope.Tensor]


def rosenbrock(x: slope.Tensor) -> slope.Tensor:
    """A curved valley; its lowest point is (1, 1), where the value is 0."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def backtrack(x: slope.Tensor, step: slope.Tensor, gradient: slope.Tensor) -> slope.Tensor:
    """Halve the step until the function falls enough (L. Armijo, 1966): a loop in the program."""
    value, promised = rosenbrock(x), slope.dot(step, gradient)

    def too_long(scale: slope.Tensor) -> slope.Tensor:
        return (rosenbrock(x + scale * step) > value + 1e-4 * scale * promised) & (scale > 1e-9)

    return x + slope.while_loop(too_long, lambda scale: scale / 2, slope.ones_like(value)) * step


@slope.jit
def newton(x: slope.Tensor) -> slope.Tensor:
    """A step of Newton's method in the plane, with the whole Hessian."""
    gradient, h = slope.grad(rosenbrock)(x), slope.hessian(rosenbrock)(x)
    adjugate = slope.stack([h[1, 1], -h[0, 1], -h[1, 0], h[0, 0]]).reshape(2, 2)
    determinant = h[0, 0] * h[1, 1] - h[0, 1] * h[1, 0]
    return backtrack(x, -(adjugate @ gradient) / determinant, gradient)


@slope.jit
def descent(x: slope.Tensor) -> slope.Tensor:
    """A step of steepest descent in the plane."""
    gradient = slope.grad(rosenbrock)(x)
    return backtrack(x, -gradient, gradient)


def walk(step: Step, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """The points (n, 2) on the way down the valley, and how high they lie."""
    x = slope.tensor([-1.2, 1.0], dtype=slope.float64)  # where everybody starts
    points, values = [x.tolist()], [rosenbrock(x).item()]
    while len(points) <= limit and values[-1] > 1e-25:
        x = step(x)
        points.append(x.tolist())
        values.append(rosenbrock(x).item())
    return np.array(points), np.array(values)


def conjugate_gradients(product: Step, target: slope.Tensor, steps: int) -> slope.Tensor:
    """Solve `product(x) = target`, the product being with a positive definite matrix."""

    def iterate(_: slope.Tensor, state: tuple[slope.Tensor, ...]) -> tuple[slope.Tensor, ...]:
        x, residual, direction, size = state
        image = product(direction)
        length = size / (slope.dot(direction, image) + 1e-30)
        x, residual = x + length * direction, residual - length * image
        smaller = slope.dot(residual, residual)
        return x, residual, residual + smaller / (size + 1e-30) * direction, smaller

    first = (slope.zeros_like(target), target, target, slope.dot(target, target))
    return slope.fori_loop(0, steps, iterate, first)[0]


def loss_of(weights: slope.Tensor, x: slope.Tensor, y: slope.Tensor) -> slope.Tensor:
    """The mean loss of a logistic regression, with a little weight decay."""
    scores = x @ weights
    return slope.mean(slope.softplus(scores) - y * scores) + 5e-4 * slope.dot(weights, weights)


@slope.jit(static_argnames="products")
def newton_cg(
    weights: slope.Tensor, x: slope.Tensor, y: slope.Tensor, products: int
) -> tuple[slope.Tensor, slope.Tensor]:
    """A step of Newton's method without the Hessian, and the norm of the gradient before it."""

    def gradient_at(w: slope.Tensor) -> slope.Tensor:
        return slope.grad(loss_of)(w, x, y)

    gradient = gradient_at(weights)
    step = conjugate_gradients(
        lambda vector: slope.jvp(gradient_at, (weights,), (vector,))[1], -gradient, products
    )
    return weights + step, slope.norm(gradient)


@slope.jit
def gradient_descent(
    weights: slope.Tensor, x: slope.Tensor, y: slope.Tensor, rate: float
) -> tuple[slope.Tensor, slope.Tensor]:
    """A step of gradient descent, and the norm of the gradient before it."""
    gradient = slope.grad(loss_of)(weights, x, y)
    return weights - rate * gradient, slope.norm(gradient)


def train(
    step: Callable[..., tuple[slope.Tensor, slope.Tensor]], *rest: object, count: int, name: str
) -> list[float]:
    """The norms of the gradient along the way from 0."""
    weights, norms = slope.zeros(785), []
    with tqdm(range(count), desc=name, unit="step") as bar:
        for _ in bar:
            weights, norm = step(weights, *rest)
            norms.append(norm.item())
            bar.set_postfix(gradient=f"{norms[-1]:.1e}", refresh=False)
    return norms


def main() -> None:
    """Run both methods on both problems, print how far they came, and draw it."""
    args, backend = start(
        small_parser(
            "hessian_newton",
            "Newton's method and gradient descent.",
            images=(4000, "of MNIST"),
            products=(60, "Hessian-vector products in a step of Newton-CG"),
        )
    )
    print(f"Backend {backend}")
    paths = [walk(newton, 100), walk(descent, 30 if args.tiny else 3000)]
    for name, (_, values) in zip(("Newton ", "descent"), paths, strict=True):
        print(f"Rosenbrock, {name}: height {values[-1]:.1e} after {len(values) - 1} steps")

    digits, count = data.mnist(), 200 if args.tiny else args.images
    pixels = digits.train_images[:count].reshape(count, 784).astype(np.float32) / np.float32(255)
    x = slope.tensor(np.hstack([pixels, np.ones((count, 1), np.float32)]))
    y = slope.tensor((digits.train_labels[:count] < 5).astype(np.float32))
    products = 10 if args.tiny else args.products
    norms = [
        train(newton_cg, x, y, products, count=3 if args.tiny else 10, name="Newton-CG"),
        train(gradient_descent, x, y, 0.05, count=5 if args.tiny else 400, name="Descent"),
    ]
    for name, each in zip(("Newton-CG", "descent  "), norms, strict=True):
        print(f"MNIST, {name}: gradient {each[-1]:.1e} after {len(each) - 1} steps")
    print(f"Picture {draw(args.out, backend, paths, norms)}")


def draw(out: str, backend: str, paths: list, norms: list) -> object:
    """The paths through the valley; how high they lie; the gradients of the regression."""
    figure, (valley, height, slopes) = panels(
        f"Curvature pays: Newton's method and gradient descent, slope on {backend}",
        (14, 4.8),
        1.25,
        1,
        1,
    )
    a, b = np.meshgrid(np.linspace(-1.6, 1.5, 300), np.linspace(-0.7, 1.8, 300))
    floor = np.log10((1 - a) ** 2 + 100 * (b - a**2) ** 2 + 1e-3)
    valley.contourf(a, b, floor, levels=24, cmap="Blues_r", alpha=0.75)
    for (points, values), each, colour, name in zip(
        paths, norms, (BLUE, RED), ("Newton", "gradient descent"), strict=True
    ):
        valley.plot(
            *points.T,
            ".-",
            color=colour,
            linewidth=1.6,
            markersize=7 if colour == BLUE else 2,
            label=name,
        )
        height.semilogy(values + 1e-32, ".-" if colour == BLUE else "-", color=colour, label=name)
        slopes.semilogy(each, ".-" if colour == BLUE else "-", color=colour, label=name)
    valley.plot(1, 1, "*", color=INK, markersize=14)
    plain(valley, title="Rosenbrock's valley, from (-1.2, 1) to the star").grid(visible=False)
    plain(height, title="Height above the lowest point", xlabel="step").set_xlim(-1, 60)
    plain(slopes, title="MNIST regression, 785 weights: gradient", xlabel="step").set_xlim(-1, 60)
    for axes in (valley, height, slopes):
        axes.legend(frameon=False, labelcolor=INK, fontsize=9)
    return save(figure, out)


if __name__ == "__main__":
    main()
