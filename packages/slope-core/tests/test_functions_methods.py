"""The methods of tensors: those declared for type checkers are those that are there."""

import inspect

import pytest

import slope.eager  # noqa: F401  fills the executor
from slope import errors
from slope import functions as fn
from slope.core import declared, tensor
from slope.functions import methods
from slope.plugins.selection import use_backend


def installed():
    names = {name for listed in methods.NAMES.values() for name in listed.split()}
    protocols = {"__array_ufunc__", "__array_function__"}  # NumPy's, that nobody calls
    return names | {
        name
        for name, value in vars(tensor.Tensor).items()
        if name not in protocols
        and getattr(
            value, "__module__", getattr(getattr(value, "fget", None), "__module__", "")
        ).startswith("slope.functions")
    }


DECLARED = {**vars(declared.Operators), **vars(declared.Methods)}


def declarations():
    known = {"__module__", "__doc__", "__slots__", "__qualname__", "__hash__", "__firstlineno__"}
    return set(DECLARED) - known - {"__static_attributes__"}


def test_declared_and_installed_methods_are_the_same():
    assert declarations() == installed()


def test_declared_and_installed_parameters_are_the_same():
    for name in sorted(declarations()):
        stated, there = DECLARED[name], vars(tensor.Tensor)[name]
        if isinstance(stated, property) or name.startswith("__"):
            assert isinstance(there, property) == isinstance(stated, property), name
            continue
        first, *ours = inspect.signature(stated).parameters.values()
        _, *theirs = inspect.signature(there).parameters.values()
        assert first.name == "self"
        assert [(p.name, p.kind, p.default) for p in ours] == [
            (p.name, p.kind, p.default) for p in theirs
        ], name


def test_tensors_have_no_base_at_run_time():
    assert tensor.Tensor.__mro__ == (tensor.Tensor, object)
    with pytest.raises(errors.ArgumentError, match="have a method 'add' already"):
        tensor.install_methods(add=fn.add)


def test_conversions():
    with use_backend("numpy"):
        x = fn.tensor([0.0, 1.7])
        for name, dtype in {
            "float": "float32",
            "double": "float64",
            "half": "float16",
            "bfloat16": "bfloat16",
            "int": "int32",
            "long": "int64",
            "bool": "bool",
        }.items():
            assert getattr(x, name)().dtype.name == dtype
        assert x.to("int64").tolist() == x.to(fn.arange(2)).tolist() == [0, 1]
        assert x.to("cpu") is x
        assert x.to("cpu:0", dtype="float16").dtype.name == "float16"
        assert x.type_as(fn.arange(2)).dtype.name == "int64"
        assert x.clone() is x.contiguous() is x.float() is +x
        assert x.where(x > 1, 9.0).tolist() == [9, pytest.approx(1.7)]
        assert x.detach().tolist() == x.tolist()


def test_no_tracer_hides_a_method():
    def all_of(cls):
        return {cls}.union(*(all_of(each) for each in cls.__subclasses__()))

    for cls in all_of(tensor.Tracer):
        assert not set(cls.__dict__.get("__slots__", ())) & set(dir(tensor.Tensor)), cls
