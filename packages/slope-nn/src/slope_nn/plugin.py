"""What slope-nn tells slope: the version that it was written for, so that a mismatch shows.

Its layers are made of slope's own operators; it adds neither operators nor lowerings.
"""

from __future__ import annotations

from typing import Final

slope_api_version: Final = 1
