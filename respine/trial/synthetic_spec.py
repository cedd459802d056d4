"""What a simulated trial is: its specification, and the table of assumptions that every simulated number comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from respine.trial.contract import DEFAULT_CONTROL, DEFAULT_TREATMENT, PARAMETERS

_FILE = Path(__file__).with_name("assumptions.yml")

VISITS = PARAMETERS["VASPAIN"].visits
"""Months of the questionnaire visits."""

OPTIONAL_TABLES = ("admi", "adis", "adae", "adcm")
OPTIONAL_COLUMNS = (
    "HEIGHTBL", "WEIGHTBL", "SMOKBL", "WORKBL", "PAINDUR", "DISCLVL", "PFIRRBL", "MODICBL", "OPIOIDBL", "PPROTFL",
    "DCSREAS", "EOSDY", "ADY", "AEOUT", "AEACN",
)  # fmt: skip


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return document


@cache
def _values() -> dict[str, Any]:
    return {row["quantity"]: row["value"] for row in _document()["assumptions"]}


def assumed(quantity: str) -> Any:
    """The value of one quantity of the assumption table.

    Raises
    ------
    KeyError
        If the table has no such quantity.
    """
    return _values()[quantity]


def adverse_event_terms() -> list[dict[str, Any]]:
    """The adverse events that occur in simulated trials, with rates and probabilities; see ``assumptions.yml``."""
    terms: list[dict[str, Any]] = _document()["adverse_events"]["terms"]
    return terms


def assumptions() -> pd.DataFrame:
    """Every number that the simulation reads: columns quantity, value, unit, status, published, reason.

    ``status`` is ``published`` where the value is calibrated to a published row, named in ``published`` (an id of
    :func:`respine.trial.published.load_published`), else ``assumed``. Lists print with semicolons.
    """
    rows = [
        (row["quantity"], _text(row["value"]), row["unit"], row.get("published", ""), row["reason"])
        for row in _document()["assumptions"]
    ]
    reason = _document()["adverse_events"]["reason"]
    for event in adverse_event_terms():
        name = f"ae.{event['term']}"
        rows.append((f"{name}.rate", _text(event["rate"]), "per 100 patient-years", "", reason))
        rows.extend(
            (f"{name}.{key}", _text(event[key]), "probability", "", reason)
            for key in ("procedural", "related", "serious")
            if event.get(key)
        )
        rows.append((f"{name}.days", _text(event["days"]), "days: median duration", "", reason))
    frame = pd.DataFrame(rows, columns=["quantity", "value", "unit", "published", "reason"])
    frame.insert(3, "status", ["published" if id else "assumed" for id in frame["published"]])
    return frame


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, list):
        return "; ".join(_text(item) for item in value)
    return str(value)


def _from_table(quantity: str) -> Any:
    return field(default_factory=lambda: assumed(quantity))


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationSpec:
    """A trial to simulate; the defaults are the shipped data set's.

    Parameters
    ----------
    n_treatment, n_control
        Participants randomised to each arm; at least one each.
    treatment, control
        Arm labels.
    studyid, title
        Study identifier and title of the data set.
    countries
        ISO 3166-1 alpha-3 codes of the countries.
    centres
        Number of centres, dealt to the countries in turn; at least one a country.
    effect_vas, effect_odi
        Mean difference treatment - control at month 12 in mm and in points: negative is better. Both carry over to the
        SF-36 scales.
    effect_t2
        Mean difference treatment - control of T2 at month 12 in ms: positive is better.
    dropout
        Probability of leaving before month 12 at a VAS of 50 mm, in [0, 1); 0 for none at all.
    gaps
        Probability of missing a visit in between, in [0, 1); forms lost at attended visits follow it in proportion, so
        that ``dropout=0, gaps=0`` gives complete questionnaires, images and sera of all treated participants.
    rescue
        Factor on the probability of rescue; 0 for none.
    without
        What the data set shall lack: optional tables (``admi``, ``adis``, ``adae``, ``adcm`` then hold no rows),
        optional columns by name, or ``SF36``.
    """

    n_treatment: int = _from_table("design.n_treatment")
    n_control: int = _from_table("design.n_control")
    treatment: str = DEFAULT_TREATMENT
    control: str = DEFAULT_CONTROL
    studyid: str = "RESPINE-SYN"
    title: str = "RESPINE synthetic data set"
    countries: tuple[str, ...] = field(default_factory=lambda: tuple(assumed("design.countries")))
    centres: int = _from_table("design.centres")
    effect_vas: float = 0.0
    effect_odi: float = 0.0
    effect_t2: float = 0.0
    dropout: float = _from_table("missing.dropout")
    gaps: float = _from_table("missing.gaps")
    rescue: float = 1.0
    without: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if min(self.n_treatment, self.n_control) < 1:
            raise ValueError(f"each arm needs a participant: {self.n_treatment} and {self.n_control} were asked for")
        if self.treatment == self.control or not self.treatment or not self.control:
            raise ValueError(f"two different arm labels are needed, not {self.treatment!r} and {self.control!r}")
        if len(set(self.countries)) != len(self.countries) or not 1 <= len(self.countries) <= self.centres:
            raise ValueError(f"{self.centres} centres cannot be in the countries {', '.join(self.countries)!r}")
        for name in ("dropout", "gaps"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is a probability below 1, not {getattr(self, name)}")
        for name in ("effect_vas", "effect_odi", "effect_t2"):
            if not math.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is a number, not {getattr(self, name)}")
        if not 0 <= self.rescue < math.inf:
            raise ValueError(f"rescue is a factor of 0 or more, not {self.rescue}")
        unknown = self.without - {*OPTIONAL_TABLES, *OPTIONAL_COLUMNS, "SF36"}
        if unknown:
            raise ValueError(
                f"without: {', '.join(sorted(unknown))} is not optional; "
                f"choose from {', '.join((*OPTIONAL_TABLES, *OPTIONAL_COLUMNS, 'SF36'))}"
            )

    @property
    def n(self) -> int:
        """Participants randomised."""
        return self.n_treatment + self.n_control
