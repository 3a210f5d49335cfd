"""Devices, loaded modules, and arrays in and out of them.

    runtime = Runtime("cpu")
    module = runtime.load(compile_module(text))
    [y] = module([runtime.import_array(x)])
    runtime.export_array(y)

A handle is an `iree.runtime.HalBufferView`: shape, element type and a share in a buffer; of class
`Borrowed` where that is a host array's memory. Nothing writes to a buffer once it is filled but
modules compiled to take it as donated, so handles may be shared by threads, passed to any number of
calls, and exported without a copy.

On the CPU there are two IREE devices in a process, each made once: `local-sync` runs a call in the
calling thread (about 3 us a call), `local-task` spreads it over one pool of threads (about 50 us).
Both use plain host memory, so a handle made on either serves modules of both, at no cost.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from typing import Any

import iree.runtime as iree
import numpy as np

from .arrays import (
    DTYPES,
    ELEMENTS,
    PLAIN,
    Borrowed,
    borrow,
    copy_to_device,
    copy_to_host,
)
from .devices import IreeDeviceError, choose_driver, immortal, instance, open_device

__all__ = [
    "IreeRuntimeError",
    "Module",
    "Runtime",
]


class IreeRuntimeError(Exception):
    """Loading or calling a module failed."""


class Runtime:
    """One device: loads modules onto it, moves arrays in and out.

    Making another for the same device costs nothing: devices and their threads are made once in a
    process.

    Arguments:
        kind: "cpu" or "cuda".
        index: which of the devices of that kind, from 0.

    Raises:
        IreeDeviceError: no such device.
    """

    def __init__(self, kind: str = "cpu", index: int = 0) -> None:
        if kind not in ("cpu", "cuda"):
            raise IreeDeviceError(f"IREE devices of slope are 'cpu' and 'cuda', got {kind!r}")
        if kind == "cpu" and index != 0:
            raise IreeDeviceError(f"there is one CPU device, 'cpu:0'; 'cpu:{index}' was asked for")
        self.kind = kind
        self.index = index
        # Arrays go through the synchronous device on the CPU: host memory is the same for both.
        self._driver = "local-sync" if kind == "cpu" else kind
        open_device(self._driver, index)

    def __repr__(self) -> str:
        return f"Runtime({self.kind!r}, {self.index})"

    def load(
        self, module: bytes, entry: str = "main", *, flops: float = 0.0, moved: float = 0.0
    ) -> Module:
        """Makes compiled bytes ready to call.

        Arguments:
            module: what `compile_module` returned, for this kind of device.
            entry: name of the function to call.
            flops: estimate of the floating-point operations of one call.
            moved: estimate of the bytes that one call reads and writes. On the CPU the two decide
                whether it runs in the caller's thread or on the thread pool (`choose_driver`).

        Raises:
            IreeRuntimeError: damaged bytes, another IREE version's, no such function, or a module
                compiled for another device.
        """
        driver = choose_driver(flops, moved) if self.kind == "cpu" else self.kind
        return Module(module, entry, driver, self.index)

    def import_array(self, array: np.ndarray) -> iree.HalBufferView:
        """A handle on an array's elements.

        On the CPU a C-contiguous array aligned to `ALIGNMENT` bytes (`slope.extend.aligned_empty`
        makes such) is borrowed: the handle keeps it alive, and writing to it afterwards changes
        what programs see. Any other is copied, and always on other devices. Read-only arrays are
        borrowed too; programs never write to their inputs.

        Raises:
            TypeError: for a dtype that IREE has no element type for.
        """
        dtype = array.dtype
        element = ELEMENTS.get(dtype)
        if element is None:
            raise TypeError(
                f"arrays of dtype {dtype} cannot enter IREE; convert to one of "
                f"{', '.join(map(str, ELEMENTS))}"
            )
        device = open_device(self._driver, self.index)[0]
        if self.kind != "cpu":
            return copy_to_device(device, array, element)
        if dtype in PLAIN and array.size and array.flags.c_contiguous:
            try:
                view = device.from_dlpack_capsule(array.__dlpack__())
                return Borrowed(view.get_buffer(), array.shape, element)
            except (BufferError, IndexError):
                pass  # read-only, or misaligned: to try costs less than to look first
        return borrow(device, array, element)

    def export_array(self, handle: iree.HalBufferView) -> np.ndarray:
        """A read-only array of a handle's elements.

        On the CPU it is a view which keeps the buffer alive, elsewhere a copy.
        """
        dtype = DTYPES[handle.element_type]
        if self.kind != "cpu":
            array = copy_to_host(open_device(self._driver, self.index)[0], handle, dtype)
            array.setflags(write=False)
            return array
        shape = handle.shape
        size = math.prod(shape)
        if not size:
            return np.empty(shape, dtype)
        # The array keeps the mapping alive, and that the handle; what `map().asarray` returns does
        # not: it is memory of a buffer that may be freed and used again.
        memory: Any = handle.map()  # of whose buffer protocol its stub does not tell
        return np.frombuffer(memory, dtype, size).reshape(shape)


class Module:
    """A function of a compiled module, from handles to handles; made by `Runtime.load`.

    Any number of threads may call it at once. IREE's contexts are not made for that, so each call
    takes an idle one, or makes one (60 us) where all are busy.
    """

    __slots__ = ("__weakref__", "_driver", "_entry", "_function", "_idle", "_index", "_module")

    def __init__(self, data: bytes, entry: str, driver: str, index: int) -> None:
        self._driver = driver
        self._index = index
        self._entry = entry
        try:
            self._module = iree.VmModule.copy_buffer(instance(), data)
        except (ValueError, RuntimeError) as error:
            raise IreeRuntimeError(
                f"IREE cannot load this compiled module ({len(data)} bytes): {error}"
            ) from None
        function = self._module.lookup_function(entry)
        if function is None:
            names = ", ".join(self._module.function_names)
            raise IreeRuntimeError(
                f"the compiled module has no function {entry!r}; it has: {names}"
            )
        self._function = function
        self._idle: list[iree.VmContext] = [self._context()]
        _modules.add(self)

    def __repr__(self) -> str:
        return f"<Module {self._entry!r} on {self._driver}:{self._index}>"

    @property
    def driver(self) -> str:
        """The IREE driver it runs on: "local-sync", "local-task" or "cuda"."""
        return self._driver

    @property
    def declaration(self) -> str:
        """The function's signature, as IREE words it."""
        return self._function.reflection.get("iree.abi.declaration", self._entry)

    def __call__(self, handles: Sequence[iree.HalBufferView]) -> list[iree.HalBufferView]:
        """Runs the function to its end.

        Raises:
            IreeRuntimeError: wrong number, shapes or element types of arguments, or a failure
                while running.
        """
        arguments = iree.VmVariantList(len(handles))
        for handle in handles:
            arguments.push_ref(handle)  # pyright: ignore[reportArgumentType] # stub is too narrow
        results = iree.VmVariantList(1)
        try:
            context = self._idle.pop()  # taken and put back by single operations of a list: no lock
        except IndexError:
            context = self._context()
        try:
            context.invoke(self._function, arguments, results)
        except (ValueError, RuntimeError, IndexError, NotImplementedError) as error:
            raise IreeRuntimeError(f"calling {self.declaration} failed: {error}") from None
        finally:
            self._idle.append(context)
        get = results.get_as_object
        return [get(position, iree.HalBufferView) for position in range(len(results))]

    def abandon(self) -> None:
        """Forgets its contexts, without freeing them: in a forked child, whose devices are new."""
        for context in self._idle:
            immortal(context)  # freeing it would wait for threads that are no more
        self._idle.clear()

    def _context(self) -> iree.VmContext:
        hal = open_device(self._driver, self._index)[1]
        try:
            return iree.VmContext(instance(), [hal, self._module])
        except (ValueError, RuntimeError, NotImplementedError) as error:
            raise IreeRuntimeError(
                f"IREE cannot load this module on {self._driver}:{self._index}: {error}"
            ) from None


# --- forking -------------------------------------------------------------------------------------

_modules: weakref.WeakSet[Module] = weakref.WeakSet()


def _after_fork() -> None:
    """In a forked child modules take contexts on the child's own devices, when next called."""
    for module in list(_modules):
        module.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
