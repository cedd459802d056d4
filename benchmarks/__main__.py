"""``python -m benchmarks [PART ...]``: print the rows of all parts, or of those named, as they are measured."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks
from benchmarks import Row

WIDTHS = (76, 24, 42, 9, 0)


def main(chosen: list[str]) -> int:
    """Run the parts in alphabetical order."""
    parts = sorted(m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_"))
    unknown = sorted(set(chosen) - set(parts))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(parts)}", file=sys.stderr)
        return 2
    _line(Row("Benchmark", "This project", "Anchor, same run", "Ratio", "Goal"))
    for name in chosen or parts:
        for row in importlib.import_module(f"benchmarks.{name}").rows():
            _line(row)
    return 0


def _line(row: Row) -> None:
    cells = (row.what, row.value, row.anchor, row.ratio, row.goal)
    print("".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip(), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
