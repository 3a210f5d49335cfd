"""Draw digits nobody wrote: `python examples/vae.py` (D. Kingma, M. Welling, 2013).

A variational autoencoder squeezes every digit of MNIST through two numbers. The encoder gives a
normal distribution, a point is drawn from it, and the decoder paints the digit back. The draw is a
shifted and scaled standard normal, so gradients go through it; it happens inside the jitted step,
is fresh at every call, and follows from the seed alone.
"""

from __future__ import annotations

import numpy as np
from common.command import small_parser, start
from common.plots import INK, bare, panels, plain, save
from tqdm.auto import tqdm

import slope
from slope import nn
from slope.nn import data


class VAE(nn.Module):
    """Encoder and decoder, each with two hidden layers, around a plane."""

    def __init__(self, width: int) -> None:
        self.encoder = nn.Sequential(
            nn.Linear(784, width),
            nn.SiLU(),
            nn.Linear(width, width // 2),
            nn.SiLU(),
            nn.Linear(width // 2, 4),
        )
        self.decoder = nn.Sequential(
            nn.Linear(2, width // 2),
            nn.SiLU(),
            nn.Linear(width // 2, width),
            nn.SiLU(),
            nn.Linear(width, 784),
        )

    def encode(self, images: slope.Tensor) -> tuple[slope.Tensor, slope.Tensor]:
        """The mean and the logarithm of the variance of where an image lies, (n, 2) each."""
        mean, log_variance = slope.chunk(self.encoder(images), 2, dim=-1)
        return mean, log_variance

    def decode(self, places: slope.Tensor) -> slope.Tensor:
        """The logits of the pixels, (n, 784), of places (n, 2)."""
        return self.decoder(places)


def loss_of(model: VAE, images: slope.Tensor) -> slope.Tensor:
    """Minus the evidence lower bound, in nats for an image: what to repaint costs, and to place."""
    mean, log_variance = model.encode(images)
    places = mean + slope.exp(0.5 * log_variance) * slope.randn_like(mean)  # reparameterised
    logits = model.decode(places)
    paint = slope.binary_cross_entropy_with_logits(logits, images, reduction="sum")
    # The divergence of a normal from the standard normal: their paper's appendix B.
    place = -0.5 * slope.sum(1 + log_variance - mean**2 - slope.exp(log_variance))
    return (paint + place) / images.shape[0]


@slope.jit
def train_step(
    model: VAE, optimizer: nn.Adam, images: slope.Tensor
) -> tuple[VAE, nn.Adam, slope.Tensor]:
    """One step of Adam; the draws are part of the program."""
    loss, gradient = slope.value_and_grad(loss_of)(model, images)
    model, optimizer = optimizer(model, gradient)
    return model, optimizer, loss


evaluate = slope.jit(loss_of)


@slope.jit
def place(model: VAE, images: slope.Tensor) -> slope.Tensor:
    """Where images lie in the plane."""
    return model.encode(images)[0]


@slope.jit
def paint(model: VAE, places: slope.Tensor) -> slope.Tensor:
    """The images (n, 28, 28) at places."""
    return slope.sigmoid(model.decode(places)).reshape(-1, 28, 28)


def pixels(images: np.ndarray) -> np.ndarray:
    """Images (n, 28, 28) of bytes as rows (n, 784) of float32 from 0 to 1."""
    return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)


def main() -> None:
    """Train, print the bound on test images, and draw the plane of digits."""
    args, backend = start(
        small_parser(
            "vae",
            "A variational autoencoder of MNIST with two latent numbers.",
            epochs=(12, "passes over the training images"),
            width=(512, "of the layers"),
            lr=(2e-3, "learning rate at the start"),
        )
    )
    digits = data.mnist()
    images, tested = pixels(digits.train_images), pixels(digits.test_images)
    if args.tiny:
        images, args.epochs, args.width = images[:400], 2, 32
    model = VAE(args.width)
    optimizer = nn.Adam(model, lr=args.lr)
    size = 100 if args.tiny else 200
    batches = data.Batches(images, size, key=args.seed, drop_last=True).until(args.epochs)
    losses: list[float] = []
    total = len(batches)
    with tqdm(batches, desc="Training", unit="step") as bar:
        for batch in bar:
            optimizer.lr = args.lr * (1 - len(losses) / total) + 1e-5
            model, optimizer, loss = train_step(model, optimizer, batch)
            losses.append(loss.item())
            bar.set_postfix(nats=f"{np.mean(losses[-100:]):.1f}", refresh=False)

    bound = evaluate(model, tested).item()
    again = evaluate(model, tested).item()
    print(f"Backend {backend}")
    print(f"Test images cost {bound:.2f} nats; drawn anew, {again:.2f}")
    found = place(model, tested[:5000]).numpy()
    print(f"Picture {draw(args.out, backend, model, found, digits.test_labels[:5000], bound)}")


def draw(
    out: str, backend: str, model: VAE, found: np.ndarray, labels: np.ndarray, bound: float
) -> object:
    """The digits over the plane, where test images lie in it, and draws from the prior."""
    figure, (manifold, cloud, drawn) = panels(
        f"A plane of digits: VAE on MNIST, {bound:.1f} nats an image, slope on {backend}",
        (15, 5.2),
        1,
        1.12,
        1,
    )
    # Even steps of probability, so that every tile is as likely as the next.
    side, steps = 20, np.linspace(0.03, 0.97, 20, dtype=np.float32)
    axis = np.sqrt(2) * slope.erfinv(slope.tensor(2 * steps - 1)).numpy()
    grid = np.stack(np.meshgrid(axis, axis[::-1]), -1).reshape(-1, 2).astype(np.float32)
    bare(manifold, "What the decoder paints across the plane").imshow(
        tiles(paint(model, grid).numpy(), side), cmap="gray_r"
    )
    shown = cloud.scatter(
        *found.T, c=labels, cmap="tab10", vmin=-0.5, vmax=9.5, s=5, alpha=0.7, linewidths=0
    )
    plain(cloud, title="Where 5,000 test images lie").set(xlim=(-4, 4), ylim=(-4, 4))
    bar = figure.colorbar(shown, ax=cloud, ticks=range(10), shrink=0.9, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelcolor=INK)
    bare(drawn, "Digits nobody wrote: draws from the prior").imshow(
        tiles(paint(model, slope.randn(100, 2)).numpy(), 10), cmap="gray_r"
    )
    return save(figure, out)


def tiles(images: np.ndarray, side: int) -> np.ndarray:
    """Square images as one, `side` of them beside and below each other."""
    return images.reshape(side, side, 28, 28).transpose(0, 2, 1, 3).reshape(side * 28, side * 28)


if __name__ == "__main__":
    main()
