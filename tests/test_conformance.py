"""The conformance kit: our backends pass a few of its cases, and it catches wrong backends."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

import slope
from slope.errors import UnsupportedOperatorError
from slope.extend import (
    Backend,
    BackendSpec,
    Executable,
    Literal,
    Operator,
    OperatorSpec,
    Sample,
    hookimpl,
    register_plugin,
    splat_scalar,
    unregister_plugin,
)
from slope.testing import run_conformance
from slope.testing.__main__ import main
from slope.testing.buffers import RULES, Bench, run_rule
from slope.testing.runner import FAILED, PASSED, UNSUPPORTED, array_difference
from slope.testing.support import COMMAND, support_table

FEW = [
    "add",
    "gelu",
    "dot_general",
    "sum",
    "scatter_slices",
    "threefry2x32",
    "where",
    "floor_divide",
]


# --- our own backends


@pytest.mark.parametrize("name", ["numpy", "onnxruntime"])
def test_our_backends_conform(name):
    report = run_conformance(name, fast=True)
    assert not report.failures, report.text()
    assert report.operators > 80
    assert report.totals[PASSED] > 1500


def test_iree_conforms_in_a_few_operators():
    report = run_conformance("iree", FEW, fast=True)
    assert not report.failures, report.text()


# --- strangers' backends


class Interpreted(Executable):
    def __init__(self, program, rules):
        self.program, self.rules = program, rules

    def __call__(self, handles):
        values = dict(zip(self.program.inputs, handles, strict=True))

        def read(atom):
            if isinstance(atom, Literal):
                return np.full(atom.type.shape, splat_scalar(atom.value, atom.type.dtype))
            return values[atom]

        for instr in self.program.instrs:
            rule = self.rules[instr.op.name]
            values[instr.outputs[0]] = rule(*map(read, instr.inputs), **instr.params)
        return [read(atom) for atom in self.program.outputs]


class TinyBackend(Backend):
    name = "tiny"

    def __init__(self):
        super().__init__()
        self.add_lowerings({
            "add": np.add,
            "mul": np.multiply,
            "tanh": np.tanh,
            "exp": lambda x: np.exp(x) * np.where(x > 1, x.dtype.type(1.01), x.dtype.type(1)),
        })  # fmt: skip

    def supports(self, op, dtype):
        return super().supports(op, dtype) and dtype.name in ("float32", "float64", "int32")

    def from_host(self, array, device):
        return array

    def to_host(self, handle):
        return np.asarray(handle)

    def compile(self, program, device, options):
        return Interpreted(program, self.lowerings)


def _float64_alone(x, y):
    if x.dtype != np.float64:
        raise TypeError("only float64")
    return np.subtract(x, y)


class BoastfulBackend(TinyBackend):
    """Says that it can do everything, also of dtypes that a rule refuses."""

    name = "boastful"

    def __init__(self):
        super().__init__()
        self.add_lowerings({"sub": _float64_alone})

    def supports(self, op, dtype):
        return True


class LeakyBackend(TinyBackend):
    """Keeps every array, writes to inputs, and gives the same memory for every result."""

    name = "leaky"

    def __init__(self):
        super().__init__()
        self.kept = []

    def from_host(self, array, device):
        self.kept.append(array.copy())
        return array

    def compile(self, program, device, options):
        run = Interpreted(program, self.lowerings)

        def careless(handles):
            outs = run(handles)
            for handle in handles:
                if handle.size and handle.flags.writeable:
                    handle.flat[0] += 1
            return outs

        return careless


class Twice(Operator):
    """Twice ``x``; its derivative is wrong."""

    name = "twice_for_the_kit"

    def expand(self, x):
        return slope.add(x, x)

    def samples(self):
        yield Sample((np.array([0.5, 2.0], np.float32),))


class Strangers:
    @hookimpl
    def slope_backends(self):
        return [
            BackendSpec(name=each.name, target=f"{__name__}:{each.__name__}")
            for each in (TinyBackend, BoastfulBackend, LeakyBackend)
        ]

    @hookimpl
    def slope_operators(self):
        return [OperatorSpec(name=Twice.name, operator=Twice())]


@pytest.fixture(scope="module", autouse=True)
def strangers():
    sys.modules.setdefault(__name__, sys.modules[Twice.__module__])
    register_plugin(Strangers(), "strangers")
    yield
    unregister_plugin("strangers")


def statuses(report, operator, mode="jit"):
    return {
        o.dtype: o.status for o in report.outcomes if o.group == operator and o.mode == mode
    }  # fmt: skip


def test_a_strangers_backend_passes_what_it_declares():
    report = run_conformance("tiny", ["add", "mul", "tanh", "sin", "softmax", "silu"])
    assert not report.failures, report.text()
    assert statuses(report, "add")["float32"] == PASSED
    assert statuses(report, "add")["int64"] == UNSUPPORTED
    assert set(statuses(report, "sin").values()) == {UNSUPPORTED}  # neither lowered nor expanded
    assert set(statuses(report, "softmax").values()) == {UNSUPPORTED}  # its expansion is not
    told = [o.message for o in report.outcomes if o.status == UNSUPPORTED]
    assert any("sin of float32" in each for each in told)


def test_a_wrong_rule_is_caught():
    report = run_conformance("tiny", ["exp"])
    assert {o.dtype for o in report.failures} == {"float32", "float64"}
    failure = next(o for o in report.failures if o.mode == "jit")
    assert "instead of" in failure.message
    assert "exp(float32[2, 3])" in failure.label


def test_declared_but_unsupported_is_a_failure():
    report = run_conformance("boastful", ["sin", "sub"])
    failures = [o for o in report.failures if o.mode == "jit"]
    assert {o.dtype for o in failures} >= {"float32", "int32"}
    assert "float64" not in {o.dtype for o in failures}
    assert all("only float64" in o.message for o in failures)
    assert all("let supports() answer False" in o.message for o in failures)
    assert set(statuses(report, "sin").values()) == {UNSUPPORTED}  # no rule, whatever it says


def test_a_program_of_a_refused_dtype_is_not_compiled():
    x = slope.tensor([1, 2], dtype=slope.int64)
    with pytest.raises(UnsupportedOperatorError, match=r"'tiny' does not support .*'add' on int64"):
        slope.jit(lambda x: x + x, backend="tiny")(x)


def test_passes_write_no_operators_that_a_backend_lacks():
    x = slope.tensor([1.0, -2.0])
    with pytest.raises(
        UnsupportedOperatorError, match=r"'neg'.*out: give the backend a rule"
    ) as caught:
        slope.jit(lambda x: -x, backend="tiny")(x)
    assert "Neg.expand" not in str(caught.value)  # slope's own operators are not the reader's
    assert slope.jit(lambda x: x * -1.0 + 0.0 * x, backend="tiny")(x).tolist() == [-1.0, 2.0]


def test_operators_of_packages_are_run():
    report = run_conformance("numpy", [Twice.name])
    assert report.totals[FAILED] == 0
    assert report.totals[PASSED] > 20
    assert run_conformance("tiny", [Twice.name]).totals[PASSED] > 0  # by its expansion


def test_careless_buffers_are_caught():
    bench = Bench(slope.backend("leaky"), calls=2000)
    for label in ("inputs are never written", "no leak"):
        outcome = run_rule(bench, label, RULES[label])
        assert outcome.status == FAILED, label
    assert "MiB behind" in outcome.message


def test_a_strangers_backend_keeps_the_buffer_rules():
    bench = Bench(slope.backend("tiny"), calls=200)
    for label, rule in RULES.items():
        outcome = run_rule(bench, label, rule)
        foreign = "round trip" in label and not any(
            name in label for name in ("float32", "float64", " int32")
        )
        left_out = foreign or label == "donated inputs"
        assert outcome.status == (UNSUPPORTED if left_out else PASSED), outcome


# --- comparing, and what people see


@pytest.mark.parametrize(
    ("want", "got", "bound", "same"),
    [
        ([1.0, np.nan, np.inf], [1.0, np.nan, np.inf], 1e-5, True),
        ([1.0], [1.0 + 5e-5], 1e-5, False),
        ([np.inf], [-np.inf], 1e-5, False),
        ([np.nan], [0.0], 1e-5, False),
        ([1.0], [np.inf], 1e-5, False),
        ([0.0], [5e-6], 1e-5, True),
    ],
)
def test_differences(want, got, bound, same):
    text = array_difference(np.array(want), np.array(got), bound)
    assert (text == "") is same


def test_differences_of_integers():
    text = array_difference(np.array([1, 2]), np.array([1, 3]), 0.0)
    assert text.startswith("gives 3 instead of 2 at [1]; ")
    operands = (np.array([5, 6]), np.array([7, 0]))
    text = array_difference(np.array([1, 0]), np.array([1, 3]), 0.0, operands)
    assert text.startswith("gives 3 instead of 0 at [1], where the operands are 6, 0; 1 of 2")
    assert "relative inf" in text


def test_command_line(tmp_path, capsys):
    page = tmp_path / "out" / "report.html"
    assert (
        main(["conformance", "--backend", "tiny", "--operator", "exp", "--report", str(page)]) == 1
    )
    told = capsys.readouterr().out
    assert "FAILED exp(float32" in told
    assert "declared unsupported" in told.splitlines()[-2]
    text = page.read_text(encoding="utf-8")
    assert "<table>" in text
    assert 'class="bad" title="exp(float32' in text
    assert main(["conformance", "--backend", "numpy", "--operator", "exp"]) == 0
    capsys.readouterr()
    assert main(["conformance", "--backend", "numpy", "--operator", "exp", "--verbose"]) == 0
    told = capsys.readouterr()
    assert "exp(float32[2, 3]), jit" in told.err.splitlines()
    assert "0 failed" in told.out
    assert main(["conformance", "--backend", "nonesuch"]) == 2
    assert main(["conformance", "--backend", "numpy", "--operator", "nonesuch"]) == 2
    assert "nonesuch" in capsys.readouterr().err


def test_as_a_pytest_plugin(tmp_path):
    there = any(each.value == "_slope_pytest" for each in entry_points(group="pytest11"))
    words = [] if there else ["-p", "_slope_pytest"]
    run = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-q", *words, "--pyargs", "slope.testing.conformance",
            "--slope-backend", "numpy", "--slope-fast", "-k",
            "test_operator and add or test_meaning",
        ],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout


def test_the_support_table_is_current():
    committed = Path(__file__).parent.parent / "docs" / "support.md"
    unregister_plugin("strangers")  # its operator is no part of slope
    try:
        made = support_table()
    finally:
        register_plugin(Strangers(), "strangers")
    assert committed.read_text(encoding="utf-8") == made, f"make it anew: {COMMAND}"
