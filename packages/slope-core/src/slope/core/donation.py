"""Donated tensors: their memory is given to the call that takes them, and is theirs no more."""

from __future__ import annotations

import sys
from typing import Any, ClassVar, Final, NoReturn

import numpy as np

from slope.core.tensor import Splat, Tensor, aligned_empty
from slope.errors import DonatedTensorError


class _Donated:
    """Stands as the backend of a tensor that was donated; whoever asks it for elements is told."""

    name: ClassVar[str] = "donated"

    def __init__(self, function: str) -> None:
        self._function = function

    def from_host(self, array: object, device: object) -> NoReturn:
        raise self._error()

    def to_host(self, handle: object) -> NoReturn:
        raise self._error()

    def _error(self) -> DonatedTensorError:
        return DonatedTensorError(
            f"this tensor was donated to an earlier call of {self._function} "
            f"(slope.jit(..., donate=...)), which may have written over it. Use what the call "
            f"returned, keep a copy with slope.tensor(x) before the call, or leave the argument "
            f"out of donate=."
        )


def give_up(tensor: Tensor, function: str) -> None:
    """Take a tensor's memory from it: what it refers to is no longer reachable through it.

    A tensor of one repeated number has none to give, and stays as it is.

    Args:
        tensor: no tracer.
        function: what the tensor was donated to, for messages.
    """
    if isinstance(tensor, Splat):
        tensor._imports = None
        return
    tensor._backend = _Donated(function)
    tensor._handle = tensor._host = tensor._imports = None


def held_once(handle: Any) -> bool:
    """Whether nobody but the caller's caller refers to an object.

    For ``Backend.exclusive`` of backends whose handles are objects of their runtime.

    Args:
        handle: what ``exclusive`` was given, passed on as it is.
    """
    return sys.getrefcount(handle) <= _REFERENCES


def only_reference(array: np.ndarray[Any, Any]) -> bool:
    """Whether nobody but the caller's caller refers to an array's memory.

    For ``Backend.exclusive`` of backends whose handles are arrays. Such an array may be written to:
    no view, no other tensor, no export through ``numpy()`` or DLPack and no user's variable sees
    it.

    Args:
        array: what ``exclusive`` was given, passed on as it is.
    """
    return _is_plain(array) and sys.getrefcount(array) <= _REFERENCES and _owned(array)


def _is_plain(array: Any) -> bool:
    return type(array) is np.ndarray and array.flags.writeable and array.flags.c_contiguous


def _owned(array: np.ndarray[Any, Any]) -> bool:
    if array.base is None:
        return bool(array.flags.owndata)
    # What aligned_empty makes: a view of an array that nobody else holds.
    base = array.base
    return (
        type(base) is np.ndarray
        and bool(base.flags.owndata)
        and sys.getrefcount(base) <= _BASE_REFERENCES
    )


class _Probe:
    """Counts references as `held_once` sees them of what one list alone holds."""

    def exclusive(self, handle: Any) -> int:
        return _count(handle)


def _count(handle: Any) -> int:
    return sys.getrefcount(handle)


def _count_base(array: Any) -> int:
    base = array.base
    return sys.getrefcount(base)


# How many references the interpreter itself adds on the way differs between Python versions.
_held: Final = [object()]
_REFERENCES: Final = _Probe().exclusive(_held[0])
_BASE_REFERENCES: Final = _count_base(aligned_empty((1,), np.dtype(np.uint8)))
