"""How many instructions the results and gradients of composites take: counts do not jitter.

Beside each, what JAX 0.10's jaxpr of the same holds (nested calls opened, dead code removed).
"""

import numpy as np
import pytest

import slope
from slope.lowering import lower_program


def t(*shape):
    return slope.tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


def pulled(function):
    return lambda *args: slope.vjp(function, *args[:-1])[1](args[-1])


CLASSES = np.array([1, 2, 0, 3])

CASES = {
    # name: (function, arguments, at most so many instructions, JAX)
    "cross_entropy": (
        slope.value_and_grad(lambda x: slope.cross_entropy(x, slope.tensor(CLASSES))),
        (t(4, 10),), 32, 34,  # JAX ignores no labels, and takes any class
    ),
    "cross_entropy that ignores nothing": (
        slope.value_and_grad(
            lambda x: slope.cross_entropy(x, slope.tensor(CLASSES), ignore_index=None)
        ),
        (t(4, 10),), 25, 34,
    ),
    "cross_entropy of unsigned classes": (
        slope.value_and_grad(
            lambda x: slope.cross_entropy(x, slope.tensor(CLASSES.astype(np.uint8)))
        ),
        (t(4, 10),), 25, 34,
    ),
    "layer_norm": (
        pulled(lambda x, w, b: slope.layer_norm(x, 16, w, b)),
        (t(4, 16), t(16), t(16), t(4, 16)), 27, 59,
    ),
    "rms_norm": (
        pulled(lambda x, w: slope.rms_norm(x, 16, w)), (t(4, 16), t(16), t(4, 16)), 18, 27,
    ),
    "batch_norm and relu": (
        pulled(
            lambda x, w, b: slope.relu(slope.batch_norm(x, weight=w, bias=b, training=True).output)
        ),
        (t(4, 3, 5, 5), t(3), t(3), t(4, 3, 5, 5)), 32, 71,
    ),
    "one element set": (  # no update can be overwritten by another
        slope.grad(lambda x, v, i: (x.at[i].set(v) * 3).sum(), argnums=(0, 1)),
        (t(5), t(), slope.tensor(2)), 5, 9,
    ),
    "attention": (
        pulled(lambda q, k, v: slope.scaled_dot_product_attention(q, k, v, is_causal=True)),
        (t(2, 4, 8, 16),) * 4, 25, 41,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(CASES))
def test_gradients_are_short(name):
    function, args, most, jax = CASES[name]
    backend = slope.backend("numpy")
    lowered = slope.jit(function, backend="numpy").lower(*args)
    count = len(lower_program(lowered.program, backend).instrs)
    assert count <= most < jax
