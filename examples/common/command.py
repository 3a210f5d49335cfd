"""The command line that the small examples share."""

from __future__ import annotations

import argparse

import slope


def parser(name: str, description: str, **options: tuple[float, str]) -> argparse.ArgumentParser:
    """A parser with --backend, --seed, --out, --tiny, and a number option for each of `options`.

    Args:
        name: the example's, for the picture's.
        description: one line.
        options: by name, the default (an int or a float) and the help.
    """
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument(
        "--backend", help="iree, onnxruntime (or onnx) or numpy; None: the first that is installed"
    )
    made.add_argument("--seed", type=int, default=0, help="of the generator")
    made.add_argument("--out", default=f"outputs/{name}.png", help="where to save the picture")
    made.add_argument("--tiny", action="store_true", help="seconds instead of minutes: for tests")
    for option, (default, text) in options.items():
        flag = f"--{option.replace('_', '-')}"
        made.add_argument(flag, type=type(default), default=default, help=text)
    return made


def start(made: argparse.ArgumentParser) -> tuple[argparse.Namespace, str]:
    """Read the command line, choose the backend and seed the generator; also the backend's name."""
    args = made.parse_args()
    if args.backend:
        slope.set_backend(args.backend)
    slope.manual_seed(args.seed)
    return args, slope.backend().name
