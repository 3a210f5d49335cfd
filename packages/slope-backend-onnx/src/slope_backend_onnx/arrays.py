"""Arrays on their way into ONNX Runtime and out of it.

A *handle* is what a session takes and returns. On the CPU it is a C-contiguous NumPy array, since
ONNX Runtime borrows an input for the length of a call and hands each output over as a fresh,
64-byte-aligned array which owns its memory: nothing is copied, nothing dangles, and an OrtValue
around it would only cost time. On other devices it is an `onnxruntime.OrtValue` that lives there.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from slope_backend_onnx.graph import ELEMENT_TYPES
from slope_backend_onnx.provider import OnnxRuntimeError, import_runtime, on_cpu, parse_device

Handle: TypeAlias = Any
"""On the CPU an `np.ndarray` that nobody may write to, elsewhere an `onnxruntime.OrtValue`."""

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_DTYPES = frozenset(np.dtype(name) for name in ELEMENT_TYPES)  # looked up faster than names


class ArrayError(OnnxRuntimeError, TypeError):
    """An array whose dtype cannot enter ONNX Runtime."""


def import_array(array: np.ndarray, device: str = "cpu:0") -> Handle:
    """Bring a host array to a device.

    On the CPU the array itself is the handle, borrowed and not copied, so the caller must not write
    to it while the handle is in use; only one that is not C-contiguous, aligned and of native byte
    order is copied. Other devices get a copy.

    Args:
        array: Of any shape (0-d and empty too), bool, an integer of 8 to 64 bits, float16,
            bfloat16 (ml_dtypes), float32 or float64.
        device: "cpu:0", or "cuda:N".

    Raises:
        ArrayError: The dtype has no counterpart in ONNX.
        DeviceError: There is no such device.
    """
    if array.dtype not in _DTYPES and array.dtype.newbyteorder("=") not in _DTYPES:
        known = ", ".join(ELEMENT_TYPES)
        raise ArrayError(
            f"an array of dtype {array.dtype} and shape {array.shape} cannot enter ONNX Runtime, "
            f"which takes {known}; convert it with astype"
        )
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned and array.dtype.isnative):
        array = np.array(array, array.dtype.newbyteorder("="), order="C")
    if on_cpu(device):
        return array
    return _to_device(array, *parse_device(device))


def export_array(handle: Handle) -> np.ndarray:
    """The values of a handle as a read-only array: a view on the CPU, a copy of another device's.

    The array keeps the memory alive.
    """
    view = handle.view() if isinstance(handle, np.ndarray) else to_host(handle)
    view.flags.writeable = False
    return view


def ort_value(array: np.ndarray) -> Any:
    """An OrtValue in host memory that borrows a C-contiguous array and keeps it alive."""
    value = import_runtime().OrtValue
    if array.dtype != _BFLOAT16:
        return value.ortvalue_from_numpy(array)
    make = getattr(value, "ortvalue_from_numpy_with_onnx_type", None)
    if make is None:
        raise ArrayError(
            f"bfloat16 arrays cannot enter or leave ONNX Runtime {import_runtime().__version__}; "
            "upgrade onnxruntime, or convert them to float32 at the program's border"
        )
    return make(array.view(np.uint16), ELEMENT_TYPES["bfloat16"])


class _Bits:
    """Lends the memory of a host OrtValue to NumPy as uint16, and keeps the value alive."""

    def __init__(self, value: Any) -> None:
        self._value = value
        self.__array_interface__ = {
            "version": 3,
            "shape": tuple(value.shape()),
            "typestr": "<u2",
            "data": (value.data_ptr(), True),
        }


def _to_device(array: np.ndarray, kind: str, index: int) -> Any:
    """A copy of a host array as an OrtValue on a device."""
    value = import_runtime().OrtValue
    if array.dtype != _BFLOAT16:
        return value.ortvalue_from_numpy(array, kind, index)
    target = value.ortvalue_from_shape_and_type(array.shape, ELEMENT_TYPES["bfloat16"], kind, index)
    target.update_inplace(ort_value(array))
    return target


def to_host(value: Any) -> np.ndarray:
    """The values of an OrtValue: without a copy from host memory, else copied there."""
    if value.element_type() != ELEMENT_TYPES["bfloat16"]:
        return value.numpy()
    shape = tuple(value.shape())
    if 0 in shape:
        return np.empty(shape, _BFLOAT16)
    if value.device_name() != "cpu":
        host = import_runtime().OrtValue.ortvalue_from_shape_and_type(
            shape, ELEMENT_TYPES["bfloat16"]
        )
        host.update_inplace(value)
        value = host
    return np.asarray(_Bits(value)).view(_BFLOAT16)
