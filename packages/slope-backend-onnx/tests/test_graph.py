"""The graph builder: what it writes is valid ONNX, says what was asked, and runs."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx.checker
import onnx.numpy_helper
import onnxruntime
import pytest

from slope_backend_onnx.graph import ELEMENT_TYPES, IR_VERSION, OPSET, Graph, GraphError

DTYPES = [np.dtype(ml_dtypes.bfloat16 if n == "bfloat16" else n) for n in ELEMENT_TYPES]


def run(graph: Graph, *arrays: np.ndarray) -> list[Any]:
    model = graph.model().SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    return list(session.run(None, dict(zip(names, arrays, strict=True))))


def test_a_built_graph_is_valid_pinned_and_runs() -> None:
    graph = Graph("affine")
    x = graph.input("x", np.float32, (4,))
    y = graph.op("Add", graph.op("Mul", x, graph.constant(np.float32(2))), x)
    assert graph.output(y, "float32", (4,)) == y
    model = graph.model()
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET) == (10, 21)
    assert model.producer_name == "slope"
    (result,) = run(graph, np.arange(4, dtype="f4"))
    np.testing.assert_array_equal(result, 3 * np.arange(4, dtype="f4"))


def test_text_shows_the_nodes_and_types() -> None:
    graph = Graph("shown")
    x = graph.input("x", "float32", ("batch", 3))
    graph.output(graph.op("Softmax", x, axis=-1))
    text = graph.text()
    assert "shown (float[batch,3] x)" in text
    assert "Softmax <axis: int = -1> (x)" in text


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_constants_keep_dtype_shape_and_values(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    value = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    graph = Graph()
    name = graph.constant(value)
    (tensor,) = graph.model().graph.initializer
    back = onnx.numpy_helper.to_array(tensor)
    if back.dtype.names:  # onnx before 1.19 had a bfloat16 of its own
        back = np.frombuffer(tensor.raw_data, dtype).reshape(back.shape)
    assert (tensor.name, back.dtype, back.shape) == (name, dtype, shape)
    np.testing.assert_array_equal(back, value)


def test_constants_of_foreign_layout_are_stored_as_little_endian_rows() -> None:
    graph = Graph()
    value = np.arange(6, dtype=">i4").reshape(2, 3).T
    graph.constant(value)
    (tensor,) = graph.model().graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), value)


def test_equal_constants_are_stored_once_and_others_apart() -> None:
    graph = Graph()
    large = np.arange(10_000, dtype="f4")
    assert graph.constant(large) == graph.constant(large.copy())
    assert graph.constant(np.float32(0)) == graph.constant(np.zeros((), "f4"))
    different = [
        np.float32(0),
        np.float32(-0.0),
        np.float64(0),
        np.zeros(1, "f4"),
        np.zeros((1, 1), "f4"),
        np.int32(0),
    ]
    names = {graph.constant(value) for value in different}
    assert len(names) == len(different)
    assert len(graph.model().graph.initializer) == 1 + len(different)


def test_names_given_by_users_never_collide_with_made_ones() -> None:
    graph = Graph()
    for name in ("v0", "c0", "c0_"):
        graph.input(name, "float32", ())
    constant = graph.constant(np.float32(3))
    total = graph.op("Add", graph.op("Mul", "v0", constant), "c0")
    graph.output(graph.op("Add", total, "c0_"))
    (result,) = run(graph, *(np.array(value, "f4") for value in (2, 10, 100)))
    assert result == 116


def test_every_kind_of_attribute() -> None:
    graph = Graph()
    x = graph.input("x", "float32", (2, 3))
    made = graph.op(
        "Custom",
        x,
        domain="slope.test",
        number=3,
        flag=True,
        real=np.float32(0.5),
        word="hi",
        tensor=np.arange(3),
        ints=(1, 2),
        reals=[1.0, 2],
        words=["a", "b"],
        empty=[],
        absent=None,
    )
    graph.output(made)
    model = graph.model()
    values = {a.name: onnx.helper.get_attribute_value(a) for a in model.graph.node[0].attribute}
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(values.pop("tensor")), np.arange(3))
    assert values == {
        "number": 3,
        "flag": 1,
        "real": 0.5,
        "word": b"hi",
        "ints": [1, 2],
        "reals": [1.0, 2.0],
        "words": [b"a", b"b"],
        "empty": [],
    }
    assert {o.domain: o.version for o in model.opset_import} == {"": OPSET, "slope.test": 1}


def test_several_outputs_and_left_out_inputs() -> None:
    graph = Graph()
    x = graph.input("x", "float32", (4,))
    low, high = graph.op("Split", x, outputs=2, axis=0, num_outputs=2)
    graph.output(graph.op("Clip", low, "", graph.constant(np.float32(0.5))))
    graph.output(high)
    first, second = run(graph, np.arange(4, dtype="f4"))
    assert (first.tolist(), second.tolist()) == ([0, 0.5], [2, 3])


def test_an_input_a_constant_and_a_repeat_become_outputs_of_their_own() -> None:
    graph = Graph()
    x = graph.input("x", "float32", (2,))
    y = graph.op("Neg", x)
    c = graph.constant(np.ones(2, "f4"))
    names = [graph.output(name) for name in (y, y, x, x, c)]
    assert len(set(names)) == 5
    assert names[0] == y
    value = np.array([1, 2], "f4")
    results = run(graph, value)
    assert [r.tolist() for r in results] == [[-1, -2], [-1, -2], [1, 2], [1, 2], [1, 1]]
    assert not any(np.shares_memory(r, value) for r in results)


def test_branches_see_the_outer_values_and_share_constants() -> None:
    graph = Graph()
    flag = graph.input("flag", "bool", ())
    x = graph.input("x", "float32", (3,))
    two = graph.constant(np.float32(2))
    then, other = Graph("then", parent=graph), Graph("other", parent=graph)
    assert then.constant(np.float32(2)) == two
    then.output(then.op("Mul", x, two))
    other.output(x)
    graph.output(graph.op("If", flag, then_branch=then, else_branch=other))
    value = np.arange(3, dtype="f4")
    assert run(graph, np.array(True), value)[0].tolist() == [0, 2, 4]
    assert run(graph, np.array(False), value)[0].tolist() == [0, 1, 2]
    with pytest.raises(GraphError, match="subgraph"):
        then.model()


def test_mistakes_are_named() -> None:
    graph = Graph("g")
    graph.input("x", "float32", ())
    with pytest.raises(GraphError, match=r"'x': .* already"):
        graph.input("x", "float32", ())
    with pytest.raises(GraphError, match=r"Neg: input 'nowhere' is no value of graph 'g'"):
        graph.op("Neg", "nowhere")
    with pytest.raises(GraphError, match=r"output 'nowhere'"):
        graph.output("nowhere")
    with pytest.raises(GraphError, match=r"complex64 has no ONNX form here; .*bfloat16"):
        graph.constant(np.zeros(2, "c8"))
    with pytest.raises(GraphError, match=r"Op: attribute 'mixed' = \[1, 'a'\]"):
        graph.op("Op", "x", mixed=[1, "a"])  # pyright: ignore[reportArgumentType]  # the mistake
    branch = Graph(parent=graph)
    inner = branch.op("Neg", "x")
    with pytest.raises(GraphError, match=r"is no value of graph 'g'"):
        graph.op("Neg", inner)


def test_nodes_that_nothing_reads_are_left_out() -> None:
    graph = Graph()
    x, flag = graph.input("x", "float32", (3,)), graph.input("flag", "bool", ())
    graph.op("Exp", graph.op("Neg", x))
    read_inside = graph.op("Abs", x)
    then, other = Graph("then", parent=graph), Graph("other", parent=graph)
    then.output(then.op("Sqrt", read_inside))
    other.output(x)
    graph.output(graph.op("If", flag, then_branch=then, else_branch=other))
    assert [node.op_type for node in graph.model().graph.node] == ["Abs", "If"]
    value = np.array([-4, 9, 0], "f4")
    assert run(graph, value, np.array(True))[0].tolist() == [2, 3, 0]
