"""Compiled modules: from the cache on disk, or compiled and kept there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from slope.extend import CompileError, cache_root, is_caching

from .cache import DiskCache
from .compiler import IreeCompileError, Options, cache_key, compile_module
from .estimate import Work
from .memory import release_freed
from .notice import notice
from .runtime import IreeRuntimeError, Module, Runtime


def cache_directory() -> Path:
    """Where compiled programs are kept: ``iree`` in slope's cache directory."""
    return cache_root() / "iree"


def disk_cache() -> DiskCache | None:
    """The cache of compiled programs; None where users want none."""
    return DiskCache(cache_directory()) if is_caching() else None


def loaded(runtime: Runtime, text: str, options: Options, work: Work, name: str) -> Module:
    """A program's module on a device; what the cache has of it is made anew where it is damaged.

    Raises:
        IreeCompileError: IREE refuses the program, or cannot load what it compiled.
    """
    cache, key = disk_cache(), cache_key(text, options)
    known = cache.get(key) if cache is not None else None
    if known is not None:
        try:
            return runtime.load(known, flops=work.flops, moved=work.moved)
        except IreeRuntimeError:
            pass  # damaged, or another build's
    data = _compiled(text, options, name)
    _keep(cache, key, data)
    try:
        return runtime.load(data, flops=work.flops, moved=work.moved)
    except IreeRuntimeError as error:
        raise IreeCompileError(f"IREE compiled it, and cannot load the result: {error}") from None


def module_bytes(text: str, options: Options, name: str) -> bytes:
    """A program's module, from the cache where it is there; not kept.

    Raises:
        IreeCompileError: IREE refuses the program.
    """
    cache = disk_cache()
    known = cache.get(cache_key(text, options)) if cache is not None else None
    return _compiled(text, options, name) if known is None else known


def _compiled(text: str, options: Options, name: str) -> bytes:
    with notice(f"compiling {name!r} with IREE"):
        made = compile_module(text, options)
    release_freed()
    return made


def is_refused(text: str, options: Options) -> bool:
    """Whether IREE is known to refuse a program: see :func:`keep_refusal`."""
    cache = disk_cache()
    return cache is not None and cache.get(_refusal_key(text, options)) is not None


def keep_refusal(text: str, options: Options, error: IreeCompileError) -> None:
    """Remember, in later processes too, that IREE refuses a program, if it always will."""
    if error.lasting:
        _keep(disk_cache(), _refusal_key(text, options), b"")


def _refusal_key(text: str, options: Options) -> str:
    return cache_key(f"refused\n{text}", options)


def compile_error(error: IreeCompileError, text: str, name: str) -> CompileError:
    """What users are told of a refused program."""
    return CompileError(
        f"program {name!r}: {error}\nSee the program with LOG_JIT=1. Run it with another "
        f"backend (SLOPE_BACKEND=onnxruntime or numpy), or try other flags: "
        f"slope.jit(f, options={{'flags': [...]}}).",
        text,
    )


def _keep(cache: DiskCache | None, key: str, data: bytes) -> None:
    if cache is None:
        return
    try:
        cache.put(key, data)
    except OSError as error:
        if cache.directory not in _told:
            _told.add(cache.directory)
            sys.stderr.write(
                f"slope: cannot keep compiled programs in {cache.directory}: {error}. "
                f"Set SLOPE_CACHE to a directory that can be written.\n"
            )


_told: Final[set[Path]] = set()  # directories of which users know; once in a process is enough
