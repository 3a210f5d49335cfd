"""The README tells the truth: its Python runs, its commands exist, its tables are complete."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def blocks(language):
    return [text for kind, text in BLOCKS if kind == language]


def functions_of(path):
    """The functions of a Python file by name, with the names that decorators give them."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call):
                    found |= {
                        keyword.value.value
                        for keyword in decorator.keywords
                        if keyword.arg == "name" and isinstance(keyword.value, ast.Constant)
                    }
    return found


def test_every_python_block_runs(backend, capsys):
    space: dict[str, Any] = {"__name__": "readme"}
    assert len(blocks("python")) >= 9
    for number, text in enumerate(blocks("python")):
        exec(compile(text, f"README.md block {number}", "exec"), space)
    printed = capsys.readouterr().out
    assert space["step"].compile_count == space["train"].compile_count == 1  # a hundred rates
    (program,) = blocks("text")
    assert program in printed


def test_every_language_is_known():
    assert {kind for kind, _ in BLOCKS} == {"python", "sh", "text", "toml"}


def test_links_lead_somewhere():
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", README, flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#]+)", prose)
    assert len(targets) >= 5
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_nox_sessions_exist():
    sessions = set(re.findall(r"nox -s ([\w-]+)", README))
    assert {"mnist", "tests", "lint", "bench"} <= sessions
    assert sessions <= functions_of(ROOT / "noxfile.py")


def test_shell_commands_name_what_is_there():
    for text in blocks("sh"):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            assert words[:2] in (["python", "-m"], ["pip", "install"]), line
            for word in words:
                if word.startswith("packages/"):
                    folder, _, extra = word.partition("[")
                    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())[
                        "project"
                    ]
                    assert not extra or extra.rstrip("]") in project["optional-dependencies"]


def test_the_entry_point_is_written_as_the_packages_write_it():
    (text,) = blocks("toml")
    (group,) = tomllib.loads(text)["project"]["entry-points"]
    for package in ("slope-backend-numpy", "slope-backend-onnx", "slope-backend-iree", "slope-nn"):
        project = tomllib.loads((ROOT / "packages" / package / "pyproject.toml").read_text())[
            "project"
        ]
        assert group in project["entry-points"]


def test_the_table_of_packages_is_complete():
    for folder in sorted((ROOT / "packages").iterdir()):
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        module = next((folder / "src").iterdir()).name
        assert f"| `{project['name']}` | `{module}`" in README


def test_settings_that_it_names_are_read_somewhere():
    named = set(re.findall(r"`?\b((?:SLOPE|LOG|DEFAULT)_[A-Z_]+)=", README))
    assert {"SLOPE_BACKEND", "DEFAULT_DEVICE", "LOG_JIT"} <= named
    sources = "".join(path.read_text() for path in (ROOT / "packages").glob("*/src/**/*.py"))
    assert not [name for name in named if f'"{name}"' not in sources]
