"""Functions under jit mean the same on every backend; draws are bit for bit the same."""

import numpy as np
import pytest

import slope

X = np.random.default_rng(0).uniform(0.3, 1.4, (3, 4)).astype(np.float32)
I = np.array([2, 0, -1])  # noqa: E741  # an index

EXACT = {
    "bits": lambda x: slope.random.bits(slope.random.key(1), 5),
    "uniform": lambda x: slope.random.uniform(slope.random.key(1), 3, 3),
    "uniform64": lambda x: slope.random.uniform(slope.random.key(1), 4, dtype="float64"),
    "randint": lambda x: slope.random.randint(slope.random.key(1), (6,), -5, 100),
    "split": lambda x: slope.random.split(slope.random.key(1), 3),
    "getitem": lambda x: x[:, I][:, ::-1],
    "set": lambda x: x.at[I, 1].set(x[0, :3]).at[0, ::2].add(1.0),
    "pad": lambda x: slope.pad(x, (1, -1, 0, 2), value=3.0),
    "roll": lambda x: slope.roll(x, (1, -1), (0, 1)),
    "tril": slope.tril,
    "one_hot": lambda x: slope.one_hot((x * 3).to("int64"), 4),
    "masked infinities": lambda x: (
        (x / 0) * (x > 1).to("float32") + (x > 9).to("int32").to("float32")
    ),
    "take": lambda x: slope.take_along_dim(x, slope.argmin(x, 1, keepdim=True), 1),
    "whole powers": lambda x: slope.arange(5) ** slope.tensor([0, 3, 62, 70, -1]),
    "integers": lambda x: (slope.arange(-4, 5) // 3) * 10 + slope.arange(-4, 5) % 3,
}
CLOSE = {
    "normal": lambda x: slope.random.normal(slope.random.key(1), 5),
    "softmax": lambda x: slope.softmax(x, 0) + slope.log_softmax(x, 1),
    "gelu": lambda x: slope.gelu(x) + slope.gelu(x, "tanh") + slope.silu(x) + slope.softplus(x),
    "losses": lambda x: slope.cross_entropy(x, slope.tensor([0, 3, 1]), label_smoothing=0.1),
    "losses by gradient": slope.grad(lambda x: slope.cross_entropy(x, slope.tensor([0, 3, 1]))),
    "losses that ignore rows": slope.grad(
        lambda x: slope.cross_entropy(x, slope.tensor([0, -100, 1]), x[0] + 1)
    ),
    "variance": lambda x: slope.var(x, 1) + slope.std(x) + slope.logsumexp(x, 1),
    "norms": lambda x: slope.norm(x) + slope.norm(x, 1, 0).sum() + slope.norm(x, 3),
    "einsum": lambda x: slope.einsum("ij,kj,k->i", x, x, x[:, 0]),
    "matmul": lambda x: x[None] @ slope.stack([x.mT, x.mT * 2]),
    "inverse functions": lambda x: (
        slope.asin(x / 2) + slope.acos(x / 2) + slope.atan(x) + slope.atanh(x / 2)
    ),
    "hyperbolic": lambda x: slope.asinh(x) + slope.acosh(x + 1) + slope.sinh(x) + slope.cosh(x),
    "powers": lambda x: 2**x + x**x + slope.exp2(x) + slope.log2(x) + slope.log10(x) + x**0.5,
    "edges": lambda x: slope.log_softmax(x.at[0, 0].set(1e30).at[1, 1].set(-float("inf")), 1),
}


def sampled(x):
    """Grids, unpooling, quantiles and CTC, with their derivatives."""
    turned = slope.affine_grid(slope.stack([x[:2, :3]]), (1, 1, 3, 3))

    def read(x, grid):
        image = slope.stack([x, x * 2])[None]
        modes = ("bilinear", "nearest", "bicubic")
        paddings = ("zeros", "reflection", "border")
        return sum(
            slope.grid_sample(image, grid, *how).square().sum()
            for how in zip(modes, paddings, strict=True)
        )

    def aligned(x):
        scores = slope.log_softmax(slope.stack([x, -x, x + x.flip(1), x]), 2)
        lengths = slope.tensor([4, 3, 4]), slope.tensor([2, 0, 1])
        return slope.ctc_loss(scores, slope.tensor([[1, 1], [0, 0], [3, 0]]), *lengths)

    values, places = slope.max_pool2d(x[None, :2], 2, return_indices=True)
    back = slope.max_unpool2d(values, places, 2)
    holes = slope.where(x > 1.0, float("nan"), x)
    middle = slope.nanquantile(holes, slope.tensor([0.2, 0.7]), 1)
    parts = [back, middle, *slope.grad(read, (0, 1))(x, turned), slope.grad(aligned)(x)]
    return slope.hstack([*(slope.nan_to_num(part).flatten() for part in parts), aligned(x)])


CLOSE["sampled"] = sampled


def many(x):
    """A program of products, joins, selections, statistics and margin losses."""
    square = slope.addmm(x[:, 0], x, x.mT, alpha=0.5) + slope.kron(x[:, :1], x[:1, :3])
    rows = slope.vstack(
        [slope.diff(x, dim=0), slope.cross(square, square.mT, dim=1).mean(0)[:1] * x]
    )
    near = slope.cdist(rows, x) + slope.cdist(rows, x, 1.0) + slope.cdist(rows, x, float("inf"))
    among = slope.isin(slope.arange(6), slope.tensor([1, 4]))
    spread = slope.cov(x).sum() + slope.corrcoef(x).sum() + slope.trapezoid(x).sum()
    losses = (
        slope.gaussian_nll_loss(x, x * 2, x)
        + slope.margin_ranking_loss(x, 1 - x, x * 0 + 1, 0.1)
        + slope.hinge_embedding_loss(x, x * 0 - 1, 1.5)
        + slope.multi_margin_loss(x, slope.tensor([0, 3, 1]), 2)
        + slope.pairwise_distance(x, x[0]).sum()
        + slope.local_response_norm(x[None], 3).sum()
        + slope.bilinear(x, x, slope.stack([x, x]).repeat_interleave(2, 1)[:, 1:5] @ x.mT @ x).sum()
    )
    chosen = slope.masked_scatter(x, x > 0.8, slope.fmax(x, 1 - x).repeat_interleave(2))
    middle = slope.nanmedian(chosen, 1).values + slope.fmin(x, 1.0).sum(1)
    return slope.hstack(
        [near.flatten(), middle, among.float(), spread + losses, slope.trace(square)]
    )


CLOSE["many"] = many


def cut_and_counted(x):
    """A program of cuts, scatters, combinations, divisors, histograms and matrix norms."""
    whole = (x * 40).to(slope.int64)
    row = x[0]
    parts = [
        *x.tensor_split(3, 1),
        x.select_scatter(row[:3], 1, 2).slice_scatter(x[:2] * 2, 0, 1).diagonal_scatter(row[:3]),
        slope.block_diag(x, row),
        slope.combinations(row, 3),
        slope.cartesian_prod(row, x[1]),
        *slope.unravel_index(whole.abs(), (3, 40)),
        slope.logaddexp2(x, row),
        slope.ldexp(x, whole % 4),
        slope.gcd(whole, whole[1]),
        slope.lcm(whole, 6),
        slope.cumulative_trapezoid(x),
        *slope.gradient(x, edge_order=2),
        slope.histc(x, 4),
        slope.histogram(x, 5, range=(0.0, 0.95)).hist,
        *slope.kthvalue(x, 2),
        *slope.mode(whole // 8, 0),
        x.renorm(2, 0, 1.0),
        slope.linalg.matrix_norm(x, 1),
        slope.linalg.multi_dot([x, x.mT, x, row]),
        slope.matrix_power(x[:, :3], 3),
        slope.linalg.vecdot(x, row),
    ]
    return slope.hstack([part.flatten().float() for part in parts])


CLOSE["cut and counted"] = cut_and_counted


@pytest.mark.parametrize("name", [*EXACT, *CLOSE])
def test_functions_agree(backend, name):
    function = (EXACT | CLOSE)[name]
    with slope.use_backend("numpy"):
        expected = function(slope.tensor(X))
    actual = slope.jit(function)(slope.tensor(X))
    assert actual.type == expected.type
    if name in EXACT:
        np.testing.assert_array_equal(actual.numpy(), expected.numpy())
    else:
        np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=3e-5, atol=3e-6)
