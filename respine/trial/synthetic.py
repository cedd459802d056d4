"""Synthetic trials: the shipped data set, and others with any effect, size or labels.

    spec = SimulationSpec(effect_vas=-25, effect_odi=-12, effect_t2=8)
    tables = simulate_trial(spec, seed=1)
    write_dataset(tables, dataset_info(spec), folder)

The shipped data set ``data/respine-synthetic`` is ``simulate_trial(SimulationSpec(), shipped_seed())``. Every number of
the simulation stands in one table, :func:`assumptions`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from respine.trial.synthetic_outcomes import Outcomes, simulate_outcomes
from respine.trial.synthetic_records import (
    adverse_events,
    concomitant,
    imaging,
    immune_response,
    questionnaires,
    screen_people,
)
from respine.trial.synthetic_spec import SimulationSpec, assumed, assumptions

__all__ = [
    "Outcomes",
    "SimulationSpec",
    "assumptions",
    "dataset_info",
    "shipped_seed",
    "simulate_outcomes",
    "simulate_trial",
    "write_dataset",
]


def shipped_seed() -> int:
    """Seed of the shipped data set."""
    seed: int = assumed("shipped.seed")
    return seed


def simulate_trial(spec: SimulationSpec, seed: int) -> dict[str, pd.DataFrame]:
    """Simulate one trial.

    Parameters
    ----------
    spec
        The trial.
    seed
        Seed of every draw: the same specification and seed give the same tables.

    Returns
    -------
    The tables adsl, adqs, admi, adis, adae, adcm of the data contract; dates are ISO text, days integers.
    """
    subjects, people, outcomes = screen_people(spec, simulate_outcomes(spec, seed), seed)
    tables = {
        "adsl": subjects,
        "adqs": questionnaires(spec, outcomes, people, seed),
        "admi": imaging(outcomes, people, seed),
        "adis": immune_response(spec, outcomes, people, seed),
        "adae": adverse_events(outcomes, people, seed),
        "adcm": concomitant(outcomes, people, seed),
    }
    return {name: _without(spec, name, table) for name, table in tables.items()}


def _without(spec: SimulationSpec, name: str, table: pd.DataFrame) -> pd.DataFrame:
    rows = table.iloc[:0] if name in spec.without else table
    return rows.drop(columns=[column for column in table.columns if column in spec.without])


def dataset_info(spec: SimulationSpec) -> dict[str, Any]:
    """What stands in ``dataset.yml`` of a simulated trial; only the default settings are calibrated to RESPINE."""
    origin = (
        "Calibrated to the published facts of RESPINE (doi 10.1136/ard-2024-225771) where the table of assumptions "
        "names them; everything else is assumed."
        if spec == SimulationSpec()
        else "Its settings are its own: it is not calibrated to what is published of any trial."
    )
    return {
        "title": spec.title,
        "synthetic": True,
        "source": f"Simulated by respine.trial.synthetic. {origin} No participant is real.",
        "licence": "CC BY 4.0",
        "cutoff": assumed("design.cutoff"),
        "treatment": spec.treatment,
        "control": spec.control,
    }


def write_dataset(tables: Mapping[str, pd.DataFrame], info: Mapping[str, Any], folder: str | Path) -> None:
    """Write CSV tables (UTF-8, LF, shortest exact numbers) and ``dataset.yml``; equal input gives equal bytes."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        rows = zip(*(_cells(table[column]) for column in table.columns), strict=True)
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="\n") as file:
            file.write(",".join(table.columns) + "\n")
            file.writelines(map("{}\n".format, map(",".join, rows)))
    text = yaml.safe_dump(dict(info), sort_keys=False, allow_unicode=True, width=100)
    (folder / "dataset.yml").write_text(text, encoding="utf-8", newline="\n")


def _cells(column: pd.Series[Any]) -> list[str]:
    """A column as text; numbers are formatted once per distinct value, which makes long tables fast."""
    codes, values = pd.factorize(column)
    texts = np.array([*(_cell(value) for value in values), ""], dtype=object)  # code -1 is missing: the last, empty one
    cells: list[str] = texts[codes].tolist()
    return cells


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        # Integral values lose their ".0": the same column reads the same whether or not a value is missing.
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in ',"\r\n') else text
