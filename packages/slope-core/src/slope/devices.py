"""Devices: where a tensor's elements live."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from slope.errors import DeviceError

_PATTERN = re.compile(r"([a-z]+)(?::(\d+))?")


class Device(NamedTuple):
    """A device: a kind such as ``cpu``, ``cuda`` or ``metal``, and a number.

    Prints as ``cpu:0``.
    """

    kind: str
    index: int = 0  # pyright: ignore[reportIncompatibleMethodOverride]  # hides tuple.index: no loss

    @property
    def type(self) -> str:
        """The kind, by PyTorch's name."""
        return self.kind

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}"

    def __repr__(self) -> str:
        return f"slope.device({str(self)!r})"


CPU = Device("cpu", 0)

ANYWHERE = Device("cpu", 0)
"""Where tensors are that slope makes on the way, from no operand: positions, masks, tables.

It is the CPU (and equals it, being another object), but such a tensor follows the other operands of
an operator to their device, while one that the user put on the CPU does not.
"""


def cpu_count() -> int:
    """How many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device(name: str | Device) -> Device:
    """The device that a string names.

    Args:
        name: ``"cpu"``, ``"cpu:0"``, ``"cuda:1"``, ``"metal"``...; a missing number is 0.

    Raises:
        DeviceError: the string is not of that form. Whether the device exists shows when it is
            used.
    """
    if isinstance(name, Device):
        return name
    match = _PATTERN.fullmatch(name) if isinstance(name, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]  # not all callers are checked
    if match is None:
        raise DeviceError(f"{name!r} names no device; write for instance 'cpu:0' or 'cuda:0'.")
    found = Device(match[1], int(match[2] or 0))
    # One object for the usual device: comparing it is comparing identity.
    return CPU if found == CPU else found


def default_device() -> Device:
    """The device of tensors that are made without ``device=``.

    It is what the environment variable ``DEFAULT_DEVICE`` names, else ``cpu:0``.

    Raises:
        DeviceError: ``DEFAULT_DEVICE`` is set and names no device.
    """
    name = os.environ.get("DEFAULT_DEVICE")
    if not name:
        return CPU
    try:
        return device(name)
    except DeviceError as error:
        raise DeviceError(f"DEFAULT_DEVICE={name}: {error}") from None
