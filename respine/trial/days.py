"""Calendar days as the contract writes them."""

from __future__ import annotations

import datetime as dt
import re

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def iso_day(written: str) -> dt.date | None:
    """The day that is written, complete and as ISO 8601 has it; None for anything else."""
    # date.fromisoformat also takes weeks and undivided digits.
    if not _ISO_DAY.fullmatch(written):
        return None
    try:
        return dt.date.fromisoformat(written)
    except ValueError:
        return None
