"""Programs as Python text: golden texts, and that the text runs and means the same."""

# ruff: noqa: E501  # golden texts and tables

import numpy as np
import pytest

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.printer import identifier, program_text
from slope.core.program import Instr, Literal, Program, Var, trace_program
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType, type_of_array
from slope.dims import Dim
from slope.errors import ProgramError
from slope.testing.counting import count_calls


def tensor(array):
    return Tensor(type_of_array(array), host=array)


def test_text_of_a_layer(programs):
    weights = tensor(np.ones((3, 4), np.float32))

    def layer(x, b):
        y = ops.dot_general(x, weights, contract=((1,), (0,)))
        y = ops.add(y, ops.broadcast(b, shape=(2, 4), dims=(1,)))
        return ops.maximum(y, Splat(0, y.type)), Splat(float("-inf"), b.type)

    program = programs.make(layer, "float32[2, 3]", "float32[4]", names=("x",))
    assert str(program) == (
        "# slope program layer: 2 inputs, 1 constant, 4 instructions\n"
        "import slope\n"
        "\n"
        "\n"
        "def layer(\n"
        "    x,  # float32[2, 3]\n"
        "    x0,  # float32[4]\n"
        "    *,\n"
        "    c0,  # float32[3, 4], a constant\n"
        "):\n"
        "    v0 = slope.dot_general(x, c0, batch=((), ()), contract=((1,), (0,)))  # float32[2, 4]\n"
        "    v1 = slope.broadcast(x0, shape=(2, 4), dims=(1,))  # float32[2, 4]\n"
        "    v2 = slope.add(v0, v1)  # float32[2, 4]\n"
        "    v3 = slope.maximum(v2, 0.0)  # float32[2, 4]\n"
        "    return (v3, slope.full((4,), float('-inf'), dtype=slope.float32))\n"
    )
    again = programs.retrace(program)
    again.input_names = program.input_names
    assert str(again) == str(program)


def test_numbers_are_bare_only_where_a_function_takes_them(programs):
    def f(x, i, c):
        return (
            ops.sub(Splat(0.1, x.type), x),
            ops.pow_(x, Splat(0.5, x.type)),
            ops.where(c, Splat(float("nan"), x.type), x),
            ops.where(c, Splat(1, x.type), Splat(-0.0, x.type)),
            ops.where(Splat(True, c.type), x, x),
            ops.truncate_divide(i, Splat(3, i.type)),
            ops.add(i, Splat(300, i.type)),
            ops.cast(i, dtype=dtypes.bool_),
            ops.sum_(i, dim=(0,)),
        )

    program = programs.make(f, "float32[2]", "int8[2]", "bool[2]")
    assert programs.body(program) == (
        "v0 = slope.sub(0.1, x0)  # float32[2]\n"
        "v1 = slope.pow(x0, slope.full((2,), 0.5, dtype=slope.float32))  # float32[2]\n"
        "v2 = slope.where(x2, float('nan'), x0)  # float32[2]\n"
        "v3 = slope.where(x2, slope.full((2,), 1.0, dtype=slope.float32), slope.full((2,), -0.0, dtype=slope.float32))  # float32[2]\n"
        "v4 = slope.where(slope.full((2,), True, dtype=slope.bool_), x0, x0)  # float32[2]\n"
        "v5 = slope.truncate_divide(x1, slope.full((2,), 3, dtype=slope.int8))  # int8[2]\n"
        "v6 = slope.add(x1, 44)  # int8[2]\n"
        "v7 = slope.cast(x1, dtype=slope.bool_)  # bool[2]\n"
        "v8 = slope.sum(x1, dim=(0,), dtype=slope.int8)  # int8[]\n"
        "return (v0, v1, v2, v3, v4, v5, v6, v7, v8)"
    )
    assert str(programs.retrace(program)) == str(program)


def test_symbolic_dimensions_are_bound_from_the_inputs(programs):
    batch = Dim("batch")

    def double(x):
        y = ops.reshape(x, shape=(batch * 2, 2))
        return ops.add(y, Splat(1, y.type)), Splat(0, TensorType((batch,), dtypes.int64))

    program = programs.make(double, TensorType((batch, 4), dtypes.float32))
    assert programs.body(program) == (
        "batch = x0.shape[0]\n"
        "v0 = slope.reshape(x0, shape=(2*batch, 2))  # float32[2*batch, 2]\n"
        "v1 = slope.add(v0, 1.0)  # float32[2*batch, 2]\n"
        "return (v1, slope.full((batch,), 0, dtype=slope.int64))"
    )
    assert str(programs.retrace(program)) == str(program)


def test_a_dimension_that_no_input_shows_is_refused():
    n = Dim("n")
    program = trace_program(
        lambda x: (ops.reshape(x, shape=(2, n)),),
        [TensorType((2 * n,), dtypes.float32)],
    )
    with pytest.raises(
        ProgramError,
        match=r"dimension n cannot be printed as Python: no input has a dimension that is n alone",
    ):
        str(program)


def test_a_dimension_named_as_the_module_is_refused():
    program = trace_program(lambda x: (x,), [TensorType((Dim("slope"),), dtypes.float32)])
    with pytest.raises(ProgramError, match="a dimension named 'slope'"):
        str(program)


def test_nested_programs_are_functions_before_their_use(programs):
    from slope.control.call import call

    inner = programs.make(ops.sin, "float32[2]")
    inner.name = "<lambda>"

    x = Var(programs.type_("float32[2]"))
    y, z = Var(x.type), Var(x.type)
    instrs = [
        Instr(call, (x,), {"program": inner, "options": None}, (y,)),
        Instr(call, (y,), {"program": inner, "options": None}, (z,)),
    ]
    program = Program([x], [], instrs, [z], "twice").check()
    assert programs.body(program) == (
        "def lambda_(x1):\n"
        "v0 = slope.sin(x1)  # float32[2]\n"
        "return (v0,)\n"
        "(v1,) = lambda_(x0)  # float32[2]\n"
        "(v2,) = lambda_(v1)  # float32[2]\n"
        "return (v2,)"
    )
    assert programs.retrace(program).count("sin") == 2


class Twice(Operator):
    """An operator that holds a program, for these tests."""

    name = "test_twice"

    def infer(self, x, *, body):
        return x


def test_programs_in_parameters_are_made_again(programs):
    n = Dim("n")
    state = TensorType((n, 2), dtypes.float32)
    constant = tensor(np.ones(2, np.float32))

    def step(x):
        return ops.add(x, ops.broadcast(constant, shape=(n, 2), dims=(1,)))

    inner = programs.make(step, state, names=("state",))
    program = programs.make(lambda x: Twice()(x, body=inner), state)
    program.name = "outer"
    assert str(program) == (
        "# slope program outer: 1 input, 0 constants, 1 instruction\n"
        "import slope\n"
        "\n"
        "\n"
        "def outer(\n"
        "    x0,  # float32[n, 2]\n"
        "    *,\n"
        "    c0,  # float32[2], a constant of step\n"
        "):\n"
        "    n = x0.shape[0]\n"
        "    @slope.program_of(((n, 2), slope.float32))\n"
        "    def step(state):\n"
        "        v0 = slope.broadcast(c0, shape=(n, 2), dims=(1,))  # float32[n, 2]\n"
        "        v1 = slope.add(state, v0)  # float32[n, 2]\n"
        "        return (v1,)\n"
        "    v2 = slope.test_twice(x0, body=step)  # float32[n, 2]\n"
        "    return (v2,)\n"
    )
    (instr,) = programs.retrace(program, test_twice=Twice()).instrs
    again = instr.params["body"].check()
    again.input_names = ("state",)
    assert programs.body(again) == programs.body(inner)
    assert [held for _, held in again.constants] == [constant]


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("f", "f"),
        ("<lambda>", "lambda_"),
        ("params['w']", "params_w"),
        ("2x", "_2x"),
        ("class", "class_"),
        ("slope", "slope_"),
        ("", "program"),
    ],
)
def test_names_are_made_valid(name, valid):
    assert identifier(name) == valid
    assert valid.isidentifier()


def test_names_of_inputs_do_not_clash(programs):
    program = programs.make(ops.add, "float32[2]", "float32[2]", names=("v0", "v0"))
    assert programs.body(program) == "v0 = slope.add(v0_, v0__2)  # float32[2]\nreturn (v0,)"
    program = programs.make(ops.add, "float32[2]", "float32[2]", names=("max", "slope"))
    assert programs.body(program) == "v0 = slope.add(max_, slope_)  # float32[2]\nreturn (v0,)"


def test_no_inputs_and_no_outputs():
    assert str(Program([], [], [], [], "nothing")) == (
        "# slope program nothing: 0 inputs, 0 constants, 0 instructions\nimport slope\n\n\ndef nothing():\n    return ()\n"
    )


def test_sources_end_the_comments(programs):
    program = programs.make(lambda x: ops.neg(ops.sin(x)), "float32[2]")
    assert program.instrs[0].source is not None
    text = program_text(program, sources=True)
    assert "  # float32[2]  test_printer.py:" in text
    assert text.count("lambda x: ops.neg(ops.sin(x))") == 2


def test_a_long_program_prints_in_linear_time():
    def program_of_length(count):
        x = var = Var(TensorType((2,), dtypes.float32))
        instrs = []
        for _ in range(count):
            out = Var(x.type)
            instrs.append(Instr(ops.add, (var, Literal(1.0, x.type)), {}, (out,)))
            var = out
        return Program([x], [], instrs, [var])

    assert program_text(program_of_length(50_000)).count("\n") == 50_000 + 8
    programs = program_of_length(1_000), program_of_length(8_000)
    few, many = (count_calls(lambda p=p: program_text(p)) for p in programs)
    assert many < 8.2 * few
