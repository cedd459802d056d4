"""What a command takes that has nothing to compute: help, and refusals, a label's from each format of the data.

The anchor is what Python takes to import pandas, which such commands do without.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd

from benchmarks import Row, against, seconds
from benchmarks.report import TOP, respine, run

SHIPPED = TOP / "data" / "respine-synthetic" / "adsl.csv"
GOAL = "0.3 s"


def rows() -> Iterator[Row]:
    """Help and two refusals, then a label in each format; the shortest of several runs each."""
    pandas = seconds(lambda: run(TOP, "-c", "import pandas"))
    for what, status, arguments in (
        ("respine --help", 0, ["--help"]),
        ("Refused: a parameter that there is not", 2, ["build", "-p", "alhpa=0.1"]),
        ("Refused: a parameter out of bounds", 2, ["build", "-p", "alpha=7"]),
    ):
        yield _against(what, status, arguments, pandas)
    with tempfile.TemporaryDirectory() as folder:
        for name, write in _writers(pd.read_csv(SHIPPED)).items():
            data = Path(folder) / name
            data.mkdir()
            write(data / f"adsl.{name}")
            arguments = ["build", "--data", str(data), "-p", "treatment=Nobody"]
            yield _against(f"Refused: a label that the data have not, {name}", 2, arguments, pandas)


def _writers(adsl: pd.DataFrame) -> Mapping[str, Callable[[Path], object]]:
    import pyreadstat

    cells = json.loads(adsl.to_json(orient="values"))
    dataset_json = {"datasetJSONVersion": "1.1.0", "columns": [{"name": name} for name in adsl], "rows": cells}
    return {
        "csv": lambda path: adsl.to_csv(path, index=False),
        "parquet": lambda path: adsl.to_parquet(path, index=False),
        "xpt": lambda path: pyreadstat.write_xport(adsl, str(path)),
        "sav": lambda path: pyreadstat.write_sav(adsl, str(path)),
        "dta": lambda path: pyreadstat.write_dta(adsl, str(path)),
        "json": lambda path: path.write_text(json.dumps(dataset_json), encoding="utf-8"),
        "xlsx": lambda path: adsl.to_excel(path, index=False),
    }


def _against(what: str, status: int, arguments: list[str], pandas: float) -> Row:
    own = seconds(lambda: respine(TOP, *arguments, status=status), repeat=10)
    return against(what, own, "import pandas", pandas, GOAL)
