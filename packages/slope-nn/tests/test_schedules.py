"""Schedules: values against PyTorch's schedulers, inside jit, and in optimizers."""

import math

import numpy as np
import pytest

import slope
from slope import errors, nn

STEPS = range(24)


def cosine_with_restarts(t, base, period, factor, low):
    while t >= period:
        t, period = t - period, period * factor
    return low + (base - low) * (1 + math.cos(math.pi * t / period)) / 2


def one_cycle(t, peak, steps, rise):
    low, top = peak / 25, rise * steps - 1
    if t <= top:
        return peak + (low - peak) / 2 * (1 + math.cos(math.pi * t / top))
    part = (t - top) / (steps - 1 - top)
    return low / 1e4 + (peak - low / 1e4) / 2 * (1 + math.cos(math.pi * part))


def warm(t, n, base, after):
    return base * (t + 1) / n if t < n else after(t - n)


def half_cosine(t, base, steps, low=0.0):
    return low + (base - low) * (1 + math.cos(math.pi * min(t, steps) / steps)) / 2


CASES = [
    (nn.ConstantSchedule(0.3), lambda t: 0.3),
    (nn.StepSchedule(0.5, every=5, factor=0.2), lambda t: 0.5 * 0.2 ** (t // 5)),
    (
        nn.MultiStepSchedule(0.5, [3, 10, 11]),
        lambda t: 0.5 * 0.1 ** sum(t >= m for m in (3, 10, 11)),
    ),
    (nn.ExponentialSchedule(0.5, 0.9), lambda t: 0.5 * 0.9**t),
    (nn.LinearSchedule(0.1, 0.9, 8), lambda t: 0.1 + 0.8 * min(t, 8) / 8),
    (nn.PolynomialSchedule(0.5, 10, power=2.0), lambda t: 0.5 * (1 - min(t, 10) / 10) ** 2),
    (nn.CosineSchedule(0.5, 12, end=0.1), lambda t: half_cosine(t, 0.5, 12, 0.1)),
    (
        nn.CosineSchedule(0.5, 12, warmup=5),
        lambda t: warm(t, 5, 0.5, lambda late: half_cosine(late, 0.5, 12)),
    ),
    (
        nn.CosineSchedule(0.5, 5, end=0.1, restart_factor=1),
        lambda t: cosine_with_restarts(t, 0.5, 5, 1, 0.1),
    ),
    (nn.CosineSchedule(0.5, 3, restart_factor=2), lambda t: cosine_with_restarts(t, 0.5, 3, 2, 0)),
    (nn.OneCycleSchedule(0.5, 24), lambda t: one_cycle(t, 0.5, 24, 0.3)),
    (
        nn.OneCycleSchedule(0.5, 24, 0.25, anneal_strategy="linear", three_phase=True),
        lambda t: np.interp(t, [0, 5, 10, 23], [0.02, 0.5, 0.02, 2e-6]),
    ),
    (nn.LambdaSchedule(0.5, lambda t: 1 / (1 + t)), lambda t: 0.5 / (1 + t)),
    (
        nn.MultiplicativeSchedule(0.5, lambda t: 1 - 0.5 / t),
        lambda t: 0.5 * np.prod([1 - 0.5 / n for n in range(1, t + 1)]),
    ),
    (
        nn.CyclicSchedule(0.1, 0.9, up=3, down=5),
        lambda t: np.interp(t % 8, [0, 3, 8], [0.1, 0.9, 0.1]),
    ),
    (
        nn.CyclicSchedule(0.1, 0.9, up=4, mode="triangular2"),
        lambda t: 0.1 + np.interp(t % 8, [0, 4, 8], [0, 0.8, 0]) / 2 ** (t // 8),
    ),
    (
        nn.CyclicSchedule(0.1, 0.9, up=4, mode="exp_range", factor=0.9),
        lambda t: 0.1 + np.interp(t % 8, [0, 4, 8], [0, 0.8, 0]) * 0.9**t,
    ),
    (
        nn.SequentialSchedule(
            [nn.ConstantSchedule(0.1), nn.ExponentialSchedule(0.5, 0.9), nn.ConstantSchedule(0.3)],
            [4, 15],
        ),
        lambda t: 0.1 if t < 4 else 0.5 * 0.9 ** (t - 4) if t < 15 else 0.3,
    ),
    (
        nn.ChainedSchedule([nn.ExponentialSchedule(0.5, 0.9), nn.LinearSchedule(0.2, 1.0, 8)]),
        lambda t: 0.5 * 0.9**t * (0.2 + 0.1 * min(t, 8)),
    ),
    (
        nn.WarmupSchedule(4, nn.ExponentialSchedule(0.5, 0.9)),
        lambda t: warm(t, 4, 0.5, lambda late: 0.5 * 0.9**late),
    ),
]


@pytest.mark.parametrize(("schedule", "formula"), CASES, ids=lambda case: type(case).__name__)
@pytest.mark.usefixtures("on_numpy")
def test_values_with_ints_and_with_a_traced_counter(schedule, formula):
    expected = [formula(t) for t in STEPS]
    traced = slope.jit(lambda s, t: s(t) * 1.0)
    values = [traced(schedule, t).item() for t in STEPS]
    np.testing.assert_allclose(values, expected, rtol=2e-5, atol=1e-6)
    assert traced.compile_count == 1
    eager = [float(schedule(t)) for t in STEPS]
    np.testing.assert_allclose(eager, expected, rtol=2e-5, atol=1e-6)


def test_restarts_hit_their_steps_far_out(on_numpy):
    schedule = slope.jit(nn.CosineSchedule(1.0, 10, restart_factor=2))
    for restart in (10, 30, 70, 150, 310, 630, 1270, 10 * (2**14 - 1)):
        assert schedule(restart).item() == pytest.approx(1.0, abs=1e-4)
        assert schedule(restart - 1).item() < 0.03


@pytest.mark.usefixtures("on_numpy")
def test_an_optimizer_takes_a_schedule_in_one_program():
    params = {"p": slope.tensor([1.0])}
    schedule = nn.LinearSchedule(0.4, 0.0, 4)
    optimizer = nn.SGD(params, lr=schedule)
    step = slope.jit(lambda p, o: o(p, {"p": slope.ones(1)}))
    path = []
    for _ in range(6):
        params, optimizer = step(params, optimizer)
        path.append(params["p"].item())
    np.testing.assert_allclose(path, 1 - np.cumsum([0.4, 0.3, 0.2, 0.1, 0, 0]), atol=1e-6)
    assert step.compile_count == 1
    late = nn.SGD(params, lr=0.1)
    late.lr = schedule
    with pytest.raises(errors.ArgumentError, match=r"Set optimizer\.steps"):
        late(params, {"p": slope.ones(1)})
    late.steps = 2
    np.testing.assert_allclose(late(params, {"p": slope.ones(1)})[0]["p"].item(), path[-1] - 0.2)


@pytest.mark.usefixtures("on_numpy")
def test_a_group_takes_a_schedule():
    params = {"p": slope.tensor([1.0]), "q": slope.tensor([1.0])}
    groups = [({"p": False, "q": True}, {"lr": nn.LinearSchedule(0.4, 0.0, 4)})]
    optimizer = nn.SGD(params, lr=0.1, groups=groups)
    ones = slope.tree_map(slope.ones_like, params)
    for _ in range(2):
        params, optimizer = optimizer(params, ones)
    assert params["p"].item() == pytest.approx(0.8)
    assert params["q"].item() == pytest.approx(0.3)


def test_reduce_on_plateau():
    plateau = nn.ReduceOnPlateau(1.0, factor=0.5, patience=1, cooldown=1, least=0.2)
    values = [plateau(m) for m in (3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0)]
    expected = [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]
    assert values == expected
    again = nn.ReduceOnPlateau(1.0, factor=0.5, patience=1, cooldown=1, least=0.2)
    again.load(plateau.state())
    assert again(0.1) == 0.2
    up = nn.ReduceOnPlateau(1.0, patience=0, mode="max")
    assert [up(m) for m in (1.0, 2.0, 1.5)] == [1.0, 1.0, 0.1]
    absolute = nn.ReduceOnPlateau(1.0, patience=0, threshold=0.5, threshold_mode="abs")
    assert [absolute(m) for m in (10.0, 9.4, 9.0)] == [1.0, 1.0, 0.1]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: nn.StepSchedule(1.0, every=0), "every must be an int of at least 1, not 0"),
        (lambda: nn.MultiStepSchedule(1.0, [5, 2]), "milestones must be rising"),
        (lambda: nn.CosineSchedule(1.0, 10, warmup=-1), "warmup must be an int of at least 0"),
        (lambda: nn.CosineSchedule(1.0, 10, restart_factor=1.5), "restart_factor must be an int"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda: nn.WarmupSchedule(3, 0.1), "after must be a schedule, not 0.1"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda: nn.LambdaSchedule(0.1, 0.9), "function must be a function of the step, not 0.9"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda: nn.CyclicSchedule(0.1, 0.9, mode="sine"), "mode must be 'triangular', 'tri"),
        (lambda: nn.OneCycleSchedule(0.1, 9, anneal_strategy="sine"), "must be 'cos' or 'linear'"),
        (lambda: nn.ChainedSchedule([0.1]), "ChainedSchedule: schedules must hold schedules"),  # pyright: ignore[reportArgumentType]  # on purpose
        (lambda: nn.ChainedSchedule([]), "there must be at least one schedule"),
        (
            lambda: nn.SequentialSchedule([nn.ConstantSchedule(0.1)] * 3, [4, 4]),
            r"3 schedules need 2 rising milestones, not \[4, 4\]",
        ),
        (lambda: nn.ReduceOnPlateau(1.0, factor=2.0), "factor must be between 0 and 1"),
        (lambda: nn.ReduceOnPlateau(1.0, threshold_mode="up"), "must be 'rel' or 'abs', not 'up'"),
        (lambda: nn.ReduceOnPlateau(1.0, mode="up"), "mode must be 'min' or 'max'"),
    ],
)
def test_bad_settings_are_refused(make, told):
    with pytest.raises(errors.ArgumentError, match=told):
        make()
