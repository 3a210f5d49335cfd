"""Arrays on their way into IREE and out of it: element types, borrowing, copying."""

from __future__ import annotations

from typing import Any

import iree.runtime as iree
import ml_dtypes
import numpy as np

from slope.extend import aligned_empty

ALIGNMENT = 64  # bytes; compiled code loads whole vectors, and faults on less


class Borrowed(iree.HalBufferView):
    """A handle on memory of a host array, which others may see."""


# IREE's element type of each dtype, and back.
_element: Any = iree.HalElementType  # an integer enumeration, whatever its stub says
ELEMENTS: dict[np.dtype, Any] = {
    np.dtype(np.bool_): _element.BOOL_8,
    np.dtype(np.int8): _element.SINT_8,
    np.dtype(np.int16): _element.SINT_16,
    np.dtype(np.int32): _element.SINT_32,
    np.dtype(np.int64): _element.SINT_64,
    np.dtype(np.uint8): _element.UINT_8,
    np.dtype(np.uint16): _element.UINT_16,
    np.dtype(np.uint32): _element.UINT_32,
    np.dtype(np.uint64): _element.UINT_64,
    np.dtype(np.float16): _element.FLOAT_16,
    np.dtype(ml_dtypes.bfloat16): _element.BFLOAT_16,
    np.dtype(np.float32): _element.FLOAT_32,
    np.dtype(np.float64): _element.FLOAT_64,
}
# Results of StableHLO's signed integers come back as signless ones.
DTYPES: dict[Any, np.dtype] = {int(element): dtype for dtype, element in ELEMENTS.items()} | {
    int(_element.INT_8): np.dtype(np.int8),
    int(_element.INT_16): np.dtype(np.int16),
    int(_element.INT_32): np.dtype(np.int32),
    int(_element.INT_64): np.dtype(np.int64),
}
# dtypes which NumPy hands over through DLPack under the element type IREE expects
PLAIN = frozenset(dtype for dtype in ELEMENTS if dtype != ml_dtypes.bfloat16)


def aligned_copy(array: np.ndarray) -> np.ndarray:
    """A copy that `Runtime.import_array` takes as it is."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


class _Writable:
    """A read-only array's memory as writable, which DLPack asks for; keeps the array alive."""

    def __init__(self, array: np.ndarray) -> None:
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
        self.owner = array


def borrow(
    device: iree.HalDevice, array: np.ndarray, element: iree.HalElementType
) -> iree.HalBufferView:
    """A handle on host memory of any dtype, shape and alignment, copied only if it must be."""
    shape = array.shape
    if not array.size:
        # IREE takes no empty memory, but empty shapes over some.
        array = aligned_empty((1,), np.dtype(np.uint8))
    elif not array.flags.c_contiguous or array.ctypes.data % ALIGNMENT:
        array = aligned_copy(array)
    raw = array.reshape(-1).view(np.uint8)
    if not raw.flags.writeable:
        raw = np.asarray(_Writable(raw))
    # DLPack and not `import_host_allocation`: there the array lives only as long as the Python
    # object of the buffer, not as long as the views and results that share it.
    buffer = device.from_dlpack_capsule(raw.__dlpack__()).get_buffer()
    return Borrowed(buffer, shape, element)


def copy_to_device(
    device: iree.HalDevice, array: np.ndarray, element: iree.HalElementType
) -> iree.HalBufferView:
    raw = np.ascontiguousarray(array).reshape(array.shape)  # ascontiguousarray makes 0-d arrays 1-d
    if array.dtype == ml_dtypes.bfloat16:  # it has no buffer protocol
        raw = raw.view(np.uint16)
    return device.allocator.allocate_buffer_copy(  # pyright: ignore[reportReturnType] # a view, given an element type
        memory_type=int(iree.MemoryType.DEVICE_LOCAL),
        allowed_usage=int(iree.BufferUsage.DEFAULT),
        device=device,
        buffer=raw,
        element_type=int(element),  # pyright: ignore[reportArgumentType] # IREE's stub asks for the enum
    )


def copy_to_host(device: iree.HalDevice, handle: iree.HalBufferView, dtype: np.dtype) -> np.ndarray:
    """Copies through a staging buffer that the host can map."""
    source = handle.get_buffer()
    if source.byte_length() == 0:
        return np.empty(handle.shape, dtype)
    staging = device.allocator.allocate_buffer(
        memory_type=int(iree.MemoryType.HOST_LOCAL | iree.MemoryType.DEVICE_VISIBLE),
        allowed_usage=int(iree.BufferUsage.TRANSFER_TARGET | iree.BufferUsage.MAPPING_SCOPED),
        allocation_size=source.byte_length(),
    )
    semaphore = device.create_semaphore(0)
    done = iree.HalFence.create_at(semaphore, 1)
    device.queue_copy(
        source,
        staging,
        wait_semaphores=iree.HalFence.create_at(semaphore, 0),
        signal_semaphores=done,
    )
    done.wait()
    return staging.map().asarray(handle.shape, dtype)
