"""The cost of programs: operations, bytes, peak."""

import numpy as np
from slope import dtypes, ops
from slope.core.cost import OperatorCost, program_cost
from slope.core.program import Instr, Literal, Program, Var
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType, type_of_array
from slope.dims import Dim, evaluate


def layer(x, w):
    y = ops.dot_general(x, w, contract=((1,), (0,)))
    y = ops.maximum(y, Splat(0, y.type))
    return ops.sum_(y, dim=(0, 1))


def test_a_layer(programs):
    cost = programs.make(layer, "float32[8, 16]", "float32[16, 4]").cost()
    assert cost.by_operator == {
        "dot_general": OperatorCost(1, 2 * 8 * 16 * 4, 4 * (8 * 16 + 16 * 4 + 8 * 4)),
        "maximum": OperatorCost(1, 32, 4 * 64),
        "sum": OperatorCost(1, 32, 4 * 33),
    }
    assert cost.flops == 1024 + 64
    assert cost.bytes == 896 + 256 + 132
    assert cost.peak_bytes == 4 * (8 * 16 + 16 * 4 + 32 + 32)


def test_the_table_is_aligned(programs):
    assert str(programs.make(layer, "float32[8, 16]", "float32[16, 4]").cost()) == (
        "operator     count  flops  bytes\n"
        "dot_general      1  1,024    896\n"
        "sum              1     32    132\n"
        "maximum          1     32    256\n"
        "total            3  1,088  1,284\n"
        "peak live bytes: 1,024"
    ).replace(
        "sum              1     32    132\nmaximum          1     32    256",
        "maximum          1     32    256\nsum              1     32    132",
    )


def test_symbolic_dimensions(programs):
    n = Dim("n")
    cost = programs.make(
        layer, TensorType((n, 16), dtypes.float32), "float32[16, 4]"
    ).cost()
    fixed = programs.make(layer, "float32[8, 16]", "float32[16, 4]").cost()
    for name in ("flops", "bytes", "peak_bytes"):
        assert evaluate(getattr(cost, name), {"n": 8}) == getattr(fixed, name)
    assert "136*n" in str(cost)


def test_batches_and_contractions_of_several_dimensions(programs):
    def f(x, y):
        return ops.dot_general(x, y, contract=((2, 3), (1, 2)), batch=((0,), (0,)))

    cost = programs.make(f, "float32[5, 2, 3, 4]", "float32[5, 3, 4, 7]").cost()
    assert cost.flops == 2 * 5 * 2 * 7 * 12


def test_results_die_after_their_last_use(programs):
    def f(x):
        a = ops.sin(x)
        b = ops.cos(a)  # a dies here
        ops.exp(b)  # dies at once
        return ops.tanh(b)

    assert programs.make(f, "float32[10]").cost().peak_bytes == 4 * 30
    assert (
        programs.make(lambda x: (a := ops.sin(x), ops.cos(ops.cos(a))), "float32[10]")
        .cost()
        .peak_bytes
        == 4 * 40
    )


def test_constants_count_and_moving_is_free(programs):
    constant = Tensor(type_of_array(np.ones(6)), host=np.ones(6))
    program = programs.make(
        lambda x: ops.reshape(ops.add(x, constant), shape=(2, 3)), "float64[6]"
    )
    cost = program.cost()
    assert (cost.flops, cost.peak_bytes) == (6, 8 * 24)
    assert cost.by_operator["reshape"] == OperatorCost(1, 0, 96)


def test_scatter_and_composites(programs):
    def add(x, i, u):
        return ops.scatter(x, i, u, mode="add"), ops.scatter(x, i, u, mode="set")

    cost = programs.make(add, "float32[9, 4]", "int64[3, 1]", "float32[3, 4]").cost()
    assert cost.by_operator["scatter_slices"].flops == 12


def test_an_operator_may_count_itself_or_be_expanded(programs):
    from slope.core.operator import Operator

    class Cube(Operator):
        name = "test_cube"

        def expand(self, x):
            return ops.mul(ops.mul(x, x), x)

    class Counted(Cube):
        name = "test_counted"

        def flops(self, x):
            return 100 * x.size

    program = programs.make(lambda x: (Cube()(x), Counted()(x)), "float32[10]")
    assert {name: each.flops for name, each in program.cost().by_operator.items()} == {
        "test_cube": 20,
        "test_counted": 1000,
    }


def test_nested_programs_count_each_iteration(programs):
    from slope.core.operator import Operator

    class Loop(Operator):
        name = "test_loop"

        def infer(self, x, *, program, length):
            return x

    nested = programs.make(lambda x: ops.sin(ops.cos(ops.exp(x))), "float32[10]")
    x, y = Var(nested.input_types[0]), Var(nested.input_types[0])
    program = Program(
        [x], [], [Instr(Loop(), (x,), {"program": nested, "length": 7}, (y,))], [y]
    )
    cost = program_cost(program)
    assert cost.flops == 7 * 30
    assert cost.by_operator["sin"] == OperatorCost(7, 70, 7 * 80)
    assert cost.by_operator["test_loop"] == OperatorCost(1, 0, 80)
    assert cost.peak_bytes == 4 * 30  # operand and result, and one result inside


def test_fifty_thousand_instructions():
    x = var = Var(TensorType((2,), dtypes.float32))
    instrs = []
    for _ in range(50_000):
        out = Var(x.type)
        instrs.append(Instr(ops.add, (var, Literal(1.0, x.type)), {}, (out,)))
        var = out
    cost = program_cost(Program([x], [], instrs, [var]))
    assert (cost.flops, cost.bytes, cost.peak_bytes) == (100_000, 800_000, 24)


def test_an_empty_program():
    assert str(program_cost(Program([], [], [], []))) == (
        "operator  count  flops  bytes\ntotal         0      0      0\npeak live bytes: 0"
    )
