"""Random programs: code that reuses dead memory against single instructions, which reuse none."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import slope
from slope import dtypes
from slope.extend import (
    CPU,
    Literal,
    Program,
    Splat,
    TensorType,
    Var,
    ops,
    splat_scalar,
    trace_program,
)
from slope_backend_numpy.backend import NumpyBackend
from slope_backend_numpy.lower import logic

SHAPES = ((4, 3), (3,), (4,), (12,), (3, 4), (), (4, 1, 3), (1,))
BACKEND = NumpyBackend()


def same_type(pool, x, pick):
    """Another tensor of ``x``'s type, or a number."""
    fitting = [each for each in pool if each.type == x.type]
    return Splat((-2, 0, 1, 3)[pick % 4], x.type) if pick % 5 == 0 else fitting[pick % len(fitting)]


def grow(pool, x, kind, pick):  # noqa: C901, PLR0911  # a list of cases
    """One more tensor made of ``x`` and perhaps others; ``kind`` and ``pick`` choose how."""
    other, n = same_type(pool, x, pick), x.ndim
    pointwise = (ops.add, ops.sub, ops.mul, ops.maximum, ops.minimum)
    if kind < 5:
        return pointwise[kind](*((x, other) if pick % 2 else (other, x)))
    if kind == 5:
        return ops.neg(x)
    if kind == 6:
        zero = Splat(0, x.type)
        return ops.where(ops.gt(x, other), *((x, zero), (zero, x), (x, other))[pick % 3])
    if kind == 7:
        return ops.integer_pow(x, exponent=pick % 8)
    if kind == 8:
        fitting = [each for each in SHAPES if np.prod(each) == x.type.size]
        return ops.reshape(x, shape=fitting[pick % len(fitting)])
    if kind == 9:
        return ops.permute(x, dims=tuple(np.roll(range(n), pick % max(n, 1)).tolist()))
    if kind == 10:
        targets = [
            (s, d)
            for s in SHAPES
            for d in ((), (0,), (1,), (0, 1), (0, 2), (2,))
            if all(i < len(s) for i in d) and tuple(s[i] for i in d) == x.shape
        ]
        shape, dims = targets[pick % len(targets)] if targets else (x.shape, tuple(range(n)))
        return ops.broadcast(x, shape=shape, dims=dims)
    if kind == 11:
        return ops.sum_(x, dim=tuple(range(n))[pick % (n + 1) :])
    if kind == 12:
        return ops.flip(x, dims=tuple(range(pick % (n + 1))))
    if kind == 13 and n:
        half = ops.slice_(x, start=(0,) * n, stop=x.shape, step=(2,) + (1,) * (n - 1))
        return ops.cat(
            half,
            ops.slice_(x, start=(half.shape[0],) + (0,) * (n - 1), stop=x.shape, step=(1,) * n),
            dim=0,
        )
    if kind == 14 and n:
        return ops.cumsum(x, dim=pick % n, reverse=bool(pick % 2))
    if kind == 15 and n:
        last = (x.shape[-1],)
        vectors = [each for each in pool if each.shape == last]
        return (
            ops.dot_general(
                x, vectors[pick % len(vectors)], contract=((n - 1,), (0,)), batch=((), ())
            )
            if vectors
            else x
        )
    return ops.stop_gradient(x)


def random_program(dtype, steps, results):
    def function(*inputs):
        pool = list(inputs)
        for source, kind, pick in steps:
            pool.append(grow(pool, pool[-1 - source % len(pool)], kind, pick))
        return [pool[-1 - each % len(pool)] for each in results]

    return trace_program(function, [TensorType(shape, dtype) for shape in SHAPES]).check()


def naively(program, arrays):
    """Each instruction as a program of its own, on copies that cannot be written to."""
    env = dict(zip(program.inputs, arrays, strict=True))

    def read(atom):
        array = (
            np.full(atom.type.shape, splat_scalar(atom.value, atom.type.dtype))
            if isinstance(atom, Literal)
            else env[atom].copy()
        )
        array.flags.writeable = False
        return array

    for instr in program.instrs:
        operands = [Var(atom.type) for atom in instr.inputs]
        alone = Program(
            operands,
            (),
            [type(instr)(instr.op, tuple(operands), instr.params, instr.outputs)],
            instr.outputs,
        )
        env.update(
            zip(
                instr.outputs,
                BACKEND.compile(alone, CPU, {})([read(atom) for atom in instr.inputs]),
                strict=True,
            )
        )
    return [read(atom) for atom in program.outputs]


def operands(dtype, seed):
    arrays = [
        np.random.default_rng(seed + i).integers(-5, 6, shape).astype(dtype.numpy)
        for i, shape in enumerate(SHAPES)
    ]
    for each in arrays:
        each.flags.writeable = False
    return arrays


STEPS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 16), st.integers(0, 11)), min_size=1, max_size=25
)


@pytest.mark.parametrize("branchless_from", [1, logic.BRANCHLESS_FROM])
@settings(max_examples=120, deadline=None)
@given(
    steps=STEPS,
    results=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    dtype=st.sampled_from([dtypes.int64, dtypes.uint8]),
)
def test_reusing_memory_changes_no_result(branchless_from, steps, results, dtype):
    program = random_program(dtype, steps, results)
    arrays = operands(dtype, seed=0)
    before = [each.copy() for each in arrays]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logic, "BRANCHLESS_FROM", branchless_from)
        executable = BACKEND.compile(program, CPU, {})
    first = executable(arrays)
    for result, wanted, stated in zip(
        first, naively(program, arrays), program.output_types, strict=True
    ):
        assert (result.shape, result.dtype) == (stated.shape, stated.dtype.numpy)
        np.testing.assert_array_equal(result, wanted, err_msg=executable.code)
    kept = [each.copy() for each in first]
    executable(operands(dtype, seed=50))
    for result, wanted in zip((*first, *arrays), (*kept, *before), strict=True):
        np.testing.assert_array_equal(result, wanted)


SMOOTH = (ops.sigmoid, ops.tanh, ops.erf, ops.sin, ops.neg, ops.abs_)


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=20
    ),
    dtype=st.sampled_from([dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16]),
)
def test_functions_of_several_statements_reuse_memory_safely(steps, dtype):
    def function(*inputs):
        pool = list(inputs)
        for source, kind, pick in steps:
            x, y = pool[-1 - source % len(pool)], pool[-1 - pick % len(pool)]
            if kind < len(SMOOTH):
                pool.append(SMOOTH[kind](x))
            elif kind < 8:
                pool.append(ops.integer_pow(ops.tanh(x), exponent=pick + kind - 6))
            else:
                pool.append((ops.add, ops.mul)[kind - 8](x, y))
        return pool[-3:]

    program = trace_program(function, [TensorType((4, 3), dtype)] * 2)
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((4, 3)).astype(dtype.numpy) for _ in range(2)]
    executable = BACKEND.compile(program, CPU, {})
    eps = {2: 1e-2, 4: 1e-5, 8: 1e-13}[dtype.itemsize]
    for result, wanted in zip(executable(arrays), naively(program, arrays), strict=True):
        np.testing.assert_allclose(
            result.astype(np.float64), wanted.astype(np.float64), rtol=eps, atol=eps
        )


def test_generated_code_does_reuse_dead_memory():
    def function(x, y):
        return (ops.exp(ops.neg(ops.mul(ops.add(x, y), y))),)

    code = BACKEND.compile(
        trace_program(function, [TensorType((8,), dtypes.float32)] * 2), CPU, {}
    ).code
    assert code.count("out=t1") == 3
    assert "out=x" not in code


def test_results_lie_in_no_larger_array():
    def function(x):
        first = ops.slice_(ops.neg(x), start=(0,), stop=(2,), step=(1,))
        return (ops.neg(first),)  # not written over the slice, which would keep all of its array

    x = np.arange(1000.0)
    executable = BACKEND.compile(
        trace_program(function, [TensorType((1000,), dtypes.float64)]), CPU, {}
    )
    assert executable([x])[0].base is None


def test_memory_is_freed_when_it_is_dead():
    def function(x):
        total = ops.sum_(x, dim=(0,))
        for _ in range(20):  # each turn makes an array as large as x that is dead by its end
            total = ops.add(total, ops.sum_(ops.exp(x), dim=(0,)))
        return (total,)

    x = np.ones((1000, 100), np.float32)
    executable = BACKEND.compile(
        trace_program(function, [TensorType(x.shape, dtypes.float32)]), CPU, {}
    )
    tracemalloc.start()
    executable([x])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * x.nbytes


def exp_of_tanh(x):
    return slope.exp(slope.tanh(x.reshape(1))).reshape(())


@pytest.mark.parametrize(
    "function",
    [
        lambda x: slope.exp(slope.where(x < 1, x, 0.0).reshape(1)),
        lambda x: slope.fori_loop(0, 2, lambda i, carry: exp_of_tanh(carry), x),
        lambda x: slope.while_loop(lambda carry: carry < 2, exp_of_tanh, x),
        lambda x: slope.scan(lambda carry, _: (exp_of_tanh(carry), carry), x, length=2),
        lambda x: slope.cond(x < 1, exp_of_tanh, lambda each: each, x),
    ],
    ids=["where", "fori_loop", "while_loop", "scan", "cond"],
)
def test_vectors_of_one_element_do_not_write_over_the_argument_they_come_from(function):
    x = slope.tensor(0.5)
    with slope.use_backend("numpy"):
        first = slope.tree_map(slope.Tensor.tolist, slope.jit(function)(x))
        assert x.item() == 0.5
        assert slope.tree_map(slope.Tensor.tolist, slope.jit(function)(x)) == first


def test_a_choice_between_numbers_is_no_view_of_a_vector_that_is_written_to():
    def function(n):
        x = n.float()
        finite = slope.where(slope.isfinite(x), x, 0.0)
        return slope.exp(x.reshape(1) - finite.reshape(1)).reshape(()) + finite

    with slope.use_backend("numpy"):
        assert slope.jit(function)(slope.tensor(-8)).item() == -7.0
        assert slope.logsumexp(slope.tensor([-8]), 0).item() == -8.0
