"""Export a whole training step, and train with it where there is no slope.

`python examples/export_training_step.py` writes one step on MNIST (forward pass with dropout,
gradients, momentum) to a file of ONNX, with the values that training begins with. A process that
imports NumPy and ONNX Runtime alone then trains with it. With `--file outputs/step.vmfb` the step
is compiled by IREE, whose own program runs it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common.command import small_parser, start
from common.plots import BLUE, INK, RED, panels, plain, save

import slope
from slope import nn
from slope.nn import data

HOST = Path(__file__).parent / "common" / "train_without_slope.py"


@slope.jit
def train_step(
    model: nn.Sequential, optimizer: nn.SGD, x: slope.Tensor, y: slope.Tensor
) -> tuple[nn.Sequential, nn.SGD, slope.Tensor]:
    """One step: the new model, the new optimizer, and the old loss."""
    loss, gradients = slope.value_and_grad(lambda m: slope.cross_entropy(m(x), y))(model)
    model, optimizer = optimizer(model, gradients)
    return model, optimizer, loss


def batches_of(count: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """So many batches of images (count, size, 784) and labels (count, size)."""
    digits = data.mnist()
    chosen = np.random.default_rng(seed).integers(0, len(digits.train_labels), (count, size))
    pixels = digits.train_images[chosen].reshape(count, size, 784).astype(np.float32) / 255
    return pixels, digits.train_labels[chosen].astype(np.int64)


def train_elsewhere(file: Path, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The losses of a process that has the file and the batches, and no slope."""
    with tempfile.TemporaryDirectory() as folder:
        batches, losses = Path(folder, "batches.npz"), Path(folder, "losses.npy")
        np.savez(batches, x=x, y=y)
        subprocess.run([sys.executable, HOST, file, batches, losses], check=True)
        return np.load(losses)


def main() -> None:
    """Export, train in both places, compare and draw."""
    parser = small_parser(
        "export_training_step",
        "Export a training step, and train without slope.",
        steps=(300, "of training"),
        batch_size=(100, "images in one step"),
    )
    parser.add_argument("--file", default="outputs/step.onnx", help="ends in .onnx or .vmfb")
    args, backend = start(parser)
    count = 20 if args.tiny else args.steps
    x, y = batches_of(count, args.batch_size, args.seed)

    model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Dropout(0.2), nn.Linear(100, 10))
    optimizer = nn.SGD(model, lr=0.1, momentum=0.9)
    file = Path(args.file).absolute()
    file.parent.mkdir(parents=True, exist_ok=True)
    exported = slope.export(train_step, model, optimizer, x[0], y[0], path=file, values="npz")
    print(exported)

    there = train_elsewhere(file, x, y)
    here = np.zeros(count)
    for step in range(count):
        model, optimizer, loss = train_step(model, optimizer, x[step], y[step])
        here[step] = loss.item()
    gap = np.abs(here - there).max()
    print(f"Without slope the loss fell from {there[0]:.3f} to {there[-10:].mean():.3f}")
    print(f"Backend {backend}: the losses of slope itself differ from these by at most {gap:.1e}")

    figure, (axes,) = panels(f"One file, {file.name}, trains on MNIST", (9, 4.5), 1)
    axes.plot(here, color=RED, linewidth=4, alpha=0.35, label=f"slope on {backend}")
    axes.plot(there, color=BLUE, linewidth=1.2, label=f"{file.name}, no slope in the process")
    plain(axes, title="Cross-entropy of each batch", xlabel="steps")
    axes.legend(frameon=False, labelcolor=INK)
    print(f"Picture {save(figure, args.out)}")


if __name__ == "__main__":
    main()
