"""Train a small network to read handwritten digits, on any backend: `python examples/mnist_mlp.py`.

One jitted step holds the forward pass, the gradient and the optimizer's update: one program. Models
and optimizers are values: a step takes the old ones and gives new ones.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from common.command import parse, training_parser
from common.figures import training_figure
from tqdm.auto import tqdm

import slope
from slope import nn
from slope.nn import data


def loss_of(model: nn.Sequential, images: slope.Tensor, labels: slope.Tensor) -> slope.Tensor:
    """The mean cross-entropy of a batch."""
    return slope.cross_entropy(model(images), labels)


@slope.jit
def train_step(
    model: nn.Sequential, optimizer: nn.SGD, images: slope.Tensor, labels: slope.Tensor
) -> tuple[nn.Sequential, nn.SGD, slope.Tensor]:
    """One step down the gradient: the new model, the new optimizer, and the old loss."""
    loss, gradients = slope.value_and_grad(loss_of)(model, images, labels)
    model, optimizer = optimizer(model, gradients)
    return model, optimizer, loss


@slope.jit
def predict(model: nn.Sequential, images: slope.Tensor) -> slope.Tensor:
    """The most likely digit of each image."""
    return model(images).argmax(dim=1)


def pixels(images: np.ndarray) -> np.ndarray:
    """Images (n, 28, 28) of bytes as rows (n, 784) of float32 from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def main() -> None:
    """Train, evaluate, and save a picture."""
    args = arguments()
    if args.backend:
        slope.set_backend(args.backend)
    slope.manual_seed(args.seed)

    digits = data.mnist()
    first, tests = slice(args.train_limit), slice(args.test_limit)
    train = (pixels(digits.train_images[first]), digits.train_labels[first].astype(np.int64))
    batches = data.Batches(train, args.batch_size, key=args.seed, drop_last=True)

    model = nn.Sequential(nn.Linear(784, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10))
    # The rate falls to zero along a line.
    rate = nn.LinearSchedule(args.lr, 0.0, args.epochs * batches.per_epoch)
    optimizer = nn.SGD(model, rate, momentum=args.momentum)

    losses: list[float] = []
    running = np.log(10.0)  # the loss of a model that knows nothing
    ends = [time.perf_counter()]
    with tqdm(batches.until(args.epochs), desc="Training", unit="step") as bar:
        for x, y in bar:
            model, optimizer, loss = train_step(model, optimizer, x, y)
            losses.append(loss.item())
            running += 0.05 * (losses[-1] - running)
            bar.set_postfix(loss=f"{running:.3f}", refresh=False)
            if batches.batch == 0:  # an epoch has ended
                ends.append(time.perf_counter())

    images, labels = digits.test_images[tests], digits.test_labels[tests]
    predictions = predict(model, pixels(images)).numpy()
    accuracy = np.mean(predictions == labels)
    backend = slope.backend().name
    title = f"MNIST, 784-{args.hidden}-10, slope on {backend}: test accuracy {accuracy:.4f}"
    picture = training_figure(args.out, losses, images, predictions, labels, title)

    seconds = ", ".join(f"{epoch:.2f}" for epoch in np.diff(ends))
    print(f"Backend {backend}, seconds per epoch (the first one compiles): {seconds}")
    print(f"Test set accuracy {accuracy:.4f}")
    print(f"Picture {picture}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = training_parser(
        "Train a classifier of handwritten digits on MNIST.",
        epochs=3,
        batch_size=200,
        lr=0.3,
        out="outputs/mnist_mlp.png",
    )
    parser.add_argument("--momentum", type=float, default=0.9, help="momentum of SGD")
    parser.add_argument("--hidden", type=int, default=100, help="width of the hidden layer")
    return parse(parser, {"epochs": 1, "train_limit": 2000, "test_limit": 500, "batch_size": 50})


if __name__ == "__main__":
    main()
