"""What takes part: slope's installed backends and other engines; and what workloads share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

BACKENDS = ("iree", "onnxruntime", "numpy")
PEERS = ("jax", "torch", "torch.compile", "tinygrad")
STEPS_CHECKED = 4

Array = np.ndarray[Any, Any]
Call = Callable[[], float]


class Program(NamedTuple):
    """A step as one compiled function, and what to call it with.

    Attributes:
        step: takes the state's parts and then the rest; returns a number and the new state's parts.
        state: what changes from step to step.
        rest: what does not.
    """

    step: Callable[..., tuple[Any, ...]]
    state: tuple[Any, ...]
    rest: tuple[Any, ...]

    @property
    def arguments(self) -> tuple[Any, ...]:
        """All of them, for ``step``."""
        return (*self.state, *self.rest)

    def running(self) -> Call:
        """A callable that does the next step and returns its number, read back to Python."""
        step, state, rest = self

        def call() -> float:
            nonlocal state
            value, *state = step(*state, *rest)
            return float(value)

        return call


def installed_backends() -> list[str]:
    """The backends of slope that this Python has."""
    module = {name: f"slope_backend_{name}" for name in BACKENDS}
    module["onnxruntime"] = "slope_backend_onnx"
    return [name for name in BACKENDS if find_spec(module[name])]


def why_not(peer: str) -> str | None:
    """Why a peer cannot take part here; ``None`` if it can."""
    module = peer.partition(".")[0]
    if not find_spec(module):
        return f"{module} is not installed"
    try:
        if peer == "tinygrad":
            _try_tinygrad()
        elif peer == "torch.compile":
            _try_torch_compile()
    except Exception as error:  # noqa: BLE001  # whatever a peer's compiler lacks, the others can run
        told = str(error).strip().splitlines() or [type(error).__name__]
        return f"it cannot compile here: {told[0]:.120}"
    return None


def _try_tinygrad() -> None:
    from tinygrad import Tensor

    new = time.time()  # or what it compiled when there was a compiler is found in its cache
    (Tensor.ones(2).contiguous() + new).realize()


def _try_torch_compile() -> None:
    import torch

    torch.compile(lambda x: torch.sin(x) + 1)(torch.ones(2))


def same_numbers(
    made: Mapping[str, Call], *, steps: int = STEPS_CHECKED, tolerance: float = 2e-4
) -> dict[str, Call]:
    """The contenders, warmed up, after it was checked that they give the same numbers.

    Raises:
        AssertionError: one gives others; the message names it.
    """
    numbers = {name: [call() for _ in range(steps)] for name, call in made.items()}
    first = next(iter(numbers), "")
    for name, each in numbers.items():
        assert np.isfinite(each).all(), f"{name} computes {each}, which nothing can be held to"
        np.testing.assert_allclose(
            each,
            numbers[first],
            rtol=tolerance,
            err_msg=f"{name} does not compute what {first} computes",
        )
    return dict(made)


def chosen(peers: Sequence[str], makers: Mapping[str, Callable[[], Call]]) -> dict[str, Call]:
    """The contenders of the peers that are asked for."""
    return {name: make() for name, make in makers.items() if name.partition(" ")[0] in peers}


def training(
    backends: Sequence[str],
    peers: Sequence[str],
    size: Any,
    slope_program: Callable[[str, Any], Program],
    jax_program: Callable[[Any], Program],
    torch_step: Callable[[Any, bool], Call],
    tinygrad_step: Callable[[Any], Call],
) -> dict[str, Call]:
    """The contenders of a workload that trains, by name, checked to follow the same losses.

    Args:
        backends: of slope.
        peers: that are asked for.
        size: what the others are given.
        slope_program: by backend and size.
        jax_program: by size.
        torch_step: by size, and whether the model is compiled.
        tinygrad_step: by size.
    """
    made = {f"slope/{name}": slope_program(name, size).running() for name in backends}
    makers: dict[str, Callable[[], Call]] = {
        "jax": lambda: jax_program(size).running(),
        "torch": lambda: torch_step(size, False),
        "torch.compile": lambda: torch_step(size, True),
        "tinygrad": lambda: tinygrad_step(size),
    }
    return same_numbers(made | chosen(peers, makers))


# --- devices


def device() -> str:
    """The device that all contenders run on: ``DEFAULT_DEVICE``, such as ``cuda:0``."""
    return os.environ.get("DEFAULT_DEVICE", "cpu:0")


def to_torch(array: Array) -> Any:
    """A tensor of PyTorch, on the device."""
    import torch

    return torch.from_numpy(array).to("cpu" if device().startswith("cpu") else device())


def to_tinygrad(array: Array) -> Any:
    """A tensor of tinygrad, realized, so that no step uploads it again."""
    from tinygrad import Tensor

    return Tensor(array).realize()


def backends_on_device() -> tuple[list[str], dict[str, str]]:
    """The installed backends of slope that have the device, and of the others why not."""
    import slope

    found: list[str] = []
    reasons: dict[str, str] = {}
    for name in installed_backends():
        try:
            with slope.use_backend(name):
                slope.ones(1, device=device())
            found.append(name)
        except slope.errors.SlopeError as error:
            reasons[name] = str(error)
    return found, reasons


def peak(size: int = 2048, rounds: int = 5) -> float | None:
    """Floating-point operations in a second of a product of float32 matrices on the device.

    The best of several rounds, by NumPy on the CPU and by PyTorch elsewhere; ``None`` if that is
    not installed.
    """
    if not device().startswith("cpu") and not find_spec("torch"):
        return None
    matrix = np.random.default_rng(0).random((size, size), np.float32)
    on_cpu = device().startswith("cpu")
    given: Any = matrix if on_cpu else to_torch(matrix)
    seconds = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        float((given @ given)[0, 0])  # the number is read, so that a device has to finish
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds[1:])
