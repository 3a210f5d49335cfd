"""ONNX Runtime behind a small surface: sessions, and the arrays that enter and leave them.

A *handle* is what a session takes and returns. On the CPU it is a C-contiguous NumPy array, since
ONNX Runtime borrows an input for the length of a call and hands each output over as a fresh,
64-byte-aligned array which owns its memory: nothing is copied, nothing dangles, and an OrtValue
around it would only cost time. On other devices it is an `onnxruntime.OrtValue` that lives there.

Costs per call of `x * 2 + 1` on 4 numbers (ONNX Runtime 1.31): `Session` 3 us, a fresh io_binding
6 us, the Python method `run_with_ort_values` 27 us (iterating over its result is what is slow).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import ml_dtypes
import numpy as np

from slope_backend_onnx.bindings import BoundCalls, Place
from slope_backend_onnx.graph import ELEMENT_TYPES

__all__ = [
    "ArrayError",
    "DeviceError",
    "Handle",
    "MissingRuntimeError",
    "OnnxRuntimeError",
    "Session",
    "SessionError",
    "create_session",
    "export_array",
    "import_array",
    "import_runtime",
    "timed_session",
]

Handle: TypeAlias = Any
"""On the CPU an `np.ndarray` that nobody may write to, elsewhere an `onnxruntime.OrtValue`."""

SMALL_WORK = 1e6
"""Programs with no instruction of so much work (floating-point operations) run on one thread.

It is 10 us of matrix product, 30 us of a product with one row, which memory bounds, or 100 us of
elementwise work: less than what a second thread could save there is what waiting for it costs as
soon as anything else wants the processor, and what one more spinning pool costs everybody else.
"""

_SPIN_MICROSECONDS = 500
"""How long a pool's idle threads wait busily for more work.

Long enough to bridge the gaps inside a program, so a training step is as fast as with the default
(without spinning it takes 1.3 times as long); short enough that eight such programs called in turn
on two cores take 0.6 to 0.8 ms each, and not 4.6. Runtimes that do not know the option ignore it.
"""

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_NUMPY_TYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    **{f"tensor({name})": np.dtype(name) for name in ELEMENT_TYPES if name != "bfloat16"},
}
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_DTYPES = frozenset(np.dtype(name) for name in ELEMENT_TYPES)  # looked up faster than names


Donations: TypeAlias = "tuple[Mapping[int, int], Mapping[int, int]]"
"""Results that take the memory of donated inputs, each with the input's number: in place, and that
of the call before (see :class:`~slope_backend_onnx.bindings.BoundCalls`)."""


class OnnxRuntimeError(Exception):
    """Base of what this module raises."""


class MissingRuntimeError(OnnxRuntimeError, ImportError):
    """No ONNX Runtime is installed, or a broken one."""


class DeviceError(OnnxRuntimeError):
    """A device that ONNX Runtime does not offer here, or that it silently left."""


class SessionError(OnnxRuntimeError):
    """ONNX Runtime refused a model, or a call of a session failed."""


class ArrayError(OnnxRuntimeError, TypeError):
    """An array whose dtype cannot enter ONNX Runtime."""


@functools.cache
def import_runtime() -> Any:
    """The `onnxruntime` module, imported when it is first needed.

    Raises:
        MissingRuntimeError: Neither wheel is there, or the two have damaged one another.
    """
    advice = (
        "Install it for the CPU with `pip install slope-backend-onnx[cpu]` (onnxruntime) or for "
        "NVIDIA GPUs with `pip install slope-backend-onnx[gpu]` (onnxruntime-gpu), never both: the "
        "two wheels overwrite one another. If both are there, `pip uninstall onnxruntime "
        "onnxruntime-gpu` first."
    )
    try:
        runtime = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise MissingRuntimeError(f"ONNX Runtime cannot be imported ({error}). {advice}") from error
    if not hasattr(runtime, "InferenceSession"):  # what uninstalling one of the two wheels leaves
        raise MissingRuntimeError(f"The onnxruntime package is there but damaged. {advice}")
    return runtime


def _parse_device(device: str) -> tuple[str, int]:
    """("cuda", 1) from "cuda:1"; checks that ONNX Runtime offers such a device."""
    kind, _, index = device.partition(":")
    if kind not in _PROVIDERS or not (index or "0").isdecimal():
        known = ", ".join(f"{name}:0" for name in _PROVIDERS)
        raise DeviceError(f"device {device!r} is unknown to this backend, which has {known}")
    number = int(index or "0")
    if kind == "cpu" and number:
        raise DeviceError(f"device {device!r}: ONNX Runtime has one CPU device, cpu:0")
    available = import_runtime().get_available_providers()
    if _PROVIDERS[kind] not in available:
        raise DeviceError(
            f"device {device!r} needs {_PROVIDERS[kind]}, but the installed ONNX Runtime "
            f"{import_runtime().__version__} has only {', '.join(available)}; for GPUs "
            "`pip uninstall onnxruntime`, then `pip install slope-backend-onnx[gpu]`"
        )
    if kind == "cuda":
        _load_cuda()
    return kind, number


@functools.cache
def _load_cuda() -> None:
    """Load NVIDIA's libraries, where they are installed as Python packages.

    ONNX Runtime's provider finds only those of the system by itself, or what is loaded already.
    """
    load = getattr(import_runtime(), "preload_dlls", None)  # from 1.21 on
    if load is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # a missing one is told by the session
            load()


def _on_cpu(device: str) -> bool:
    return device in ("cpu:0", "cpu") or _parse_device(device)[0] == "cpu"


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
    if _on_cpu(device):
        return array
    return _to_device(array, *_parse_device(device))


def export_array(handle: Handle) -> np.ndarray:
    """The values of a handle as a read-only array: a view on the CPU, a copy of another device's.

    The array keeps the memory alive.
    """
    view = handle.view() if isinstance(handle, np.ndarray) else _to_host(handle)
    view.flags.writeable = False
    return view


def _ort_value(array: np.ndarray) -> Any:
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
    target.update_inplace(_ort_value(array))
    return target


def _to_host(value: Any) -> np.ndarray:
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


class Session:
    """A compiled model: call it with a list of handles, get a list of fresh handles.

    Any number of threads may call one session at once: all that a call needs is made for that call.
    Nothing writes to the inputs, and no two calls share an output.

    Attributes:
        input_names: In the order in which handles are given.
        output_names: In the order in which handles come back.
        device: Where the handles live.
    """

    def __init__(
        self, runtime_session: Any, device: str, donations: Donations | None = None
    ) -> None:
        """Wrap an `onnxruntime.InferenceSession`; `create_session` makes it."""
        self.device = device
        self.input_names = [node.name for node in runtime_session.get_inputs()]
        self.output_names = [node.name for node in runtime_session.get_outputs()]
        nodes = [*runtime_session.get_inputs(), *runtime_session.get_outputs()]
        bfloat16 = any(node.type == "tensor(bfloat16)" for node in nodes)
        if donations and _on_cpu(device) and not bfloat16:
            inputs, outputs = runtime_session.get_inputs(), runtime_session.get_outputs()
            self._run = BoundCalls(runtime_session, _places(inputs), _places(outputs), *donations)
        elif _on_cpu(device) and not bfloat16:
            self._run = _numpy_runner(runtime_session, self.input_names, self.output_names)
        else:
            self._run = _binding_runner(
                runtime_session, self.input_names, self.output_names, _parse_device(device)
            )

    def __call__(self, handles: Sequence[Handle]) -> list[Handle]:
        """Run the model.

        Args:
            handles: One for each input, in order, on this session's device.

        Raises:
            SessionError: Wrong number of handles, or ONNX Runtime failed (its message follows).
        """
        try:
            return self._run(handles)
        except Exception as error:
            raise self._explain(error, handles) from error

    def _explain(self, error: Exception, handles: Sequence[Handle]) -> OnnxRuntimeError:
        if isinstance(error, OnnxRuntimeError):
            return error
        given = ", ".join(map(_describe, handles))
        return SessionError(
            f"ONNX Runtime failed to run a program of {len(self.input_names)} inputs on "
            f"{self.device}, given {len(handles)}: ({given}). It said: {error}"
        )


def _places(nodes: Sequence[Any]) -> list[Place]:
    return [Place(node.name, _NUMPY_TYPES[node.type], tuple(node.shape)) for node in nodes]


def _describe(handle: Handle) -> str:
    if isinstance(handle, np.ndarray):
        return f"{handle.dtype}{list(handle.shape)}"
    try:
        return f"{handle.data_type()}{list(handle.shape())}"
    except AttributeError:
        return type(handle).__name__


def _numpy_runner(
    session: Any, inputs: list[str], outputs: list[str]
) -> Callable[[Sequence[Handle]], list[Handle]]:
    """Calls with NumPy arrays in and out.

    `InferenceSession.run` checks its arguments in Python, which costs 0.5 us for each
    input, so the compiled session under it is called where it can be had. That also lets go of the
    model's bytes, which the Python object would keep.
    """
    run = getattr(getattr(session, "_sess", None), "run", None) or session.run
    options = import_runtime().RunOptions()  # only read by calls, so threads may share it

    def call(handles: Sequence[Handle]) -> list[Handle]:
        return run(outputs, dict(zip(inputs, handles, strict=True)), options)

    return call


def _binding_runner(
    session: Any, inputs: list[str], outputs: list[str], device: tuple[str, int]
) -> Callable[[Sequence[Handle]], list[Handle]]:
    """Calls with OrtValues, which stay on their device (and may hold bfloat16, which NumPy lacks).

    The binding is made for each call, since one that is kept would write the outputs of the next
    call over those of the last. It is emptied at the end because an output keeps its binding alive,
    and so would keep every input of the call that made it, and theirs in turn.
    """
    host = device[0] == "cpu"
    ort_value = import_runtime().OrtValue

    def call(handles: Sequence[Handle]) -> list[Handle]:
        binding = session.io_binding()
        for name, handle in zip(inputs, handles, strict=True):
            binding.bind_ortvalue_input(name, _ort_value(handle) if host else handle)
        for name in outputs:
            binding.bind_output(name, *device)
        session.run_with_iobinding(binding)
        # taken by index, each is a value of its own; get_outputs() of old runtimes hands out
        # references into the vector that is emptied below
        vector = binding.get_outputs_as_ortvaluevector()
        values = [ort_value(vector[index]) for index in range(len(vector))]
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        return [_to_host(value) for value in values] if host else values

    return call


def create_session(
    model: bytes,
    *,
    device: str = "cpu:0",
    work: float = math.inf,
    threads: int | None = None,
    optimize: bool = True,
    donations: Donations | None = None,
) -> Session:
    """Compile a model.

    A thread pool belongs to each session. One pool for all is no way out: once it is set, ONNX
    Runtime refuses every session in the process that does not use it, those of other libraries too.
    So programs of little work get no pool (one thread is the caller's), and the pools of the others
    stop spinning early.

    Args:
        model: A serialized `onnx.ModelProto`.
        device: "cpu:0", or "cuda:N".
        work: Floating-point operations of the heaviest instruction, from which the number of
            threads follows.
        threads: That number itself; it overrides `work`.
        optimize: Let ONNX Runtime improve the graph. Off, it runs node by node as written, and a
            program of one operator is ready in 50 us, not 150.
        donations: which results take the memory of which inputs.

    Raises:
        MissingRuntimeError: ONNX Runtime is not installed.
        DeviceError: There is no such device, or ONNX Runtime fell back to another.
        SessionError: ONNX Runtime refused the model.
    """
    session = _inference_session(model, device, work, threads, optimize)
    return Session(session, device, donations)


def timed_session(
    model: bytes,
    profile: str,
    *,
    device: str = "cpu:0",
    work: float = math.inf,
    threads: int | None = None,
    optimize: bool = True,
) -> Any:
    """An `onnxruntime.InferenceSession` as `create_session` makes it, but that it times its nodes.

    Its method `end_profiling` writes what they took to a file, and returns the file's name.

    Args:
        model: A serialized `onnx.ModelProto`.
        profile: How the file's name begins.
        device: As of `create_session`, like the rest, and what is raised.
        work: As of `create_session`.
        threads: Their number.
        optimize: Let ONNX Runtime improve the graph.
    """
    return _inference_session(model, device, work, threads, optimize, profile)


def _inference_session(
    model: bytes,
    device: str,
    work: float,
    threads: int | None,
    optimize: bool,
    profile: str | None = None,
) -> Any:
    runtime = import_runtime()
    kind, index = _parse_device(device)
    options = runtime.SessionOptions()
    options.log_severity_level = 3  # errors only: warnings about graphs are no news to users
    options.inter_op_num_threads = 1
    options.intra_op_num_threads = threads or _thread_count(work)
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_MICROSECONDS))
    levels = runtime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
        options.log_severity_level = 4  # it would tell that a long profile is cut off
    wanted = _PROVIDERS[kind]
    # float32 means float32: by default products would be rounded to 10 bits on newer GPUs.
    exact = {"device_id": index, "use_tf32": "0"}
    providers: list[Any] = [wanted if kind == "cpu" else (wanted, exact)]
    try:
        # enable_fallback=0: no second try on the CPU with a banner on standard output
        session = runtime.InferenceSession(model, options, providers=providers, enable_fallback=0)
    except Exception as error:
        raise SessionError(f"ONNX Runtime refused a program for {device}: {error}") from error
    _check_provider(session.get_providers(), wanted, device)
    return session


def _check_provider(got: Sequence[str], wanted: str, device: str) -> None:
    if not got or got[0] != wanted:
        raise DeviceError(
            f"ONNX Runtime was asked for {wanted} ({device}) and silently fell back to "
            f"{', '.join(got) or 'nothing'}. Usually the CUDA or cuDNN libraries that its wheel "
            "was built for are missing: see `python -m slope info`, or use cpu:0"
        )


def _thread_count(work: float) -> int:
    return 1 if work < SMALL_WORK else _cpu_count()


@functools.cache
def _cpu_count() -> int:
    """The processors this process may use; ONNX Runtime's own default counts physical cores."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
