"""What fetching needs beside slope-nn, the extra `slope-nn[data]`: imported when first used."""

from __future__ import annotations

import importlib
from typing import Any

from slope.extend import SlopeError


class MissingExtraError(SlopeError, ImportError):
    """A distribution that an extra of slope-nn brings is not installed."""


def need(module: str) -> Any:
    """Import a module that the extra `data` brings: pooch, tqdm or matplotlib.

    Raises:
        MissingExtraError: It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtraError(
            f"slope.nn.data needs {package}, which is not installed: pip install 'slope-nn[data]'"
        ) from None
