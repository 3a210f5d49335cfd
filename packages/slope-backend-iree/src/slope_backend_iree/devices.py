"""The IREE devices of this process, each made once, on first use.

They live until the process ends: hundreds of modules share one device, and with it one pool of
threads.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TypeVar

import iree.runtime as iree
from iree.runtime import _binding  # for two functions that the package does not re-export

from slope.extend import cpu_count

from .memory import tune_allocator

__all__ = [
    "IreeDeviceError",
    "choose_driver",
    "device_count",
    "immortal",
    "instance",
    "missing",
    "open_device",
]

# What one thread of a compiled program reaches: 150 GFLOP/s in packed matrix products, 20 GB/s.
_FLOPS = 150e9
_BYTES = 20e9
# What sharing a call out must save to be worth it. A call through the pool costs some 50 us at
# rest, and several times that where other libraries' threads spin, as NumPy's BLAS does after each
# product.
_WORTHWHILE_SECONDS = 400e-6

_T = TypeVar("_T")


class IreeDeviceError(Exception):
    """A device that is not there was asked for."""


def choose_driver(flops: float = 0.0, moved: float = 0.0) -> str:
    """The CPU driver for a program, "local-sync" or "local-task".

    Arguments:
        flops: floating-point operations of one call.
        moved: bytes read and written by one call.
    """
    saved = (flops / _FLOPS + moved / _BYTES) * (1 - 1 / cpu_count())
    return "local-task" if saved > _WORTHWHILE_SECONDS else "local-sync"


def device_count(kind: str) -> int:
    """How many devices of a kind ("cpu", "cuda") there are; 0 where the driver is missing."""
    try:
        return _counted(kind)
    except (ValueError, RuntimeError):  # no such driver in this build, or none on this machine
        return 0


def missing(kind: str, index: int) -> str:
    """Why there is no such device, in a sentence."""
    try:
        count = _counted(kind)
    except (ValueError, RuntimeError) as error:
        return f"IREE has no usable {kind!r} driver here: {error}."
    return f"IREE sees {count} {kind!r} device(s), the first is number 0, not {index}."


def _counted(kind: str) -> int:
    return 1 if kind == "cpu" else len(iree.get_driver(kind).query_available_devices())


_lock = threading.RLock()
_devices: dict[tuple[str, int], tuple[iree.HalDevice, iree.VmModule]] = {}
_instances: list[iree.VmInstance] = []


def instance() -> iree.VmInstance:
    """The process's virtual machine instance, which holds the types that all modules share."""
    with _lock:
        if not _instances:
            _instances.append(immortal(iree.VmInstance()))
        return _instances[0]


def open_device(driver: str, index: int) -> tuple[iree.HalDevice, iree.VmModule]:
    """A driver's device, and the module through which compiled code reaches it.

    Raises:
        IreeDeviceError: no such driver or device.
    """
    found = _devices.get((driver, index))  # no lock on the way that every call takes
    if found is not None:
        return found
    with _lock:
        if (driver, index) not in _devices:
            device = immortal(_create(driver, index))
            _devices[driver, index] = device, immortal(iree.create_hal_module(instance(), device))
        return _devices[driver, index]


def _create(driver: str, index: int) -> iree.HalDevice:
    if driver.startswith("local"):
        tune_allocator()  # before the pool's threads take heaps
    asked = os.environ.get("IREE_PY_RUNTIME_FLAGS", "")
    if driver == "local-task" and "task_worker_stack_size" not in asked:
        # Kernels on packed operands need more than the default 128 KiB, and crash without a word.
        iree.flags.parse_flags("--task_worker_stack_size=2097152")
    try:
        # Not `get_driver`, which remembers drivers: the pool's threads belong to the driver, and
        # a forked child needs new ones.
        handle = _binding.create_hal_driver(driver)  # pyright: ignore[reportAttributeAccessIssue] # absent from IREE's stubs
        available = handle.query_available_devices()
    except (ValueError, RuntimeError) as error:
        raise IreeDeviceError(
            f"IREE has no usable {driver!r} driver here: {error}. "
            "Install the device's driver, or choose 'cpu:0'."
        ) from None
    if not 0 <= index < len(available):
        raise IreeDeviceError(
            f"'{driver}:{index}' was asked for, and IREE sees {len(available)} such device(s); "
            "choose 'cpu:0' or one that is there."
        )
    try:
        return handle.create_device(available[index]["device_id"])
    except (ValueError, RuntimeError) as error:
        raise IreeDeviceError(f"IREE cannot open '{driver}:{index}': {error}") from None


def immortal(thing: _T) -> _T:
    """Keeps an object for the life of the process, past the interpreter's own clearing up.

    A `local-task` device freed before the last buffer that was made on it crashes the process;
    users' arrays hold such buffers, and at exit Python frees in no order. IREE's report of objects
    still alive at exit, which would go to stderr, is turned off with it.
    """
    _binding.disable_leak_checker()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
    return thing


def _after_fork() -> None:
    """In a forked child the pool's threads are gone: devices are made anew when next asked for."""
    global _lock  # noqa: PLW0603  # a lock cannot be reset, only replaced
    _lock = threading.RLock()  # another thread of the parent may have held it
    _devices.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
