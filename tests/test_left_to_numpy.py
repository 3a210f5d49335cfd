"""What a backend leaves to NumPy: factors of matrices, in stages between compiled parts."""

import numpy as np
import pytest

import slope
from slope.devices import CPU
from slope.linalg import operators
from slope.staged import Staged
from slope.testing.operators import as_function

NAMES = sorted(operators.__all__)
X = np.random.default_rng(0).standard_normal((40, 40))


def both(x):
    """Two calls that need not wait for one another, and what is around."""
    values, vectors = slope.linalg.eigh(x * 2)
    inverse = slope.linalg.inv(x + 3 * slope.eye(40, dtype=x.dtype))
    return (vectors * values) @ inverse


def executable(function, backend, *args):
    return slope.jit(function, backend=backend).prepared(args, {})[0].executable


@pytest.fixture
def compiled(monkeypatch):
    """The programs that onnxruntime compiles."""
    backend, seen = slope.backend("onnxruntime"), []
    compile_program = backend.compile

    def noting(program, *args, **kwargs):
        seen.append(program)
        return compile_program(program, *args, **kwargs)

    monkeypatch.setattr(backend, "compile", noting)
    return seen


def test_independent_factors_share_a_stage(compiled):
    x = slope.tensor(X)
    f = slope.jit(both, backend="onnxruntime")
    wanted = slope.jit(both, backend="numpy")(x)
    np.testing.assert_allclose(f(x).numpy(), wanted.numpy(), rtol=1e-9, atol=1e-9)
    assert len(compiled) == 2
    names = {instr.op.name for program in compiled for instr in program.instrs}
    assert names.isdisjoint({"eigh_factors", "inverse_matrix", "run_while", "run_scan"})


@pytest.mark.parametrize("backend", ["onnxruntime", "iree"])
def test_derivatives_and_batches(backend):
    xs = slope.tensor(np.stack([X, X + 1]))

    def f(x):
        return (slope.linalg.eigh(x + x.mT)[0] ** 2).sum() + slope.linalg.slogdet(x)[1]

    gradient = slope.vmap(slope.grad(f))
    assert isinstance(executable(gradient, backend, xs), Staged)
    np.testing.assert_allclose(
        slope.jit(gradient, backend=backend)(xs).numpy(),
        4 * (X + X.T + np.zeros((2, 1, 1)) + np.array([0, 2])[:, None, None])
        + np.linalg.inv(xs.numpy()).swapaxes(-1, -2),
        rtol=1e-8,
        atol=1e-8,
    )


@pytest.mark.parametrize("backend", ["onnxruntime", "iree"])
def test_branches_and_loops_hold_whole_programs(backend):
    """Every operator, in loops of the runtime, means the same."""
    cases = [
        (op, sample.params, [slope.tensor(np.asarray(arg)) for arg in sample.args])
        for op in (getattr(operators, name) for name in NAMES)
        for sample in list(op.samples())[:2]
    ]

    def every(inputs):
        return [
            as_function(op, params)(*xs) for (op, params, _), xs in zip(cases, inputs, strict=True)
        ]

    def turned(chosen, inputs):
        return slope.cond(
            chosen, every, lambda inputs: slope.tree_map(slope.zeros_like, every(inputs)), inputs
        )

    inputs = [args for _, _, args in cases]
    chosen = slope.tensor(True)
    assert not isinstance(executable(turned, backend, chosen, inputs), Staged)
    wanted = slope.jit(every, backend="numpy")(inputs)
    found = slope.jit(turned, backend=backend)(chosen, inputs)
    for (op, _, _), outs, expected in zip(cases, found, wanted, strict=True):
        for out, want in zip(outs, expected, strict=True):
            np.testing.assert_allclose(
                out.numpy(), want.numpy(), rtol=2e-5, atol=2e-5, err_msg=op.name
            )


def test_small_matrices_stay_in_kernels_of_iree():
    assert not isinstance(executable(slope.linalg.inv, "iree", slope.eye(8)), Staged)
    assert not slope.backend("numpy").left_to_numpy(
        operators.inverse_matrix, [slope.ones(99, 99).type], CPU
    )


def test_symbolic_sizes_stay_whole():
    f = slope.jit(slope.linalg.inv, dynamic={"x": {0: slope.Dim("batch")}}, backend="onnxruntime")
    for count in (2, 3):
        x = slope.tensor(np.stack([X] * count))
        np.testing.assert_allclose(f(x).numpy()[-1], np.linalg.inv(X), rtol=1e-8, atol=1e-8)
    assert f.compile_count == 1


def test_profile_tells_of_all_stages():
    rows = slope.profile(both, slope.tensor(X), backend="onnxruntime", rounds=1)
    names = [row.name for row in rows]
    assert {"eigh_factors", "inverse_matrix"} < set(names)
    assert len(names) > 4
    assert "test_left_to_numpy.py" in next(row.source for row in rows if row.name == "eigh_factors")


def test_donated_tensors_are_gone():
    step = slope.jit(lambda x: slope.linalg.inv(x) + 1, donate=0, backend="onnxruntime")
    x = slope.tensor(X)
    np.testing.assert_allclose(step(x).numpy(), np.linalg.inv(X) + 1, rtol=1e-8)
    with pytest.raises(slope.errors.DonatedTensorError, match="was donated"):
        x.sum()
