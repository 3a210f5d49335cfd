"""slope.profile: where the time of a compiled function goes, on every backend."""

import json

import numpy as np
import pytest

import slope
from slope import errors
from slope.api._profile import Profile, ProfileRow
from slope.extend import CPU, Backend
from slope_backend_onnx.profile import Cost, profiler_cost, timed_nodes

LENGTH = 64


def layer(x, w):
    return slope.tanh(x @ w).sum()


@pytest.fixture
def arguments():
    random = np.random.default_rng(0)
    shape = (LENGTH, LENGTH)
    return [slope.tensor(random.standard_normal(shape).astype(np.float32)) for _ in range(2)]


def test_rows_are_sorted_and_whole(backend, arguments):
    result = slope.profile(slope.grad(layer, argnums=(0, 1)), *arguments, rounds=3)
    assert result.backend == backend
    assert result.seconds > 0
    seconds = [row.seconds for row in result]
    assert len(result) == len(seconds) > 2
    assert seconds == sorted(seconds, reverse=True)
    assert min(seconds) >= 0
    assert sum(row.fraction for row in result.rows) == pytest.approx(1)
    assert result.measured == pytest.approx(sum(seconds))
    assert all(row.count >= 1 for row in result)
    # three products of matrices, whatever the runtime calls them
    assert sum(row.flops or 0 for row in result) >= 3 * 2 * LENGTH**3


PRODUCTS = {"numpy": ("dot_general",), "onnxruntime": ("Gemm", "MatMul"), "iree": ("matmul", "mmt")}


def test_table_names_the_parts(backend, arguments):
    result = slope.profile(slope.jit(layer), *arguments, rounds=2)
    text = str(result)
    assert f"layer on {backend}" in text
    assert any(name in text for name in PRODUCTS[backend])
    assert len(result.table(rows=1).splitlines()) == 4  # title, head, a row, and the rest
    if backend != "iree":
        assert "test_profile.py" in text  # the line of the user's code


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (4e-3, "4.000 ms a call, 1.500 ms in 2 parts, 2.500 ms outside of them: the runtime's own"),
        (1.6e-3, "1.600 ms a call, 1.500 ms in 2 parts\n"),
        (1e-3, "1.500 ms in 2 parts, more than a call, because the profiler takes time"),
    ],
)
def test_the_title_tells_what_the_parts_do_not(seconds, told):
    rows = (ProfileRow("a", 1e-3, 2 / 3), ProfileRow("b", 5e-4, 1 / 3))
    assert told in str(Profile("f", "some", rows, seconds))


def test_a_node_takes_its_median_over_the_calls(tmp_path):
    """One call that was interrupted does not make the node slow."""

    def node(start: int, microseconds: int) -> dict[str, object]:
        told = {"op_name": "Mul", "node_index": "0", "input_type_shape": [{"float": [4]}]}
        told["output_type_shape"] = [{"float": [4]}]
        return {"cat": "Node", "name": "m", "ts": start, "dur": microseconds, "args": told}

    runs = [{"name": "model_run", "ts": 1000 * each, "dur": 999} for each in range(4)]
    nodes = [node(0, 7), node(1000, 10), node(1100, 12), node(2000, 900), node(3000, 23)]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([*runs, *nodes]))
    (row,) = timed_nodes(str(path), {})
    assert row.seconds == pytest.approx(23e-6)  # 22, 900 and 23
    (row,) = timed_nodes(str(path), {}, Cost(inside=2e-6, outside=5e-6))
    assert row.seconds == pytest.approx(21e-6)
    (row,) = timed_nodes(str(path), {}, Cost(inside=1.0, outside=0.0))
    assert 0 < row.seconds < 1e-6


def test_a_loop_is_not_charged_with_the_profiling_of_its_body(tmp_path):
    def event(name: str, op: str, start: int, microseconds: int) -> dict[str, object]:
        told = {"op_name": op, "input_type_shape": [], "output_type_shape": [{"float": [4]}]}
        return {"cat": "Node", "name": name, "ts": start, "dur": microseconds, "args": told}

    events = [event("loop", "Loop", 10, 100), event("a", "Mul", 20, 5), event("b", "Mul", 60, 5)]
    path = tmp_path / "profile.json"
    path.write_text(json.dumps([{"name": "model_run", "ts": 0, "dur": 200}, *events]))
    seconds = {row.name: row.seconds for row in timed_nodes(str(path), {}, Cost(0.0, 3e-6))}
    assert seconds["Loop"] == pytest.approx(84e-6)  # 100 without 2 * (5 + 3)


def test_the_cost_of_profiling_is_measured():
    cost = profiler_cost()
    assert 0 <= cost.inside < 1e-3
    assert 0 < cost.outside < 1e-3


def test_by_name_adds_up(backend, arguments):
    result = slope.profile(slope.grad(layer, argnums=(0, 1)), *arguments, rounds=2)
    merged = result.by_name()
    names = [row.name for row in merged]
    assert len(names) == len(set(names)) < len(result)
    assert merged.measured == pytest.approx(result.measured)
    assert sum(row.count for row in merged) == sum(row.count for row in result)


def test_numpy_counts_every_instruction(arguments):
    result = slope.profile(layer, *arguments, backend="numpy", rounds=1)
    program = slope.jit(layer, backend="numpy").lower(*arguments).program
    cost = program.cost()
    assert sorted(row.name for row in result) == sorted(i.op.name for i in program.instrs)
    assert sum(row.flops or 0 for row in result) == cost.flops
    assert sum(row.bytes or 0 for row in result) == cost.bytes
    assert "float32[64, 64], float32[64, 64] -> float32[64, 64]" in str(result)


def test_bodies_of_loops_count(backend):
    def power(x):
        return slope.fori_loop(0, 5, lambda _, y: slope.tanh(y @ x), x)

    result = slope.profile(power, slope.ones(8, 8), rounds=2)
    assert len(result) > 0
    assert sum(row.fraction for row in result) == pytest.approx(1)
    if backend == "onnxruntime":  # nodes in the loop are rows of their own, and counted each time
        counts = {row.name: row.count for row in result}
        assert counts["Tanh"] == 5
        assert counts.get("Loop", counts.get("Scan")) == 1


def test_donates_and_changes_nothing(backend, arguments):
    step = slope.jit(lambda p, x: p - 0.1 * (p @ x), donate=0)
    p, x = arguments
    before = p.numpy().copy()
    slope.profile(step, p, x, rounds=2)
    np.testing.assert_array_equal(p.numpy(), before)
    np.testing.assert_allclose(step(p, x).numpy(), before - 0.1 * (before @ x.numpy()), rtol=1e-4)


def test_measures_what_a_call_with_donated_arguments_runs():
    """In place where the call is: IREE's copy of what is written to is not there."""

    def put(cache, place, row):
        return cache.at[place].set(row)

    arguments = [slope.zeros(512, 512), slope.tensor([3]), slope.ones(1, 512)]
    with slope.use_backend("iree"):
        results = [
            slope.profile(slope.jit(put, donate=each), *arguments, rounds=1) for each in ((), 0)
        ]
    kept, given = ({row.detail for row in result} for result in results)
    assert any("elementwise_262144" in detail for detail in kept)
    assert not any("262144" in detail for detail in given)
    assert arguments[0].sum().item() == 0


def test_every_call_gets_its_own_donated_arguments(backend):
    """A loop over a donated counter takes as many turns in every call, and is said to."""
    count = slope.jit(lambda n: slope.while_loop(lambda n: n < 5, lambda n: n + 1, n), donate=0)
    n = slope.tensor(0)
    result = slope.profile(count, n, rounds=3)
    if backend == "onnxruntime":
        assert {row.name: row.count for row in result}["Add"] == 5
    assert n.item() == 0


def test_kernels_of_our_own_are_named_and_counted():
    def recur(w, xs):
        return slope.scan(lambda c, x: (slope.tanh(c @ w + x), c), slope.zeros(2, 8), xs)

    with slope.use_backend("iree"):
        (scan,) = slope.profile(recur, slope.ones(8, 8), slope.ones(5, 2, 8), rounds=1)
        assert scan.name == "scan_5_5x2x8"
        assert (scan.flops or 0) >= 5 * 2 * 2 * 8 * 8
        assert (scan.bytes or 0) > 0
        assert "test_profile.py" in scan.source
        row, both = slope.ones(256), slope.ones(256, 64)
        result = slope.profile(lambda x, w: slope.sort(x @ w).values @ w.T @ w, row, both, rounds=1)
    rows = {each.name: each for each in result}
    product = rows["dot_general_256x64"]
    assert product.flops == 2 * 256 * 64
    assert "test_profile.py" in product.source
    cluster = rows["cluster_256x64"]
    assert cluster.flops == 2 * (product.flops or 0)
    assert cluster.bytes == (64 + 256 * 64 + 64) * 4
    assert "2 dot_general" in cluster.detail
    assert "test_profile.py" in cluster.source


def test_draws_leave_the_generator(backend):
    slope.manual_seed(3)
    slope.profile(lambda x: x + slope.randn(4), slope.ones(4), rounds=1)
    drawn = slope.randn(4).tolist()
    slope.manual_seed(3)
    assert slope.randn(4).tolist() == drawn


def test_another_backend_and_modules(arguments):
    model = slope.nn.Sequential(slope.nn.Linear(LENGTH, 3), slope.nn.ReLU())
    function = slope.jit(model, backend="numpy")
    assert slope.profile(function, arguments[0], rounds=1).backend == "numpy"
    assert slope.profile(function, arguments[0], backend="iree", rounds=1).backend == "iree"
    assert function.compile_count == 1


def test_nothing_to_run(backend):
    result = slope.profile(lambda x: x, slope.ones(2), rounds=1)
    assert len(result) == 0
    assert result.by_name().measured == 0
    assert "0 parts: nothing is computed" in str(result)


def test_picture(tmp_path, arguments):
    result = slope.profile(layer, *arguments, backend="numpy", rounds=1)
    path = result.plot(tmp_path / "folder" / "profile.png")
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("rounds", [0, -1, 1.5, True])
def test_refuses_rounds(rounds):
    with pytest.raises(errors.ArgumentError, match="rounds must be a positive int"):
        slope.profile(layer, rounds=rounds)


def test_refuses_what_is_no_call():
    x = slope.ones(2)
    with pytest.raises(errors.ArgumentError, match=r"got a Tensor: write profile\(f, x\)"):
        slope.profile(x + 1)  # pyright: ignore[reportArgumentType]  # what is refused  # pyright: ignore[reportArgumentType]  # what is refused
    with pytest.raises(errors.ArgumentError, match=r"none within jit, grad, vmap and the like"):
        slope.jit(lambda x: slope.profile(slope.sin, x))(x)


def test_a_donated_tensor_that_is_gone(backend):
    step = slope.jit(lambda x: x + 1, donate=0)
    x = slope.ones(2)
    step(x)
    with pytest.raises(errors.DonatedTensorError, match="was donated to an earlier call"):
        slope.profile(step, x)


def test_backend_that_cannot_tell():
    class Mute(Backend):
        name = "mute"

    program = slope.jit(slope.sin, backend="numpy").trace(slope.ones(2))
    with pytest.raises(errors.BackendError, match=r"'mute' cannot tell .*Mute does not define"):
        Mute().profile(program, CPU, {}, [], 1)
