"""Modules' extras: filters, casts, summaries, lost assignments; metrics; the training loop."""

import gc
import io
import re
import warnings
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


def net():
    slope.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def test_filters_freeze_parts():
    model: Any = net()
    model.freeze(lambda name, tensor: name.endswith("bias"))
    grads = slope.grad(lambda m: m.eval()(slope.ones(1, 3)).sum())(model)
    assert grads[0].bias is None
    assert grads[1].bias is None
    assert grads[0].weight is not None
    model.unfreeze(lambda name, tensor: name.startswith("0."))
    assert slope.grad(lambda m: m.eval()(slope.ones(1, 3)).sum())(model)[0].bias is not None

    class Pair(nn.Module):
        def __init__(self):
            self.both = [slope.ones(1), slope.ones(1)]

    with pytest.raises(errors.ArgumentError, match="selects only a part of 'both'"):
        Pair().freeze(lambda name, tensor: name == "both.0")


def test_casts_and_apply():
    model: Any = net()
    half = model.astype(slope.bfloat16)
    assert {each.dtype for each in half.parameters()} == {slope.bfloat16}
    assert model[0].weight.dtype is slope.float32
    assert half.to("cpu:0")[0].weight.shape == (4, 3)
    seen = []
    assert model.apply(lambda module: seen.append(type(module).__name__)) is model
    assert seen == ["Linear", "ReLU", "BatchNorm1d", "Linear", "Sequential"]


def test_summary():
    model: Any = net()
    model[0].freeze()
    summary = model.summary(slope.ones(8, 3))
    assert [row.name for row in summary.rows] == ["", "0", "1", "2", "3"]
    linear = summary.rows[1]
    assert (linear.kind, linear.output, linear.parameters) == ("Linear", ((8, 4),), 16)
    assert linear.flops >= 2 * 8 * 3 * 4
    assert summary.rows[0].flops > summary.rows[1].flops + summary.rows[4].flops
    assert (summary.parameters, summary.trainable) == (16 + 8 + 10, 18)
    text = str(summary)
    assert "34 parameters, 18 of them trainable" in text
    assert "(8, 4)" in text
    rich = pytest.importorskip("rich.console")
    console = rich.Console(width=100, record=True, file=io.StringIO())
    console.print(summary)
    assert "Linear" in console.export_text()
    assert model(slope.ones(2, 3)).shape == (2, 2)  # the classes are as before


def test_a_lost_assignment_is_reported_once():
    class Counter(nn.Module):
        def __init__(self):
            self.count = nn.Buffer(slope.zeros(()))

        def __call__(self, x):
            self.count = self.count + 1.0  # the line that is named
            return x * 2

    def loses(model, x):
        return model(x).sum()

    def keeps(model, x):
        return model(x).sum(), model

    model = Counter()
    with pytest.warns(nn.LostAssignmentWarning, match=r"Counter\.count was assigned at .*test_ext"):
        slope.jit(loses)(model, slope.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        slope.jit(loses)(model, slope.ones(3))  # told already
        _, new = slope.jit(keeps)(model, slope.ones(4))
        (_, again), _ = slope.value_and_grad(lambda x, m: keeps(m, x), has_aux=True)(
            slope.ones(4), new
        )
        model(slope.ones(2))  # outside of transforms, modules are plain objects
        gc.collect()
    assert again.count.item() == 2
    assert model.count.item() == 1


def test_a_known_value_that_an_eager_gradient_loses_is_reported():
    class Seen(nn.Module):
        def __init__(self):
            self.weight = slope.ones(2)
            self.last = nn.Buffer(slope.zeros(2))

        def __call__(self, x):
            self.last = x  # not traced: the gradient is with respect to the model
            return x * self.weight

    x = slope.ones(2)
    with pytest.warns(nn.LostAssignmentWarning, match=r"Seen\.last was assigned at .*test_ext"):
        slope.grad(lambda model: model(x).sum())(Seen())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, model = slope.grad(lambda m: (m(2 * x).sum(), m), has_aux=True)(Seen())
        gc.collect()
    assert model.last.tolist() == [2.0, 2.0]


def test_metrics():
    logits = slope.tensor([[0.1, 0.9, 0.0], [0.8, 0.1, 0.7], [0.2, 0.2, 0.2], [0.0, 0.1, 0.3]])
    target = slope.tensor([1, 2, 1, 0])
    assert nn.metrics.accuracy(logits, target).item() == 0.25
    found = [nn.metrics.topk_accuracy(logits, target, k).item() for k in (1, 2, 3)]
    assert found == [0.25, 0.75, 1.0]
    with pytest.raises(errors.ArgumentError, match="k must be a positive int"):
        nn.metrics.topk_accuracy(logits, target, 0)
    matrix = nn.metrics.confusion_matrix(slope.tensor([0, 1, 1, 2]), slope.tensor([0, 1, 2, 2]), 3)
    np.testing.assert_array_equal(matrix.numpy(), [[1, 0, 0], [0, 1, 0], [0, 1, 1]])
    assert nn.metrics.perplexity(slope.log(slope.tensor(8.0))).item() == pytest.approx(8)
    mean = nn.metrics.Mean()
    assert np.isnan(mean.value)
    update = slope.jit(lambda mean, value: mean.update(value, 2.0))
    for value in (1.0, 2.0, 6.0):
        mean = update(mean, value)
    assert mean.value.item() == pytest.approx(3.0)
    assert update.compile_count == 1


def batches(count=40):
    random = np.random.default_rng(0)
    for _ in range(count):
        x = random.standard_normal((16, 3)).astype(np.float32)
        yield x, (x[:, 0] > 0).astype(np.int64)


def loss_of(model, x, y):
    return slope.cross_entropy(model(x), y)


def test_fit_trains_resumes_and_draws(tmp_path):
    def train(steps, **options):
        model: Any = net()
        optimizer = nn.AdamW(model, lr=0.05)
        return nn.fit(
            model, optimizer, loss_of, batches(), steps=steps, every=10, progress=False, **options
        )

    seen: list[int] = []
    whole = train(
        40,
        evaluate=lambda m: loss_of(m, *next(batches(1))).item(),
        plot=tmp_path / "loss.png",
        callbacks=[lambda state: seen.append(state.step)],
    )
    assert whole.step == 40
    assert seen == list(range(1, 41))
    assert np.mean(whole.losses[-5:]) < 0.6 * np.mean(whole.losses[:5])
    assert [step for step, _ in whole.evaluations] == [10, 20, 30, 40]
    assert whole.model.training
    assert not np.array_equal(whole.model[1].running_mean.numpy(), np.zeros(4))
    assert (tmp_path / "loss.png").read_bytes()[:4] == b"\x89PNG"
    train(25, checkpoint=tmp_path / "checkpoint")
    resumed = train(40, checkpoint=tmp_path / "checkpoint")
    assert resumed.losses == whole.losses


def test_fit_resumes_where_batches_stand(tmp_path):
    passed = []

    def train(steps=None, **options):
        x = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32)
        y = (x[:, 0] > 0).astype(np.int64)

        def noted(batch, key):
            passed.append(batch)
            return batch

        rows = nn.data.Batches((x, y), 8, key=1, transform=noted, prefetch=2)
        model: Any = net()
        optimizer = nn.AdamW(model, lr=0.05)
        return nn.fit(
            model, optimizer, loss_of, rows.until(4), steps=steps, progress=False, **options
        )

    whole = train()
    assert whole.step == len(passed) == 12
    train(5, checkpoint=tmp_path / "checkpoint")
    passed.clear()
    resumed = train(checkpoint=tmp_path / "checkpoint")
    assert resumed.losses == whole.losses
    assert len(passed) == 7  # none was made to be passed over
    assert train(checkpoint=tmp_path / "checkpoint").losses == whole.losses


def test_fit_keeps_evaluations_and_stops_when_asked(tmp_path):
    def train(steps, **options):
        model: Any = net()
        return nn.fit(
            model,
            nn.SGD(model, lr=0.1),
            loss_of,
            batches(),
            steps=steps,
            every=5,
            progress=False,
            evaluate=lambda m: {"loss": loss_of(m, *next(batches(1)))},
            checkpoint=tmp_path / "checkpoint",
            **options,
        )

    def early(state):
        state.stop = state.step == 7

    stopped = train(40, callbacks=[early])
    assert stopped.step == 7
    resumed = train(12)
    assert [step for step, _ in resumed.evaluations] == [5, 7, 10, 12]
    assert slope.equal(resumed.evaluations[1][1]["loss"], stopped.evaluations[1][1]["loss"])


def test_fit_saves_what_was_done_when_it_is_interrupted(tmp_path):
    def interrupt(state):
        if state.step == 3:
            raise KeyboardInterrupt

    model: Any = net()
    arguments = (model, nn.SGD(model, 0.1), loss_of, batches())
    with pytest.raises(KeyboardInterrupt):
        nn.fit(*arguments, progress=False, checkpoint=tmp_path / "saved", callbacks=[interrupt])
    assert nn.load(tmp_path / "saved")["step"] == 3


def test_fit_stops_at_a_loss_that_is_not_finite():
    model: Any = net()

    def bad(model, x, y):
        return loss_of(model, x, y) / (x[0, 0] != 9.0).astype(slope.float32)

    def poisoned():
        for place, (x, y) in enumerate(batches(5)):
            if place == 3:
                x[0, 0] = 9.0
            yield x, y

    with pytest.raises(nn.NaNLossError, match="the loss is inf at step 3") as told:
        nn.fit(model, nn.SGD(model, 0.1), bad, poisoned(), progress=False)
    assert re.search("operator 'div' gave inf at .*test_extras.* in bad", str(told.value))
    assert isinstance(told.value.__cause__, errors.NaNError)
    with (
        slope.debug_nans(inf=True),
        pytest.raises(nn.NaNLossError, match=r"^at step 3: .*'div' gave inf"),
    ):
        nn.fit(model, nn.SGD(model, 0.1), bad, poisoned(), progress=False)
    assert told.value.step == 3
    assert all(np.isfinite(each.numpy()).all() for each in told.value.state.model.parameters())


# --- fit and metrics refuse early what they could not do in the end


loose: Any = nn  # so that type checkers let lists and arrays pass
LABELS = np.array([0, 1, 1, 7])
POINTS = np.ones((4, 3), np.float32)


def _fit(**options):
    model = nn.Linear(3, 2)
    batches = nn.data.Batches((POINTS, LABELS % 2), 2).until(1)
    return nn.fit(
        model,
        nn.SGD(model, lr=0.1),
        lambda model, x, y: slope.cross_entropy(model(x), y),
        options.pop("batches", batches),
        **{"progress": False, **options},
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"every": 0}, "fit: every must be an int of at least 1, not 0"),
        ({"steps": -1}, "fit: steps must be an int of at least 0, not -1"),
        ({"callbacks": 3}, "fit: callbacks must be a sequence, not 3"),
        ({"plot": 3}, "fit: the path must be text or a path, not 3"),
    ],
)
def test_fit_refuses(options, told):
    with pytest.raises(errors.ArgumentError, match=told):
        _fit(**options)


@pytest.mark.parametrize("option", ["plot", "checkpoint"])
def test_fit_looks_for_the_folders_before_it_trains(option, tmp_path):
    done: list[int] = []
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*nowhere to write into"):
        _fit(**{option: tmp_path / "nowhere" / "x"}, callbacks=[lambda s: done.append(s.step)])
    assert done == []


def test_fit_names_a_label_that_is_no_class():
    with pytest.raises(nn.NaNLossError, match=r"at step 0: cross_entropy: target\[3\] is 7, and x"):
        _fit(batches=[(POINTS, LABELS)])


def test_batches_until_a_negative_epoch():
    with pytest.raises(errors.ArgumentError, match=r"Batches\.until: epochs must be an int"):
        nn.data.Batches((POINTS,), 2).until(-1)


@pytest.mark.parametrize("target", [slope.zeros(4, 1), slope.zeros(3), slope.zeros(4, 3)])
def test_metrics_do_not_broadcast(target):
    for metric in (nn.metrics.accuracy, lambda x, y: nn.metrics.topk_accuracy(x, y, 1)):
        with pytest.raises(
            errors.ShapeError, match=r"logits are \(\.\.\., classes\) and target is"
        ):
            metric(slope.ones(4, 3), target)


def test_confusion_matrix_refuses_classes_that_there_are_not():
    with pytest.raises(errors.IndexingError, match="prediction goes from 0 to 5, and num_cl"):
        loose.metrics.confusion_matrix([0, 5], [0, 1], 3)
    with pytest.raises(errors.ShapeError, match="must be of one shape"):
        loose.metrics.confusion_matrix([0, 1], [[0, 1]], 3)


def test_layers_take_numpy_arrays():
    x = np.ones((5, 2, 3), np.float32)
    for layer, given in (
        (loose.GRU(3, 4), x), (loose.BatchNorm1d(2), x), (loose.LSTMCell(3, 4), x[0]),
        (loose.MultiheadAttention(3, 1), x), (loose.Linear(3, 2), x),
    ):  # fmt: skip
        wanted, found = (slope.tree_leaves(layer(each)) for each in (slope.tensor(given), given))
        for want, got in zip(wanted, found, strict=True):
            np.testing.assert_array_equal(got.numpy(), want.numpy())
