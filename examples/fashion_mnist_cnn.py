"""Train a small convolutional network to tell clothes: `python examples/fashion_mnist_cnn.py`.

One jitted step holds the forward pass, the gradient, AdamW and the schedule of its learning rate:
one program. Dropout draws anew at each step, from a key that the program takes and gives.
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


def network(width: int) -> nn.Sequential:
    """Two stages of convolution and pooling, 28 x 28 to 7 x 7 pixels, and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2 * width * 7 * 7, 8 * width),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(8 * width, 10),
    )


def loss_of(model: nn.Sequential, images: slope.Tensor, labels: slope.Tensor) -> slope.Tensor:
    """The mean cross-entropy of a batch."""
    return slope.cross_entropy(model(images), labels)


@slope.jit
def train_step(
    model: nn.Sequential, optimizer: nn.AdamW, images: slope.Tensor, labels: slope.Tensor
) -> tuple[nn.Sequential, nn.AdamW, slope.Tensor]:
    """One step: the new model, the new optimizer, and the old loss."""
    loss, gradients = slope.value_and_grad(loss_of)(model, images, labels)
    model, optimizer = optimizer(model, gradients)
    return model, optimizer, loss


@slope.jit
def predict(model: nn.Sequential, images: slope.Tensor) -> slope.Tensor:
    """The most likely class of each image."""
    return model(images).argmax(dim=1)


def pixels(
    batch: tuple[np.ndarray, np.ndarray], key: slope.Tensor | None
) -> tuple[np.ndarray, ...]:
    """Images of bytes (n, 28, 28) as floats (n, 1, 28, 28) around 0, and labels as int64."""
    images, labels = batch
    floats = (images[:, None].astype(np.float32) - np.float32(73)) / np.float32(90)
    return floats, labels.astype(np.int64)


def main() -> None:
    """Train, evaluate, and save a picture."""
    args = arguments()
    if args.backend:
        slope.set_backend(args.backend)
    slope.manual_seed(args.seed)

    clothes = data.fashion_mnist()
    first, tests = slice(args.train_limit), slice(args.test_limit)
    train = (clothes.train_images[first], clothes.train_labels[first])
    batches = data.Batches(
        train, args.batch_size, key=args.seed, drop_last=True, transform=pixels, prefetch=2
    )

    model = network(args.width)
    rate = nn.OneCycleSchedule(args.lr, args.epochs * batches.per_epoch)
    optimizer = nn.AdamW(model, rate, weight_decay=args.weight_decay)

    losses: list[float] = []
    seconds: list[float] = []
    with tqdm(batches.until(args.epochs), desc="Training", unit="step") as bar:
        for x, y in bar:
            begin = time.perf_counter()
            model, optimizer, loss = train_step(model, optimizer, x, y)
            losses.append(loss.item())
            seconds.append(time.perf_counter() - begin)
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}", refresh=False)

    images, labels = clothes.test_images[tests], clothes.test_labels[tests]
    model.eval()
    rows = data.Batches((images, labels), min(250, len(images)), transform=pixels)
    predictions = np.concatenate([predict(model, x).numpy() for x, _ in rows])
    accuracy = np.mean(predictions == labels)
    backend = slope.backend().name
    title = f"Fashion-MNIST, a small CNN, slope on {backend}: test accuracy {accuracy:.4f}"
    names = data.FASHION_MNIST_CLASSES
    picture = training_figure(args.out, losses, images, predictions, labels, title, names)

    median = np.median(seconds)
    print(f"Backend {backend}, a step of {args.batch_size} images in {median:.3f} s (median)")
    print(f"Test set accuracy {accuracy:.4f}")
    print(f"Picture {picture}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = training_parser(
        "Train a small convolutional network on Fashion-MNIST.",
        epochs=5,
        batch_size=100,
        lr=0.003,
        out="outputs/fashion_mnist_cnn.png",
    )
    parser.add_argument("--width", type=int, default=16, help="channels of the first convolution")
    parser.add_argument("--weight-decay", type=float, default=0.01, help="of all parameters")
    small = {"epochs": 2, "train_limit": 320, "test_limit": 100, "batch_size": 32, "width": 4}
    return parse(parser, small)


if __name__ == "__main__":
    main()
