"""A second run of a script compiles nothing, whatever it does, and whoever else runs beside it."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
import slope
from slope import nn

slope.manual_seed(0)
x, w = slope.tensor([[1.0, 2, 3], [4, 5, 6.5]]), slope.ones(3, 3)

def loss(w):
    return (slope.tanh(x @ w) ** 2).sum()

def mean(model, x):
    return model(x).square().mean()

def recur(xs):
    return slope.scan(lambda c, v: (slope.tanh(c + v), c.sum()), slope.zeros(3), xs)[1].sum()

model = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Linear(8, 1))
numbers = [
    (x @ w + 1).sum(), slope.grad(loss)(w).sum(), slope.hessian(loss)(w).sum(),
    slope.vmap(slope.grad(lambda row: slope.exp(row).sum()))(x).sum(),
    slope.jit(slope.hessian(loss))(w).sum(), slope.jit(slope.value_and_grad(mean))(model, x)[0],
    slope.jit(recur)(x), slope.jit(lambda c: c.at[1].set(5.0), donate=0)(slope.zeros(4)).sum(),
    slope.jit(lambda v: v + slope.randn(3))(slope.zeros(3)).sum(),
]
print([each.item() for each in numbers])
print("compiled" if "iree.compiler.api" in sys.modules else "from the cache")
"""


def started(folder: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "SLOPE_BACKEND": "iree", "SLOPE_CACHE": str(folder)}
    environment["SLOPE_DISK_CACHE"] = "1"
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_second_run_loads_no_compiler(tmp_path):
    first = [started(tmp_path) for _ in range(2)]  # two at once do not disturb each other
    told = [process.communicate(timeout=300)[0].splitlines() for process in first]
    assert [process.returncode for process in first] == [0, 0]
    assert told[0][0] == told[1][0]
    assert "compiled" in (told[0][1], told[1][1])
    second = started(tmp_path).communicate(timeout=300)[0].splitlines()
    assert second == [told[0][0], "from the cache"]
    # a damaged entry is made anew, the others are not
    entries = sorted((tmp_path / "iree").iterdir())
    entries[0].write_bytes(entries[0].read_bytes()[:-100])
    third = started(tmp_path).communicate(timeout=300)[0].splitlines()
    assert third == [told[0][0], "compiled"]
    assert started(tmp_path).communicate(timeout=300)[0].splitlines() == second
