"""Sessions of ONNX Runtime behind a small surface.

Costs per call of `x * 2 + 1` on 4 numbers (ONNX Runtime 1.31): `Session` 3 us, a fresh io_binding
6 us, the Python method `run_with_ort_values` 27 us (iterating over its result is what is slow).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from slope.extend import cpu_count
from slope_backend_onnx.arrays import Handle, ort_value, to_host
from slope_backend_onnx.bindings import BoundCalls, Place
from slope_backend_onnx.graph import ELEMENT_TYPES
from slope_backend_onnx.provider import (
    PROVIDERS,
    DeviceError,
    OnnxRuntimeError,
    import_runtime,
    on_cpu,
    parse_device,
)

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

_NUMPY_TYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    **{f"tensor({name})": np.dtype(name) for name in ELEMENT_TYPES if name != "bfloat16"},
}

Donations: TypeAlias = "tuple[Mapping[int, int], Mapping[int, int]]"
"""Results that take the memory of donated inputs, each with the input's number: in place, and that
of the call before (see :class:`~slope_backend_onnx.bindings.BoundCalls`)."""


class SessionError(OnnxRuntimeError):
    """ONNX Runtime refused a model, or a call of a session failed."""


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
        if donations and on_cpu(device) and not bfloat16:
            inputs, outputs = runtime_session.get_inputs(), runtime_session.get_outputs()
            self._run = BoundCalls(runtime_session, _places(inputs), _places(outputs), *donations)
        elif on_cpu(device) and not bfloat16:
            self._run = _numpy_runner(runtime_session, self.input_names, self.output_names)
        else:
            self._run = _binding_runner(
                runtime_session, self.input_names, self.output_names, parse_device(device)
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
    wrapped = import_runtime().OrtValue

    def call(handles: Sequence[Handle]) -> list[Handle]:
        binding = session.io_binding()
        for name, handle in zip(inputs, handles, strict=True):
            binding.bind_ortvalue_input(name, ort_value(handle) if host else handle)
        for name in outputs:
            binding.bind_output(name, *device)
        session.run_with_iobinding(binding)
        # taken by index, each is a value of its own; get_outputs() of old runtimes hands out
        # references into the vector that is emptied below
        vector = binding.get_outputs_as_ortvaluevector()
        values = [wrapped(vector[index]) for index in range(len(vector))]
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        return [to_host(value) for value in values] if host else values

    return call


def create_session(
    model: bytes | str,
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
        model: A serialized `onnx.ModelProto`, or the path of a file that holds one.
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
    model: bytes | str,
    device: str,
    work: float,
    threads: int | None,
    optimize: bool,
    profile: str | None = None,
) -> Any:
    runtime = import_runtime()
    kind, index = parse_device(device)
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
    wanted = PROVIDERS[kind]
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
    # ONNX Runtime's own default counts physical cores.
    return 1 if work < SMALL_WORK else cpu_count()
