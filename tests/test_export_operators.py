"""Every operator as files: standard ONNX as written, and StableHLO alone, equal to NumPy."""

from __future__ import annotations

import itertools
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from stablehlo_elsewhere import run_by_xla

import slope
from slope.core.host import calls_host
from slope.extend import CPU, ExportedProgram
from slope.lowering import close, lower_program
from slope.testing import runner
from slope.testing.cases import Broken, Case, all_operators, cases
from slope.testing.runner import FAILED, chunks, join, run_cases, undeclared
from slope_backend_onnx.sessions import create_session


def exported(program, backend):
    """A program with names for its inputs and outputs, as `slope.export` gives it to a backend."""
    lowered, constants = close(lower_program(program, backend))
    return ExportedProgram(
        lowered,
        tuple(f"in.{number}" for number in range(len(program.inputs))),
        tuple(f"out.{number}" for number in range(len(program.outputs))),
        tuple((f"constant.{number}", each.numpy()) for number, each in enumerate(constants)),
        {},
    )


def cases_of(mode, name):
    """All samples in all dtypes, or the derivatives of those in their own.

    What Python computes in the middle of a program is left out: it cannot be exported.
    """
    backend = slope.backend(name)
    made = [case for op in all_operators() for case in cases(op, (mode,), thorough=mode == "jit")]
    assert not [case for case in made if isinstance(case, Broken)]
    whole = [case for case in made if isinstance(case, Case)]
    return [each for each in whole if undeclared(each.program, backend) or in_file(each, backend)]


def in_file(case, backend):
    return not calls_host(lower_program(case.program, backend), backend.lowers)


def run_onnx(backend, path, arrays):
    """The results of a file by ONNX Runtime, node by node as written."""
    opsets = {each.domain: each.version for each in onnx.load(path).opset_import}
    assert opsets in ({"": 21}, {"": 26})  # no other domain
    session = create_session(str(path), optimize=False, threads=1)
    handles = session([backend.from_host(array, CPU) for array in arrays])
    return [np.array(backend.to_host(handle)) for handle in handles]


@pytest.mark.parametrize("mode", ["jit", "vjp"])
def test_every_operator_as_standard_onnx(mode, tmp_path, monkeypatch):
    numbers = itertools.count()

    def file_runner(backend):
        def run(program, arrays):
            path = tmp_path / f"{next(numbers)}.onnx"  # of several threads
            backend.export(exported(program, backend), path)
            return run_onnx(backend, path, arrays)

        return run

    monkeypatch.setattr(runner, "runner", file_runner)
    outcomes = run_cases(cases_of(mode, "onnxruntime"), "onnxruntime")
    assert len(outcomes) > 500
    assert not [str(each) for each in outcomes if each.status == FAILED]


def stablehlo(program, backend, folder):
    path = folder / "program.mlir"
    backend.export(exported(program, backend), path)
    return path.read_text()


@pytest.mark.parametrize("mode", ["jit", "vjp"])
def test_every_operator_as_stablehlo_alone(mode, tmp_path):
    backend = slope.backend("iree")
    made = [case for case in cases_of(mode, "iree") if not undeclared(case.program, backend)]
    count = 0
    for chunk in chunks(made):
        text = stablehlo(join(chunk)[0], backend, tmp_path)
        count += len(chunk)
        assert not foreign(text)
    assert count > 500


def foreign(text):
    """What of a text is of no dialect but StableHLO's, and functions'."""
    text = re.sub(r'dense<[^>]*>|slope\.name = "[^"]*"', "", text)
    names = re.findall(r"(?<![\w.])[a-z_]+(?:\.[a-z_]+)+", text)
    return {name for name in names if not name.startswith("stablehlo.")} - {"func.func"}


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("jaxlib"), reason="needs jaxlib")
@pytest.mark.parametrize("mode", ["jit", "vjp"])
def test_every_operator_as_stablehlo_by_xla(mode, tmp_path, monkeypatch):
    def file_runner(backend):
        def run(program, arrays):
            folder = Path(tempfile.mkdtemp(dir=tmp_path))
            return run_by_xla(stablehlo(program, backend, folder), arrays)

        return run

    monkeypatch.setattr(runner, "runner", file_runner)
    # XLA takes a while for each chunk: half precision and narrow integers are left out.
    made = [case for case in cases_of(mode, "iree") if case.dtype in {"float32", "int64", "bool"}]
    outcomes = run_cases(made, "iree")
    assert not [str(each) for each in outcomes if each.status == FAILED]
