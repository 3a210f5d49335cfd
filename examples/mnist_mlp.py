"""Train a small network to read handwritten digits, on any backend: `python examples/mnist_mlp.py`.

One jitted step holds the forward pass, the gradient and the optimizer's update: one program. Models
and optimizers are values: a step takes the old ones and gives new ones.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from common.batches import batches
from common.data import mnist
from common.figures import training_figure
from tqdm.auto import tqdm

import slope
from slope import nn


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

    data = mnist()
    images, labels = pixels(data.train_images), data.train_labels.astype(np.int64)
    images, labels = images[: args.train_limit], labels[: args.train_limit]

    model = nn.Sequential(nn.Linear(784, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10))
    optimizer = nn.SGD(model, lr=args.lr, momentum=args.momentum)
    plan = batches(len(images), args.batch_size, epochs=args.epochs, seed=args.seed)

    losses: list[float] = []
    running = np.log(10.0)  # the loss of a model that knows nothing
    ends = [time.perf_counter()]
    with tqdm(plan, desc="Training", unit="step") as bar:
        for index in bar:
            # The rate falls to zero along a line. It is an input of the program: nothing compiles.
            optimizer.lr = args.lr * (1 - len(losses) / len(plan))
            model, optimizer, loss = train_step(model, optimizer, images[index], labels[index])
            losses.append(loss.item())
            running += 0.05 * (losses[-1] - running)
            bar.set_postfix(loss=f"{running:.3f}", refresh=False)
            if len(losses) % plan.per_epoch == 0:
                ends.append(time.perf_counter())

    predictions = predict(model, pixels(data.test_images)).numpy()
    accuracy = np.mean(predictions == data.test_labels)
    backend = slope.backend().name
    title = f"MNIST, 784-{args.hidden}-10, slope on {backend}: test accuracy {accuracy:.4f}"
    picture = training_figure(
        args.out, losses, data.test_images, predictions, data.test_labels, title
    )

    seconds = ", ".join(f"{epoch:.2f}" for epoch in np.diff(ends))
    print(f"Backend {backend}, seconds per epoch (the first one compiles): {seconds}")
    print(f"Test set accuracy {accuracy:.4f}")
    print(f"Picture {picture}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Train a classifier of handwritten digits on MNIST.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--backend", help="iree, onnxruntime (or onnx) or numpy; None: the first that is installed"
    )
    parser.add_argument("--epochs", type=int, default=3, help="passes over the training images")
    parser.add_argument("--batch-size", type=int, default=200, help="images in one step")
    parser.add_argument("--lr", type=float, default=0.3, help="learning rate at the start")
    parser.add_argument("--momentum", type=float, default=0.9, help="momentum of SGD")
    parser.add_argument("--hidden", type=int, default=100, help="width of the hidden layer")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches")
    parser.add_argument("--train-limit", type=int, metavar="N", help="use the first N images only")
    parser.add_argument("--out", default="outputs/mnist_mlp.png", help="where to save the picture")
    return parser.parse_args()


if __name__ == "__main__":
    main()
