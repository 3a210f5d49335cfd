"""Assignments that would be lost: to a module's private copy that a transformed function drops."""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any


class LostAssignmentWarning(UserWarning):
    """A field was assigned inside a transformed function, and the module was not returned."""


_told: set[tuple[str, str]] = set()


class Pending:
    """What was assigned to a private copy and nobody has read as part of a pytree yet.

    Returning a module from a transformed function flattens it. So an assignment is kept when its
    module is flattened or copied, and lost when the module, and this record with it, dies first.
    """

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def add(self, owner: str, field: str) -> None:
        """Note an assignment, with the line of the user's code."""
        self._fields[f"{owner}.{field}"] = _line()

    def keep(self) -> None:
        """The module was flattened or copied: nothing is lost."""
        self._fields.clear()

    def __del__(self) -> None:
        if sys.exc_info()[0] is not None:
            return  # the function did not come to its end
        for field, line in self._fields.items():
            if (field, line) not in _told:
                _told.add((field, line))
                warnings.warn(
                    f"{field} was assigned at {line}, inside a transformed function, on a private "
                    f"copy of the module that was then dropped: the value is lost. Return the "
                    f"module, for example `return loss, model` with has_aux=True, and go on with "
                    f"what comes out.",
                    LostAssignmentWarning,
                    stacklevel=user_frame()[1],
                )


def user_frame() -> tuple[FrameType | None, int]:
    """The innermost frame outside of slope, and how far out it is: a warning's ``stacklevel``."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # the documented way up
    level = 1
    while frame is not None:
        package = str(frame.f_globals.get("__name__", "")).split(".")[0]
        if package not in ("slope", "slope_nn"):
            break
        frame, level = frame.f_back, level + 1
    return frame, level


def _line() -> str:
    frame, _ = user_frame()
    return "an unknown line" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def is_traced(value: Any, plain: type) -> bool:
    """Whether a tensor stands for values that are not known yet: those are of a subclass."""
    return isinstance(value, plain) and type(value) is not plain
