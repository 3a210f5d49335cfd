"""slope.compare finds the first instruction where backends part."""

import sys

import numpy as np
import pytest

import slope
from slope.errors import ArgumentError, BackendError
from slope.extend import (
    Backend,
    BackendSpec,
    Executable,
    hookimpl,
    register_plugin,
    unregister_plugin,
)


class Faulty(Backend):
    """Runs programs by numpy, and gets one operator wrong."""

    name = "faulty"

    def __init__(self):
        super().__init__()
        self.numpy = slope.backend("numpy")
        self.add_lowerings(dict.fromkeys(self.numpy.lowerings, len))

    def from_host(self, array, device):
        return array

    def to_host(self, handle):
        return np.asarray(handle)

    def wrong(self, program):
        return any(instr.op.name == "tanh" for instr in program.instrs)

    def compile(self, program, device, options):
        run = self.numpy.compile(program, device, options)
        if not self.wrong(program):
            return run
        return Altered(run)


class Altered(Executable):
    def __init__(self, run):
        self.run = run

    def __call__(self, handles):
        return [out * np.float32(1.5) for out in self.run(handles)]


class Fusing(Faulty):
    """Wrong only where exp and sin are compiled together."""

    name = "fusing"

    def wrong(self, program):
        return {"exp", "sin"} <= {instr.op.name for instr in program.instrs}


class Refusing(Faulty):
    name = "refusing"

    def compile(self, program, device, options):
        if self.wrong(program):
            raise BackendError("no tanh today")
        return self.numpy.compile(program, device, options)


class Plugin:
    @hookimpl
    def slope_backends(self):
        return [
            BackendSpec(name=each.name, target=f"{__name__}:{each.__name__}")
            for each in (Faulty, Fusing, Refusing)
        ]


@pytest.fixture(scope="module", autouse=True)
def faulty():
    sys.modules.setdefault(__name__, sys.modules[Faulty.__module__])
    register_plugin(Plugin(), "faulty")
    yield
    unregister_plugin("faulty")


def model(params, x):
    hidden = slope.tanh(x @ params["w"])
    return (hidden * hidden).sum(), slope.exp(hidden)


PARAMS = {"w": slope.tensor([[0.5, -1.0], [0.25, 2.0]])}
X = slope.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.5]])


def test_it_names_the_first_instruction_that_parts():
    found = slope.compare(model, PARAMS, X, backends=["numpy", "faulty"])
    assert not found
    first = found.first
    assert "slope.tanh(float32[3, 2])" in first.what
    assert first.backend == "faulty"
    line = model.__code__.co_firstlineno + 1
    assert f"test_compare.py:{line} in model" in first.source
    want = np.tanh(X.numpy() @ PARAMS["w"].numpy())
    assert first.difference.index == (0, 0)
    assert first.difference.wanted == pytest.approx(want[0, 0])
    assert first.difference.found == pytest.approx(1.5 * want[0, 0])
    assert first.difference.count == 6
    assert first.difference.absolute == pytest.approx(np.abs(want).max() / 2, rel=1e-5)
    assert first.difference.relative == pytest.approx(0.5, rel=1e-5)
    # Each instruction is fed with the reference's operands: what follows is not blamed.
    assert [row.number for row in found.rows if row.parts] == [first.number]
    assert all(row.parts for row in found.ends)
    text = str(found)
    assert "first difference: instruction" in text
    assert "the whole program: 2 of 2 results part" in text
    assert "part" in repr(found)


def test_it_finds_what_parts_only_when_compiled_together():
    found = slope.compare(
        lambda x: slope.sin(slope.exp(x) + 1) * 2, X, backends=["numpy", "fusing"]
    )
    assert not any(row.parts for row in found.rows)
    assert found.first in found.prefixes
    assert "slope.sin" in found.first.what
    assert "compiled with all before it" in str(found)


def test_it_tells_errors_of_a_backend():
    found = slope.compare(slope.tanh, X, backends=["numpy", "refusing"])
    assert found.first.error == "BackendError: no tanh today"
    assert "raises BackendError: no tanh today" in str(found)


def test_tolerances():
    assert slope.compare(slope.tanh, X, backends=["numpy", "faulty"], rtol=0.6, atol=0)
    assert not slope.compare(slope.tanh, X, backends=["numpy", "faulty"], rtol=0.4, atol=0)
    assert slope.compare(slope.tanh, X, backends=["numpy", "faulty"], rtol=0, atol=1)


def test_our_backends_agree():
    unregister_plugin("faulty")
    try:
        found = slope.compare(slope.grad(lambda p, x: model(p, x)[0]), PARAMS, X)
    finally:
        register_plugin(Plugin(), "faulty")
    assert found, str(found)
    assert found.reference == "numpy"
    assert {"onnxruntime", "iree"} <= set(found.backends)
    assert str(found).endswith("all agree")


def test_numbers_arrays_constants_and_draws():
    captured = slope.tensor([1.0, 2.0])
    with slope.use_backend("numpy"):
        found = slope.compare(
            lambda x, n, f, flag: (x * n + f + captured, slope.randn(2), flag),
            np.ones(2, np.float32), 2, 0.5, True, backends=["numpy", "onnxruntime"],
        )  # fmt: skip
    assert found, str(found)


def test_it_wants_two_backends():
    with pytest.raises(ArgumentError, match="two backends or more"):
        slope.compare(slope.tanh, X, backends=["numpy"])
    with pytest.raises(BackendError, match="nonesuch"):
        slope.compare(slope.tanh, X, backends=["numpy", "nonesuch"])
