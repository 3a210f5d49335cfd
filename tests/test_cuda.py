"""Programs for NVIDIA devices, on a machine that need not have one: that they compile, and as what.

What needs a device is skipped without one: the conformance kit and the benchmarks run there with
``DEFAULT_DEVICE=cuda:0``.
"""

import numpy as np
import onnxruntime
import pytest

import slope
from slope import errors
from slope.extend import Device
from slope.lowering import close, lower_program
from slope_backend_iree.backend import IreeBackend
from slope_backend_onnx import provider
from slope_backend_onnx.backend import OnnxRuntimeBackend

CUDA = Device("cuda", 0)
STEPS = {"W1": "mlp_step", "W2": "mlp_step", "W3": "gpt_step", "W4": "conv_step", "W5": "decode"}
# What is written for processors alone: kernels, regions and tiles of our own, and their compiler.
FOR_CPUS = ("iree_cpu", "llvmcpu", "flow.dispatch", "stream.executable", "lowering_config")


def prepared(load, name, backend):
    """A benchmark's step as a backend gets it, and which inputs are donated.

    W3 has one layer of its four: IREE takes half a minute for them.
    """
    workload = load(STEPS[name])
    size = getattr(workload, name)
    size = size._replace(layers=1) if name == "W3" else size
    program = workload.slope_program("numpy", size)
    entry, _ = program.step._entry(program.arguments, {})
    closed, _ = close(lower_program(entry.closed, backend))
    return closed, frozenset(entry.donated.values())


@pytest.mark.parametrize(
    ("name", "arch"), [*((name, "sm_80") for name in STEPS), ("W1", "sm_89"), ("W5", "sm_89")]
)
def test_iree_compiles_the_benchmarks_steps(load, name, arch):
    backend = IreeBackend()
    program, donated = prepared(load, name, backend)
    options = {"flags": [f"--iree-cuda-target={arch}"]} if arch != "sm_80" else {}
    lowered, module = backend.module(program, CUDA, options, donated)
    assert arch.encode() in (module or b"")
    assert not [word for word in FOR_CPUS if word in lowered.text]
    assert not lowered.kernels


@pytest.mark.parametrize("name", STEPS)
def test_onnx_graphs_hold_plain_operators(load, name):
    """No blocked convolutions and other operators that ONNX Runtime has for processors alone."""
    backend = OnnxRuntimeBackend()
    program, _ = prepared(load, name, backend)
    builder, _ = backend._lowered(program, CUDA, 1)
    nodes = builder.graph.model().graph.node
    assert nodes
    assert {node.domain for node in nodes} <= {"", "ai.onnx"}


# --- ONNX Runtime's devices, with sessions that only pretend


class Sessions:
    """Stands for ``onnxruntime.InferenceSession`` on a machine with so many GPUs."""

    def __init__(self, gpus: int, falls_back: bool = False) -> None:
        self.gpus, self.falls_back, self.asked = gpus, falls_back, []

    def __call__(self, model, options, *, providers, **settings):
        (_, chosen) = providers[0]
        self.asked.append(chosen)
        if chosen["device_id"] >= self.gpus and not self.falls_back:
            raise RuntimeError(f"CUDA failure 101: invalid device ordinal {chosen['device_id']}")
        return self

    def get_providers(self):
        cpu = ["CPUExecutionProvider"]
        return cpu if self.falls_back else ["CUDAExecutionProvider", *cpu]

    def get_inputs(self):
        return []

    get_outputs = get_inputs


@pytest.fixture
def pretend(monkeypatch):
    def start(sessions):
        loaded = []
        names = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
        monkeypatch.setattr(onnxruntime, "InferenceSession", sessions)
        monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: loaded.append(1), raising=False)
        provider._load_cuda.cache_clear()
        return loaded

    yield start
    provider._load_cuda.cache_clear()


@pytest.mark.parametrize("gpus", [0, 1, 3])
def test_onnx_finds_every_gpu(pretend, gpus):
    sessions = Sessions(gpus)
    loaded = pretend(sessions)
    backend = OnnxRuntimeBackend()
    assert [str(each) for each in backend.devices()] == [
        "cpu:0",
        *(f"cuda:{each}" for each in range(gpus)),
    ]
    assert f"invalid device ordinal {gpus}" in backend.absent(Device("cuda", gpus))
    assert loaded == [1]  # NVIDIA's libraries, before the first session
    assert {each["use_tf32"] for each in sessions.asked} == {"0"}


def test_onnx_says_why_it_fell_back(pretend):
    pretend(Sessions(1, falls_back=True))
    backend = OnnxRuntimeBackend()
    assert [str(each) for each in backend.devices()] == ["cpu:0"]
    assert "silently fell back to CPUExecutionProvider" in backend.absent(CUDA)


# --- what a user of a machine without a device is told


def has_gpu(backend: str) -> bool:
    with slope.use_backend(backend):
        return CUDA in slope.backend().devices()


REASONS = {
    "iree": r"IREE has no usable 'cuda' driver here: .*\. Move tensors with \.to\('cpu'\)",
    "onnxruntime": r"needs CUDAExecutionProvider.* slope-backend-onnx\[gpu\]`\. Move tensors",
    "numpy": r"it has cpu:0\. Move tensors with .*DEFAULT_DEVICE.* choose another backend",
}


def test_a_machine_without_a_gpu_says_what_it_lacks(backend):
    if has_gpu(backend):
        pytest.skip("there is an NVIDIA device here")
    x = slope.ones(2)
    for ask in (lambda: x.to("cuda:0"), lambda: slope.ones(2, device="cuda:0")):
        with pytest.raises(errors.DeviceError, match=f"has no device cuda:0; .*{REASONS[backend]}"):
            ask()


@pytest.mark.parametrize("name", ["iree", "onnxruntime"])
def test_a_step_on_a_gpu(name):
    if not has_gpu(name):
        pytest.skip(f"{name} has no NVIDIA device here")
    with slope.use_backend(name):
        x, w = (slope.ones(64, 64, device="cuda:0") * each for each in (1.0, 0.5))
        loss, grads = slope.jit(slope.value_and_grad(lambda w, x: slope.tanh(x @ w).mean()))(w, x)
        assert grads.device == CUDA
        np.testing.assert_allclose(loss.numpy(), 1.0, rtol=1e-6)
