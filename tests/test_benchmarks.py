"""The benchmarks at tiny sizes, so that they keep running: their checks compare all backends."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import slope

BACKENDS = ["numpy", "onnxruntime", "iree"]
NAMES = [f"slope/{name}" for name in BACKENDS]


@pytest.mark.parametrize("module", ["mlp_step", "gpt_step", "conv_step", "decode"])
def test_steps_agree(load, module):
    workload = load(module)
    made = workload.contenders(BACKENDS, [], workload.TINY)
    assert list(made) == NAMES
    # they go on from where the check left them, all alike
    numbers = [call() for call in made.values()]
    np.testing.assert_allclose(numbers, numbers[0], rtol=1e-3)
    program = workload.slope_program("numpy", workload.TINY)
    assert program.step.lower(*program.arguments).cost().flops > 0


def test_training_lowers_the_loss(load):
    for module in ("mlp_step", "gpt_step", "conv_step"):
        workload = load(module)
        call = workload.slope_program("numpy", workload.TINY).running()
        losses = [call() for _ in range(12)]
        assert losses[-1] < losses[0], module


@pytest.mark.parametrize("count", [1, 3])
def test_calls(load, count):
    made = load("call_overhead").contenders(BACKENDS, [], count)
    assert list(made) == NAMES


def test_eager(load):
    made = load("eager").contenders(BACKENDS, [], 8)
    assert list(made) == NAMES


@pytest.mark.parametrize("title", ["gmm", "lstm", "kmeans"])
def test_gradbench_agrees(load, title):
    gradbench = load("gradbench")
    pairs = list(gradbench.contenders(BACKENDS, [], gradbench.TINY[title]))
    assert [list(made) for made in pairs] == [NAMES, NAMES]


def test_gmm_gradient_is_the_slope(load):
    gradbench = load("gradbench")
    size = gradbench.TINY["gmm"]
    objective, gradient = gradbench.slope_calls("numpy", size)
    before, step = objective(), 1e-6
    slopes = gradient()
    data = size.data()
    data["alpha"][0] += step
    type(size).data, kept = lambda _: data, type(size).data
    try:
        after = gradbench.slope_calls("numpy", size)[0]()
    finally:
        type(size).data = kept
    assert (after - before) / step == pytest.approx(slopes[0][0], rel=1e-3)


def test_fresh_processes(load):
    fresh = load("fresh")
    found = fresh.start(["slope/numpy"], "mlp_step", "TINY", 1)
    assert set(found) == {"trace", "cold", "cached"}
    assert 0 < found["trace"]["slope/numpy"].median < found["cold"]["slope/numpy"].median
    assert fresh.imports(["json"], 1)["json"].median > 0
    with pytest.raises(RuntimeError, match="start slope/none mlp_step TINY failed"):
        fresh.start(["slope/none"], "mlp_step", "TINY", 1)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from Linux")
def test_memory(load):
    found = load("fresh").memory(["slope/numpy"], "mlp_step", "TINY", 1)
    assert found["whole"]["slope/numpy"].median >= found["steps"]["slope/numpy"].median > 0


def test_driver(load, tmp_path, monkeypatch, capsys):
    run, workloads, timing = load("run"), load("workloads"), load("timing")
    tiny = workloads.Step(load("mlp_step"), load("mlp_step").TINY, "tiny")
    monkeypatch.setitem(workloads.STEPS, "W1", tiny)
    monkeypatch.setattr(load("systems"), "peak", lambda: 1e9)
    for name in ("DEFAULT_DEVICE", "JAX_PLATFORMS", "DEV"):
        monkeypatch.delenv(name, raising=False)  # so that what the driver sets is undone
        monkeypatch.setenv(name, "")
    table, picture = tmp_path / "new" / "out.json", tmp_path / "other" / "out.png"
    words = ["--workloads", "W1", "--backends", "numpy,iree", "--peers", "--rounds", "2"]
    argv = ["run.py", *words, "--json", str(table), "--plot", str(picture)]
    monkeypatch.setattr(sys, "argv", argv)
    run.main()
    assert "W1: tiny" in capsys.readouterr().out
    told = json.loads(table.read_text())
    assert told["machine"]
    numbers = told["workloads"]["W1"]
    assert numbers["unit"] == "s"
    assert set(numbers["systems"]) == {"slope/numpy", "slope/iree"}
    assert set(numbers["systems"]["slope/iree"]) == {"median", "min", "max"}
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert timing.measured([3, 1, 2]) == (2, 1, 3)


@pytest.mark.parametrize(
    "words", [["--workloads", "W1,W99"], ["--peers", "jaxx"], ["--backends", "numpy", "nunpy"]]
)
def test_driver_refuses_names(load, words, monkeypatch):
    run = load("run")
    for name in ("DEFAULT_DEVICE", "JAX_PLATFORMS", "DEV"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    with pytest.raises(
        SystemExit, match=r"There is no (workload 'W99'|peer 'jaxx'|backend 'nunpy') here; choose"
    ):
        run.main()


def test_workloads_run_in_their_order(load):
    """W9 changes what JAX does afterwards."""
    assert load("run").picked(["W9,W5", "W1"], load("workloads").WORKLOADS, "") == [
        "W1",
        "W5",
        "W9",
    ]


def test_driver_refuses_devices(load, monkeypatch):
    run = load("run")
    for name in ("DEFAULT_DEVICE", "JAX_PLATFORMS", "DEV"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(sys, "argv", ["run.py", "--device", "cuda:77"])
    reasons = r"No backend of slope has the device cuda:77 here:\n +iree: .*\n +onnxruntime: .*"
    with pytest.raises(SystemExit, match=reasons):
        run.main()
    monkeypatch.setattr(sys, "argv", ["run.py", "--device", "gpu:x"])
    with pytest.raises(SystemExit, match=r"'gpu:x' names no device; write for instance"):
        run.main()


def test_numbers_that_differ_are_refused(load):
    same_numbers = load("systems").same_numbers
    with pytest.raises(AssertionError, match="jax does not compute what slope computes"):
        same_numbers({"slope": lambda: 1.0, "jax": lambda: 1.001})
    with pytest.raises(AssertionError, match=r"slope computes .*nan"):
        same_numbers({"slope": lambda: float("nan"), "jax": lambda: float("nan")})


@pytest.mark.parametrize("name", ["mlp_step", "gpt_step", "conv_step", "decode", "call_overhead"])
def test_a_backend_that_computes_something_else_is_refused(load, name, monkeypatch):
    """One operator of one backend is spoilt, and the check of the workload tells which backend."""
    _spoil(monkeypatch, "add")
    workload = load(name)
    size = 3 if name == "call_overhead" else workload.TINY
    with pytest.raises(AssertionError, match=r"slope/numpy( does not compute|$|\n)"):
        workload.contenders(["onnxruntime", "numpy"], [], size)


@pytest.mark.parametrize("title", ["gmm", "lstm", "kmeans"])
def test_published_objectives_that_differ_are_refused(load, title, monkeypatch):
    _spoil(monkeypatch, "sum")
    gradbench = load("gradbench")
    with pytest.raises(AssertionError, match="slope/numpy"):
        list(gradbench.contenders(["onnxruntime", "numpy"], [], gradbench.TINY[title]))


def _spoil(monkeypatch, operator):
    """Make one operator's results on numpy too large by a hundredth."""
    with slope.use_backend("numpy"):
        rules = slope.backend().lowerings
    right = rules[operator]

    def wrong(context, *operands, **params):
        made = right(context, *operands, **params)
        return context.ufunc("np.multiply", made, context.scalar(1.01, made.dtype))

    monkeypatch.setitem(rules, operator, wrong)


def test_tables_show_ratios_to_the_best_peer(load):
    timing = load("timing")
    systems = {
        "slope/numpy": timing.Measured(2e-3, 1e-3, 3e-3),
        "jax": timing.Measured(4e-3, 4e-3, 5e-3),
    }
    systems["torch"] = timing.Measured(8e-3, 8e-3, 9e-3)
    text = timing.table(timing.Result("W1", "step", systems, flops=4_000_000), peak=1e10)
    assert "(ratio to jax)" in text
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines()[2:5]}
    assert rows["slope/numpy"] == ["2.000", "1.000", "3.000", "0.50", "20.0%"]
    assert rows["torch"] == ["8.000", "8.000", "9.000", "2.00", "5.0%"]
