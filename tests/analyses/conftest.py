"""Studies that several analysis tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from respine.analyses.study import Study
from respine.parameters import Parameters
from respine.results import Result
from respine.trial import load_trial
from respine.trial.synthetic import dataset_info, simulate_trial, write_dataset
from respine.trial.synthetic_spec import SimulationSpec

SHIPPED = Path(__file__).parents[2] / "data" / "respine-synthetic"


def unknown(treatment: int, control: int) -> list[Result]:
    """Participants whose response is not known, of 50 in each arm."""
    counts = {"treatment": treatment, "control": control}
    return [
        Result(id=f"discussion.unknown.{role}", statistic="count", value=value, n=50, arm=role)
        for role, value in counts.items()
    ]


def study_of(folder: Path, **parameters: Any) -> Study:
    return Study(load_trial(folder), Parameters(**({"imputations": 10} | parameters)))


@pytest.fixture(scope="session")
def shipped() -> Study:
    return study_of(SHIPPED)


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Study]:
    """A study simulated to order: ``simulated(seed, effect_vas=-25, parameters={...})``."""

    def make(seed: int, *, parameters: dict[str, Any] | None = None, **spec: Any) -> Study:
        chosen = SimulationSpec(**spec)
        folder = tmp_path_factory.mktemp("simulated")
        write_dataset(simulate_trial(chosen, seed), dataset_info(chosen), folder)
        return study_of(folder, **(parameters or {}))

    return make


@pytest.fixture(scope="session")
def effect(simulated: Callable[..., Study]) -> Study:
    """A clear effect on both co-primary endpoints, with labels that hold what could be markup."""
    return simulated(
        2, effect_vas=-30.0, effect_odi=-20.0, effect_t2=10.0, treatment="Cells <b>{a.b}</b>", control="Placebo & $x$"
    )


@pytest.fixture(scope="session")
def tiny(simulated: Callable[..., Study]) -> Study:
    """Seven participants an arm in one country."""
    return simulated(3, n_treatment=7, n_control=7, countries=("FRA",), centres=1)
