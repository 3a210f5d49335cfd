"""The command line that scripts which train share."""

from __future__ import annotations

import argparse
from typing import Any

import slope


def training_parser(
    description: str, *, epochs: int, batch_size: int, lr: float, out: str
) -> argparse.ArgumentParser:
    """A parser with the options of a training script, and these defaults."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--backend", help="iree, onnxruntime (or onnx) or numpy; None: the first installed")
    add("--epochs", type=int, default=epochs, help="passes over the training images")
    add("--batch-size", type=int, default=batch_size, metavar="N", help="images in one step")
    add("--lr", type=float, default=lr, help="highest learning rate")
    add("--seed", type=int, default=0, help="of the weights and the batches")
    add("--train-limit", type=int, metavar="N", help="train on the first N images only")
    add("--test-limit", type=int, metavar="N", help="test on the first N images only")
    add("--out", default=out, metavar="PNG", help="where to save the picture")
    return parser


def parse(parser: argparse.ArgumentParser, tiny: dict[str, Any]) -> argparse.Namespace:
    """The arguments; with the flag `--tiny`, those not given are as in `tiny`."""
    parser.add_argument("--tiny", action="store_true", help="to try it out: small, and soon done")
    if parser.parse_args().tiny:
        parser.set_defaults(**tiny)
    return parser.parse_args()


def small_parser(
    name: str, description: str, **options: tuple[float, str]
) -> argparse.ArgumentParser:
    """A parser with --backend, --seed, --out, --tiny, and a number option for each of `options`.

    Args:
        name: the example's, and the picture's.
        description: one line.
        options: by name, the default (an int or a float) and the help.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--backend", help="iree, onnxruntime (or onnx) or numpy; None: the first installed")
    add("--seed", type=int, default=0, help="of all that is drawn")
    add("--out", default=f"outputs/{name}.png", metavar="PNG", help="where to save the picture")
    add("--tiny", action="store_true", help="to try it out: small, and soon done")
    for option, (default, text) in options.items():
        add(f"--{option.replace('_', '-')}", type=type(default), default=default, help=text)
    return parser


def start(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, str]:
    """Read the command line, choose the backend, seed the generator; also the backend's name."""
    args = parser.parse_args()
    if args.backend:
        slope.set_backend(args.backend)
    slope.manual_seed(args.seed)
    return args, slope.backend().name
