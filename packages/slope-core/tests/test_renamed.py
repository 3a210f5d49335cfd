"""Names of the first slope say what they are called now."""

import re

import pytest

import slope
from slope.functions import random as functions_random
from slope.names_elsewhere import METHODS_NOT_HERE, NOT_HERE, RENAMED
from slope_nn import _missing as nn_missing
from slope_nn import init


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


def test_what_to_write_instead_exists():
    ways = [f"slope.{new}" for new in RENAMED.values()]
    for table in (
        *(NOT_HERE, METHODS_NOT_HERE, slope.linalg._NOT_HERE, slope.special._NOT_HERE),
        *(slope.tree._NOT_HERE, functions_random._NOT_HERE, nn_missing._OF_NN, init._NOT_HERE),
    ):
        ways += table.values()
    names = {name for way in ways for name in re.findall(r"\b(?:slope|nn)(?:\.[A-Za-z]\w*)+", way)}
    assert len(names) > 150
    for name in sorted(names):
        value = slope.nn if name.startswith("nn.") else slope
        for part in name.split(".")[1:]:
            value = getattr(value, part)


def test_functions_that_change_a_tensor_name_the_one_that_does_not():
    with pytest.raises(slope.errors.RenamedError, match=r"no 'relu_': .* x = slope\.relu\(x\)"):
        _ = slope.relu_
    with pytest.raises(slope.errors.RenamedError, match=r"no 'arcsin_': .* x = slope\.asin\(x\)"):
        _ = slope.arcsin_
    with pytest.raises(slope.errors.RenamedError, match=r"no 'clip_': .* write x = x\.clamp\("):
        slope.ones(2).clip_(0, 1)  # pyright: ignore[reportAttributeAccessIssue]  # on purpose


@pytest.mark.parametrize("name", ["grad", "data", "requires_grad"])
def test_fields_of_pytorch_s_tensors_are_not_assigned_either(name):
    x = slope.ones(2)
    with pytest.raises(slope.errors.RenamedError, match=rf"tensors have no '{name}': "):
        setattr(x, name, True)
    assert not hasattr(x, name)


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
        (slope.nn.init, "calculate_gain", r"gains are numbers: math\.sqrt\(2\) before a ReLU"),
        (slope.nn, "LazyConv2d", r"use nn\.Conv2d, with the number of features"),
        (slope.nn, "CosineAnnealingLR", r"lr=nn\.CosineSchedule\("),
        (slope.nn.functional, "matmul", r"it is slope\.matmul"),
        (slope.linalg, "cholesky_ex", r"use slope\.linalg\.cholesky, which gives NaN"),
        (slope.special, "airy_ai", r"SciPy has it, outside of jit"),
        (slope.special, "legendre_polynomial_p", r"write its recurrence"),
        (slope.random, "key_data", r"a key is a tensor uint32\[2\]"),
        (slope.tree, "tree_reduce", r"use functools\.reduce"),
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


def test_compile_is_jit():
    with pytest.raises(slope.errors.RenamedError, match=r"'compile': use slope\.jit\(f\)"):
        slope.compile(lambda x: x, fullgraph=True)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda x: slope.tensor([1.0], requires_grad=True), "tensor: .*'requires_grad': slope.gr"),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.zeros(3, requires_grad=True), "zeros: there is no argument 'requires_gr"),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.randn(3, generator=None), "randn: .*slope.random's, which take a key"),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.vmap(slope.sin, in_axes=0), "vmap: .*'in_axes': use in_dims="),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.vmap(slope.sin, out_axes=0), "vmap: .*'out_axes': use out_dims="),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.vmap(slope.sin, axis_name="i"), "vmap: .*'axis_name': vmap gives all"),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.grad(slope.sin, argnum=0), "grad: .*'argnum': use argnums="),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.jit(slope.sin, donate_argnums=0), "jit: .*use donate=, with names"),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.checkpoint(slope.sin, use_reentrant=False), "checkpoint: .*leave it out"),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: slope.flip(x, axis=0), "flip: .*'axis': use dim=, or dims="),  # pyright: ignore[reportCallIssue]  # on purpose
        (lambda x: x.var(ddof=1), "var: .*'ddof': use correction="),
    ],
)
def test_arguments_of_other_libraries_say_what_to_write(call, told):
    with slope.use_backend("numpy"), pytest.raises(slope.errors.ArgumentError, match=told):
        call(slope.ones(2))


def test_errors_of_other_arguments_and_of_other_functions_stay():
    def user(x):
        return x

    with pytest.raises(TypeError, match=r"user\(\) got an unexpected keyword argument 'axis'"):
        slope.jit(user)(1.0, axis=0)
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        slope.zeros(2, nonsense=1)  # pyright: ignore[reportCallIssue]  # on purpose


def test_methods_that_move_a_tensor():
    x = slope.ones(2)
    assert x.cpu().device.kind == "cpu"
    assert x.cuda("cpu").device.kind == "cpu"
    with slope.use_backend("numpy"), pytest.raises(slope.errors.DeviceError, match="no device cu"):
        x.cuda(1)
