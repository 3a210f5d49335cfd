"""The commands of the repository: `python -m nox -s NAME`; `python -m nox --list` names them.

Every session makes its own environment and installs slope from this tree.
"""

from __future__ import annotations

import os
import statistics
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "tests"]
nox.options.default_venv_backend = "virtualenv"  # pip and its settings, whether uv is there or not
nox.options.error_on_missing_interpreters = False  # tests-all skips what is not there, in CI too

ROOT = Path(__file__).parent
PACKAGES = (
    "packages/slope-core",
    "packages/slope-backend-numpy",
    "packages/slope-backend-onnx[cpu]",
    "packages/slope-backend-iree",
    "packages/slope-nn",
)
GROUPS = nox.project.load_toml(ROOT / "pyproject.toml")
# Settings of the person who runs this that would change what a newcomer sees.
CLEAN: dict[str, str | None] = {"PYTHONPATH": None, "SLOPE_BACKEND": None, "DEFAULT_DEVICE": None}


def install(session: nox.Session, *groups: str, editable: bool = False, gpu: bool = False) -> None:
    """Install the five packages from the tree, and the root's dependency groups of these names."""
    flag = ["-e"] if editable else []
    chosen = [each.replace("[cpu]", "[gpu]") if gpu else each for each in PACKAGES]
    packages = [word for package in chosen for word in (*flag, f"./{package}")]
    session.install(*packages, *nox.project.dependency_groups(GROUPS, *groups))


def run_tests(session: nox.Session) -> None:
    """Install the wheels of the tree, as users get them, and run pytest on all backends."""
    install(session, "test", "example")
    session.run("python", "-m", "pytest", "--timeout=600", *session.posargs)  # seconds per test


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests on all three backends, with the Python that runs nox."""
    run_tests(session)


@nox.session(name="tests-all", python=["3.11", "3.12", "3.13"])
def tests_all(session: nox.Session) -> None:
    """Run all tests on every supported Python that this machine has."""
    run_tests(session)


@nox.session
@nox.parametrize("backend", ["numpy", "onnxruntime", "iree"])
def conformance(session: nox.Session, backend: str) -> None:
    """Hold a backend to the conformance kit, and write a page of what it can do."""
    install(session, "test")
    page = str(Path(session.create_tmp()) / f"conformance-{backend}.html")
    command = ("python", "-m", "slope.testing", "conformance", "--backend", backend)
    session.run(*command, "--report", page, *session.posargs)


@nox.session
def mnist(session: nox.Session) -> None:
    """Train a classifier on MNIST; `-- --backend onnxruntime` picks the backend."""
    install(session, "example")
    session.run("python", "examples/mnist_mlp.py", *session.posargs)


@nox.session
def example(session: nox.Session) -> None:
    """Run an example: `-- NAME [--backend onnxruntime] ...`; without a name, list them."""
    names = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
    name = session.posargs[0] if session.posargs else None
    if name not in names:
        session.error(f"Name an example after `--`, one of: {', '.join(names)}; not {name}")
    install(session, "example")
    session.run("python", f"examples/{name}.py", *session.posargs[1:])


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and the directions of imports."""
    install(session, "lint", "test", "example", editable=True)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    session.run("pyright", "--pythonpath", str(Path(session.bin) / "python"))


@nox.session
def docs(session: nox.Session) -> None:
    """Write the documentation as web pages; a link that leads nowhere is an error."""
    session.install(*nox.project.dependency_groups(GROUPS, "docs"))
    pages = ROOT / "outputs" / "docs"
    # The theme prints advice about its own future unless told not to.
    session.run("mkdocs", "build", "--strict", "-d", str(pages), env={"NO_MKDOCS_2_WARNING": "1"})
    session.log(f"Open {pages / 'index.html'}, or serve {pages} with `python -m http.server`")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure slope against JAX, PyTorch and tinygrad; `-- --workloads W1 W3 --peers jax` picks.

    The peers that are asked for (without `--peers`, all) are installed in this session's own
    environment; one that cannot be is passed over. With `--device cuda:0` everything is installed
    for CUDA 13, which ONNX Runtime's wheel is built for.
    """
    words = " ".join(session.posargs)
    gpu = "--device" in words and "cuda" in words
    install(session, "example", gpu=gpu)
    asked = words.partition("--peers")[2].partition("--")[0]
    every = "--peers" not in words
    for peer in nox.project.dependency_groups(GROUPS, "peers"):
        if every or peer in asked:
            wheel = "jax[cuda13]" if gpu and peer == "jax" else peer
            session.install(wheel, success_codes=range(256))
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session
def import_time(session: nox.Session) -> None:
    """Check that `import slope` takes at most twice `import numpy` and loads no backend."""
    install(session)
    check = "import sys, slope; print(*(m for m in sys.modules if m.startswith('slope_')))"
    loaded = session.run("python", "-c", check, silent=True, env=CLEAN)
    if str(loaded).strip():
        session.error(f"`import slope` loaded {str(loaded).strip()}")
    timer = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
    seconds: dict[str, list[float]] = {"numpy": [], "slope": []}
    for _ in range(12):  # interleaved, so that a busy moment falls on both
        for name, taken in seconds.items():
            output = session.run(
                "python", "-c", timer.format(name), silent=True, log=False, env=CLEAN
            )
            taken.append(float(str(output)))
    numpy, slope = (statistics.median(taken[2:]) for taken in seconds.values())
    told = f"numpy {numpy * 1e3:.0f} ms, slope {slope * 1e3:.0f} ms, ratio {slope / numpy:.2f}"
    session.log(told)
    if slope > 2 * numpy:
        session.error(f"`import slope` takes more than twice `import numpy`: {told}")


@nox.session(venv_backend="none")
def newcomer(session: nox.Session) -> None:
    """Install by hand in an empty environment: with the NumPy backend, and with no backend."""
    command = "import slope; print(slope.ones(2, 3) + 1)"
    absent = (
        "from importlib.util import find_spec as find; "
        "found = [m for m in ('iree', 'onnx', 'onnxruntime', 'slope_nn') if find(m)]; "
        "assert not found, found"
    )
    python = fresh_environment(session, "numpy", "slope-core", "slope-backend-numpy")
    session.run(python, "-c", absent, external=True, env=CLEAN)
    printed = str(session.run(python, "-c", command, external=True, silent=True, env=CLEAN))
    session.log(f"printed {printed.strip()}")
    if printed.count("2.") != 6:
        session.error(f"expected six times 2., got: {printed}")

    python = fresh_environment(session, "none", "slope-core")
    told = str(
        session.run(python, "-c", command, external=True, silent=True, success_codes=[1], env=CLEAN)
    )
    last = told.strip().splitlines()[-1]
    session.log(f"without a backend: {last}")
    if not told.count("SlopeError") + told.count("slope.errors."):
        session.error(f"expected an error of slope, got: {told}")
    if "pip install" not in told or "slope-backend-" not in told:
        session.error(f"the error does not say what to install: {told}")


def fresh_environment(session: nox.Session, name: str, *packages: str) -> str:
    """Make an environment that holds only these packages of the tree; return its Python."""
    home = Path(session.create_tmp()) / name
    session.run(sys.executable, "-m", "venv", "--clear", str(home), external=True)
    python = str(home / ("Scripts" if os.name == "nt" else "bin") / "python")
    folders = [str(ROOT / "packages" / package) for package in packages]
    session.run(python, "-m", "pip", "install", "-q", *folders, external=True, env=CLEAN)
    return python
