"""The IREE backend: programs become StableHLO, machine code, and calls."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeVar

import numpy as np
from iree.runtime import HalBufferView

from slope.extend import (
    CPU,
    Backend,
    BackendError,
    CompileError,
    Device,
    DeviceError,
    DType,
    Executable,
    Instr,
    Program,
    Timed,
    Var,
    aligned_empty,
    cache_root,
    programs_in,
    splat_scalar,
)

from .cache import DiskCache
from .compiler import (
    IreeCompileError,
    Options,
    cache_key,
    compile_module,
    compiler_version,
    vector_lanes,
)
from .devices import IreeDeviceError, choose_driver, device_count, missing
from .lower import RULES
from .lower.loop_kernels import fits
from .lower.program import Lowered, lower_program
from .memory import release_freed
from .notice import notice
from .profile import IreeProfileError, timed_dispatches
from .runtime import IreeRuntimeError, Module, Runtime

T = TypeVar("T")


class Placed(NamedTuple):
    """The handle of a tensor that is not on the CPU; there, IREE's own buffer view is the handle.

    Attributes:
        view: IREE's buffer view.
        runtime: what moves it.
    """

    view: Any
    runtime: Runtime


class IreeBackend(Backend):
    """Runs programs through IREE, on the CPU and on NVIDIA devices.

    Lowering rules are functions ``rule(ctx, *operands, **params)`` that write StableHLO: see
    :mod:`slope_backend_iree.lower.context`.

    Options of ``slope.jit(f, options=...)``:
        kind: ``"gemm"`` or ``"general"``, which set of compiler flags to use; by default chosen by
            the program.
        flags: compiler flags to add, a sequence of strings.

    Loops over small values become single kernels on the CPU: see
    :mod:`slope_backend_iree.lower.loop_kernels`.

    Every operator works on every dtype that it takes. Results differ from the NumPy backend's in
    the last places, and where IREE's arithmetic does: numbers below the smallest normal one count
    as 0, a chain of bfloat16 operations may be rounded once at its end, float32 powers are right
    to 7e-6 near the largest float32, and sines are wrong beyond 1e9. Small groups of a convolution
    are multiplied together, with zeros between them, and windows of long strided ones are filled up
    with zeros: NaN or infinity in one becomes NaN in its neighbours, too.

    Compiled modules are kept on disk, under ``SLOPE_CACHE`` (by default the user's cache
    directory); ``SLOPE_DISK_CACHE=0`` turns that off.
    """

    name: ClassVar[str] = "iree"
    eager: ClassVar[Literal["numpy", "compile"]] = "numpy"
    layout: ClassVar[str | None] = "NHWC"
    donates: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.add_lowerings(RULES)
        self._runtimes: dict[Device, Runtime] = {}
        self._scalar = functools.lru_cache(maxsize=1024)(self._make_scalar)

    # --- devices and buffers

    def devices(self) -> list[Device]:
        return [CPU, *(Device("cuda", i) for i in range(device_count("cuda")))]

    def absent(self, device: Device) -> str:
        known = device.kind in ("cpu", "cuda")
        why = f"{missing(device.kind, device.index)} " if known else ""
        return f"{why}{super().absent(device)}"

    def runtime(self, device: Device) -> Runtime:
        """What loads modules and arrays onto a device.

        Raises:
            DeviceError: IREE has no such device here.
        """
        found = self._runtimes.get(device)
        if found is None:
            try:
                found = self._runtimes[device] = Runtime(device.kind, device.index)
            except IreeDeviceError as error:
                known = ", ".join(map(str, self.devices()))
                raise DeviceError(
                    f"the iree backend has no device {device}: {error} It has {known}."
                ) from None
        return found

    def from_host(self, array: np.ndarray[Any, Any], device: Device) -> Any:
        runtime = self.runtime(device)
        view = runtime.import_array(array)
        return view if device == CPU else Placed(view, runtime)

    def to_host(self, handle: Any) -> np.ndarray[Any, Any]:
        if isinstance(handle, Placed):
            return handle.runtime.export_array(handle.view)
        return self.runtime(CPU).export_array(handle)

    def scalar(self, value: bool | float, dtype: DType, device: Device) -> Any:
        # 0.0 and -0.0 are equal keys; everything else that is equal is also the same number of the
        # dtype.
        return self._scalar(value, repr(value) if value == 0 else "", dtype, device)

    def _make_scalar(self, value: bool | float, spelling: str, dtype: DType, device: Device) -> Any:
        return self.from_host(_filled((), value, dtype), device)

    def exclusive(self, handle: Any) -> bool:
        """Whether a handle is a module's result that nobody else holds.

        Whoever exports it holds it.
        """
        return type(handle) in (HalBufferView, Placed) and _count(handle) <= _REFERENCES

    # --- programs

    def compile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> Executable:
        """Compile a program.

        Donated inputs are written to in place by scatters and updates of windows; of others the
        memory is free after the call.
        """
        runtime = self.runtime(device)

        def load(text: str) -> Module:
            work = program_work(program)
            return _load(runtime, text, _options(device, work, options), work, program.name)

        lowered, module = self._made(program, device, options, donated, load)
        branches = any(any(programs_in(instr.params)) for instr in program.instrs)
        return IreeExecutable(self, device, lowered, module, donated, branches=branches)

    def profile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        handles: Sequence[Any],
        rounds: int,
        donated: frozenset[int] = frozenset(),
    ) -> list[Timed]:
        """The time of each dispatch, by IREE's own profiler in a process of its own.

        A dispatch is a kernel that IREE made of one or many instructions; its name tells what of.
        Kernels of our own are named by their operator and largest shape.
        """
        lowered, data = self.module(program, device, options, donated)
        if data is None:
            return []
        work = program_work(program)
        driver = choose_driver(work.flops, work.moved) if device == CPU else device.kind
        inputs = [self.to_host(handle) for handle in handles]
        try:
            return timed_dispatches(data, driver, inputs, rounds, lowered.kernels)
        except IreeProfileError as error:
            raise BackendError(f"program {program.name!r} on {device}: {error}") from None

    def module(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> tuple[Lowered, bytes | None]:
        """A program's text and compiled module, for a device that need not be here.

        Args:
            program: as of :meth:`compile`, like the rest.
            device: where the module is to run.
            options: see the class.
            donated: the inputs that it may write to.

        Returns:
            The module is ``None`` where the program computes nothing.
        """

        def compiled(text: str) -> bytes:
            return _compiled(text, _options(device, program_work(program), options), program.name)

        return self._made(program, device, options, donated, compiled)

    def _made(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int],
        make: Callable[[str], T],
    ) -> tuple[Lowered, T | None]:
        """A program's text, and what is made of it; ``None`` where it computes nothing.

        Kernels of our own are written in dialects that IREE may change: what it refuses with them
        is compiled without, and is not tried again in later processes.
        """
        on_cpu = device.kind == "cpu"
        lanes = vector_lanes() if on_cpu else 0

        def lowered(own: bool) -> Lowered:
            return lower_program(
                program, self.lowerings, donated, cpu=own, lanes=lanes if own else 0
            )

        found = lowered(own=on_cpu)
        if not found.results:
            return found, None
        work = program_work(program)
        refused = cache_key(f"refused\n{found.text}", _options(device, work, options))
        cache = disk_cache() if on_cpu else None
        if cache is not None and cache.get(refused) is not None:
            plain = lowered(own=False)
            return plain, make(plain.text)
        try:
            return found, make(found.text)
        except CompileError:
            plain = lowered(own=False)
            if plain.text == found.text:
                raise
            try:
                made = make(plain.text)
            except CompileError:
                made = None
            if made is None:
                raise  # the error of the program that was asked for
        _keep(cache, refused, b"")
        return plain, made

    def version(self) -> str:
        return f"IREE {compiler_version()}"


class IreeExecutable(Executable):
    """A loaded module, and how the program's outputs come from its results."""

    def __init__(
        self,
        backend: IreeBackend,
        device: Device,
        lowered: Lowered,
        module: Module | None,
        donated: frozenset[int] = frozenset(),
        *,
        branches: bool = False,
    ) -> None:
        self._donated = donated
        self._branches = branches  # which result is a view of an input may differ from call to call
        self.code = lowered.text
        self._backend, self._device = backend, device
        self._module = module
        self._sources = lowered.sources
        self._literals = {
            place: _filled(atom.type.shape, atom.value, atom.type.dtype)
            for place, (kind, atom) in enumerate(lowered.sources)
            if kind == "literal"
        }
        # The plain case, every result an output in order, needs no rearranging.
        self._in_order = lowered.sources == tuple(("result", i) for i in range(lowered.results))
        self._views: frozenset[int] | None = None  # known after the first call

    def __call__(self, handles: Sequence[Any]) -> Sequence[Any]:
        results = self._run(handles) if self._module is not None else ()
        if self._in_order:
            return results
        return [
            self._output(place, source, handles, results)
            for place, source in enumerate(self._sources)
        ]

    def _run(self, handles: Sequence[Any]) -> Sequence[Any]:
        assert self._module is not None
        if self._device != CPU:
            runtime = self._backend.runtime(self._device)
            return [
                Placed(view, runtime) for view in self._module([handle.view for handle in handles])
            ]
        results = self._module(handles)
        if self._views is None or self._branches:
            self._views = self._find_views(handles, results)
        for place in self._views:
            own = aligned_copy(self._backend.to_host(results[place]))
            results[place] = self._backend.from_host(own, CPU)
        return results

    def _find_views(self, handles: Sequence[Any], results: Sequence[Any]) -> frozenset[int]:
        # IREE returns an input that was only reshaped as a view of it, in every call alike, and may
        # return one result as a view of another. Results must be on their own; the memory of
        # donated inputs is free.
        to_host = self._backend.to_host
        seen = [
            to_host(handle) for place, handle in enumerate(handles) if place not in self._donated
        ]
        views: set[int] = set()
        for place, result in enumerate(results):
            array = to_host(result)
            if any(np.may_share_memory(array, each) for each in seen):
                views.add(place)
            elif array.size:
                seen.append(array)
        return frozenset(views)

    def _output(
        self, place: int, source: tuple[str, Any], handles: Sequence[Any], results: Sequence[Any]
    ) -> Any:
        kind, which = source
        if kind == "input":
            return handles[which]
        return (
            results[which]
            if kind == "result"
            else self._backend.from_host(self._literals[place], self._device)
        )


# --- who holds a handle


class _Probe:
    """Counts references as `IreeBackend.exclusive` sees them of a handle that one list holds."""

    def exclusive(self, handle: Any) -> int:
        return _count(handle)


def _count(handle: Any) -> int:
    return sys.getrefcount(handle)


# How many references the interpreter itself adds on the way differs between Python versions.
_held = [object()]
_REFERENCES: Final = _Probe().exclusive(_held[0])


# --- how to compile


class Work(NamedTuple):
    """An estimate of what one run of a program takes.

    Attributes:
        products: floating-point operations in matrix products of plain layers (two factors, no
            batch dimensions) that are worth packing their operands for.
        flops: all floating-point operations.
        moved: bytes read and written, were nothing fused.
    """

    products: float
    flops: float
    moved: float


def program_work(program: Program, fixed: frozenset[Var] = frozenset(), turns: int = 1) -> Work:
    """Count a program's work.

    Args:
        program: whose it is.
        fixed: those of its inputs that are the same in all turns of a loop.
        turns: how many turns that loop has.
    """
    products = flops = moved = 0.0
    for instr in program.instrs:
        size = float(sum(var.type.size for var in instr.outputs))
        times = float(instr.params.get("length", 1))
        own_kernel = instr.op.name in ("run_scan", "run_while") and fits(instr.params)
        for body in programs_in(instr.params):
            held = frozenset(body.inputs[: instr.params.get("consts", 0)])
            inner = program_work(body, held, instr.params.get("length", 1))
            products += 0.0 if own_kernel else times * inner.products
            flops += times * inner.flops
            moved += times * inner.moved
        moved += float(sum(var.type.nbytes for var in instr.outputs))
        own = getattr(instr.op, "flops", None)
        if own is not None:
            flops += float(own(*[atom.type for atom in instr.inputs], **instr.params))
        elif instr.op.name == "dot_general":
            lengths = _product_lengths(instr)
            cost = 2.0 * size * lengths[1]
            flops += cost
            often = [1.0 / turns if atom in fixed else 1.0 for atom in instr.inputs]
            if not instr.params["batch"][0] and _worth_packing(*lengths, *often):
                products += cost
        else:
            flops += float(max([size, *(float(atom.type.size) for atom in instr.inputs)]))
    return Work(products, flops, moved)


def _product_lengths(instr: Instr) -> tuple[float, float, float]:
    """How long a contraction's free, contracted and other free dimensions are."""
    (x, y), (of_x, _) = (atom.type for atom in instr.inputs), instr.params["contract"]
    inner = math.prod(x.shape[dim] for dim in of_x)
    return x.size / max(inner, 1), inner, y.size / max(inner, 1)


def _worth_packing(
    rows: float, inner: float, columns: float, often: float, others_often: float
) -> bool:
    """Whether a product of packed factors saves more time than it takes to pack them.

    A factor that stays the same in a loop is packed once, in less than every turn: ``often``.
    """
    # Measured on one thread: tiles multiplied at 177 GFLOP/s against 122 for operands as they are,
    # and packed at 0.2 ns an element. One row through a large matrix takes 2.7 times as long packed
    # (a decoder's step), 128 rows take 0.7 times as long; 45 rows break even.
    packed = often * rows * inner + others_often * inner * columns + rows * columns
    return rows * inner * columns > 40 * packed


def _options(device: Device, work: Work, options: Mapping[str, Any]) -> Options:
    unknown = set(options) - {"kind", "flags"}
    if unknown:
        raise BackendError(
            f"the iree backend has no options {', '.join(map(repr, sorted(unknown)))}; it takes "
            f"'kind' ('gemm' or 'general') and 'flags' (compiler flags, a sequence of strings)."
        )
    kind = options.get("kind") or (
        "gemm" if work.products > 1e6 and work.products > 0.5 * work.flops else "general"
    )
    try:
        return Options(
            "cuda" if device.kind == "cuda" else "cpu", kind, extra=tuple(options.get("flags", ()))
        )
    except ValueError as error:
        raise BackendError(f"the iree backend's options: {error}.") from None


def _load(runtime: Runtime, text: str, options: Options, work: Work, name: str) -> Module:
    """The program loaded, from the cache where it is there; damaged entries are made anew."""
    cache = disk_cache()
    key = cache_key(text, options)
    known = cache.get(key) if cache is not None else None
    if known is not None:
        try:
            return runtime.load(known, flops=work.flops, moved=work.moved)
        except IreeRuntimeError:
            known = None
    data = _compile(text, options, name)
    _keep(cache, key, data)
    try:
        return runtime.load(data, flops=work.flops, moved=work.moved)
    except IreeRuntimeError as error:
        raise CompileError(f"IREE compiled {name!r}, and cannot load the result: {error}") from None


def _keep(cache: DiskCache | None, key: str, data: bytes) -> None:
    if cache is None:
        return
    try:
        cache.put(key, data)
    except OSError as error:
        _say_once(
            f"slope: cannot keep compiled programs in {cache.directory}: {error}. "
            f"Set SLOPE_CACHE to a directory that can be written.\n",
            about=cache.directory,
        )


_told: set[Path] = set()


def _say_once(message: str, about: Path) -> None:
    """Write to the terminal's error stream, once in a process for each directory."""
    if about not in _told:
        _told.add(about)
        sys.stderr.write(message)


def _compiled(text: str, options: Options, name: str) -> bytes:
    """The program's bytes, from the cache where they are there; not kept."""
    cache = disk_cache()
    known = cache.get(cache_key(text, options)) if cache is not None else None
    return _compile(text, options, name) if known is None else known


def _compile(text: str, options: Options, name: str) -> bytes:
    try:
        with notice(f"compiling {name!r} with IREE"):
            made = compile_module(text, options)
    except IreeCompileError as error:
        raise CompileError(
            f"program {name!r}: {error}\nSee the program with LOG_JIT=1. Run it with another "
            f"backend (SLOPE_BACKEND=onnxruntime or numpy), or try other flags: "
            f"slope.jit(f, options={{'flags': [...]}}).",
            text,
        ) from None
    release_freed()
    return made


def cache_directory() -> Path:
    """Where compiled programs are kept: ``iree`` in slope's cache directory."""
    return cache_root() / "iree"


def disk_cache() -> DiskCache | None:
    """The cache of compiled programs; None with ``SLOPE_DISK_CACHE=0``."""
    if os.environ.get("SLOPE_DISK_CACHE", "1") in ("0", ""):
        return None
    return DiskCache(cache_directory())


def aligned_copy(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy that IREE takes as it is."""
    copy = aligned_empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def _filled(shape: tuple[int, ...], value: bool | float, dtype: DType) -> np.ndarray[Any, Any]:
    array = aligned_empty(shape, dtype.numpy)
    array[...] = splat_scalar(value, dtype)
    return array
