"""The public names: gathered from the lists of many modules."""

import ast
from pathlib import Path
from types import ModuleType

import pytest

import slope
from slope import functions


def test_no_name_stands_for_two_things():
    assert len(set(slope.__all__)) == len(slope.__all__)


def test_every_listed_name_is_there_and_is_completed():
    assert [name for name in slope.__all__ if not hasattr(slope, name)] == []
    assert set(slope.__all__) <= set(dir(slope))
    assert {"nn", "load", "save"} <= set(dir(slope))


def test_a_star_import_gives_the_listed_names_alone():
    given: dict[str, object] = {}
    exec("from slope import *", given)
    assert set(given) - {"__builtins__"} == set(slope.__all__)


@pytest.mark.parametrize("package", [slope, functions], ids=lambda package: package.__name__)
def test_each_list_that_is_imported_is_also_exported(package: ModuleType):
    """``from .x import *`` and ``__all__ += x.__all__`` go together."""
    stars, lists = set(), set()
    for node in ast.parse(Path(str(package.__file__)).read_text()).body:
        match node:
            case ast.ImportFrom(module=module, names=[ast.alias(name="*")]):
                stars.add(module)
            case ast.AugAssign(value=ast.Attribute(value=ast.Name(id=module))):
                lists.add(module)
    assert stars == lists != set()
