"""The programs of the MNIST example, instruction by instruction: nothing in them could be left out.

The texts stand in ``golden/``; ``SLOPE_UPDATE_GOLDEN=1`` writes them anew, for a person to read.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import slope
from slope import nn
from slope.core.program import Literal

GOLDEN = Path(__file__).parent / "golden"
CONTRACTIONS = 5  # two forward, three backward: the images need no gradient


def loss(model, x, y):
    return slope.cross_entropy(model(x), y, ignore_index=None)  # no label is to be ignored


def gradient(model, x, y):
    return slope.value_and_grad(loss)(model, x, y)


def step(model, optimizer, x, y):
    value, grads = slope.value_and_grad(loss)(model, x, y)
    model, optimizer = optimizer(model, grads)
    return value, model, optimizer


def arguments():
    """784-100-10, batch 200, SGD with momentum: what the example trains."""
    slope.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
    x, y = slope.rand(200, 784), slope.tensor(np.arange(200) % 10)
    return model, nn.SGD(model, lr=0.1, momentum=0.9), x, y


@pytest.fixture(scope="module")
def programs():
    with slope.use_backend("numpy"):
        model, optimizer, x, y = arguments()
        return {
            "mlp_gradient": slope.jit(gradient).lower(model, x, y).program,
            "mlp_step": slope.jit(step).lower(model, optimizer, x, y).program,
        }


@pytest.mark.parametrize("name", ["mlp_gradient", "mlp_step"])
def test_text(programs, name):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("SLOPE_UPDATE_GOLDEN"):
        path.write_text(str(programs[name]))
    assert str(programs[name]) == path.read_text()


# Five of them, of the batch's length, make the loss NaN where a label is no class.
@pytest.mark.parametrize(("name", "instructions"), [("mlp_gradient", 38), ("mlp_step", 64)])
def test_counts(programs, name, instructions):
    program = programs[name].check()
    counts = Counter(instr.op.name for instr in program.instrs)
    assert counts["dot_general"] == CONTRACTIONS
    assert counts["permute"] == counts["call"] == 0
    assert sum(counts.values()) == instructions


@pytest.mark.parametrize("name", ["mlp_gradient", "mlp_step"])
def test_nothing_could_be_left_out(programs, name):
    program = programs[name]
    made = {out: instr for instr in program.instrs for out in instr.outputs}
    used = {*program.outputs, *(atom for instr in program.instrs for atom in instr.inputs)}

    def number(atom):
        """What a value is everywhere, be it a literal or a literal broadcast."""
        if isinstance(atom, Literal):
            return atom.value
        instr = made.get(atom)
        return number(instr.inputs[0]) if instr and instr.op.name in ("broadcast", "cast") else None

    for instr in program.instrs:
        name = instr.op.name
        numbers = [number(atom) for atom in instr.inputs]
        assert name != "mul" or 1 not in numbers, instr
        assert name != "div" or numbers[1] != 1, instr
        assert name not in ("add", "sub") or 0 not in numbers[name == "sub" :], instr
        if name == "sum":
            source = made.get(instr.inputs[0])
            assert source is None or source.op.name != "broadcast", "a broadcast undone by a sum"
        if name in ("reshape", "cast", "broadcast"):
            assert instr.inputs[0].type != instr.outputs[0].type, instr
        assert any(out in used for out in instr.outputs), instr
    seen = Counter((i.op.name, i.inputs, str(i.params)) for i in program.instrs)
    assert not [key for key, count in seen.items() if count > 1]


def test_the_update_costs_four_operators_and_two_casts(programs):
    extra = Counter(instr.op.name for instr in programs["mlp_step"].instrs)
    extra.subtract(instr.op.name for instr in programs["mlp_gradient"].instrs)
    tensors = 4
    wanted = {
        "mul": 2 * tensors,
        "add": tensors,
        "sub": tensors,
        "broadcast": 2 * tensors,
        "cast": 2,
    }
    assert {name: count for name, count in extra.items() if count} == wanted


def test_the_programs_run_on_every_backend(backend, programs):
    model, optimizer, x, y = arguments()
    compiled = slope.jit(step)
    value, model, optimizer = compiled(model, optimizer, x, y)
    assert compiled.lower(model, optimizer, x, y).program.count("dot_general") == CONTRACTIONS
    assert abs(value.item() - np.log(10)) < 0.3
    for _ in range(5):
        value, model, optimizer = compiled(model, optimizer, x, y)
    assert value.item() < 2.3
    assert compiled.compile_count == 1


def test_the_texts_run_and_agree(programs):
    model, optimizer, x, y = arguments()
    calls: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "mlp_gradient": (gradient, (model, x, y)),
        "mlp_step": (step, (model, optimizer, x, y)),
    }
    for name, (function, args) in calls.items():
        space = {}
        exec((GOLDEN / f"{name}.txt").read_text(), space)
        with slope.use_backend("numpy"):
            leaves = slope.tree_leaves(args)
            found = space[programs[name].name](*leaves)
            outs = slope.tree_leaves(slope.jit(function)(*args))
            wanted = [out for out in outs if isinstance(out, slope.Tensor)]  # lr goes through
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)
