"""What every distribution of the repository must carry."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import slope

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in (ROOT / "packages").glob("*/pyproject.toml"))


@pytest.mark.parametrize("package", PACKAGES, ids=[package.name for package in PACKAGES])
def test_carries_license_and_types(package: Path) -> None:
    # Wheels hold nothing from above their project, so each has its own copy of the license.
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    modules = [path for path in (package / "src").iterdir() if (path / "__init__.py").exists()]
    assert [path.name for path in modules if not (path / "py.typed").exists()] == []
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == package.name
    assert project["license"] == "MIT"
    assert project["version"] == slope.__version__  # they are released together
    assert "Typing :: Typed" in project["classifiers"]


@pytest.mark.parametrize("package", PACKAGES, ids=[package.name for package in PACKAGES])
def test_says_what_it_is(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    readme = (package / project["readme"]).read_text()
    assert readme.startswith(f"# {package.name}\n")
    for number, block in enumerate(
        re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    ):
        with slope.use_backend("numpy"):
            exec(compile(block, f"{package.name}/README.md block {number}", "exec"), {})


def test_finds_all_packages() -> None:
    assert len(PACKAGES) == 5
