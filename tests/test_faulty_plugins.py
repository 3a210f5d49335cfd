"""Backends and lowering rules of plugins that misbehave: one error names them, and the way out."""

from __future__ import annotations

import itertools
import types

import numpy as np
import pytest

import slope
from slope.errors import BackendError, DeviceError, PluginError, UnsupportedOperatorError
from slope.extend import (
    Backend,
    BackendSpec,
    Executable,
    Operator,
    hookimpl,
    register_plugin,
    unregister_plugin,
)

X = slope.tensor([[1.0, 2.0], [3.0, 4.0]])
_numbers = itertools.count()


class Runs(Executable):
    """Runs a function of handles."""

    def __init__(self, function):
        self.function = function

    def __call__(self, handles):
        return self.function(handles)


class Doubling(Backend):
    """Doubles the first input, whatever the program says."""

    def __init__(self):
        super().__init__()
        self.add_lowerings({"add": np.add, "mul": np.multiply})

    def from_host(self, array, device):
        return array

    def to_host(self, handle):
        return handle

    def compile(self, program, device, options):
        return Runs(lambda handles: [handles[0] * np.float32(2)])


@pytest.fixture
def offered(monkeypatch):
    """A function that registers a backend of its own for some methods; gives its name."""
    names = []

    def offer(**members):
        name = f"faulty{next(_numbers)}"
        kind = type("Faulty", (Doubling,), {"name": name, **members})
        monkeypatch.setattr(types, name, kind, raising=False)

        class Plugin:
            @staticmethod
            @hookimpl
            def slope_backends():
                return [BackendSpec(name=name, target=f"types:{name}")]

        register_plugin(Plugin, f"{name}-plugin")
        names.append(f"{name}-plugin")
        return name

    yield offer
    for name in names:
        unregister_plugin(name)


def running(function):
    return {"compile": lambda self, program, device, options: Runs(function)}


FAULTS = {
    "compile raises": ({"compile": lambda *_: 1 / 0}, "failed in compile, of 'doubled': ZeroDiv"),
    "compile gives None": ({"compile": lambda *_: None}, "compile: it returned None, no Executab"),
    "running raises": (running(lambda _: 1 / 0), "failed in running .*: ZeroDivisionError"),
    "no results": (running(lambda _: None), "failed in running"),
    "too few results": (running(lambda _: []), "failed in running"),
    "another dtype": (
        running(lambda handles: [handles[0].astype(np.float64)]),
        r"gave float64\[2, 2\] where the program says float32\[2, 2\].*conformance --backend",
    ),
    "another shape": (
        running(lambda handles: [handles[0][0]]),
        r"gave float32\[2\] where the program says float32\[2, 2\]",
    ),
    "to_host raises": ({"to_host": lambda *_: 1 / 0}, "failed in to_host: ZeroDivisionError"),
    "to_host gives a list": ({"to_host": lambda *_: [1]}, r"to_host: it returned \[1\], no NumPy"),
    "from_host raises": ({"from_host": lambda *_: 1 / 0}, "failed in from_host: ZeroDivisionErr"),
    "devices raises": ({"devices": lambda _: 1 / 0}, "failed in devices: ZeroDivisionError"),
    "devices gives text": ({"devices": lambda _: ["cpu:0"]}, r"devices: .*no list of Devices"),
}


@pytest.mark.parametrize("jitted", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_backend_does_wrong_is_told(offered, fault, jitted):
    members, message = FAULTS[fault]
    name = offered(**members)

    def doubled(x):
        return x + x

    if not jitted:
        message = message.replace("doubled", "add")
    with slope.use_backend(name), pytest.raises(BackendError, match=message) as caught:
        (slope.jit(doubled) if jitted else doubled)(slope.tensor([[1.0, 2.0], [3.0, 4.0]])).numpy()
    text = str(caught.value)
    assert f"backend {name!r}" in text
    if "failed in" in text:
        assert f"of the plugin {name}-plugin (registered in process) failed in" in text
        assert "choose another backend (SLOPE_BACKEND=..., slope.use_backend)" in text


def test_a_backend_without_devices_says_so(offered):
    with (
        slope.use_backend(offered(devices=lambda _: [])),
        pytest.raises(DeviceError, match="has no device cpu:0; it has none"),
    ):
        slope.jit(lambda x: x + x)(X)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"__init__": lambda self: None}, r"Faulty.__init__.* does not call super\(\)"),
        ({"eager": "maybe"}, "Faulty.eager is 'maybe', and must be one of 'compile', 'numpy'"),
        ({"layout": "NCWH"}, "Faulty.layout is 'NCWH', and must be one of None, 'NCHW', 'NHWC'"),
    ],
)
def test_a_backend_that_is_made_wrongly_is_refused(offered, members, message):
    with pytest.raises(PluginError, match=message), slope.use_backend(offered(**members)):
        pass


def test_a_hook_that_raises_is_a_plugin_error():
    class Plugin:
        @staticmethod
        @hookimpl
        def slope_operators():
            return 1 / 0

    with pytest.raises(PluginError, match=r"plugin raising .* failed: ZeroDivisionError: division"):
        register_plugin(Plugin, "raising")


# --- lowering rules


@pytest.fixture
def lowered():
    """A function that registers an operator and its rule for a backend; gives the operator."""
    names = []

    def add(backend, rule, *, multiple=False, whole=True):
        name = f"lowered_{next(_numbers)}"
        space = {"name": name, "multiple": multiple, "whole": whole, "__doc__": "The same."}
        space["infer"] = (lambda self, x: (x, x)) if multiple else (lambda self, x: x)
        op = type("Lowered", (Operator,), space)()

        class Plugin:
            @staticmethod
            @hookimpl
            def slope_operators():
                return [op]

            @staticmethod
            @hookimpl
            def slope_lowerings(backend):
                return {name: rule} if backend == wanted else {}

        wanted = backend
        register_plugin(Plugin, f"{name}-plugin")
        names.append(f"{name}-plugin")
        return op

    yield add
    for name in names:
        unregister_plugin(name)


RETURNED = {
    "None": (False, lambda context, x: None, "returned None; return a Value"),
    "a number": (False, lambda context, x: 3, "returned 3; return a Value"),
    "two for one": (False, lambda context, x: (x, x), "return a Value"),
    "one for two": (True, lambda context, x: x, "return a tuple of 2 results, each a V"),
    "three for two": (True, lambda context, x: (x, x, x), "return a tuple of 2 results, each a V"),
    "raises": (False, lambda context, x: 1 / 0, "failed: ZeroDivisionError: division by zero"),
    "takes less": (False, lambda context: None, "failed: TypeError: .*1 positional argument"),
}


@pytest.mark.parametrize("case", RETURNED)
def test_what_a_lowering_rule_returns_is_checked(backend, lowered, case):
    multiple, rule, message = RETURNED[case]
    op = lowered(backend, rule, multiple=multiple)
    whose = f"the lowering of '{op.name}' for '{backend}', which comes from the plugin {op.name}-pl"
    for call in (op, slope.jit(op)):
        with pytest.raises(PluginError, match=message) as caught:
            call(X)
        assert whose in str(caught.value)


def test_types_of_what_a_lowering_rule_returns_are_checked(lowered):
    op = lowered("iree", lambda context, x: context.convert(x, slope.float64))
    with (
        slope.use_backend("iree"),
        pytest.raises(PluginError, match=r"a result float64\[2, 2\]; the operator's is float32\[2"),
    ):
        slope.jit(op)(X)
    op = lowered("numpy", lambda context, x: context.fresh(f"{x.code}.astype(np.float64)"))
    with (
        slope.use_backend("numpy"),
        pytest.raises(BackendError, match=r"gave float64\[2, 2\] where the program says float32"),
    ):
        op(X).numpy()


class Box:
    """A handle with a ``type`` that is no tensor's, as PyTorch's have."""

    def __init__(self, array):
        self.array = array

    def type(self):
        return "box"


def _boxed(self, program, device, options):
    (instr,) = program.instrs
    return Runs(lambda handles: [self.lowerings[instr.op.name](*handles, **instr.params)])


def test_rules_without_a_context_and_values_without_types_are_checked(offered, lowered):
    name = offered(
        lowered=(Box,), compile=_boxed, from_host=lambda self, array, device: Box(array),
        to_host=lambda self, handle: handle.array,
    )  # fmt: skip
    op = lowered(name, lambda x: Box(x.array * 2))
    assert slope.jit(op, backend=name)(X).tolist() == [[2.0, 4.0], [6.0, 8.0]]
    op = lowered(name, lambda x: x.array)
    with pytest.raises(PluginError, match=r"(?s)returned array.*; return a Box"):
        slope.jit(op, backend=name)(X)
    op = lowered(name, lambda x: x, multiple=True)
    with pytest.raises(PluginError, match="return a tuple of all results, each a Box"):
        slope.jit(op, backend=name)(X)


def test_a_rule_for_one_backend_alone_serves_eager_calls_there_if_the_operator_is_whole(lowered):
    def negated(context, x):
        return context.op("Neg", context.full(x))

    with slope.use_backend("onnxruntime"):
        op = lowered("onnxruntime", negated)
        assert op(X).tolist() == [[-1.0, -2.0], [-3.0, -4.0]]
        part = lowered("onnxruntime", negated, whole=False)
        assert slope.jit(part)(X).tolist() == [[-1.0, -2.0], [-3.0, -4.0]]
        with pytest.raises(
            UnsupportedOperatorError,
            match=r"backend 'numpy' has no .*selected backend 'onnxruntime' has a lowering: calls "
            r"inside jit use it, and others do if Lowered says whole = True",
        ):
            part(X)
