"""Products in tiles of our own choice, and derivatives computed where they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from iree_checks import agree, code, randoms

import slope
from slope import dtypes
from slope.extend import Program, TensorType, ops, trace_program
from slope_backend_iree.backend import IreeBackend
from slope_backend_iree.lower.program import lower_program

Dims = tuple[int, ...]


def product(m: Dims, n: Dims, rows: Dims, form: str, batch: Dims = ()) -> tuple[Any, list[Dims]]:
    """A contraction and its operands' shapes, by a letter for each operand.

    N: ``(m, rows)`` or ``(rows, n)``; T: ``(rows, m)`` or ``(n, rows)``.
    """
    of_x = (*rows, *m) if form[0] == "T" else (*m, *rows)
    of_y = (*n, *rows) if form[1] == "T" else (*rows, *n)
    starts = len(batch) + len(m) * (form[0] == "N"), len(batch) + len(n) * (form[1] == "T")
    over = tuple(tuple(range(start, start + len(rows))) for start in starts)
    along = tuple(range(len(batch)))

    def contraction(x: Any, y: Any) -> Any:
        return slope.dot_general(x, y, contract=over, batch=(along, along))

    return contraction, [(*batch, *of_x), (*batch, *of_y)]


@pytest.mark.parametrize("form", ["NN", "TN", "NT", "TT"])
@pytest.mark.parametrize(
    ("m", "n", "rows", "batch"),
    [
        ((64,), (96,), (40,), ()),
        ((200,), (100,), (196,), ()),  # columns left over
        ((65,), (33,), (257,), ()),
        ((12,), (48,), (130,), ()),
        ((64,), (1024,), (300,), ()),  # panels
        ((76,), (1024,), (30,), ()),
        ((128, 2), (8, 64), (3, 24), ()),
        ((65,), (40,), (33,), (3,)),
        ((64,), (512,), (16,), (2, 2)),
    ],
)
def test_every_form_of_a_product(m: Dims, n: Dims, rows: Dims, batch: Dims, form: str):
    contraction, shapes = product(m, n, rows, form, batch)
    agree(contraction, *(randoms(*shape) for shape in shapes), near=1e-4)


def traced(shapes: list[Dims], dtype: dtypes.DType, over: tuple[Dims, Dims]) -> Program:
    return trace_program(
        lambda x, y: ops.dot_general(x, y, contract=over, batch=((), ())),
        [TensorType(shape, dtype) for shape in shapes],
    )


@pytest.mark.parametrize(
    ("m", "n", "rows", "form", "tiled", "moved"),
    [
        (200, 784, 100, "NN", True, False),
        (100, 784, 200, "TN", True, False),
        (200, 100, 784, "NT", True, True),
        (32, 2048, 1024, "NN", True, False),  # few rows read a large matrix as it is
        (256, 2048, 1024, "NN", True, True),
        (76, 1024, 96, "NN", True, True),  # low tiles load much
        (80, 1024, 96, "NN", True, False),
        (32, 256, 256, "NT", False, False),  # and are too few to transpose one
        (31, 96, 96, "NN", False, False),  # tiles would leave rows over
        (96, 31, 96, "NN", False, False),  # a tile would have columns to spare
        (96, 33, 96, "NN", True, False),
        (200, 10, 784, "NN", False, False),
        (1024, 1024, 1024, "TN", False, False),
        (8, 16, 16, "NN", False, False),
    ],
)
def test_which_products_are_tiled(m: int, n: int, rows: int, form: str, tiled: bool, moved: bool):
    _, shapes = product((m,), (n,), (rows,), form)
    over = (int(form[0] == "N"),), (int(form[1] == "T"),)
    program = traced(shapes, dtypes.float32, over)
    text = lower_program(program, IreeBackend().lowerings, lanes=16).text
    assert ("lowering_config" in text) is tiled
    assert ("dot_general" in text) is not tiled
    assert ("stablehlo.transpose" in text) is moved


@pytest.mark.parametrize(
    ("dtype", "lanes"), [(dtypes.float32, 8), (dtypes.float32, 0), (dtypes.float64, 16)]
)
def test_other_numbers_and_processors_keep_the_compilers_tiles(dtype: dtypes.DType, lanes: int):
    program = traced([(64, 40), (40, 96)], dtype, ((1,), (0,)))
    text = lower_program(program, IreeBackend().lowerings, lanes=lanes).text
    assert "lowering_config" not in text


# --- derivatives of activations


def gradients(activation: Callable[[Any], Any], also: Callable[[Any], Any] | None = None) -> Any:
    """Of a layer between two products, with respect to the products' matrices."""

    def loss(x: Any, up: Any, down: Any) -> Any:
        inner = x @ up
        total = (activation(inner) @ down).sum()
        return total if also is None else total + also(inner)

    return slope.grad(loss, argnums=(1, 2))


def given(rows: int = 128, inner: int = 256) -> list[slope.Tensor]:
    return [randoms(rows, 32), randoms(32, inner), randoms(inner, 32)]


@pytest.mark.parametrize("activation", [slope.gelu, slope.silu, slope.tanh, slope.mish])
def test_gradients_of_activations(activation: Callable[[Any], Any]):
    agree(gradients(activation), *given(), near=1e-3)


def test_a_derivative_is_computed_where_it_is_read():
    text = code(gradients(slope.gelu), *given())
    assert text.count("flow.dispatch.region") == 2
    assert text.count("chlo.erf") == 2


@pytest.mark.parametrize("activation", [slope.relu, slope.tanh])
def test_what_is_read_anyway_is_not_computed_twice(activation: Callable[[Any], Any]):
    """The second product reads the activation, and from that follows its derivative."""
    assert "dispatch.region" not in code(gradients(activation), *given())


def test_an_activation_that_a_reduction_reads_too():
    function = gradients(slope.gelu, lambda inner: slope.gelu(inner).softmax(1).max())
    agree(function, *given(), near=1e-3)


def test_a_derivative_of_a_value_repeated_along_a_dimension():
    """A loop takes tensors of one shape; what is repeated in it is read as it is."""

    def loss(x: Any, up: Any, down: Any) -> Any:
        inner = (x @ up).exp()[None] * slope.ones(2, 1, 1)
        return (slope.gelu(inner) @ down).sum()

    agree(slope.grad(loss, argnums=(1, 2)), *(each * 0.1 for each in given()), near=1e-3)


def test_few_elements_are_left_alone():
    assert "dispatch.region" not in code(gradients(slope.gelu), *given(rows=8, inner=64))


def masked(x: Any) -> Any:
    """Derivatives of one activation for two readers, one of which reads what they share."""
    inner = slope.silu(x) * x.mean(1, keepdim=True)
    return slope.where(x > 0, slope.sigmoid(inner), inner * 0.5)


def several(x: Any) -> Any:
    """Activations that are read again behind others."""
    inner = slope.silu(x) + slope.elu(x)
    outer = inner + slope.softplus(inner)
    return slope.log1p(outer * outer) + slope.sigmoid(x)


@pytest.mark.parametrize("activation", [masked, several])
@pytest.mark.parametrize("second", [False, True])
def test_gradients_of_several_activations(activation: Callable[[Any], Any], second: bool):
    function = gradients(activation)
    if second:

        def function(x: Any, up: Any, down: Any) -> Any:
            return slope.grad(lambda up: gradients(activation)(x, up, down)[0].square().mean())(up)

    agree(function, *(each * 0.3 for each in given()), near=1e-3)


def test_tiny_matrices_are_multiplied_all_at_once():
    def products(x: Any, y: Any) -> Any:
        sums = slope.einsum("abk,abk->ab", x, y)
        return (
            sums[:, None] + sums[None, :],  # read along two dimensions by one loop
            slope.einsum("abk,bak->ab", x, y.transpose(0, 1)),
            slope.einsum("abk,bk->ab", x, y[0]),
            slope.einsum("abk,abkn->abn", x, slope.stack([x, y], -1)),
            slope.einsum("abnk,abk->abn", slope.stack([x, y], 2), y),
        )

    x, y = randoms(8, 16, 3), randoms(8, 16, 3)
    agree(products, x, y, near=1e-5)
    assert "batching_dims = [0, 1]" not in code(products, x, y)
