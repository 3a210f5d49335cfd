"""What inputs and outputs of an exported file are called: arguments, results and their leaves."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from slope.api._arguments import positional_names
from slope.tree import child_names, is_leaf, leaf_labels, named_leaves, one_level

Path = tuple[str, ...]
Returned = tuple[str | None, ...] | str | None
"""The names of the items of a result, or of the whole."""


class Argument(NamedTuple):
    """An argument of the exported function.

    Attributes:
        name: the parameter's, or ``args.0`` for those that ``*args`` takes.
        keyword: whether it was given by name.
        tree: its value.
        start: the number of its first leaf among those of all arguments.
        paths: the names on the way to each of its leaves.
        labels: the names by which each is shown.
    """

    name: str
    keyword: bool
    tree: Any
    start: int
    paths: tuple[Path, ...]
    labels: tuple[Path, ...]


def arguments_of(
    function: Callable[..., Any], static: Sequence[int], args: Sequence[Any], kwargs: dict[str, Any]
) -> list[Argument]:
    """The arguments of a call, in the order of their leaves.

    Args:
        function: what is called.
        static: the numbers of positional arguments that are not among ``args``.
        args: the others.
        kwargs: those given by name.
    """
    count = len(args) + len(static)
    names = [name for number, name in enumerate(_names(function, count)) if number not in static]
    given = [(name, False, value) for name, value in zip(names, args, strict=True)]
    given += [(name, True, kwargs[name]) for name in sorted(kwargs)]
    found: list[Argument] = []
    start = 0
    for name, keyword, value in given:
        paths = tuple([path for path, _ in named_leaves(value)])
        found.append(Argument(name, keyword, value, start, paths, tuple(leaf_labels(value))))
        start += len(paths)
    return found


def _names(function: Callable[..., Any], count: int) -> list[str]:
    """A name for each of so many positional arguments."""
    names = list(positional_names(function))[:count]
    if len(names) < count:
        more = _name_of_more(function)
        names += [f"{more}.{number}" for number in range(count - len(names))]
    return names


def _name_of_more(function: Callable[..., Any]) -> str:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return "args"
    several = inspect.Parameter.VAR_POSITIONAL
    return next((each.name for each in parameters if each.kind is several), "args")


def joined(*parts: str) -> str:
    """A dotted name; underscores that mark a field as private are left out."""
    return ".".join([part.lstrip("_") or part for part in parts])


class Names:
    """Names, each given once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, name: str) -> str:
        """This name, or, where it is taken, with a number behind it."""
        number, made = 1, name
        while made in self._taken:
            made, number = f"{name}_{number}", number + 1
        self._taken.add(made)
        return made


# --- results


def named_results(tree: Any, names: Returned) -> list[tuple[Path, str, Any]]:
    """The results of a function: where each stands in what it returned, its name, its value.

    Items of a tuple or list, values of a dict and fields of a named tuple are results each.

    Args:
        tree: what the function returned.
        names: those that are known otherwise: of the items, or of the whole.
    """
    whole = names if isinstance(names, str) else "result"
    if is_leaf(tree) or not (type(tree) is dict or isinstance(tree, (tuple, list))):
        return [((), names[0] or whole if isinstance(names, tuple) and names else whole, tree)]
    children, keys = one_level(tree)[0], child_names(tree)
    if type(tree) is dict or hasattr(tree, "_fields"):
        return [((key,), key, child) for key, child in zip(keys, children, strict=True)]
    known = names if isinstance(names, tuple) and len(names) == len(children) else ()
    return [
        ((key,), (known[number] if known else None) or f"{whole}.{number}", child)
        for number, (key, child) in enumerate(zip(keys, children, strict=True))
    ]


def returned_names(function: Callable[..., Any]) -> Returned:
    """What a function's ``return`` calls its results.

    Read from the source; ``None`` where that cannot be had, or where two returns differ.
    """
    if not inspect.isfunction(function) or hasattr(function, "__wrapped__"):
        return None
    try:
        (definition, *_) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if not isinstance(definition, ast.FunctionDef):
        return None
    found = {_names_in(value) for value in _returns(definition)}
    return found.pop() if len(found) == 1 else None


def _names_in(value: ast.expr) -> Returned:
    if isinstance(value, (ast.Tuple, ast.List)):
        return tuple([item.id if isinstance(item, ast.Name) else None for item in value.elts])
    return value.id if isinstance(value, ast.Name) else None


def _returns(definition: ast.FunctionDef) -> list[ast.expr]:
    """What a function returns, without the functions inside it."""
    found: list[ast.expr] = []
    ahead: list[ast.AST] = list(definition.body)
    while ahead:
        node = ahead.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            found.append(node.value)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            ahead.extend(ast.iter_child_nodes(node))
    return found
