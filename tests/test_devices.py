"""Tensors on a device that is not the CPU: a stranger's backend with devices of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn
from slope.extend import (
    CPU,
    Backend,
    BackendSpec,
    Device,
    Executable,
    Program,
    hookimpl,
    register_plugin,
    unregister_plugin,
)
from slope_backend_numpy.backend import NumpyBackend

METAL = Device("metal", 0)


class Buffer:
    """Memory of a device."""

    def __init__(self, array: np.ndarray[Any, Any], device: Device) -> None:
        self.array, self.device = array, device


class Compiled(Executable):
    """Runs on one device, and refuses the buffers of another."""

    def __init__(self, inner: Executable, device: Device) -> None:
        self.inner, self.device, self.code = inner, device, inner.code

    def __call__(self, handles: Sequence[Any]) -> Sequence[Any]:
        assert all(handle.device == self.device for handle in handles)
        return [Buffer(out, self.device) for out in self.inner([each.array for each in handles])]


class Devices(Backend):
    """NumPy behind two devices."""

    name = "devices"

    def __init__(self) -> None:
        super().__init__()
        self.inner = NumpyBackend()
        self.add_lowerings(self.inner.lowerings)

    def devices(self) -> list[Device]:
        return [CPU, METAL]

    def from_host(self, array: np.ndarray[Any, Any], device: Device) -> Buffer:
        return Buffer(np.array(array), device)

    def to_host(self, handle: Buffer) -> np.ndarray[Any, Any]:
        return handle.array

    def compile(
        self,
        program: Program,
        device: Device,
        options: Mapping[str, Any],
        donated: frozenset[int] = frozenset(),
    ) -> Compiled:
        return Compiled(self.inner.compile(program, CPU, options), device)


class Plugin:
    @hookimpl
    def slope_backends(self) -> list[BackendSpec]:
        return [BackendSpec(name="devices", target=f"{__name__}:Devices")]


@pytest.fixture(autouse=True)
def _devices():
    register_plugin(Plugin(), "devices")
    try:
        with slope.use_backend("devices"):
            yield
    finally:
        unregister_plugin("devices")


X = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.5]], np.float32)
I = np.array([0, 1])  # noqa: E741  # what NumPy's documentation calls an index

CASES = {
    "gather": lambda x, i: x[i],
    "list": lambda x, i: x[[1, 0]],
    "at": lambda x, i: x.at[1].set(5.0),
    "at indices": lambda x, i: x.at[i].add(x),
    "mask": lambda x, i: slope.where(x > 2, x, 0.0),
    "tril": lambda x, i: x.tril(),
    "one hot": lambda x, i: slope.one_hot(i, 3),
    "embedding": lambda x, i: slope.embedding(i, x),
    "quantile": lambda x, i: slope.quantile(x, 0.5),
    "attention": lambda x, i: slope.scaled_dot_product_attention(
        x[None], x[None], x[None], is_causal=True
    ),
    "batch norm": lambda x, i: slope.batch_norm(x, training=True).output,
    "pooling": lambda x, i: slope.adaptive_avg_pool1d(x[None], 2),
    "resizing": lambda x, i: slope.interpolate(x[None], scale_factor=2.0, mode="linear"),
    "loop": lambda x, i: slope.fori_loop(0, 3, lambda n, c: c + n * x, x),
    "gradient": lambda x, i: slope.grad(lambda x: (x[i] ** 2).sum())(x),
    "jacobian": lambda x, i: slope.jacrev(slope.sin)(x),
    "hessian": lambda x, i: slope.hessian(lambda x: (x**3).sum())(x),
    "vmap": slope.vmap(lambda row, at: row[at]),
    "zero gradient": lambda x, i: x + slope.grad(lambda x: (x * 0).sum())(x),
}


@pytest.mark.parametrize("name", CASES)
def test_what_functions_make_on_the_way_follows_their_operands(name):
    function = CASES[name]
    x, i = slope.tensor(X, device=METAL), slope.tensor(I, device=METAL)
    expected = np.asarray(function(slope.tensor(X), slope.tensor(I)))
    for f in (function, slope.jit(function)):
        out = f(x, i)
        assert out.device == METAL
        np.testing.assert_allclose(np.asarray(out), expected, rtol=1e-6)


def test_coordinates_of_a_tensor_are_where_it_is():
    x = slope.tensor(X, device=METAL)
    assert slope.nonzero(x > 2).device == METAL
    assert slope.unique(x).device == METAL
    assert slope.nonzero(slope.tensor(X)).device == CPU


def test_what_the_user_put_on_the_cpu_stays_there():
    x = slope.tensor(X, device=METAL)
    key = slope.random.key(0)
    for other in (slope.ones(3), slope.arange(3), slope.eye(2, 3), key[:1]):
        with pytest.raises(errors.DeviceError, match="several devices"):
            _ = x + other
        with pytest.raises(errors.DeviceError, match="several devices"):
            slope.jit(lambda x, other: x + other)(x, other)
    assert (x.to("cpu") + slope.arange(3)).device == CPU


def test_a_result_of_tables_alone_is_an_argument_like_any_other():
    f = slope.jit(lambda x: x * 2)
    f(slope.ones(2, 2))
    f(slope.jacrev(lambda x: x * 2.0)(slope.ones(2)))  # depends on no operand
    assert f.compile_count == 1


def test_training_with_draws_is_wherever_the_model_is():
    """The generator's key goes along, and back; loops, draws in them, and rotations, too."""

    def loss(model, x, y):
        return slope.cross_entropy(model(x), y), model

    def step(model, optimizer, x, y):
        (value, model), gradient = slope.value_and_grad(loss, has_aux=True)(model, x, y)
        model, optimizer = optimizer(model, gradient)
        return value, model, optimizer

    layers = [nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.ReLU(), nn.Linear(4, 2)]
    found = {}
    for device in (CPU, METAL):
        for way in (step, slope.jit(step)):
            slope.manual_seed(0)
            model = nn.Sequential(*layers).to(device)
            optimizer = nn.Adam(model, lr=0.01)
            x, y = slope.tensor(X, device=device), slope.tensor(I, device=device)
            for _ in range(2):
                value, model, optimizer = way(model, optimizer, x, y)
            assert value.device == device
            drawn = slope.scan(lambda c, _: (c, c * slope.rand(())), x, length=2)[1]
            found[device, way is step] = value.item(), drawn.tolist(), slope.rand(2).tolist()
    assert found[CPU, True] == found[METAL, True]
    assert found[CPU, False] == found[METAL, False]


def test_rotations_follow_their_operand():
    x = slope.ones(2, 3, 8)
    rotary = nn.RotaryEmbedding(8)
    for f in (rotary, slope.jit(lambda x: rotary(x))):  # noqa: PLW0108  # another function
        out = f(x.to(METAL))
        assert out.device == METAL
        np.testing.assert_allclose(np.asarray(out), np.asarray(f(x)), rtol=1e-6)


@pytest.mark.parametrize("module", ["mlp_step", "gpt_step", "conv_step", "decode"])
def test_the_benchmarks_steps_run_on_the_default_device(load, module, monkeypatch):
    """What `nox -s bench -- --device cuda:0` runs; the backend refuses buffers of the CPU."""
    workload = load(module)
    numbers = _numbers(workload, "numpy")
    monkeypatch.setenv("DEFAULT_DEVICE", str(METAL))
    assert _numbers(workload, "devices") == pytest.approx(numbers, rel=1e-4)
    program = workload.slope_program("devices", workload.TINY)
    results = slope.tree_leaves(program.step(*program.arguments))
    assert {each.device for each in results if isinstance(each, slope.Tensor)} == {METAL}


def _numbers(workload: Any, backend: str) -> list[float]:
    call = workload.slope_program(backend, workload.TINY).running()
    return [call() for _ in range(3)]


def test_a_device_that_is_not_there():
    x = slope.ones(2)
    for device in ("metal:1", "cpu:1"):
        with pytest.raises(
            errors.DeviceError,
            match=rf"'devices' has no device {device}; it has cpu:0, metal:0\. Move tensors with",
        ):
            x.to(device)
