"""What every distribution of the repository must carry."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in (ROOT / "packages").glob("*/pyproject.toml"))


@pytest.mark.parametrize("package", PACKAGES, ids=[package.name for package in PACKAGES])
def test_carries_license_and_types(package: Path) -> None:
    # Wheels hold nothing from above their project, so each has its own copy of the license.
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert [
        path.name for path in (package / "src").iterdir() if not (path / "py.typed").exists()
    ] == []
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == package.name
    assert project["license"] == "MIT"


def test_finds_all_packages() -> None:
    assert len(PACKAGES) == 5
