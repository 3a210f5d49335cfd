"""docs/debug.md tells the truth: its Python runs on every backend and prints what it says."""

import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parents[1] / "docs" / "debug.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_its_python_runs(backend, capsys):
    space: dict[str, Any] = {"__name__": "page"}
    for number, text in enumerate(BLOCKS):
        exec(compile(text, f"debug.md block {number}", "exec"), space)
    assert capsys.readouterr().out == "step: mean -1.000, worst 1.0\nover 3.0\n"
    assert "`step: mean -1.000, worst 1.0`" in TEXT
