"""Products in tiles of our own choice, and derivatives of activations computed where they are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import slope
from slope import dtypes
from slope.extend import CPU, Program, TensorType, ops, trace_program
from slope_backend_iree.backend import IreeBackend
from slope_backend_iree.lower.program import lower_program
from slope_backend_numpy.backend import NumpyBackend

F32 = dtypes.float32


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IreeBackend]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLOPE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield IreeBackend()


def text_of(backend: IreeBackend, program: Program, lanes: int = 16) -> str:
    return lower_program(program, backend.lowerings, lanes=lanes).text


def product(
    m: tuple[int, ...],
    n: tuple[int, ...],
    rows: tuple[int, ...],
    form: str,
    batch: tuple[int, ...] = (),
    dtype: dtypes.DType = F32,
) -> Program:
    """``form`` is "NN", "TN", "NT" or "TT": T where what is summed comes first in x, last in y."""
    x, y = (*m, *rows), (*rows, *n)
    x = (*rows, *m) if form[0] == "T" else x
    y = (*n, *rows) if form[1] == "T" else y
    first, count = len(batch), len(rows)
    over_x = (
        range(first, first + count) if form[0] == "T" else range(first + len(m), first + len(x))
    )
    over_y = (
        range(first + len(n), first + len(y)) if form[1] == "T" else range(first, first + count)
    )
    along = tuple(range(first))
    params = {"contract": (tuple(over_x), tuple(over_y)), "batch": (along, along)}
    types = [TensorType((*batch, *shape), dtype) for shape in (x, y)]
    return trace_program(lambda x, y: ops.dot_general(x, y, **params), types)


def agree(backend: IreeBackend, program: Program) -> None:
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(var.type.shape).astype(F32.numpy) for var in program.inputs]
    results: list[list[Any]] = []
    for each in (backend, NumpyBackend()):
        executable = each.compile(program.check(), CPU, {})
        outs = executable([each.from_host(array, CPU) for array in arrays])
        results.append([np.asarray(each.to_host(out)) for out in outs])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


@pytest.mark.parametrize("form", ["NN", "TN", "NT", "TT"])
@pytest.mark.parametrize(
    ("m", "n", "rows", "batch"),
    [
        ((64,), (96,), (40,), ()),
        ((200,), (100,), (196,), ()),  # columns left over
        ((65,), (33,), (257,), ()),
        ((12,), (48,), (130,), ()),
        ((64,), (1024,), (300,), ()),  # panels
        ((128, 2), (8, 64), (3, 24), ()),
        ((65,), (40,), (33,), (3,)),
        ((64,), (512,), (16,), (2, 2)),
    ],
)
def test_every_form_of_a_product(
    backend: IreeBackend,
    m: tuple[int, ...],
    n: tuple[int, ...],
    rows: tuple[int, ...],
    batch: tuple[int, ...],
    form: str,
):
    agree(backend, product(m, n, rows, form, batch))


@pytest.mark.parametrize(
    ("m", "n", "rows", "form", "tiled", "moved"),
    [
        (200, 784, 100, "NN", True, False),
        (100, 784, 200, "TN", True, False),
        (200, 100, 784, "NT", True, True),
        (32, 2048, 1024, "NN", True, False),  # few rows read a large matrix as it is
        (256, 2048, 1024, "NN", True, True),
        (32, 256, 256, "NT", False, False),  # and are too few to transpose one
        (31, 96, 96, "NN", False, False),  # tiles would leave rows over
        (200, 10, 784, "NN", False, False),
        (1024, 1024, 1024, "TN", False, False),
        (8, 16, 16, "NN", False, False),
    ],
)
def test_which_products_are_tiled(
    backend: IreeBackend, m: int, n: int, rows: int, form: str, tiled: bool, moved: bool
):
    text = text_of(backend, product((m,), (n,), (rows,), form))
    assert ("lowering_config" in text) is tiled
    assert ("dot_general" in text) is not tiled
    assert ("stablehlo.transpose" in text) is moved


@pytest.mark.parametrize(("dtype", "lanes"), [(F32, 8), (F32, 0), (dtypes.float64, 16)])
def test_other_numbers_and_processors_keep_the_compilers_tiles(
    backend: IreeBackend, dtype: dtypes.DType, lanes: int
):
    program = product((64,), (96,), (40,), "NN", dtype=dtype)
    assert "lowering_config" not in text_of(backend, program, lanes)


# --- derivatives of activations

SHAPES = ((128, 32), (32, 256), (256, 32))
FEW = ((8, 32), (32, 64), (64, 32))


def gradients(activation: Any, also: Any = None) -> Any:
    """Of a layer between two products, with respect to the products' matrices."""

    def loss(x: Any, up: Any, down: Any) -> Any:
        inner = x @ up
        total = (activation(inner) @ down).sum()
        return total if also is None else total + also(inner)

    return slope.grad(loss, argnums=(1, 2))


def given(shapes: tuple[tuple[int, ...], ...]) -> list[slope.Tensor]:
    random = np.random.default_rng(0)
    return [slope.tensor(random.standard_normal(shape).astype(np.float32)) for shape in shapes]


def code_of(function: Any, shapes: tuple[tuple[int, ...], ...] = SHAPES) -> str:
    return slope.jit(function, backend="iree").lower(*given(shapes)).code


def both_agree(function: Any) -> None:
    arguments = given(SHAPES)
    results = [slope.jit(function, backend=each)(*arguments) for each in ("iree", "numpy")]
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("activation", [slope.gelu, slope.silu, slope.tanh, slope.mish])
def test_gradients_of_activations(activation: Any):
    both_agree(gradients(activation))


def test_a_derivative_is_computed_where_it_is_read():
    text = code_of(gradients(slope.gelu))
    assert text.count("flow.dispatch.region") == 2
    assert text.count("chlo.erf") == 2


@pytest.mark.parametrize("activation", [slope.relu, slope.tanh])
def test_what_is_read_anyway_is_not_computed_twice(activation: Any):
    """The second product reads the activation, and from that follows its derivative."""
    assert "dispatch.region" not in code_of(gradients(activation))


def test_an_activation_that_a_reduction_reads_too():
    both_agree(gradients(slope.gelu, lambda inner: slope.gelu(inner).softmax(1).max()))


def test_few_elements_are_left_alone():
    assert "dispatch.region" not in code_of(gradients(slope.gelu), FEW)
