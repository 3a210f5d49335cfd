"""StableHLO text to an IREE module, in this process.

    module = compile_module(text, Options(kind="gemm"))

Each compile has a compiler session of its own: compiles may run in several threads at once, and one
that fails leaves nothing behind. Diagnostics go into the exception's text. This file imports the
compiler (some hundred megabytes of shared library) at the first compile, so a run served by the
cache never loads it. A forked child of a process that loaded it compiles in a new process: the
library's threads stayed with the parent, and it would wait for them for ever.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import importlib.util
import os
import pickle
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from errno import EAGAIN, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC
from pathlib import Path
from typing import Any, Literal

from .cache import digest

__all__ = [
    "IreeCompileError",
    "Options",
    "cache_key",
    "compile_module",
    "compiler_flags",
    "compiler_version",
]


class IreeCompileError(Exception):
    """IREE refused a program, for the reasons in the text, listed in `diagnostics`."""

    def __init__(self, message: str, diagnostics: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics

    @property
    def lasting(self) -> bool:
        """Whether the compiler would say the same again: it found fault with the program itself.

        Not so where the system failed it or the linker's process ended; without a reason nothing is
        known.
        """
        told = "\n".join(self.diagnostics).lower()
        return bool(told) and not any(each in told for each in _PASSING)


_PASSING = (
    *(os.strerror(code).lower() for code in (ENOMEM, ENOSPC, EMFILE, ENFILE, EAGAIN, EIO)),
    *("out of memory", "temporary file", "failed to link", "linking failed"),  # IREE's own words
)


@dataclass(frozen=True, slots=True)
class Options:
    """What to compile for.

    Arguments:
        target: "cpu" (this machine's processor, with all its features), "generic" (any of its
            architecture) or "cuda".
        kind: "gemm" for programs whose time is in matrix products of plain layers: operands are
            packed into tiles and multiplied by micro-kernels. On an MLP training step (200 x
            784-100-10) it takes 0.39 ms on one thread against 0.77 for "general", and 0.4 s more to
            compile. "general" for convolutions, attention, and what has
            no products.
        cuda_arch: the NVIDIA architecture to write PTX for; newer devices run it too. IREE 3.13
            knows sm_60 to sm_89, and fails for sm_90 and up.
        extra: compiler flags to add, after all others.
    """

    target: Literal["cpu", "generic", "cuda"] = "cpu"
    kind: Literal["general", "gemm"] = "general"
    cuda_arch: str = "sm_80"
    extra: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.target not in ("cpu", "generic", "cuda"):
            raise ValueError(f"target must be 'cpu', 'generic' or 'cuda', got {self.target!r}")
        if self.kind not in ("general", "gemm"):
            raise ValueError(f"kind must be 'general' or 'gemm', got {self.kind!r}")


_COMMON = (
    "--iree-input-type=stablehlo",
    "--iree-input-demote-f64-to-f32=false",  # else float64 turns into float32, signature included
    "--iree-opt-level=O1",  # O2 and O3 fail on ordinary training steps, or are no faster
)
_GEMM = ("--iree-global-opt-data-tiling", "--iree-llvmcpu-enable-ukernels=all")

# Float64 operators which become calls into the C maths library. IREE's default, self-contained
# object file cannot hold such calls (it fails to link); an ordinary shared object finds them when
# it is loaded. IREE itself loads none while it compiles, so it cannot evaluate constants with them.
_LIBM = re.compile(
    r"\b(?:stablehlo\.(?:sine|cosine|tan|tanh|atan2|remainder)"
    r"|chlo\.(?:lgamma|digamma|polygamma|zeta|a?sin|a?cos|a?tan|bessel_i1e)\w*"
    r"|math\.(?:sin|cos|tan|tanh|atan2)|arith\.remf)\b[^\n]*f64\b"
)


def compiler_flags(text: str, options: Options) -> tuple[str, ...]:
    """The compiler flags for a program: those of its options, and what its text calls for."""
    if options.target == "cuda":
        target = ("--iree-hal-target-backends=cuda", f"--iree-cuda-target={options.cuda_arch}")
        return (*_COMMON, *target, *options.extra)
    cpu = "host" if options.target == "cpu" else "generic"
    flags = [*_COMMON, "--iree-hal-target-backends=llvm-cpu", f"--iree-llvmcpu-target-cpu={cpu}"]
    if options.kind == "gemm":
        flags += _GEMM
    if "f64" in text and _LIBM.search(text):
        flags += ["--iree-llvmcpu-link-embedded=false", "--iree-opt-const-eval=false"]
    return (*flags, *options.extra)


@functools.cache
def compiler_version() -> str:
    """The version of the installed compiler, read without loading it."""
    return importlib.metadata.version("iree-base-compiler")


@functools.cache
def _host_cpu() -> str:
    """What tells this processor from others: architecture, name and features."""
    parts = [sys.platform, platform.machine()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux: the model's name stands for its features
        return " ".join([*parts, platform.processor()])
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "CPU implementer", "CPU part", "isa"):
            parts.append(value.strip())
        elif name.strip() in ("flags", "Features"):
            parts.extend(sorted(value.split()))
            break  # the first processor stands for all
    return " ".join(parts)


@functools.cache
def vector_lanes() -> int:
    """How many float32 numbers a vector register of this processor holds, where that is 16.

    It is 0 elsewhere, and for IREE versions that may spell a choice of tiles in another way.
    """
    known = compiler_version().startswith("3.13.")
    return 16 if known and "avx512f" in _host_cpu().split() else 0


def cache_key(text: str, options: Options) -> str:
    """The key of a compiled program: its text, compiler version, flags, processor."""
    host = _host_cpu() if options.target == "cpu" else ""
    return digest("iree", text, compiler_version(), "\n".join(compiler_flags(text, options)), host)


# With this, IREE 3.13 compiles some programs that it refuses otherwise: its fusion may leave
# dispatches in a circle ("circular dependency"), as in the gradient of a loop over a switch.
_SECOND_TRY = "--iree-dispatch-creation-fuse-multi-use=false"


def compile_module(text: str, options: Options | None = None) -> bytes:
    """Compiles StableHLO text; the bytes are what `Runtime.load` takes.

    Raises:
        IreeCompileError: where IREE refuses the program or a flag, with its diagnostics.
    """
    options = options or Options()
    try:
        return _compiled(text, options)
    except IreeCompileError as error:
        if "circular dependency" not in str(error) or _SECOND_TRY in options.extra:
            raise
    return _compiled(text, replace(options, extra=(*options.extra, _SECOND_TRY)))


def _compiled(text: str, options: Options) -> bytes:
    return _compiled_elsewhere(text, options) if _inherited else _compiled_here(text, options)


def _compiled_here(text: str, options: Options) -> bytes:
    flags = list(compiler_flags(text, options))
    if "--iree-llvmcpu-link-embedded=false" in flags:
        flags += _bundled_linker()
    api = _compiler_api()
    with api.Session() as session:
        try:
            session.set_flags(*flags)
        except ValueError as error:
            raise _failure([str(error)], options, flags) from None
        return _invoke(api, session, text, options, flags)


def _invoke(api: Any, session: Any, text: str, options: Options, flags: list[str]) -> bytes:
    messages: list[str] = []

    @_DIAGNOSTIC_CALLBACK
    def collect(severity: int, data: int, size: int, user: int) -> None:
        messages.append(ctypes.string_at(data, size).decode("utf-8", "replace"))

    # The trailing zero lets the parser work on the text in place. The source must outlive the
    # invocation's use of it, and `collect` the invocation.
    source = api.Source.wrap_buffer(session, text.encode() + b"\0", buffer_name="program")
    invocation = session.invocation()
    try:
        _enable_callback(invocation, collect)
        if not invocation.parse_source(source) or not invocation.execute():
            raise _failure(messages, options, flags)
        output = api.Output.open_membuffer()
        try:
            invocation.output_vm_bytecode(output)
            return bytes(output.map_memory())
        finally:
            output.close()
    finally:
        invocation.close()


def _failure(messages: Iterable[str], options: Options, flags: list[str]) -> IreeCompileError:
    diagnostics = tuple(_shorten(message) for message in messages)
    told = "\n".join(f"  {line}" for line in diagnostics) or "  (the compiler gave no reason)"
    return IreeCompileError(
        f"IREE {compiler_version()} could not compile this program for {options.target}:\n{told}\n"
        f"Compiler flags: {' '.join(flags)}",
        diagnostics,
    )


def _shorten(message: str) -> str:
    """A diagnostic without the dump of the operation it is about, which runs to pages."""
    kept = message.partition("see current operation:")[0].strip()
    kept = re.sub(r"\s*\n\s*\S+:\d+:\d+:\s*$", "", kept)  # the dump's own position line
    return kept if len(kept) <= 1000 else kept[:1000] + " ..."


# --- forking -------------------------------------------------------------------------------------

_inherited = False
"""Whether this process was forked from one that had loaded the compiler."""

_SERVE = """\
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from slope_backend_iree.compiler import serve
serve()
"""


def _compiled_elsewhere(text: str, options: Options) -> bytes:
    """Compiles in a process of its own."""
    asked = pickle.dumps(sys.path) + pickle.dumps((text, options))
    made = subprocess.run(
        [sys.executable, "-c", _SERVE], input=asked, capture_output=True, check=False
    )
    if made.returncode:
        ending = made.stderr.decode("utf-8", "replace").strip()[-1000:]
        raise IreeCompileError(
            f"a forked process has IREE's compiler run in a process of its own, and that ended "
            f"with exit status {made.returncode}:\n{ending}"
        )
    answer = pickle.loads(made.stdout)  # from the process started above
    if isinstance(answer, bytes):
        return answer
    raise IreeCompileError(*answer)


def serve() -> None:
    """Compiles what standard input asks for; module or refusal, pickled, to standard output."""
    text, options = pickle.load(sys.stdin.buffer)  # from the process that started it
    try:
        answer: Any = _compiled_here(text, options)
    except IreeCompileError as error:
        answer = str(error), error.diagnostics
    sys.stdout.buffer.write(pickle.dumps(answer))


def _after_fork() -> None:
    global _inherited  # noqa: PLW0603  # the one thing that a child has to know
    if not _compiler_api.cache_info().currsize:
        return
    _inherited = True
    from iree.compiler.api import ctypes_dl

    # Shutting the library down, when the interpreter ends, would wait for the same threads.
    ctypes_dl._global_init.local_dylib = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

# --- the compiler library ------------------------------------------------------------------------

# severity, message (not terminated), its length, user data; may come from any thread
_DIAGNOSTIC_CALLBACK = ctypes.CFUNCTYPE(
    None, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p
)


@functools.cache
def _compiler_api() -> Any:
    from iree.compiler import api

    return api


def _enable_callback(invocation: Any, callback: Any) -> None:
    """Has diagnostics reported to `callback`.

    IREE's Python classes offer only the console. The C function is in the public header
    `embedding_api.h`; its handle and the library are reached as those classes reach them.
    """
    from iree.compiler.api import ctypes_dl

    function = ctypes_dl._dylib.ireeCompilerInvocationEnableCallbackDiagnostics
    function.restype = None
    function.argtypes = [ctypes.c_void_p, ctypes.c_int, _DIAGNOSTIC_CALLBACK, ctypes.c_void_p]
    function(invocation._inv_p, 0, callback, None)


def _bundled_linker() -> list[str]:
    """On Linux, the linker that comes with the compiler, so that none need be installed."""
    if not sys.platform.startswith("linux"):
        return []
    spec = importlib.util.find_spec("iree.compiler._mlir_libs")
    for folder in spec.submodule_search_locations or () if spec else ():
        linker = Path(folder) / "iree-lld"
        if linker.exists():
            return [f"--iree-llvmcpu-system-linker-path={shlex.quote(str(linker))} -flavor gnu"]
    return []
