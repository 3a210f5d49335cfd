"""Names of the first slope say what they are called now."""

import pytest

import slope
from slope.renamed import METHODS_NOT_HERE, NOT_HERE, RENAMED


@pytest.mark.parametrize("name", sorted(RENAMED))
def test_an_old_name_gives_the_new_one(name):
    assert name not in slope.__all__
    with pytest.raises(
        slope.errors.RenamedError, match=rf"slope\.{name} is now slope\.{RENAMED[name]}\."
    ):
        getattr(slope, name)
    assert not hasattr(slope, name)


def test_old_methods_give_the_new_ones():
    x = slope.tensor([1.0, 2.0])
    with pytest.raises(
        slope.errors.RenamedError, match=r"'expand_dims' of tensors is now 'unsqueeze'"
    ):
        x.expand_dims(0)  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
    assert not hasattr(x, "clip")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        x.nothing()  # pyright: ignore[reportAttributeAccessIssue]  # on purpose
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        slope.nothing()


@pytest.mark.parametrize("name", sorted(NOT_HERE))
def test_a_name_of_pytorch_says_what_to_write(name):
    with pytest.raises(slope.errors.RenamedError, match=rf"slope has no '{name}': "):
        getattr(slope, name)


@pytest.mark.parametrize("name", sorted(METHODS_NOT_HERE))
def test_a_method_of_pytorch_says_what_to_write(name):
    x = slope.tensor([1.0, 2.0])
    assert not hasattr(x, name)
    with pytest.raises(slope.errors.RenamedError, match=rf"tensors have no '{name}': "):
        getattr(x, name)


def test_methods_that_change_a_tensor_name_the_one_that_does_not():
    x = slope.tensor([1.0, 2.0])
    with pytest.raises(slope.errors.RenamedError, match=r"no 'add_'.* write x = x\.add\(\.\.\.\)"):
        x.add_(1)  # pyright: ignore[reportAttributeAccessIssue]  # on purpose


@pytest.mark.parametrize(
    ("owner", "name", "way"),
    [
        (slope.random, "PRNGKey", r"it is slope\.random\.key\(seed\)"),
        (slope.tree, "map", r"it is slope\.tree_map"),
        (slope.nn, "lr_scheduler", r"schedules are rates: nn\.Adam\(model, lr=nn\.Cosine"),
        (slope.nn, "utils", r"nn\.clip_grad_norm\(gradients, 1\.0\)"),
        (slope.nn.init, "xavier_uniform_", r"layer\.weight = nn\.init\.xavier_uniform\(layer"),
    ],
)
def test_names_of_other_libraries_in_submodules_say_what_to_write(owner, name, way):
    with pytest.raises(slope.errors.RenamedError, match=rf"has no '{name}': .*{way}"):
        getattr(owner, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = owner.nothing


def test_numbers_that_decide_shapes_are_told_to_be_static():
    def folded(x, rows):
        return x.reshape(rows, -1)

    x = slope.ones(6)
    with pytest.raises(slope.errors.SlopeError, match=r"slope\.jit\(f, static_argnames="):
        slope.jit(folded)(x, 2)
    assert slope.jit(folded, static_argnames="rows")(x, 2).shape == (2, 3)
