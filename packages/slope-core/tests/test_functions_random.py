"""Keys, draws, the default generator and the scopes."""

import threading

import numpy as np
import pytest

import slope.eager  # noqa: F401  fills the executor
from slope import dtypes, errors
from slope import functions as fn
from slope.core.program import ProgramTrace, evaluate, trace_program
from slope.core.tensor import Tensor
from slope.core.trace import current_trace
from slope.core.types import TensorType
from slope.functions import generator, random
from slope.transforms.jvp import jvp_flat
from slope.transforms.vmap import vmap_flat

pytestmark = pytest.mark.usefixtures("on_numpy")


KEY = TensorType((2,), dtypes.uint32)


def test_threefry_on_ints_is_the_published_function():
    # Known answers of Threefry-2x32 with 20 rounds, from the authors' Random123 distribution.
    assert generator.encrypted((0, 0), 0, 0) == (0x6B200159, 0x99BA4EFE)
    assert generator.encrypted((0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF, 0xFFFFFFFF) == (
        0x1CB996FC,
        0xBB002BE7,
    )
    assert generator.encrypted((0x13198A2E, 0x03707344), 0x243F6A88, 0x85A308D3) == (
        0xC4923A9C,
        0x483DF7A0,
    )


def test_keys():
    key = random.key(5)
    assert key.type == KEY
    assert key.tolist() == [0, 5]
    assert random.key(-1).tolist() == [2**32 - 1] * 2
    assert random.key(fn.tensor(2**40 + 3)).tolist() == random.key(2**40 + 3).tolist() == [256, 3]
    assert random.split(key, 3).shape == (3, 2)
    assert len({tuple(row) for row in random.split(key, 100).tolist()}) == 100
    assert random.fold_in(key, 1).tolist() != random.fold_in(key, 2).tolist()
    assert random.fold_in(key, fn.tensor(1)).tolist() == random.fold_in(key, 1).tolist()


def test_the_generator_splits_as_split_does():
    source = generator.Generator(7)
    both = random.split(random.key(7)).tolist()
    assert source.draw().tolist() == both[1]
    assert source.key.tolist() == both[0]


def test_draws_repeat_from_the_key_in_every_way_of_running():
    key = random.key(3)
    for draw in (
        lambda k: random.bits(k, 5),
        lambda k: random.uniform(k, 2, 3),
        lambda k: random.uniform(k, (3,), dtype="float64"),
        lambda k: random.uniform(k, 4, dtype="float16"),
        lambda k: random.randint(k, (5,), -3, 9),
        lambda k: random.normal(k, 3),
        lambda k: random.normal(k, 4, dtype="float64"),
        lambda k: random.bernoulli(k, 0.3, (7,)),
        lambda k: random.bits(k, 3, dtype="uint8"),
        lambda k: random.bits(k, 3, dtype="uint64"),
    ):
        eager = draw(key)
        (traced,) = evaluate(trace_program(lambda k, draw=draw: [draw(k)], [KEY]).check(), [key])
        assert traced.type == eager.type
        assert traced.tolist() == eager.tolist() == draw(key).tolist()
        keys = random.split(key, 3)
        (batched,), _ = vmap_flat(lambda k, draw=draw: [draw(k)], [keys], [0], 3)
        assert batched.tolist() == [draw(each).tolist() for each in keys]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniforms(dtype):
    draws = random.uniform(random.key(0), 20001, dtype=dtype).numpy().astype(np.float64)
    assert draws.shape == (20001,)
    assert 0 <= draws.min() < 0.01
    assert 0.99 < draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.01
    assert abs(draws.var() - 1 / 12) < 0.005
    scaled = random.uniform(random.key(0), 1000, low=-2, high=3)
    assert -2 <= scaled.min().item() < -1.9
    assert 2.9 < scaled.max().item() <= 3


def test_normals():
    draws = random.normal(random.key(0), 40001).numpy().astype(np.float64)
    assert abs(draws.mean()) < 0.02
    assert abs(draws.std() - 1) < 0.02
    assert abs((draws**4).mean() - 3) < 0.15
    assert abs((np.abs(draws) < 1.959964).mean() - 0.95) < 0.005
    assert np.isfinite(draws).all()
    assert abs(np.corrcoef(draws[:20000], draws[20001:])[0, 1]) < 0.02


def test_integers_and_flags():
    draws = random.randint(random.key(0), (30000,), -2, 4).numpy()
    assert set(draws.tolist()) == {-2, -1, 0, 1, 2, 3}
    assert np.abs(np.bincount(draws + 2) / 30000 - 1 / 6).max() < 0.01
    assert random.randint(random.key(0), (4,), 0, 2, dtype="int8").dtype is dtypes.int8
    large = random.randint(random.key(0), (1000,), 0, 2**62).numpy()
    assert large.min() >= 0
    assert large.max() > 2**61
    assert (
        abs(random.bernoulli(random.key(1), 0.3, (20000,)).to("float32").mean().item() - 0.3) < 0.01
    )


def test_the_default_generator():
    fn.manual_seed(1)
    first, second = fn.rand(3), fn.rand(3)
    fn.manual_seed(1)
    assert fn.rand(3).tolist() == first.tolist() != second.tolist()
    assert fn.randn(2, 2).shape == fn.randn((2, 2)).shape == (2, 2)
    assert fn.randint(5, (3,)).shape == fn.randint(-1, 5, (3,)).shape == (3,)
    x = fn.zeros(2, 3, dtype="float64")
    assert fn.rand_like(x).type == fn.randn_like(x).type == x.type
    assert generator.Generator().key.tolist() != generator.Generator().key.tolist()
    source = generator.Generator(3)
    source.key = random.key(9)
    assert source.draw().tolist() == generator.Generator(9).draw().tolist()


def test_threads_draw_different_keys():
    source, keys = generator.Generator(0), []

    def work():
        with random.use_scope(source):
            keys.extend(tuple(random.current_scope().draw().tolist()) for _ in range(200))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 800


def test_a_jit_scope_draws_from_a_hidden_input():
    scopes = []

    def function():
        trace = current_trace()
        assert isinstance(trace, ProgramTrace)
        scope = random.JitScope(lambda: trace.new_input(KEY))
        scopes.append(scope)
        with random.use_scope(scope):
            assert not scope.used
            first, second = fn.rand(2), fn.rand(2)
            (third,), _ = jvp_flat(lambda x: [x * fn.rand(2)], [fn.ones(2)], [fn.ones(2)])
        assert scope.used
        return [first, second, third, scope.key]

    program = trace_program(function, []).check()
    assert program.input_types == (KEY,)
    fn.manual_seed(4)
    eager = [fn.rand(2).tolist() for _ in range(3)]
    outs = evaluate(program, [random.key(4)])
    assert [out.tolist() for out in outs[:3]] == eager
    assert outs[3].tolist() == fn.default_generator.key.tolist()
    assert random.current_scope() is fn.default_generator


def batched(randomness):
    class Around:
        def __init__(self, trace):
            self.scope = random.use_scope(random.BatchScope(trace, randomness))

        def __enter__(self):
            return self.scope.__enter__()

        def __exit__(self, *error):
            return self.scope.__exit__(*error)

    (a, b), dims = vmap_flat(
        lambda x: [x + fn.rand(2), x + fn.rand(2)], [fn.zeros(3)], [0], 3, around=Around
    )
    return [np.moveaxis(each.numpy(), at, 0) for each, at in zip((a, b), dims, strict=True)]


def test_a_batch_scope_draws_differently_alike_or_not_at_all():
    fn.manual_seed(0)
    a, b = batched("different")
    assert len(np.unique(np.concatenate([a, b]))) == 12
    a, b = batched("same")
    assert len(np.unique(a)) == len(np.unique(b)) == 2
    assert not np.array_equal(a, b)
    with pytest.raises(errors.RandomnessError, match="randomness='different'"):
        batched("error")


BAD = {
    "seed": (lambda: random.key(1.5), errors.ArgumentError, "the seed must be an int, not 1.5"),
    "seed tensor": (lambda: random.key(fn.ones(2)), errors.ArgumentError, r"float32\[2\]"),
    "manual": (
        lambda: fn.manual_seed("a"),
        errors.ArgumentError,
        "the seed must be an int, not 'a'",
    ),
    "key": (
        lambda: random.uniform(fn.ones(2), 3),
        errors.ArgumentError,
        r"random.uniform: key must be uint32\[2\]",
    ),
    "dtype": (
        lambda: random.normal(random.key(0), 3, dtype="int64"),
        errors.DTypeError,
        "must be floating-point, not int64",
    ),
    "bits": (
        lambda: random.bits(random.key(0), 3, dtype="int64"),
        errors.DTypeError,
        "uint8, uint16, uint32 or uint64",
    ),
    "empty range": (
        lambda: random.randint(random.key(0), (3,), 5, 5),
        errors.ArgumentError,
        "low=5 and high=5",
    ),
    "randint dtype": (
        lambda: random.randint(random.key(0), (3,), 0, 5, dtype="float32"),
        errors.DTypeError,
        "integer dtype",
    ),
    "randint": (lambda: fn.randint(5), errors.ArgumentError, r"\(high, size\)"),
    "bernoulli": (
        lambda: random.bernoulli(random.key(0), fn.ones(3), (2,)),
        errors.ShapeError,
        "do not broadcast",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_messages(name):
    call, kind, text = BAD[name]
    with pytest.raises(kind, match=text):
        call()


def test_draws_are_tensors():
    assert type(fn.rand(2)) is Tensor
