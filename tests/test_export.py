"""slope.export: what inputs and outputs are called, what is stored, and the way back."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
import onnx
import onnx.reference
import pytest
import small_step
from array_checks import close

import slope
from slope import nn


class Point(NamedTuple):
    x: slope.Tensor
    y: slope.Tensor


@pytest.fixture
def file(tmp_path):
    """The path of an ONNX file that is not there yet."""
    return tmp_path / "f.onnx"


@pytest.fixture
def args():
    return slope.tensor([1.0, 2.0]), slope.tensor([3.0, 5.0])


def names(exported):
    return [port.name for port in exported.inputs], [port.name for port in exported.outputs]


def feeds(exported):
    return {port.name: port.feeds for port in exported.outputs if port.feeds}


# --- a training step


def test_a_training_step_is_named_after_its_pytrees(file):
    step, args = small_step.make()
    exported = slope.export(step, *args, path=file)
    inputs, outputs = names(exported)
    parameters = ["model.0.weight", "model.0.bias", "model.3.weight", "model.3.bias"]
    assert inputs[:4] == parameters
    assert {"optimizer.lr", "optimizer.m.0.weight", "x", "y", "generator"} <= set(inputs)
    assert outputs[:4] == [f"next.{name}" for name in parameters]
    assert outputs[-2:] == ["loss", "next.generator"]
    assert all(name == f"next.{fed}" for name, fed in feeds(exported).items())
    assert "next.optimizer.lr" not in outputs  # which no step changes
    model = onnx.load(file)
    assert [each.name for each in model.graph.input] == inputs
    assert [each.name for each in model.graph.output] == outputs
    manifest = json.loads((file.parent / "f.onnx.json").read_text())
    assert [each["name"] for each in manifest["inputs"]] == inputs
    assert manifest["inputs"][0] == {
        "name": "model.0.weight",
        "dtype": "float32",
        "shape": [8, 12],
        "path": ["0", "weight"],
        "argument": "model",
    }
    assert {"name": "optimizer.lr", "dtype": "float64", "shape": [], "path": ["lr"],
            "argument": "optimizer", "number": True} in manifest["inputs"]  # fmt: skip
    assert manifest["checked"] is True
    assert not [each for each in file.parent.iterdir() if each.name.startswith(".")]


def test_it_is_called_with_pytrees_and_goes_on_like_the_step(file):
    step, args = small_step.make()
    exported = slope.export(step, *args, path=file)
    model, optimizer, _ = exported(*args)
    assert type(model) is nn.Sequential
    assert type(optimizer) is nn.Adam
    assert optimizer.lr == 0.05
    found = small_step.losses(slope.load_exported(file), args, 4)
    close(found, small_step.losses(step, args, 4), 1e-5)
    assert len(set(found)) == 4


def test_lower_exports_the_same(tmp_path):
    step, args = small_step.make()
    slope.export(step, *args, path=tmp_path / "one.onnx")
    step.lower(*args).export(tmp_path / "two.onnx", check=False)
    one, two = ((tmp_path / f"{each}.onnx").read_bytes() for each in ("one", "two"))
    assert one == two


def test_run_and_following_are_what_a_host_does(file, args):
    @slope.jit
    def step(w, x, rate):
        w = w - rate * x
        return w, (w * x).sum()

    exported = slope.export(step, *args, 0.5, path=file, values="npz")
    values = exported.values()
    assert values.keys() == {"w", "x", "rate"}
    outputs = exported.run(values)
    values |= exported.following(outputs)
    close(exported.run(values)["next.w"], args[0] - args[1])


def test_a_new_number_is_an_input(file, args):
    exported = slope.export(lambda x, n: x * n, args[0], 3, path=file)
    assert exported(args[0], 5).tolist() == [5.0, 10.0]
    with pytest.raises(slope.extend.DTypeError, match=r"'n' is int64\[\], and got the number 2\.5"):
        exported(args[0], 2.5)
    assert exported.inputs[1].weak
    assert exported.inputs[1].type.dtype is slope.int64


# --- names


def test_results_are_called_as_the_return_statement_calls_them(file, args):
    def f(a, b):
        total = a + b
        return total, a * b

    assert names(slope.export(f, *args, path=file)) == (["a", "b"], ["total", "result.1"])


def test_results_can_be_named(file, args):
    exported = slope.export(lambda a, b: (a + b, a * b), *args, path=file, results=("sum", "a"))
    assert names(exported)[1] == ["sum", "next.a"]
    exported = slope.export(lambda a, b: a - b, *args, path=file, results="gap")
    assert names(exported)[1] == ["gap"]


def test_containers_give_keys_fields_and_numbers(file, args):
    def f(p, *more):
        return {"point": Point(p["a"] + more[0], more[1]), "list": [p["a"] * 2]}

    exported = slope.export(f, {"a": args[0]}, *args, path=file)
    assert names(exported) == (
        ["p.a", "more.0", "more.1"],
        ["list.0", "point.x", "point.y"],
    )
    found = exported({"a": args[0]}, *args)
    assert found["list"][0].tolist() == [2.0, 4.0]
    assert found["point"]["x"].tolist() == [2.0, 4.0]


class Pair:
    """A node whose fields have no names of their own."""

    def __init__(self, left, right):
        self.left, self.right = left, right


slope.register_node(
    Pair,
    lambda pair: ((pair.left, pair.right), None),
    lambda _, children: Pair(*children),
    names=lambda _, count: ("left", "right")[:count],
)


def test_registered_nodes_name_their_children(file, args):
    def mirrored(pair):
        return Pair(pair.right * 2, pair.left)

    exported = slope.export(mirrored, Pair(*args), path=file, state=())
    assert names(exported) == (["pair.left", "pair.right"], ["result.left", "result.right"])
    with pytest.raises(slope.extend.ArgumentError, match="names must be a function that takes"):
        slope.register_node(type("Other", (), {}), tuple, tuple, names="left")  # pyright: ignore[reportArgumentType]


def test_names_are_different(file, args):
    def f(x, c0, v0):
        c1 = x * 2.5 + c0 - v0
        return {"x": c1, "c0": x.sum(), "next.x": c1 + 1}

    exported = slope.export(f, *args, args[0], path=file, state=())
    inputs, outputs = names(exported)
    assert len({*inputs, *outputs}) == 6
    assert outputs == ["c0_1", "next.x", "x_1"]
    x, c0 = args
    close(exported(x, c0, x)["x"], f(x, c0, x)["x"])


# --- which result feeds which argument


def loss_of(params, x):
    return ((params["w"] * x + params["b"]) ** 2).sum()


@pytest.fixture
def params(args):
    return {"w": args[0], "b": args[1]}


def test_a_result_of_an_arguments_structure_feeds_it(file, params, args):
    def step(params, x):
        loss, gradient = slope.value_and_grad(loss_of)(params, x)
        return loss, slope.tree_map(lambda p, g: p - 0.1 * g, params, gradient)

    exported = slope.export(step, params, args[0], path=file)
    assert feeds(exported) == {"next.params.b": "params.b", "next.params.w": "params.w"}


def test_a_gradient_feeds_nothing(file, params, args):
    def step(params, x):
        loss, gradients = slope.value_and_grad(loss_of)(params, x)
        return loss, gradients

    exported = slope.export(step, params, args[0], path=file)
    assert feeds(exported) == {}
    assert names(exported)[1] == ["loss", "gradients.b", "gradients.w"]
    exported = slope.export(slope.value_and_grad(loss_of), params, args[0], path=file)
    assert feeds(exported) == {}


def test_a_tensor_feeds_by_name_donation_or_word(file, args):
    def step(w, x):
        return w - x

    def named(w, x):
        w = w - x
        return w  # noqa: RET504  # the name is what the file calls it by

    assert feeds(slope.export(step, *args, path=file)) == {}
    assert feeds(slope.export(named, *args, path=file)) == {"next.w": "w"}
    assert feeds(slope.export(named, *args, path=file, state=())) == {}
    assert feeds(slope.export(step, *args, path=file, state="w")) == {"next.w": "w"}
    donating = slope.jit(step, donate="w")
    assert feeds(slope.export(donating, *args, path=file)) == {"next.w": "w"}


def test_state_inside_containers(file, params, args):
    def step(carry, x):
        params, count = carry
        return {"carry": (slope.tree_map(lambda p: p * 2, params), count + 1), "out": x.sum()}

    exported = slope.export(step, (params, 3), args[0], path=file)
    assert set(feeds(exported).values()) == {"carry.0.w", "carry.0.b", "carry.1"}
    found = exported((params, 3), args[0])
    assert found["carry"][1].item() == 4


def test_an_argument_may_be_called_generator(file, args):
    def f(generator, x):
        return generator + slope.rand(2) * x

    exported = slope.export(f, *args, path=file)
    assert names(exported)[0] == ["generator_1", "x", "generator"]
    slope.manual_seed(1)
    found = exported(*args)
    slope.manual_seed(1)
    close(found, f(*args))


def test_functions_without_arguments_and_numbers_as_results(file):
    def f():
        return slope.arange(3), slope.ones(2), 7, None

    exported = slope.export(f, path=file)
    assert exported.inputs == ()
    found = exported()
    assert [found[0].tolist(), found[1].tolist(), *found[2:]] == [[0, 1, 2], [1.0, 1.0], 7, None]


def test_a_number_that_is_state_stays_as_wide_as_it_came(file, args):
    def step(x, rate):
        rate = rate * 0.5
        return x * rate, rate

    exported = slope.export(step, args[0], 0.5, path=file)
    (port,) = [port for port in exported.outputs if port.feeds]
    assert port.type == exported.inputs[1].type
    _, rate = exported(args[0], 0.5)
    assert exported(args[0], rate)[1].item() == 0.125


# --- what is stored


def test_the_weights_of_a_module_are_stored_by_name(file, args):
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    exported = slope.export(model, args[0], path=file)
    assert names(exported)[0] == ["x"]
    stored = {each.name for each in onnx.load(file).graph.initializer}
    assert {"self.0.weight", "self.0.bias"} <= stored
    close(exported(args[0]), model(args[0]), 1e-6)


def test_or_they_are_inputs(file, args):
    model = nn.Linear(2, 3)
    exported = slope.export(model, args[0], path=file, constants=())
    assert names(exported)[0] == ["self.weight", "self.bias", "x"]
    twice = slope.tree_map(lambda p: p * 2, model)
    close(exported(twice, args[0]), twice(args[0]), 1e-6)
    close(exported({"weight": twice.weight, "bias": twice.bias}, args[0]), twice(args[0]), 1e-6)


def test_arguments_and_closed_over_tensors_as_constants(file, params, args):
    scale = slope.tensor([7.0, 11.0])
    exported = slope.export(
        lambda params, x: params["w"] * x * scale, params, args[1], path=file, constants="params"
    )
    assert names(exported)[0] == ["x"]
    assert exported(args[1]).tolist() == [21.0, 110.0]


def test_large_constants_go_beside_the_file(file):
    weights = slope.randn(40, 50)
    x = slope.randn(3, 40)
    options = {"external_data": True}
    exported = slope.export(lambda x: x @ weights, x, path=file, options=options)
    data = file.parent / "f.onnx.data"
    assert data.stat().st_size >= 8000
    assert data.stat().st_mode == file.stat().st_mode
    assert file.stat().st_size < 2000
    close(exported(x), x @ weights, 1e-4)


def test_static_arguments_are_a_part_of_the_program(file, args):
    @slope.jit(static_argnames=("power",))
    def f(x, power, wide, y):
        return (x**power + y) * (2 if wide else 1)

    exported = slope.export(f, args[0], 2, True, args[1], path=file)
    assert names(exported)[0] == ["x", "y"]
    assert exported(args[0], True, args[1]).tolist() == [8.0, 18.0]
    with pytest.raises(
        slope.extend.ArgumentError, match="wide is False, and the program was expor"
    ):
        exported(args[0], False, args[1])


@pytest.mark.parametrize("kind", ["safetensors", "npz", "npy"])
def test_values_are_written_in_files_that_others_read(file, kind):
    params = {
        "half": slope.tensor([1.5, -2.0], dtype=slope.bfloat16),
        "flag": slope.tensor([True, False]),
        "wide": slope.tensor([[1.0], [2.0]], dtype=slope.float64),
    }
    exported = slope.export(
        lambda params, n: {**params, "wide": params["wide"] * n}, params, 2, path=file, values=kind
    )
    values = exported.values()
    assert values["params.half"].astype(np.float32).tolist() == [1.5, -2.0]
    assert values["params.flag"].tolist() == [True, False]
    assert values["params.wide"].tolist() == [[1.0], [2.0]]
    assert values["n"] == 2
    if kind == "safetensors":
        from safetensors.numpy import load_file

        theirs = load_file(f"{file}.safetensors")
        assert theirs["params.wide"].tolist() == [[1.0], [2.0]]
    assert exported.run(values)["next.params.wide"].tolist() == [[2.0], [4.0]]


def test_the_reference_evaluator_of_onnx_agrees(file, params, args):
    def step(params, x):
        loss, gradient = slope.value_and_grad(loss_of)(params, x)
        return loss, slope.tree_map(lambda p, g: p - 0.1 * g, params, gradient)

    slope.export(step, params, args[0], path=file)
    given = {"params.w": args[0].numpy(), "params.b": args[1].numpy(), "x": args[0].numpy()}
    found = [*onnx.reference.ReferenceEvaluator(str(file)).run(None, given)]
    loss, after = step(params, args[0])
    close(found[0], loss, 1e-6)
    close(found[1], after["b"], 1e-6)


def test_draws_are_fresh_and_repeat_with_the_seed(file):
    exported = slope.export(lambda x: x + slope.rand(3), slope.zeros(3), path=file)
    assert names(exported) == (["x", "generator"], ["result", "next.generator"])
    slope.manual_seed(5)
    one, two = exported(slope.zeros(3)), exported(slope.zeros(3))
    slope.manual_seed(5)
    close(one, slope.rand(3))
    close(two, slope.rand(3))
    assert one.tolist() != two.tolist()


def test_programs_with_loops_and_branches(file, args):
    def f(x, n):
        x = slope.fori_loop(
            0, n, lambda _, x: slope.cond(x.sum() > 9, lambda: x / 2, lambda: x * 3), x
        )
        return slope.scan(lambda c, row: (c + row, c * row), x, slope.stack([x, x]))

    exported = slope.export(f, args[0], 4, path=file)
    for number in (4, 7):
        want, got = f(args[0], number), exported(args[0], number)
        close(got[0], want[0], 1e-6)
        close(got[1], want[1], 1e-6)


def test_it_prints_its_inputs_and_outputs(file, args):
    exported = slope.export(lambda x, n: x * n, args[0], 2, path=file)
    text = str(exported)
    assert "x  float32[2]" in text
    assert "n  int64[] (a number)" in text
    assert repr(exported) == f"<exported <lambda>: {file}>"
