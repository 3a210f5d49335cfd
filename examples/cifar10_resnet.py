"""Train ResNet-20 on CIFAR-10 or Fashion-MNIST: `python examples/cifar10_resnet.py`.

The network of K. He, X. Zhang, S. Ren, J. Sun, "Deep residual learning for image recognition",
section 4.2 (arXiv:1512.03385): 3 x 3 convolutions, batch normalization, shortcuts without
parameters (option A). Batch normalization keeps running statistics: inside a step the model is a
private copy that may be written to, and the step returns it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from common.command import parse, training_parser
from common.figures import training_figure
from tqdm.auto import tqdm

import slope
from slope import nn
from slope.nn import data

Batch = tuple[np.ndarray, np.ndarray]


class Block(nn.Module):
    """Two convolutions around a shortcut; `stride` 2 halves the image and doubles the channels."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        self.first = convolution(channels, out_channels, stride)
        self.first_norm = nn.BatchNorm2d(out_channels)
        self.second = convolution(out_channels, out_channels, 1)
        self.second_norm = nn.BatchNorm2d(out_channels)
        self.stride, self.new_channels = stride, out_channels - channels

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Map (n, channels, h, w) to (n, out_channels, h / stride, w / stride)."""
        y = slope.relu(self.first_norm(self.first(x)))
        y = self.second_norm(self.second(y))
        return slope.relu(y + self.shortcut(x))

    def shortcut(self, x: slope.Tensor) -> slope.Tensor:
        """Option A: every other pixel, and zeros for the channels that are new."""
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        return slope.pad(x, (0, 0, 0, 0, 0, self.new_channels)) if self.new_channels else x


class ResNet(nn.Module):
    """6n + 2 layers for small images: three stages of n blocks, with 16, 32 and 64 channels."""

    def __init__(self, channels: int, classes: int, n: int = 3, width: int = 16) -> None:
        self.stem = convolution(channels, width, 1)
        self.norm = nn.BatchNorm2d(width)
        stages = [width] * n + [2 * width] * n + [4 * width] * n
        before = [width, *stages]
        self.blocks = nn.Sequential(
            *(Block(a, b, 1 if a == b else 2) for a, b in zip(before, stages, strict=False))
        )
        self.head = nn.Linear(4 * width, classes)

    def __call__(self, x: slope.Tensor) -> slope.Tensor:
        """Logits (n, classes) of images (n, channels, h, w)."""
        x = slope.relu(self.norm(self.stem(x)))
        x = self.blocks(x)
        return self.head(x.mean(dim=(2, 3)))


def convolution(channels: int, out_channels: int, stride: int) -> nn.Conv2d:
    """A 3 x 3 convolution without bias, its weights as He et al. draw them."""
    layer = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
    layer.weight = nn.init.he_normal(layer.weight.shape)
    return layer


def loss_of(
    model: ResNet, images: slope.Tensor, labels: slope.Tensor
) -> tuple[slope.Tensor, ResNet]:
    """The mean cross-entropy of a batch, and the model with its new running statistics."""
    return slope.cross_entropy(model(images), labels), model


@slope.jit
def train_step(
    model: ResNet, optimizer: nn.SGD, images: slope.Tensor, labels: slope.Tensor
) -> tuple[ResNet, nn.SGD, slope.Tensor]:
    """One step: the new model, the new optimizer, and the old loss."""
    gradient = slope.value_and_grad(loss_of, has_aux=True)
    (loss, model), gradients = gradient(model, images, labels)
    model, optimizer = optimizer(model, gradients)
    return model, optimizer, loss


@slope.jit
def predict(model: ResNet, images: slope.Tensor) -> slope.Tensor:
    """The most likely class of each image."""
    return model(images).argmax(dim=1)


def accuracy(model: ResNet, batches: data.Batches) -> tuple[float, np.ndarray]:
    """The part of the images that the model tells right, and what it says of each."""
    model.eval()
    pairs = [(predict(model, images).numpy(), labels) for images, labels in batches]
    model.train()
    said, true = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return float(np.mean(said == true)), said


class Preparation:
    """Makes the floats that the network sees of the bytes of images.

    Args:
        images: (n, channels, h, w), bytes; each channel's mean and deviation become 0 and 1.
        margin: for training, how many pixels of zeros stand around an image before a window of its
            size is cut out of it at random, to be mirrored or not.
    """

    def __init__(self, images: npt.NDArray[np.uint8], margin: int) -> None:
        self.mean = images.mean(axis=(0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
        self.scale = images.std(axis=(0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
        self.margin = margin

    def plain(self, batch: Batch, key: slope.Tensor | None) -> Batch:
        """The images as they are, for tests."""
        images, labels = batch
        return (images - self.mean) / self.scale, labels

    def augmented(self, batch: Batch, key: slope.Tensor) -> Batch:
        """Each image moved a little and mirrored or not, the same for the same key anywhere."""
        images, labels = batch
        count, _, height, width = images.shape
        shift_key, mirror_key = slope.random.split(key)
        down, right = slope.random.randint(shift_key, (2, count), 0, 2 * self.margin + 1).numpy()
        mirrored = slope.random.bernoulli(mirror_key, 0.5, (count,)).numpy()
        edge = (self.margin, self.margin)
        padded = np.pad(images, ((0, 0), (0, 0), edge, edge))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
        cut = windows[np.arange(count), :, down, right]
        cut = np.where(mirrored[:, None, None, None], cut[..., ::-1], cut)
        return self.plain((cut, labels), None)


def main() -> None:
    """Train, evaluate after each epoch, and save a picture."""
    args = arguments()
    if args.backend:
        slope.set_backend(args.backend)
    slope.manual_seed(args.seed)

    parts = slice(args.train_limit), slice(args.test_limit)
    name, train, test, classes, margin = data_set(args.data, args.folder, *parts)
    prepare = Preparation(train[0], margin)
    options = {"key": args.seed, "drop_last": True, "prefetch": 2}
    batches = data.Batches(train, args.batch_size, transform=prepare.augmented, **options)
    tests = data.Batches(test, min(250, len(test[0])), transform=prepare.plain)

    model = ResNet(train[0].shape[1], len(classes), args.blocks, args.width)
    steps = args.epochs * batches.per_epoch
    rate = nn.OneCycleSchedule(args.lr, steps, rise=0.2, start_divisor=10)
    optimizer = nn.SGD(model, rate, args.momentum, weight_decay=args.weight_decay, nesterov=True)
    losses: list[float] = []
    if args.checkpoint and Path(args.checkpoint).exists():
        model, optimizer, losses = restored(args.checkpoint, model, optimizer, batches)
        optimizer.lr = rate  # the number of epochs may be another than before

    seconds: list[float] = []
    with tqdm(batches.until(args.epochs), initial=len(losses), total=steps, unit="step") as bar:
        for x, y in bar:
            begin = time.perf_counter()
            model, optimizer, loss = train_step(model, optimizer, x, y)
            losses.append(loss.item())
            seconds.append(time.perf_counter() - begin)
            bar.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}", refresh=False)
            if batches.batch == 0:  # an epoch has ended
                bar.write(f"Epoch {batches.epoch}: test accuracy {accuracy(model, tests)[0]:.4f}")
                if args.checkpoint:
                    state = (model, optimizer, batches.state_dict(), np.array(losses))
                    slope.save(args.checkpoint, state)

    right, said = accuracy(model, tests)
    backend, depth = slope.backend().name, 6 * args.blocks + 2
    title = f"{name}, ResNet-{depth}, slope on {backend}: test accuracy {right:.4f}"
    picture = training_figure(args.out, losses, shown(test[0]), said, test[1], title, classes)
    if seconds:  # none if a checkpoint was at its end
        median = np.median(seconds)
        print(f"Backend {backend}, a step of {args.batch_size} images in {median:.3f} s (median)")
    print(f"Test set accuracy {right:.4f}")
    print(f"Picture {picture}")


def shown(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Images (n, channels, h, w) as pictures want them: (n, h, w), or (n, h, w, 3) in colour."""
    return images[:, 0] if images.shape[1] == 1 else images.transpose(0, 2, 3, 1)


def restored(
    path: str, model: ResNet, optimizer: nn.SGD, batches: data.Batches
) -> tuple[ResNet, nn.SGD, list[float]]:
    """Where a checkpoint stands; the batches go on from there."""
    found = slope.load(path)
    model, optimizer, position, losses = slope.load(path, like=(model, optimizer, *found[2:]))
    batches.load_state_dict(position)
    print(f"Goes on from {path}, after {len(losses)} steps.")
    return model, optimizer, losses.tolist()


class DataSet(NamedTuple):
    """Images with a dimension of channels, what their classes are called, and how far to shift."""

    name: str
    train: Batch
    test: Batch
    classes: tuple[str, ...]
    margin: int


def data_set(which: str, folder: str | None, train: slice, test: slice) -> DataSet:
    """CIFAR-10 or Fashion-MNIST; if "auto", the former where it can be had."""
    try:
        found = None if which == "fashion-mnist" else data.cifar10(folder)
    except data.DataError:
        if which == "cifar10" or folder is not None:
            raise
        print("CIFAR-10 cannot be had here (--folder names a copy): training on Fashion-MNIST.")
        found = None
    if found is not None:
        name, classes, margin = "CIFAR-10", data.CIFAR10_CLASSES, 4
    else:
        name, classes, margin = "Fashion-MNIST", data.FASHION_MNIST_CLASSES, 2
        found = data.fashion_mnist()
        found = found._replace(
            train_images=found.train_images[:, None], test_images=found.test_images[:, None]
        )
    return DataSet(
        name,
        (found.train_images[train], found.train_labels[train].astype(np.int64)),
        (found.test_images[test], found.test_labels[test].astype(np.int64)),
        classes,
        margin,
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = training_parser(
        "Train ResNet-20 on CIFAR-10 or, where that is not to be had, Fashion-MNIST.",
        epochs=8,
        batch_size=128,
        lr=0.2,
        out="outputs/cifar10_resnet.png",
    )
    add = parser.add_argument
    add("--data", choices=("auto", "cifar10", "fashion-mnist"), default="auto")
    add("--folder", help="where CIFAR-10's .bin files are; None: the cache, or else the web")
    add("--momentum", type=float, default=0.9, help="Nesterov's momentum of SGD")
    add("--weight-decay", type=float, default=5e-4, help="of all parameters")
    add("--blocks", type=int, default=3, metavar="N", help="in each stage: 6 N + 2 layers")
    add("--width", type=int, default=16, help="channels of the first stage")
    add("--checkpoint", metavar="FILE", help="saved after each epoch; gone on from if there")
    small = {"train_limit": 64, "test_limit": 32, "batch_size": 16, "blocks": 1, "width": 4}
    return parse(parser, {"epochs": 2, **small})


if __name__ == "__main__":
    main()
