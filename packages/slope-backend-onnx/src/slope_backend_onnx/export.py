"""Programs as files of ONNX: standard operators alone, named inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import onnx.checker

from slope.extend import Executable, ExportedProgram, ExportError
from slope_backend_onnx.lower import Rule
from slope_backend_onnx.lower.program import ProgramLowering
from slope_backend_onnx.provider import OnnxRuntimeError
from slope_backend_onnx.sessions import Session, create_session

OPTIONS: Final = ("external_data",)
MOST_BYTES: Final = 1 << 31
"""What a file of protobuf can hold; constants of more go to a file beside it."""

_SMALL: Final = 1024  # bytes of a constant that stays in the model when the others do not


def write_model(program: ExportedProgram, rules: Mapping[str, Rule], path: Path) -> None:
    """Write a program as an ONNX model.

    Args:
        program: what to write. The option ``external_data`` says whether its constants go to a file
            beside it, ``path`` with ``.data`` behind it; by default they do if they have to.
        rules: by operator name.
        path: of the file.

    Raises:
        ExportError: a rule writes operators that are none of the standard's, or the checker of ONNX
            refuses the model.
    """
    program.refuse_options(OPTIONS, ".onnx")
    model = named_model(program, rules)
    size = sum(array.nbytes for _, array in program.constants)
    external = program.options.get("external_data", size > MOST_BYTES // 2)
    if external:
        onnx.save_model(
            model,
            str(path),
            save_as_external_data=True,
            location=f"{path.name}.data",
            size_threshold=_SMALL,
        )
        path.with_name(f"{path.name}.data").chmod(path.stat().st_mode)  # else its owner's alone
    else:
        path.write_bytes(model.SerializeToString())
    try:
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise ExportError(
            f"export of {program.name}: the checker of ONNX refuses the model: {error}"
        ) from error


def named_model(program: ExportedProgram, rules: Mapping[str, Rule]) -> onnx.ModelProto:
    """A program as a model whose inputs, outputs and constants have the names that they should.

    Raises:
        ExportError: a rule writes operators that are none of the standard's.
    """
    builder = ProgramLowering(rules, program.program, exported=program)
    made = [builder.output(atom) for atom in program.program.outputs]
    model = builder.graph.model()
    _require_standard(model, builder, program.name)
    _rename(model.graph, dict(zip(made, program.outputs, strict=True)))
    _drop_unread_constants(model.graph)
    return model


def _require_standard(model: onnx.ModelProto, builder: ProgramLowering, name: str) -> None:
    for node in _nodes(model.graph):
        if node.domain:
            source = builder.sources.get(node.name)
            place = f" (from {source})" if source else ""
            raise ExportError(
                f"export of {name}: a lowering rule{place} writes the operator {node.op_type!r} of "
                f"the domain {node.domain!r}, which only some runtimes have. Have the rule write "
                f"standard operators where cx.native is False, or leave the operator to its expand."
            )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of those inside its nodes."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give values other names, which nothing in the model has."""
    for node in _nodes(graph):
        for values in (node.input, node.output):
            for place, name in enumerate(values):
                values[place] = names.get(name, name)
        for attribute in node.attribute:  # a branch may give what stands around it
            for each in attribute.g.output:
                each.name = names.get(each.name, each.name)
    for each in graph.output:
        each.name = names[each.name]


def _drop_unread_constants(graph: onnx.GraphProto) -> None:
    """Remove constants that rules made and did not use, of which runtimes would warn."""
    read = {name for node in _nodes(graph) for name in node.input}
    read |= {each.name for node in _nodes(graph) for a in node.attribute for each in a.g.output}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in read:
            del graph.initializer[place]


class ModelFile(Executable):
    """A file of ONNX, run by ONNX Runtime."""

    def __init__(self, path: Path, device: str) -> None:
        try:
            self._session: Session = create_session(str(path), device=device)
        except OnnxRuntimeError as error:
            raise ExportError(f"{path.name!r} cannot be run: {error}") from error
        self.code = str(path)

    def __call__(self, handles: Sequence[Any]) -> Sequence[Any]:
        return self._session(handles)
