"""Arguments that come again and again are read by code for their structure.

Whatever changes between two calls, the call must see: each test calls until a reader is at work,
changes one thing in place, and compares with what the function gives outside of `jit`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn
from slope.api._reader import reader

CALLS = 20  # more than a reader waits for


@pytest.fixture(autouse=True)
def _on_numpy() -> Any:
    with slope.use_backend("numpy"):  # which compiles at once
        yield


Pair = namedtuple("Pair", "a b")  # noqa: PYI024  # the untyped kind users write


class Marked:
    """A node that somebody registers."""

    def __init__(self, value: Any, label: Any) -> None:
        self.value = value
        self.label = label


slope.register_node(
    Marked, lambda node: ((node.value,), node.label), lambda label, kids: Marked(kids[0], label)
)


class Model(nn.Module):
    """Every kind of field."""

    def __init__(self) -> None:
        self.first = nn.Linear(3, 3)
        self.layers = [nn.Linear(3, 3), nn.Linear(3, 3, bias=False)]
        self.named = {"norm": nn.LayerNorm(3), "act": nn.Dropout(0.5)}
        self.scale = slope.ones(3)
        self.shift = nn.Buffer(slope.zeros(3))
        self.several = (slope.ones(3), slope.ones(3))
        self.extra = slope.ones(3)
        self.factor = 2.0
        self.table = [1.0, 2.0]  # static, and can change in place

    def __call__(self, x: Any) -> Any:
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        for name in sorted(self.named):
            x = self.named[name](x)
        for each in self.several:
            x = x * each
        if self.extra is not None:
            x = x + self.extra
        return x * self.scale * self.factor + self.shift + sum(self.table)


def called(model: Any, x: Any) -> Any:
    return model(x)


def watched(*args: Any, function: Any = called) -> Any:
    """A compiled function whose calls with such arguments are read."""
    compiled = slope.jit(function)
    for _ in range(CALLS):
        compiled(*args)
    assert compiled._readers, "no reader was made"
    return compiled


def assert_same(compiled: Any, *args: Any) -> None:
    np.testing.assert_allclose(
        compiled(*args).numpy(), compiled.function(*args).numpy(), rtol=1e-5, atol=1e-6
    )


def fresh() -> tuple[Any, Any]:
    slope.manual_seed(0)
    return Model().eval(), slope.tensor([[0.5, -1.0, 2.0]])


def _another_linear(model: Any) -> None:
    model.layers[0] = nn.Linear(3, 3)


def _swap(model: Any) -> None:
    model.layers[0], model.layers[1] = model.layers[1], model.layers[0]


def _new_tensor_deep(model: Any) -> None:
    model.layers[1].weight = model.layers[1].weight * 2


def _load(model: Any) -> None:
    state = {name: value * 1.5 for name, value in model.state_dict().items()}
    model.load_state_dict(state)


CHANGES = {
    "a tensor is assigned": lambda m: setattr(m, "scale", slope.tensor([1.0, 2.0, 3.0])),
    "a tensor deep inside is assigned": _new_tensor_deep,
    "a buffer is assigned": lambda m: setattr(m, "shift", slope.tensor([1.0, 2.0, 3.0])),
    "a tensor becomes None": lambda m: setattr(m, "extra", None),
    "a bias becomes None": lambda m: setattr(m.first, "bias", None),
    "a tensor becomes static": lambda m: setattr(m, "scale", 3.0),
    "a static number changes": lambda m: setattr(m, "factor", 5.0),
    "its type alone changes": lambda m: setattr(m, "factor", 2),
    "a static list changes in place": lambda m: m.table.append(7.0),
    "a list of modules grows": lambda m: m.layers.append(nn.Linear(3, 3)),
    "a list of modules shrinks": lambda m: m.layers.pop(),
    "an item of a list is replaced": _another_linear,
    "items of a list change places": _swap,
    "a list becomes a tuple": lambda m: setattr(m, "layers", tuple(m.layers)),
    "a dict gets a key": lambda m: m.named.update(more=nn.Linear(3, 3)),
    "a key of a dict is renamed": lambda m: m.named.update(zzz=m.named.pop("act")),
    "a module of a dict is of another class": lambda m: m.named.update(norm=nn.RMSNorm(3)),
    "a child is of another class": lambda m: setattr(m, "first", nn.LayerNorm(3)),
    "a child is a tree of modules": lambda m: setattr(m, "first", nn.Sequential(m.first)),
    "a tuple of tensors is longer": lambda m: setattr(m, "several", (slope.ones(3) * 3,) * 3),
    "training": lambda m: m.train(),
    "a part is in training": lambda m: m.named["act"].train(),
    "a static field deep inside": lambda m: setattr(m.named["norm"], "eps", 0.5),
    "loaded": _load,
    "a field is written past __setattr__": lambda m: m.__dict__.update(scale=slope.ones(3) * 9),
    "a tie": lambda m: m.tie("layers.0.weight", "first.weight"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_module_is_seen(change: str) -> None:
    model, x = fresh()
    compiled = watched(model, x)
    assert_same(compiled, model, x)
    CHANGES[change](model)
    slope.manual_seed(1)
    got = compiled(model, x)
    slope.manual_seed(1)
    np.testing.assert_allclose(got.numpy(), model(x).numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("change", CHANGES)
def test_a_reader_gives_what_the_general_walk_gives_or_nothing(change: str) -> None:
    model, _ = fresh()
    structure = slope.tree_structure(model)
    read = reader(model)
    assert read(model) is not None
    CHANGES[change](model)
    leaves, changed = slope.tree_flatten(model)
    found = read(model)
    if found is None or not all(map(_is_leaf, found)):  # calls then walk, too
        assert changed != structure
    else:
        assert len(found) == len(leaves)
        assert all(one is other for one, other in zip(found, leaves, strict=True))


def test_frozen_parameters_get_no_gradient() -> None:
    model, x = fresh()
    compiled = watched(model, x, function=slope.grad(lambda model, x: model(x).sum()))
    assert compiled(model, x).first.weight is not None
    model.first.freeze()
    assert compiled(model, x).first.weight is None
    model.unfreeze()
    assert compiled(model, x).first.weight is not None


def test_a_bound_module_is_read() -> None:
    model, x = fresh()
    compiled = slope.jit(model)
    for _ in range(CALLS):
        compiled(x)
    model.factor = 7.0
    np.testing.assert_allclose(compiled(x).numpy(), model(x).numpy(), rtol=1e-5)


def test_tied_tensors_are_checked_at_each_call() -> None:
    model, x = fresh()
    model.tie("layers.0.weight", "first.weight")
    compiled = watched(model, x)
    assert_same(compiled, model, x)
    model.first.weight = model.first.weight * 2
    with pytest.raises(errors.TreeError, match=r"ties 'layers\.0\.weight'"):
        compiled(model, x)
    model.tie("layers.0.weight", "first.weight")
    assert_same(compiled, model, x)


def total(tree: Any) -> Any:
    return sum((leaf.sum() for leaf in slope.tree_leaves(tree)), slope.tensor(0.0))


A, B, C = slope.tensor([1.0, 2.0]), slope.tensor([3.0]), slope.tensor([[5.0]])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([A, B], [A, B, C]),
        ([A, B], [A]),
        ([A, B], (A, B)),
        ([A, B], [A, [B]]),
        ([A, B], [A, None]),
        ([A, None], [A, B]),
        ((A, (B, C)), ((A, B), C)),
        ({"a": A, "b": B}, {"a": A, "c": B}),
        ({"a": A, "b": B}, {"b": A, "a": C}),
        ({"a": A}, {"a": A, "b": B}),
        ({"a": A, "b": [B]}, {"a": [A], "b": B}),
        ({1: A, 2: B}, {2: A, 1: B}),
        (Pair(A, B), (A, B)),
        ((A, B), Pair(A, B)),
        (Pair(A, [B]), Pair([A], B)),
        (Marked(A, "x"), Marked(A, "y")),
        (Marked(A, "x"), Marked([A], "x")),
        (Marked(A, ("x", [1])), Marked(A, ("x", [1.0]))),
        (Marked(A, 1), Marked(A, True)),
        ([], [A]),
        ({}, {"a": A}),
        ([A, []], [A, ()]),
    ],
)
def test_another_structure_is_no_longer_read(before: Any, after: Any) -> None:
    read = reader(before)
    assert [id(leaf) for leaf in read(before)] == [id(leaf) for leaf in slope.tree_leaves(before)]
    found = read(after)
    same = slope.tree_structure(before) == slope.tree_structure(after)
    if found is not None and not same:  # then something that is no leaf stands among the leaves
        assert len(found) == len(slope.tree_leaves(before))
        assert not all(map(_is_leaf, found))
    compiled = slope.jit(total)
    for _ in range(CALLS):
        compiled(before)
    assert compiled(after).item() == total(after).item()
    assert compiled(before).item() == total(before).item()
    assert compiled.compile_count == (1 if same and _types(before) == _types(after) else 2)


def _is_leaf(value: Any) -> bool:
    return slope.tree_structure(value).is_leaf()


def _types(tree: Any) -> list[Any]:
    return [leaf.type for leaf in slope.tree_leaves(tree)]


@pytest.mark.parametrize(
    "rare", [OrderedDict(a=A, b=B), defaultdict(list, a=[A]), {"in": OrderedDict(a=A)}]
)
def test_rare_containers_take_the_general_walk(rare: Any) -> None:
    assert reader(rare)(rare) is None
    compiled = slope.jit(total)
    for _ in range(CALLS):
        assert compiled(rare).item() == total(rare).item()


@pytest.mark.parametrize(
    ("before", "after", "programs"),
    [
        (1.0, 2.0, 1),
        (1.0, 2, 2),
        (1, True, 2),
        (True, False, 2),
        ("a", "b", 2),
        (np.ones(2, np.float32), np.zeros(2, np.float32), 1),
        (np.ones(2, np.float32), np.zeros(2), 2),
        (np.ones(2, np.float32), slope.zeros(2), 2),
        (np.ones(2, np.float32), 3.0, 2),
        (np.float32(2), 3.0, 1),
        (A, A * 2, 1),
        (A, B, 2),
        (A, slope.full((2,), 4.0), 1),
        (None, 1.0, 2),
    ],
)
def test_leaves_of_every_kind(before: Any, after: Any, programs: int) -> None:
    def function(tree: Any) -> Any:
        (leaf,) = tree
        return {"leaf": leaf, "sum": 0 if leaf is None or isinstance(leaf, str) else leaf + A}

    compiled = slope.jit(function)
    for given in (*[before] * CALLS, after, before, after):
        got, wanted = compiled([given]), function([given])
        for one, other in zip(slope.tree_leaves(got), slope.tree_leaves(wanted), strict=True):
            assert np.array_equal(np.asarray(one), np.asarray(other))
    assert compiled.compile_count == programs


def test_a_node_that_looks_like_a_leaf() -> None:
    class Real(float):
        inner: Any

    real = Real(2.0)
    real.inner = A
    compiled = slope.jit(first)
    for _ in range(CALLS):
        compiled([1.5])
    slope.register_node(
        Real, lambda node: ((node.inner,), None), lambda _, children: children[0] * 1
    )
    assert compiled([real]).tolist() == [1.0, 2.0]
    assert compiled.compile_count == 2


def first(given: Any) -> Any:
    return given[0] + slope.zeros(2)


@pytest.mark.parametrize("kind", [bool, int, float, str, np.ndarray])
def test_classes_of_leaves_are_no_nodes(kind: type) -> None:
    with pytest.raises(errors.TreeError, match=f"a {kind.__name__} is a leaf"):
        slope.register_node(kind, lambda node: ((), None), lambda _, children: kind())


def test_several_structures_in_turn() -> None:
    compiled = slope.jit(total)
    trees = [[A] * number for number in range(1, 9)]  # more than are tried
    for _ in range(3 * CALLS):
        for tree in trees:
            assert compiled(tree).item() == 3.0 * len(tree)
    assert compiled.compile_count == len(trees)


def test_backends_and_static_arguments_keep_apart() -> None:
    compiled = slope.jit(lambda x, power: x**power, static_argnames=("power",))
    for power in (2, 3) * CALLS:
        assert compiled(A, power=power).tolist() == [1.0, 2.0**power]
    assert compiled.compile_count == 2
    with slope.use_backend("numpy"):
        numpy = compiled(A, power=2)
    assert numpy.tolist() == [1.0, 4.0]


def test_under_other_transforms() -> None:
    compiled = watched([A, B], function=total)
    assert slope.grad(compiled)([A, B])[0].tolist() == [1.0, 1.0]
    assert slope.vmap(compiled)([A, A]).tolist() == [2.0, 4.0]


def test_assignments_are_lost_no_more_once_the_module_is_read() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            self.count = nn.Buffer(slope.tensor(0.0))

        def __call__(self, x: Any) -> Any:
            self.count = self.count + 1
            return x * self.count

    def step(model: Any, x: Any) -> Any:
        y = model(x)
        return y, model

    compiled, model = slope.jit(step), Counter()
    for number in range(1, CALLS):  # warnings are errors here
        y, model = compiled(model, A)
        assert y.tolist() == [number, 2.0 * number]
    dropping = slope.jit(called)
    with pytest.warns(nn.LostAssignmentWarning):
        dropping(Counter(), A)


def test_donated_tensors_are_refused() -> None:
    compiled = slope.jit(lambda state: [each + 1 for each in state], donate=(0,))
    state = [slope.zeros(3) + 0, slope.ones(2) + 0]
    for _ in range(CALLS):
        old, state = state, compiled(state)
    assert state[0].tolist() == [CALLS] * 3
    with pytest.raises(errors.DonatedTensorError, match="donated to an earlier call"):
        compiled(old)


def test_escaped_tracers_are_refused() -> None:
    compiled, kept = watched([A, B], function=total), []
    slope.jit(lambda x: kept.append(x) or x)(A)
    with pytest.raises(errors.EscapedTracerError, match="has left the function"):
        compiled([kept[0], B])


def test_caches_can_be_cleared() -> None:
    compiled = watched([A, B], function=total)
    compiled.clear_cache()
    assert compiled.compile_count == 0
    assert compiled([A, B]).item() == 6.0
    assert compiled.compile_count == 1


def test_threads_with_different_structures() -> None:
    compiled = slope.jit(total)
    wrong: list[Any] = []

    def work(length: int) -> None:
        for _ in range(10 * CALLS):
            got = compiled([A] * length).item()
            if got != 3.0 * length:
                wrong.append((length, got))

    threads = [threading.Thread(target=work, args=(length,)) for length in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
