"""The ONNX Runtime that is installed, and its devices."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
from typing import Any, Final

PROVIDERS: Final = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntimeError(Exception):
    """Base of what goes wrong with ONNX Runtime."""


class MissingRuntimeError(OnnxRuntimeError, ImportError):
    """No ONNX Runtime is installed, or a broken one."""


class DeviceError(OnnxRuntimeError):
    """A device that ONNX Runtime does not offer here, or that it silently left."""


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


def parse_device(device: str) -> tuple[str, int]:
    """("cuda", 1) from "cuda:1".

    Raises:
        DeviceError: ONNX Runtime does not offer such a device here.
    """
    kind, _, index = device.partition(":")
    if kind not in PROVIDERS or not (index or "0").isdecimal():
        known = ", ".join(f"{name}:0" for name in PROVIDERS)
        raise DeviceError(f"device {device!r} is unknown to this backend, which has {known}")
    number = int(index or "0")
    if kind == "cpu" and number:
        raise DeviceError(f"device {device!r}: ONNX Runtime has one CPU device, cpu:0")
    available = import_runtime().get_available_providers()
    if PROVIDERS[kind] not in available:
        raise DeviceError(
            f"device {device!r} needs {PROVIDERS[kind]}, but the installed ONNX Runtime "
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


def on_cpu(device: str) -> bool:
    """Whether a device is the CPU.

    Raises:
        DeviceError: There is no such device.
    """
    return device in ("cpu:0", "cpu") or parse_device(device)[0] == "cpu"
