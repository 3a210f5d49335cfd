"""The ONNX Runtime backend: programs become ONNX graphs, and ONNX Runtime's sessions run them."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from slope.extend import (
    CPU,
    Backend,
    BackendError,
    CompileError,
    Device,
    DeviceError,
    DType,
    Executable,
    ExportedProgram,
    Literal,
    Operator,
    Program,
    TensorType,
    Timed,
    Var,
    dims,
    only_reference,
    splat_scalar,
)
from slope_backend_onnx.arrays import export_array, import_array
from slope_backend_onnx.export import ModelFile, write_model
from slope_backend_onnx.graph import Graph
from slope_backend_onnx.lower import RULES, Rule, Value
from slope_backend_onnx.lower.kernels import can_bitcast, has_kernel
from slope_backend_onnx.lower.program import ProgramLowering, thread_count
from slope_backend_onnx.profile import profiler_cost, timed_nodes
from slope_backend_onnx.provider import DeviceError as OnnxDeviceError
from slope_backend_onnx.provider import MissingRuntimeError, OnnxRuntimeError, import_runtime
from slope_backend_onnx.sessions import Donations, Session, create_session, timed_session

_OPTIONS: Final = ("threads", "optimize")

# To look at an input that stays costs a tenth of handing it over, but a new result costs twice as
# much to bind as to get. Large ones had better come from the runtime's own pool.
_MANY: Final = 8
_SMALL_RESULTS: Final = 1 << 18

_MOST_GPUS: Final = 64

_FACTORS: Final = frozenset(
    (
        "cholesky_factor",
        "eigh_factors",
        "inverse_matrix",
        "lu_factors",
        "qr_factors",
        "sign_log_det",
        "solve_matrix",
        "svd_factors",
    )
)


def _donations(
    builder: ProgramLowering,
    program: Program,
    donated: frozenset[int],
    results: Sequence[tuple[str, Any]],
) -> Donations | None:
    """Which results take the memory of which of the session's inputs.

    None if none is donated, unless bindings that are kept are of use without that: for models of
    many parameters, which are the same arrays at each call, and small results.
    """
    if not all(dims.is_static(each.shape) for each in builder.result_types):
        return None
    donated -= {number for kind, number in results if kind == "input"}
    numbers = [number for number, source in enumerate(builder.used) if source in donated]
    if not numbers:
        few = len(builder.used) >= _MANY * len(builder.result_types)
        size = sum(each.size * each.dtype.itemsize for each in builder.result_types)
        return ({}, {}) if few and size <= _SMALL_RESULTS else None
    names = [f"x{source}" for source in builder.used]
    made = {name: number for number, name in enumerate(builder.graph.outputs)}
    updates = builder.graph.updates()
    in_place = {made[updates[names[at]]]: at for at in numbers if names[at] in updates}
    free: dict[TensorType, list[int]] = {}
    for at in numbers:
        if at not in in_place.values():
            free.setdefault(program.inputs[builder.used[at]].type, []).append(at)
    in_turn = {}
    for number, tensor_type in enumerate(builder.result_types):
        if number not in in_place and free.get(tensor_type):
            in_turn[number] = free[tensor_type].pop(0)
    return in_place, in_turn


def _portable_graph(rules: Mapping[str, Rule], program: Program) -> Graph:
    builder = ProgramLowering(rules, program)
    for atom in program.outputs:
        if isinstance(atom, Var):
            builder.result(atom)
    return builder.graph


class OnnxExecutable(Executable):
    """A program as a session, and what never enters it: inputs and literals that are results."""

    def __init__(
        self,
        graph: Graph,
        session: Session | None,
        portable: Callable[[], Graph],
        used: Sequence[int],
        results: Sequence[tuple[str, Any]],
        count: int,
    ) -> None:
        """Put the pieces together.

        Args:
            graph: what the session was made from.
            session: None if there is nothing to compute.
            portable: makes the graph in plain ONNX.
            used: the numbers of the program inputs that the session takes.
            results: for each program output ``("session", n)``, ``("input", n)`` or ``("constant",
                handle)``.
            count: how many inputs the program has.
        """
        self._graph = graph
        self._portable = portable
        self._session = session
        self._used = None if list(used) == list(range(count)) else tuple(used)
        computed = len(results) if session else 0
        plain = [("session", number) for number in range(computed)]
        self._results = None if list(results) == plain else tuple(results)

    def __call__(self, handles: Sequence[Any]) -> Sequence[Any]:
        given = handles if self._used is None else [handles[number] for number in self._used]
        try:
            computed = self._session(given) if self._session is not None else []
        except OnnxRuntimeError as error:
            raise BackendError(str(error)) from error
        if self._results is None:
            return computed
        sources = {"session": computed, "input": handles}
        return [what if kind == "constant" else sources[kind][what] for kind, what in self._results]

    @functools.cached_property
    def code(self) -> str:  # made when asked for
        """The graph in ONNX's textual syntax."""
        return self._graph.text()

    def model(self) -> Any:
        """The program in plain ONNX, for any runtime, as an ``onnx.ModelProto``.

        What runs here may hold operators of ONNX Runtime's own: ``code`` shows that.
        """
        return self._portable().model()


class OnnxRuntimeBackend(Backend):
    """Runs programs by ONNX Runtime, on the CPU or on NVIDIA GPUs (wheel ``onnxruntime-gpu``).

    Lowering rules are functions ``rule(cx, *operands, **params)`` as
    :mod:`slope_backend_onnx.lower.context` describes. Options of ``slope.jit(f, options=...)``:
    ``threads`` (how many threads one call may use; default: one for small programs and those that
    mostly scatter, else all processors) and ``optimize`` (False runs the graph as written). On GPUs
    float32 products are float32, and not TF32.

    On the CPU, NumPy's LAPACK computes factors of matrices between parts of a program: ONNX has
    loops for them only, which files, loops and branches of programs keep.

    Raises:
        BackendError: ONNX Runtime is not installed.
    """

    name: ClassVar[str] = "onnxruntime"
    eager = "numpy"
    donates: ClassVar[bool] = True
    dynamic: ClassVar[bool] = True
    lowered: ClassVar[tuple[type, ...]] = (Value, str)

    def __init__(self) -> None:
        super().__init__()
        try:
            self._runtime = import_runtime()
        except MissingRuntimeError as error:
            raise BackendError(str(error)) from error
        self.add_lowerings(RULES)
        self._scalar = functools.lru_cache(maxsize=1024)(self._new_scalar)

    # --- devices and buffers

    @functools.cached_property
    def _gpus(self) -> tuple[list[Device], str]:
        """The GPUs, and why there are no more.

        That the provider is there says only which wheel is installed, and nothing tells how many
        devices there are: each is tried.
        """
        graph = Graph()
        graph.output(graph.op("Neg", graph.input("x", np.float32, (1,))))
        model, found = graph.model().SerializeToString(), list[Device]()
        try:
            for index in range(_MOST_GPUS):
                create_session(model, device=f"cuda:{index}", work=0)
                found.append(Device("cuda", index))
        except OnnxRuntimeError as error:
            return found, str(error)
        return found, ""

    def devices(self) -> list[Device]:
        return [CPU, *self._gpus[0]]

    def absent(self, device: Device) -> str:
        reason = self._gpus[1] if device.kind == "cuda" else ""
        return f"{reason}. {super().absent(device)}" if reason else super().absent(device)

    def from_host(self, array: np.ndarray[Any, Any], device: Device) -> Any:
        try:
            return import_array(array, str(device))
        except OnnxDeviceError as error:
            raise DeviceError(str(error)) from error
        except OnnxRuntimeError as error:
            raise BackendError(str(error)) from error

    def to_host(self, handle: Any) -> np.ndarray[Any, Any]:
        return export_array(handle)

    def scalar(self, value: bool | float, dtype: DType, device: Device) -> Any:
        if device.kind == "cpu":
            return np.asarray(value, dtype.numpy)
        # 0.0 and -0.0 would share an entry; what else is equal is the same number of a dtype.
        return (self._new_scalar if value == 0 else self._scalar)(value, dtype, device)

    def _new_scalar(self, value: bool | float, dtype: DType, device: Device) -> Any:
        return self.from_host(np.asarray(value, dtype.numpy), device)

    def exclusive(self, handle: Any) -> bool:
        """Whether nothing else refers to an array's memory; on other devices nothing is written."""
        return not isinstance(handle, np.ndarray) or only_reference(handle)

    # --- programs

    def left_to_numpy(self, op: Operator, types: Sequence[TensorType], device: Device) -> bool:
        """Factors of matrices, which are loops over rows here, of some 10 us a turn."""
        return device == CPU and op.name in _FACTORS

    def supports(self, op: Operator, dtype: DType) -> bool:
        """All that slope has, but for ``bitcast`` and division of uint64 on old runtimes."""
        if op.name == "bitcast":
            return can_bitcast()
        if op.name in ("truncate_divide", "floor_divide") and dtype.name == "uint64":
            return has_kernel("Div", "uint64")
        return True

    def compile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> Executable:
        unknown = sorted(set(options) - set(_OPTIONS))
        if unknown:
            raise CompileError(
                f"the backend {self.name!r} has no options {', '.join(unknown)}; it has "
                f"{', '.join(_OPTIONS)}."
            )
        options = {**options, "threads": options.get("threads") or thread_count(program)}
        builder, results = self._lowered(program, device, options["threads"])
        session = None
        if builder.computed:
            settings = {**options, "donations": _donations(builder, program, donated, results)}
            session = self._session(builder.graph, program, device, settings)
        portable = functools.partial(_portable_graph, dict(self.lowerings), program)
        return OnnxExecutable(
            builder.graph, session, portable, builder.used, results, len(program.inputs)
        )

    def _lowered(
        self, program: Program, device: Device, threads: int
    ) -> tuple[ProgramLowering, list[tuple[str, Any]]]:
        """The graph as it is to run on a device, and where the program's outputs come from."""
        native = device.kind == "cpu"
        builder = ProgramLowering(
            self.lowerings, program, native=native, in_order=native and threads == 1
        )
        return builder, [self._result(builder, atom, device) for atom in program.outputs]

    def _session(
        self, graph: Graph, program: Program, device: Device, options: Mapping[str, Any]
    ) -> Session:
        model = graph.model().SerializeToString()
        create = functools.partial(create_session, model, device=str(device))
        return self._created(create, program, options)

    def _created(
        self, create: Callable[..., Any], program: Program, options: Mapping[str, Any]
    ) -> Any:
        try:
            return create(**options)
        except OnnxDeviceError as error:
            raise DeviceError(str(error)) from error
        except OnnxRuntimeError as error:
            # Old runtimes fuse nodes into ones that they have no kernel for, such as FusedMatMul of
            # float64 in 1.20.
            try:
                return create(**{**options, "optimize": False})
            except OnnxRuntimeError:
                raise CompileError(f"program {program.name!r}: {error}") from error

    def profile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        handles: Sequence[Any],
        rounds: int,
        donated: frozenset[int] = frozenset(),
    ) -> list[Timed]:
        """The time of each node, from ONNX Runtime's profiler in a session of its own.

        The nodes are those that ONNX Runtime made of the graph: it fuses and renames some. On a GPU
        the times are those of starting them.
        """
        options = {**options, "threads": options.get("threads") or thread_count(program)}
        builder, results = self._lowered(program, device, options["threads"])
        if not builder.computed:
            return []
        model = builder.graph.model().SerializeToString()
        with tempfile.TemporaryDirectory() as folder:
            create = functools.partial(timed_session, model, f"{folder}/slope", device=str(device))
            session = self._created(create, program, options)
            donations = _donations(builder, program, donated, results)
            run = Session(session, str(device), donations)
            for _ in range(rounds + 1):
                given = self.spared(handles, donated, device)
                run([given[number] for number in builder.used])
            timed = timed_nodes(session.end_profiling(), builder.sources, profiler_cost())
        if not timed:
            raise BackendError(
                f"program {program.name!r}: one call runs more nodes than ONNX Runtime's profiler "
                f"can hold, a million; profile a shorter loop, or another backend."
            )
        return timed

    def _result(
        self, builder: ProgramLowering, atom: Var | Literal, device: Device
    ) -> tuple[str, Any]:
        if isinstance(atom, Literal):
            array = np.full(
                atom.type.shape,
                splat_scalar(atom.value, atom.type.dtype),
                atom.type.dtype.numpy,
            )
            return "constant", self.from_host(array, device)
        return builder.result(atom)

    # --- files

    def export(self, program: ExportedProgram, path: Path) -> Device | None:
        """Write an ONNX model of standard operators: see :mod:`slope_backend_onnx.export`."""
        write_model(program, self.lowerings, path)
        return CPU

    def open_export(
        self,
        path: Path,
        inputs: Sequence[TensorType],
        outputs: Sequence[TensorType],
        device: Device,
    ) -> Executable:
        return ModelFile(path, str(device))

    # --- information

    def version(self) -> str:
        providers = ", ".join(self._runtime.get_available_providers())
        return f"onnxruntime {self._runtime.__version__} ({providers})"
