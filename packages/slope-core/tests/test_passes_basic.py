"""Dead code, common subexpressions, and the table of passes."""

import numpy as np
import pytest

from slope import dtypes, ops
from slope.core.operator import Operator
from slope.core.program import Instr, Literal, Program, Var
from slope.core.tensor import Splat, Tensor
from slope.core.types import TensorType, type_of_array
from slope.errors import ArgumentError
from slope.passes import PASSES, merge_common_subexpressions, optimize, remove_dead_code
from slope.testing.counting import count_calls


class Note(Operator):
    """An operator with an effect, for these tests."""

    name = "test_note"
    effect = True

    def infer(self, x):
        return x


note = Note()


def test_dead_code(programs):
    constant = Tensor(type_of_array(np.ones(2, np.float32)), host=np.ones(2, np.float32))

    def f(x, unused):
        ops.add(ops.sin(x), constant)
        note(ops.exp(x))
        return ops.neg(x)

    program = programs.make(f, "float32[2]", "float32[3]", names=("x", "unused"))
    assert len(program.constants) == 1
    clean = remove_dead_code(program).check()
    assert programs.body(clean) == (
        "v0 = slope.exp(x)  # float32[2]\n"
        "v1 = slope.test_note(v0)  # float32[2]\n"
        "v2 = slope.neg(x)  # float32[2]\n"
        "return (v2,)"
    )
    assert clean.inputs == program.inputs
    assert clean.constants == ()
    assert remove_dead_code(clean) is clean


def test_an_effect_in_a_nested_program_is_an_effect(programs):
    from slope.control.call import call

    nested = programs.make(note, "float32[2]")
    x, y = Var(nested.input_types[0]), Var(nested.input_types[0])
    instrs = [Instr(call, (x,), {"program": nested, "options": None}, (y,))]
    program = Program([x], [], instrs, [x])
    assert remove_dead_code(program) is program
    twice = Program([x], [], [*instrs, Instr(call, (x,), instrs[0].params, (Var(x.type),))], [x])
    assert merge_common_subexpressions(twice) is twice


def test_common_subexpressions(programs):
    def f(x, y):
        a = ops.add(ops.sin(x), ops.sin(x))
        b = ops.mul(x, y)
        c = ops.mul(y, x)
        d = ops.sub(x, y)
        e = ops.sub(y, x)
        return a, ops.add(b, c), ops.add(d, e)

    program = programs.make(f, "float32[2]", "float32[2]")
    assert programs.body(merge_common_subexpressions(program).check()) == (
        "v0 = slope.sin(x0)  # float32[2]\n"
        "v1 = slope.add(v0, v0)  # float32[2]\n"
        "v2 = slope.mul(x0, x1)  # float32[2]\n"
        "v3 = slope.sub(x0, x1)  # float32[2]\n"
        "v4 = slope.sub(x1, x0)  # float32[2]\n"
        "v5 = slope.add(v2, v2)  # float32[2]\n"
        "v6 = slope.add(v3, v4)  # float32[2]\n"
        "return (v1, v5, v6)"
    )


def test_literals_and_parameters_count_by_meaning(programs):
    def f(x):
        def pad(value):
            return ops.pad(x, low=(1,), high=(0,), interior=(0,), value=value)

        zeros = [Splat(each, x.type) for each in (0.0, -0.0, 0.0, 0)]
        nans = [Splat(float("nan"), x.type), Splat(float("nan"), x.type)]
        values = [0, 0.0, -0.0, 0.0, float("nan"), float("nan")]
        return [ops.add(x, each) for each in zeros + nans] + [pad(each) for each in values]

    program = programs.make(f, "float32[2]")
    merged = merge_common_subexpressions(program).check()
    assert merged.count("add") == 3  # 0.0, -0.0, NaN
    assert merged.count("interior_pad") == 4  # 0, 0.0, -0.0, NaN
    x = np.array([-0.0, 2], np.float32)
    for before, after in zip(programs.run(program, x), programs.run(merged, x), strict=True):
        np.testing.assert_array_equal(before.view(np.uint32), after.view(np.uint32))


def test_effects_are_not_merged(programs):
    program = programs.make(lambda x: (note(x), note(x)), "float32[2]")
    assert merge_common_subexpressions(program) is program


def test_passes_can_be_switched_off(programs, monkeypatch):
    def f(x):
        ops.cos(x)
        return ops.add(ops.sin(x), ops.sin(x))

    program = programs.make(f, "float32[2]")
    monkeypatch.delenv("SLOPE_DISABLE_PASSES", raising=False)
    assert optimize(program).count() == 2
    assert optimize(program, disabled=frozenset({"cse"})).count("sin") == 2
    monkeypatch.setenv("SLOPE_DISABLE_PASSES", "cse, dce")
    assert optimize(program).count("sin", "cos") == 3
    assert optimize(program, disabled=frozenset(PASSES)) is program


def test_unknown_passes_are_named(programs, monkeypatch):
    program = programs.make(ops.sin, "float32[2]")
    with pytest.raises(
        ArgumentError,
        match=r"disabled names the pass 'inlining', and there is none; there are .*dce",
    ):
        optimize(program, disabled=frozenset({"inlining"}))
    monkeypatch.setenv("SLOPE_DISABLE_PASSES", "csee")
    with pytest.raises(ArgumentError, match="SLOPE_DISABLE_PASSES names the pass 'csee'"):
        optimize(program)


def chain(count):
    x = var = Var(TensorType((2,), dtypes.float32))
    instrs = []
    for k in range(count):
        out, twin = Var(x.type), Var(x.type)
        instrs.append(Instr(ops.sin, (var,), {}, (out,)))
        instrs.append(Instr(ops.sin, (var,), {}, (twin,)))
        var = Var(x.type)
        instrs.append(
            Instr(
                ops.add,
                (out, twin) if k % 2 else (out, Literal(-0.0, x.type)),
                {},
                (var,),
            )
        )
    return Program([x], [], instrs, [var])


def test_fifty_thousand_instructions_take_linear_time():
    assert optimize(chain(17_000)).count("sin") == 17_000

    programs = chain(1_000), chain(8_000)
    few, many = (count_calls(lambda p=p: optimize(p)) for p in programs)
    assert many < 8.2 * few


def test_the_program_itself_is_not_changed(programs):
    program = programs.make(lambda x: ops.add(ops.sin(x), ops.sin(x)), "float32[2]")
    before = str(program)
    optimize(program)
    assert str(program) == before
