"""The value that users hold.

A :class:`Tensor` is immutable. On a CPU it is a host array, and it remembers what each backend made
of that array (its *handle*), so that it crosses between CPU backends freely. On other devices it is
the handle of the one backend that made it. A :class:`Splat` is one number in every element and
holds no array until one is asked for; a :class:`Tracer` stands for a value that is not known yet.

The arithmetic and the named methods of tensors come from ``slope.functions``, which installs them
here through :func:`install_methods`, so that nothing imports upward.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from ctypes import addressof, c_char
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Protocol

import numpy as np

from slope.core.locks import open_after_fork
from slope.core.types import Shape, TensorType, type_of_array
from slope.devices import CPU, Device
from slope.dtypes import DType, bfloat16
from slope.errors import (
    ArgumentError,
    BackendError,
    ConcretizationError,
    DeviceError,
    EscapedTracerError,
    ShapeError,
    SlopeError,
    backend_failed,
)

if TYPE_CHECKING:
    from slope.core.declared import Methods
    from slope.core.trace import Trace
else:
    Methods = object

_adoption: Final = open_after_fork(threading.Lock())

ALIGNMENT: Final = 64  # bytes; what IREE wants to import a host array without a copy


class Importer(Protocol):
    """What tensors ask of a backend: to move host arrays in and out."""

    name: ClassVar[str]

    def from_host(self, array: np.ndarray[Any, Any], device: Device) -> Any: ...

    def to_host(self, handle: Any) -> np.ndarray[Any, Any]: ...


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An uninitialised array whose first byte is aligned to :data:`ALIGNMENT`."""
    count = 1
    for length in shape:
        count *= length
    nbytes = count * dtype.itemsize
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    address = addressof(c_char.from_buffer(raw.data))  # in a quarter of raw.ctypes.data's time
    start = -address % ALIGNMENT
    return np.ndarray(shape, dtype, raw, start)


class Tensor(Methods):
    """An immutable array of numbers on a device; made by ``slope.tensor`` and by computing."""

    __slots__ = (
        "__weakref__",
        "_backend",
        "_handle",
        "_host",
        "_imports",
        "device",
        "type",
        "weak",
    )
    __array_priority__ = 1000  # NumPy lets our reflected operators answer
    # A tensor hashes by identity although == compares elements, as in PyTorch.

    def __init__(
        self,
        tensor_type: TensorType,
        device: Device = CPU,
        backend: Importer | None = None,
        handle: Any = None,
        *,
        host: np.ndarray[Any, Any] | None = None,
        weak: bool = False,
    ) -> None:
        self.type = tensor_type
        self.device = device
        self.weak = weak  # made of Python scalars alone: it never widens another tensor
        self._host = host
        self._backend = backend
        self._handle = handle
        self._imports: dict[Any, Any] | None = None

    # --- what it is

    @property
    def shape(self) -> Shape:
        """The lengths of the dimensions."""
        return self.type.shape

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self.type.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.type.shape)

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self.type.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one dimension."""
        if dim is None:
            return self.type.shape
        if not isinstance(dim, (int, np.integer)):
            raise ArgumentError(f"size(): dim must be an int, not {dim!r:.60}.")
        if not -self.ndim <= dim < self.ndim:
            raise ShapeError(f"size(): dimension {dim} is out of range for shape {self.shape}.")
        return self.type.shape[dim]

    def numel(self) -> Any:
        """The number of elements."""
        return self.type.size

    @property
    def nbytes(self) -> Any:
        """Bytes of all elements."""
        return self.type.nbytes

    # --- its value

    def relabelled(self, device: Device) -> Tensor:
        """The same elements where they are, on a device that equals their own."""
        return Tensor(
            self.type, device, self._backend, self._handle, host=self._host, weak=self.weak
        )

    def numpy(self) -> np.ndarray[Any, Any]:
        """The elements as a read-only NumPy array, without a copy where that is possible."""
        view = self.host().view()
        view.flags.writeable = False
        return view

    def host(self) -> np.ndarray[Any, Any]:
        """The elements as a NumPy array that must not be written to.

        For backends; users call ``numpy()``.
        """
        if self._host is None:
            if self._backend is None:
                raise ArgumentError(
                    f"slope.Tensor({self.type!r:.60}) holds no elements: write slope.tensor(...)."
                )
            host = _to_host(self._backend, self._handle, self.type)
            if self.device.kind != "cpu":
                return host
            self._host = host
        return self._host

    def handle(self, backend: Importer) -> Any:
        """What ``backend`` calls this tensor: for backends and compiled calls.

        Raises:
            DeviceError: the tensor is on a device of another backend.
        """
        if self._backend is backend:
            return self._handle
        imports = self._imports
        if imports is not None and backend in imports:
            return imports[backend]
        if self.device.kind != "cpu":
            if self._handle is None and self._backend is not None:
                self._backend.to_host(None)  # it was donated: raises
            raise DeviceError(
                f"a tensor {self.type} on {self.device} belongs to the backend "
                f"{getattr(self._backend, 'name', '?')!r}; move it with .to('cpu') before the "
                f"backend {backend.name!r} uses it."
            )
        handle = _from_host(backend, self.host(), self.device)
        if type(self) is Tensor and self._backend is None:
            with _adoption:
                if self._backend is None:  # the first backend that uses it: found at once from now
                    self._handle = handle
                    self._backend = backend
                    return handle
        if imports is None:
            imports = self._imports = {}
        imports[backend] = handle
        return handle

    def item(self) -> bool | int | float:
        """The one element as a Python number.

        Raises:
            ShapeError: the tensor does not have exactly one element.
        """
        if self.type.size != 1:
            raise ShapeError(f"item() takes a tensor with one element; this one is {self.type}.")
        return self.host().reshape(()).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.host().tolist()

    def __bool__(self) -> bool:
        if self.type.size != 1:
            raise ShapeError(
                f"the truth of a tensor with {self.type.size} elements ({self.type}) is ambiguous; "
                f"use .any() or .all()."
            )
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __index__(self) -> int:
        if not self.dtype.is_integer or self.ndim != 0:
            raise ArgumentError(
                f"only an integer tensor of shape () can serve as an index; this one is "
                f"{self.type}."
            )
        return int(self.item())

    def __len__(self) -> int:
        if not self.type.shape:
            raise ShapeError("len() of a tensor of shape (); it has no dimensions.")
        return self.type.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        host = self.numpy()
        if dtype is not None and np.dtype(dtype) != host.dtype:
            if copy is False:
                raise ArgumentError(
                    f"an array of {np.dtype(dtype)} cannot share the memory of a tensor "
                    f"{self.type}; leave out copy=False."
                )
            return host.astype(dtype)
        return host.copy() if copy else host

    def __dlpack__(self, **options: Any) -> Any:
        if self.device.kind != "cpu":
            raise DeviceError(
                f"DLPack export from {self.device} is not supported; move it with .to('cpu') first."
            )
        host = self.host()
        # NumPy exports no read-only arrays without a version; the consumer must not write, as with
        # every tensor.
        if not host.flags.writeable:
            host = host.copy()
        return host.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"tensor({_elements(self.host(), len('tensor('))}, {self._description()})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def _description(self) -> str:
        return f"shape={self.shape}, dtype={self.dtype.name}, device='{self.device}'"

    def __reduce__(self) -> Any:
        return _rebuild, (np.asarray(self.host()), self.weak)


def _rebuild(array: np.ndarray[Any, Any], weak: bool) -> Tensor:
    return Tensor(type_of_array(array), host=array, weak=weak)


def _from_host(backend: Importer, host: np.ndarray[Any, Any], device: Device) -> Any:
    try:
        return backend.from_host(host, device)
    except (SlopeError, MemoryError):
        raise
    except Exception as error:
        raise backend_failed(backend, "from_host", error) from error


def _to_host(backend: Importer, handle: Any, wanted: TensorType) -> np.ndarray[Any, Any]:
    """The elements of a handle, in the shape of the result that it stands for.

    Raises:
        BackendError: it has another number of elements, or another dtype.
    """
    try:
        host = backend.to_host(handle)
    except (SlopeError, MemoryError):
        raise
    except Exception as error:
        raise backend_failed(backend, "to_host", error) from error
    if not isinstance(host, np.ndarray):
        raise backend_failed(backend, f"to_host: it returned {host!r:.60}, no NumPy array")
    if host.shape == wanted.shape and host.dtype == wanted.dtype.numpy:
        return host
    if host.dtype != wanted.dtype.numpy or host.size != wanted.size:
        raise BackendError(
            f"backend {backend.name!r} gave {host.dtype}{list(host.shape)} where the program says "
            f"{wanted}: it, or a lowering rule that a plugin adds to it, is wrong. To find the "
            f"operator: python -m slope.testing conformance --backend {backend.name}"
        )
    return host.reshape(wanted.shape)


def _elements(array: np.ndarray[Any, Any], indent: int) -> str:
    if array.dtype == bfloat16.numpy:  # whose elements NumPy prints as if they were whole
        array = array.astype(np.float32)
    return np.array2string(
        array, separator=", ", prefix=" " * indent, threshold=200, edgeitems=3, precision=4
    )


class Splat(Tensor):
    """A tensor that holds one number everywhere. Programs write it inline, as a literal.

    Attributes:
        value: the number, a Python scalar; it counts as cast to the dtype.
    """

    __slots__ = ("value",)

    def __init__(self, value: bool | float, tensor_type: TensorType, device: Device = CPU) -> None:
        super().__init__(tensor_type, device)
        self.value = value

    def host(self) -> np.ndarray[Any, Any]:
        if self._host is None:
            self._host = aligned_empty(self.type.shape, self.dtype.numpy)
            self._host[...] = splat_scalar(self.value, self.dtype)
        return self._host


def splat_scalar(value: bool | float, dtype: DType) -> Any:
    """The NumPy scalar that a Python number is in ``dtype``.

    Integers wrap around, floats overflow to inf.
    """
    if dtype.is_integer and isinstance(value, int):
        bits = dtype.bits
        value = value & ((1 << bits) - 1)
        if dtype.kind == "i" and value >> (bits - 1):
            value -= 1 << bits
    if -65504 <= value <= 65504:  # fits every floating dtype, so there is no warning to silence
        return dtype.numpy.type(value)
    with np.errstate(over="ignore"):
        return dtype.numpy.type(value)


class Tracer(Tensor):
    """A tensor whose value is not known yet: a transform is watching what is computed with it.

    Attributes:
        owner: the trace that it belongs to.
    """

    __slots__ = ("owner",)

    def __init__(self, trace: Trace, tensor_type: TensorType) -> None:
        super().__init__(tensor_type)
        self.owner = trace

    def host(self) -> np.ndarray[Any, Any]:
        self._refuse("the elements")

    def handle(self, backend: Importer) -> Any:
        self._refuse("the elements")

    def item(self) -> NoReturn:
        self._refuse("the value")

    def __bool__(self) -> bool:  # noqa: PLE0304  # it raises
        self._refuse("the truth (for an `if`, `while`, `and`, `or`, `not` or `assert`)")

    def _refuse(self, what: str) -> NoReturn:
        if not self.owner.alive:
            from slope.core.trace import escaped_message  # which imports this module

            raise EscapedTracerError(escaped_message(self, f"Python, which asked for {what},"))
        static = ""
        if self.type.shape == () and not self.dtype.is_floating_point:
            static = (
                " An argument that decides shapes or branches is made part of the program by "
                "slope.jit(f, static_argnames=...)."
            )
        raise ConcretizationError(
            f"Python asked for {what} of a traced tensor {self.type} "
            f"({self.owner.describe(self)}), which has no value while the function is traced. "
            f"{self.owner.remedy}{static}"
        )

    def __repr__(self) -> str:
        return f"tensor(<traced by {self.owner.name}>, shape={self.shape}, dtype={self.dtype.name})"

    def __reduce__(self) -> Any:
        self._refuse("the elements (to pickle or copy them)")


def install_methods(**methods: Callable[..., Any]) -> None:
    """Make functions methods of tensors; the tensor is their first argument.

    Raises:
        ArgumentError: a method of that name is there already.
    """
    for name, method in methods.items():
        if name in Tensor.__dict__ and name not in ("__eq__", "__ne__"):
            raise ArgumentError(f"tensors have a method {name!r} already.")
        setattr(Tensor, name, method)
