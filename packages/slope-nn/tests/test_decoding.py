"""What decoding needs: caches, shared rotations, sampling, models without initial draws."""

from __future__ import annotations

import numpy as np
import pytest

import slope
from slope import errors, nn


def ones(count: int) -> slope.Tensor:
    return slope.ones(1, 1, count, 2)


def test_a_cache_is_written_where_it_ends(backend):
    cache = nn.KVCache(1, 1, 5, 2)
    assert cache.length == 5
    extend = slope.jit(lambda cache, x: cache.extended(x, 2 * x))
    for count in (2, 1, 2):
        cache = extend(cache, ones(count) * (1 + cache.filled))
    assert cache.filled.item() == 5
    assert cache.keys[0, 0, :, 0].tolist() == [1, 1, 3, 4, 4]
    assert cache.values[0, 0, :, 1].tolist() == [2, 2, 6, 8, 8]


def test_a_cache_is_one_slice_in_the_program():
    lowered = slope.jit(lambda cache, x: cache.extended(x, x)).lower(
        nn.KVCache(1, 1, 5, 2), ones(1)
    )
    names = [instr.op.name for instr in lowered.program.instrs]
    assert names.count("dynamic_update_slice") == 2
    assert not any("scatter" in name for name in names)


@pytest.mark.usefixtures("on_numpy")
def test_a_full_cache_takes_no_more():
    cache = nn.KVCache(1, 1, 4, 2).extended(ones(3), ones(3))
    told = "2 positions do not fit into a cache of 4, of which 3 are filled; make one longer"
    with pytest.raises(errors.ArgumentError, match=told):
        cache.extended(ones(2), ones(2))


def test_layers_may_share_rotations(backend):
    rotary = nn.RotaryEmbedding(4, interleaved=True)
    layer = nn.MultiheadAttention(8, 2, rotary=rotary, key=slope.random.key(0))
    x = slope.random.normal(slope.random.key(1), (1, 3, 8))
    cos, sin = rotary.tables(3)
    assert cos.shape == sin.shape == (3, 2)
    np.testing.assert_allclose(cos.numpy() ** 2 + sin.numpy() ** 2, 1, atol=1e-6)
    shared = layer(x, is_causal=True, rotation=(cos, sin))
    np.testing.assert_allclose(shared.numpy(), layer(x, is_causal=True).numpy(), atol=1e-6)
    later = rotary(x[..., :4], tables=rotary.tables(3, 5))
    np.testing.assert_allclose(later.numpy(), rotary(x[..., :4], 5).numpy(), atol=1e-6)


@pytest.mark.usefixtures("on_numpy")
def test_a_rotation_needs_a_layer_that_turns():
    layer = nn.MultiheadAttention(8, 2)
    with pytest.raises(errors.ArgumentError, match="needs a layer made with rotary="):
        layer(slope.ones(1, 2, 8), rotation=(slope.ones(2, 2), slope.ones(2, 2)))


# --- sampling

LOGITS = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))


def drawn(count: int = 4000, **options) -> np.ndarray:
    """How often each of the four classes is drawn."""
    rows = slope.tensor(np.tile(LOGITS, (count, 1)))
    found = slope.jit(lambda key: nn.sample_logits(rows, key=key, **options))(slope.random.key(0))
    assert found.shape == (count,)
    assert found.dtype == slope.int64
    return np.bincount(found.numpy(), minlength=4) / count


def test_draws_follow_the_logits(backend):
    np.testing.assert_allclose(drawn(), [0.1, 0.5, 0.15, 0.25], atol=0.03)


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"top_k": 2}, [0, 2 / 3, 0, 1 / 3]),
        ({"top_k": 1}, [0, 1, 0, 0]),
        ({"top_p": 0.7}, [0, 2 / 3, 0, 1 / 3]),  # 0.5 is less than 0.7, so the next counts, too
        ({"top_p": 0.01}, [0, 1, 0, 0]),
        ({"top_p": 1.0}, [0.1, 0.5, 0.15, 0.25]),
        ({"top_k": 3, "top_p": 0.8}, [0, 2 / 3, 0, 1 / 3]),
        ({"temperature": 0.5}, np.array([1, 25, 2.25, 6.25]) / 34.5),
        ({"temperature": 0.5, "top_k": 2}, [0, 0.8, 0, 0.2]),
    ],
)
def test_only_likely_classes_are_drawn(options, expected):
    found = drawn(**options)
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert not found[np.asarray(expected) == 0].any()


def test_without_a_key_the_generator_draws(backend):
    rows = slope.tensor(np.tile(LOGITS, (2000, 1)))
    draw = slope.jit(lambda rows, heat: nn.sample_logits(rows, temperature=heat, top_k=3))
    slope.manual_seed(3)
    first, second = draw(rows, 1.0).numpy(), draw(rows, 1.0).numpy()
    slope.manual_seed(3)
    again = draw(rows, 1.0).numpy()
    assert draw(rows, 0.7).shape == (2000,)
    assert draw.compile_count == 1  # the temperature is an input
    assert (first == again).all()
    assert (first != second).any()
    shares = np.bincount(first, minlength=4) / 2000
    np.testing.assert_allclose(shares, np.array([0, 0.5, 0.15, 0.25]) / 0.9, atol=0.05)


def test_no_chance_takes_the_most_likely(backend):
    rows = slope.tensor(np.stack([LOGITS, LOGITS[::-1]])[None])
    for none in (None, 0, 0.0):
        assert nn.sample_logits(rows, temperature=none).tolist() == [[1, 2]]
    assert nn.sample_logits(rows[0, 0], temperature=None).item() == 1


@pytest.mark.usefixtures("on_numpy")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": -1.0}, "temperature must be at least 0"),
        ({"top_k": 0}, "top_k must be an int from 1 to 4, the number of classes, not 0"),
        ({"top_k": 5}, "top_k must be an int from 1 to 4"),
        ({"top_k": True}, "top_k must be an int"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, not 0.0"),
        ({"top_p": 1.5}, "top_p must be above 0"),
    ],
)
def test_settings_of_sampling_are_checked(options, told):
    with pytest.raises(errors.ArgumentError, match=told):
        nn.sample_logits(slope.tensor(LOGITS), **options)
    with pytest.raises(errors.ShapeError, match="and have none"):
        nn.sample_logits(slope.tensor(1.0))


# --- no initial draws


@pytest.mark.usefixtures("on_numpy")
def test_draws_may_be_skipped():
    slope.manual_seed(0)
    key = slope.default_generator.key
    with nn.init.skip():
        layers = [nn.Linear(3, 2), nn.Embedding(3, 2), nn.Conv2d(1, 2, 3)]
        attention = nn.MultiheadAttention(4, 2)
    assert slope.default_generator.key.tolist() == key.tolist()
    tensors = [each for layer in (*layers, attention) for each in layer.parameters()]
    assert not any(each.any().item() for each in tensors)
    assert nn.Linear(3, 2).weight.any().item()
