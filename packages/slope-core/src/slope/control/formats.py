"""Formats with fields in braces, as of ``str.format``, for arrays and what else is printed."""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from slope.errors import ArgumentError


def formatted(text: str, args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """``text.format(*args, **kwargs)``, where arrays take a format of their elements, too.

    Raises:
        ArgumentError: the format does not fit the values, or leaves some out.
    """
    try:
        return _FORMATTER.vformat(text, tuple(args), kwargs)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        given = [f"{len(args)} positional values", *kwargs]
        reason = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise ArgumentError(
            f"debug.print: the format {text!r} does not fit {', '.join(given)}: {reason}. Write a "
            f"field in braces for each value, as for str.format: "
            f"slope.debug.print('x = {{}}, loss = {{loss:.3f}}', x, loss=loss)."
        ) from error


def print_formatted(text: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Print :func:`formatted` values."""
    print(formatted(text, args, kwargs))  # noqa: T201  # what slope.debug.print is for


class _Formatter(string.Formatter):
    """Formats arrays, and refuses values that no field shows."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if not isinstance(value, (np.ndarray, np.generic)) or not format_spec:
            return format(value, format_spec)
        if value.ndim == 0:
            return format(_number(value), format_spec)
        elements: Any = {"all": lambda each: format(_number(each), format_spec)}
        return np.array2string(value, formatter=elements)

    def check_unused_args(self, used_args: Any, args: Any, kwargs: Any) -> None:
        unused = [repr(each) for each in (*range(len(args)), *kwargs) if each not in used_args]
        if unused:
            raise ValueError(f"no field shows {', '.join(unused)}")


_FORMATTER: Final = _Formatter()


def _number(value: Any) -> Any:
    """A NumPy number as Python's; bfloat16 as a float."""
    return float(value) if value.dtype.kind == "V" else value.item()
