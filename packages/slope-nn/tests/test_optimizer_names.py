"""Exports call the state of an optimizer by the parameters that it is for."""

import pytest

import slope
from slope import nn
from slope.tree import leaf_labels, named_leaves

KINDS = [
    (nn.SGD, {"lr": 0.1, "momentum": 0.9}, {"velocity"}),
    (nn.Adam, {}, {"m", "v"}),
    (nn.Adam, {"amsgrad": True}, {"m", "v", "largest"}),
    (nn.AdamW, {}, {"m", "v"}),
    (nn.LAMB, {}, {"m", "v"}),
    (nn.RMSprop, {"centered": True, "momentum": 0.9}, {"square", "mean", "velocity"}),
    (nn.Adagrad, {}, {"sum"}),
    (nn.Adadelta, {}, {"square", "steps"}),
    (nn.ASGD, {}, {"mean"}),
    (nn.Rprop, {}, {"previous", "rate"}),
    (nn.Lion, {}, {"m"}),
]


class Twice(nn.Optimizer):
    def initial(self, parameter):
        return parameter, {"old": parameter}


@pytest.fixture
def model():
    with slope.use_backend("numpy"):
        yield nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2).freeze())


def labels(tree):
    return {".".join(label) for label in leaf_labels(tree)}


@pytest.mark.parametrize(("make", "settings", "parts"), KINDS)
def test_states_are_called_by_their_parameters(model, make, settings, parts):
    optimizer = make(model, **settings)
    wanted = {f"{part}.0.{name}" for part in parts for name in ("weight", "bias")}
    assert {name for name in labels(optimizer) if ".0." in name} == wanted
    assert len(leaf_labels(optimizer)) == len(labels(optimizer)) == len(named_leaves(optimizer))


def test_states_of_other_shapes_have_names_too(model):
    assert {"rows.0.weight", "columns.0.weight", "rows.0.bias"} <= labels(nn.Adafactor(model))
    muon = nn.Muon(model, rest=nn.AdamW(model))
    assert {"velocity.0.weight", "rest.m.0.bias", "lr", "rest.lr"} <= labels(muon)
    several = nn.Accumulate(nn.SGD(model, lr=0.1), model, every=2)
    assert {"sums.0.weight", "optimizer.lr"} <= labels(several)
    assert {"m", "v"} <= labels(nn.Adam(slope.ones(3)))
    assert {"m.w.0", "v.w.0"} <= labels(nn.Adam({"w": [slope.ones(3)]}))
    assert {"state.0.0.weight", "state.1.old.0.weight"} <= labels(Twice(model, lr=0.1))


def test_the_paths_of_leaves_stay_so_that_older_exports_load(model):
    paths = {".".join(path) for path, _ in named_leaves(nn.Adam(model))}
    assert {"_state.0.0", "_state.0.1", "_state.1.0", "_state.1.1"} <= paths


def test_any_node_may_show_its_leaves_by_other_names():
    class Table:
        def __init__(self, rows, titles):
            self.rows, self.titles = rows, titles

    slope.register_node(
        Table,
        lambda table: (table.rows, table.titles),
        lambda titles, rows: Table(rows, titles),
        labels=lambda table, path: (table.titles[int(path[0])], *path[1:]),
    )
    table = Table((slope.ones(1), {"x": slope.ones(2)}), ("first", "second"))
    assert labels({"t": table}) == {"t.first", "t.second.x"}
    with pytest.raises(slope.errors.ArgumentError, match="register_node: labels must be"):
        slope.register_node(type("Other", (), {}), tuple, Table, labels=3)  # pyright: ignore[reportArgumentType]  # on purpose
