"""Options of attention and transformer layers as PyTorch has them."""

from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")
N, L, S, E, HEADS = 2, 3, 4, 8, 2
HIDDEN = np.triu(np.ones((L, S), bool), 1)
PADDING = np.array([[False, False, False, True], [False, False, True, True]])


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def formula(layer, query, key, value, hidden=None):
    """Attention of (n, l, ...) arrays by loops: output and weights (n, heads, l, s)."""

    def project(linear, x):
        return x @ linear.weight.numpy().T + (0 if linear.bias is None else linear.bias.numpy())

    q, k, v = project(layer.q_proj, query), project(layer.k_proj, key), project(layer.v_proj, value)
    n, count, size = len(q), 0, layer.head_dim
    if layer.bias_k is not None:
        k = np.concatenate([k, np.repeat(layer.bias_k.numpy(), n, 0)], 1)
        v = np.concatenate([v, np.repeat(layer.bias_v.numpy(), n, 0)], 1)
        count += 1
    if layer.add_zero_attn:
        k, v = (np.concatenate([each, np.zeros_like(each[:, :1])], 1) for each in (k, v))
        count += 1
    out = np.zeros_like(q)
    weights = np.zeros((n, layer.num_heads, q.shape[1], k.shape[1]), np.float32)
    for b in range(n):
        for h in range(layer.num_heads):
            part = slice(h * size, (h + 1) * size)
            scores = q[b, :, part] @ k[b, :, part].T / np.sqrt(size)
            if hidden is not None:
                scores[:, : scores.shape[1] - count][hidden[b]] = -np.inf
            weights[b, h] = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
            out[b, :, part] = weights[b, h] @ v[b, :, part]
    return project(layer.out_proj, out), weights


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kdim": 5, "vdim": 6},
        {"add_bias_kv": True},
        {"add_zero_attn": True},
        {"add_bias_kv": True, "add_zero_attn": True, "bias": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("masked", [False, True])
def test_attention_has_the_options_of_pytorch(options, masked):
    layer = nn.MultiheadAttention(E, HEADS, **options, key=slope.random.key(0))
    arrays = draw(N, L, E), draw(N, S, options.get("kdim", E)), draw(N, S, options.get("vdim", E))
    hidden = HIDDEN | PADDING[:, None] if masked else None
    given = {"attn_mask": HIDDEN, "key_padding_mask": PADDING} if masked else {}
    masks: dict[str, Any] = {name: slope.tensor(mask) for name, mask in given.items()}
    tensors = [slope.tensor(array) for array in arrays]
    expected, weights = formula(layer, *arrays, hidden)
    np.testing.assert_allclose(layer(*tensors, **masks).numpy(), expected, atol=1e-5)
    out, mean = layer(*tensors, **masks, need_weights=True)
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(mean.numpy(), weights.mean(1), atol=1e-5)
    _, each = layer(*tensors, **masks, need_weights=True, average_attn_weights=False)
    np.testing.assert_allclose(each.numpy(), weights, atol=1e-5)
    out, nothing = layer(*tensors, **masks, need_weights=False)
    assert nothing is None
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-5)


def test_masks_add_up():
    layer = nn.MultiheadAttention(E, HEADS, key=slope.random.key(1))
    x = slope.tensor(draw(N, S, E))
    causal = slope.triu(slope.ones(S, S, dtype=slope.bool_), 1)
    padding = slope.tensor(PADDING)
    expected = layer(x, attn_mask=causal, key_padding_mask=padding)
    added = slope.where(causal, -slope.inf, 0.0)
    wide = causal.expand(N * HEADS, S, S)
    for masks in (
        {"is_causal": True, "key_padding_mask": padding},
        {"attn_mask": added, "key_padding_mask": padding},
        {"attn_mask": wide, "key_padding_mask": slope.where(padding, -slope.inf, 0.0)},
        {"mask": slope.logical_not(causal), "key_padding_mask": padding},
        {"is_causal": True, "attn_mask": causal, "key_padding_mask": padding, "need_weights": True},
    ):
        options: dict[str, Any] = masks
        out = layer(x, **options)
        out = out[0] if isinstance(out, tuple) else out
        np.testing.assert_allclose(out.numpy(), expected.numpy(), atol=1e-5)


def test_a_causal_mask_leaves_the_learned_key_visible():
    layer = nn.MultiheadAttention(E, HEADS, add_bias_kv=True, key=slope.random.key(2))
    x = draw(N, S, E)
    hidden = np.repeat(np.triu(np.ones((1, S, S), bool), 1), N, 0)
    expected, _ = formula(layer, x, x, x, hidden)
    out = layer(slope.tensor(x), is_causal=True)
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-5)


def test_layouts_of_attention():
    layer = nn.MultiheadAttention(E, HEADS, key=slope.random.key(3))
    x = slope.tensor(draw(N, S, E))
    expected = layer(x, is_causal=True)
    single, weights = layer(x[0], is_causal=True, need_weights=True)
    np.testing.assert_allclose(single.numpy(), expected[0].numpy(), atol=1e-6)
    assert weights.shape == (S, S)
    layer.batch_first = False
    other = layer(x.transpose(0, 1), is_causal=True)
    np.testing.assert_allclose(other.transpose(0, 1).numpy(), expected.numpy(), atol=1e-6)


def test_grouped_heads_give_weights():
    layer = nn.MultiheadAttention(E, 4, num_kv_heads=2, key=slope.random.key(4))
    x = slope.tensor(draw(N, S, E))
    out, weights = layer(x, is_causal=True, need_weights=True, average_attn_weights=False)
    assert weights.shape == (N, 4, S, S)
    np.testing.assert_allclose(out.numpy(), layer(x, is_causal=True).numpy(), atol=1e-6)


@pytest.mark.parametrize("norm_first", [False, True])
def test_an_encoder_does_not_see_padding(norm_first):
    layer = nn.TransformerEncoderLayer(E, HEADS, 16, 0.0, norm_first=norm_first)
    model = nn.TransformerEncoder(layer, 2)
    x = draw(N, S, E)
    padding = slope.tensor(PADDING)
    run = slope.jit(lambda x: model(x, src_key_padding_mask=padding))
    other = np.where(PADDING[..., None], 99 * draw(N, S, E, seed=1), x)
    seen = ~PADDING
    np.testing.assert_allclose(
        run(slope.tensor(x)).numpy()[seen], run(slope.tensor(other)).numpy()[seen], atol=1e-5
    )
    short = model(slope.tensor(x[:1, :3]))
    np.testing.assert_allclose(run(slope.tensor(x)).numpy()[0, :3], short[0].numpy(), atol=1e-5)


def test_a_transformer_masks_both_its_sequences():
    model = nn.Transformer(E, HEADS, 1, 2, 16, 0.0, key=slope.random.key(5))
    src, tgt = slope.tensor(draw(N, S, E)), slope.tensor(draw(N, L, E, seed=1))
    first, second = model.decoder.layers[0], model.decoder.layers[1]
    assert not np.allclose(first.linear1.weight.numpy(), second.linear1.weight.numpy())
    padding = slope.tensor(PADDING)
    masks: dict[str, Any] = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding}
    out = model(src, tgt, **masks, tgt_is_causal=True)
    later = nn.Transformer.generate_square_subsequent_mask(L)
    np.testing.assert_allclose(
        model(src, tgt, tgt_mask=later, **masks).numpy(), out.numpy(), atol=1e-5
    )
    blocked = slope.where(padding[..., None], 50.0, src)
    np.testing.assert_allclose(
        model(blocked, tgt, **masks, tgt_is_causal=True).numpy(), out.numpy(), atol=1e-5
    )
    changed = tgt.at[:, 2].set(7.0)
    np.testing.assert_allclose(
        model(src, changed, **masks, tgt_is_causal=True)[:, :2].numpy(),
        out[:, :2].numpy(),
        atol=1e-5,
    )
    model = nn.Transformer(E, HEADS, 1, 1, 16, 0.0, batch_first=False)
    assert model(src.transpose(0, 1), tgt.transpose(0, 1)).shape == (L, N, E)


def test_masks_that_do_not_fit_are_refused():
    layer = nn.MultiheadAttention(E, HEADS)
    x = slope.tensor(draw(N, S, E))
    with pytest.raises(errors.ShapeError, match=r"attn_mask is \(l, s\) or \(n \* 2 heads, l, s\)"):
        layer(x, attn_mask=slope.ones(3, S, S))
    with pytest.raises(errors.ShapeError, match=r"key_padding_mask must be \(n, s\)"):
        layer(x, key_padding_mask=slope.ones(N, 1, S))
