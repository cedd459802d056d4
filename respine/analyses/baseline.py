"""Baseline characteristics of the intention-to-treat set (section 2 of the plan)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from respine.analyses.study import Study
from respine.results import Estimate, Results
from respine.stats.descriptive import proportions, smd, smd_categorical, summarize

ROLES = ("treatment", "control")
COLUMNS = (*ROLES, "overall")
_CONTEXT = {"analysis": "Baseline characteristics", "set": "ITT", "visit": 0.0}


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One baseline variable.

    Parameters
    ----------
    name
        Column of ``adsl``, or a questionnaire or imaging parameter at baseline.
    label, unit, group
        As Table 1 shows them.
    kind
        ``mean`` (mean and SD), ``median`` (median and quartiles) or ``categorical`` (n and %).
    """

    name: str
    label: str
    group: str
    kind: str = "mean"
    unit: str = ""

    @property
    def slug(self) -> str:
        """Its name in result ids."""
        return self.name.lower()


PEOPLE, PAIN, OUTCOMES = "Participants", "Disc and back pain", "Outcomes at baseline"
CHARACTERISTICS = (
    Characteristic("AGE", "Age", PEOPLE, unit="years"),
    Characteristic("SEX", "Sex", PEOPLE, "categorical"),
    Characteristic("BMIBL", "Body mass index", PEOPLE, unit="kg/m²"),
    Characteristic("SMOKBL", "Smoking", PEOPLE, "categorical"),
    Characteristic("WORKBL", "Work status", PEOPLE, "categorical"),
    Characteristic("COUNTRY", "Country", PEOPLE, "categorical"),
    Characteristic("PAINDUR", "Duration of pain", PAIN, "median", unit="months"),
    Characteristic("DISCLVL", "Index disc", PAIN, "categorical"),
    Characteristic("PFIRRBL", "Modified Pfirrmann grade", PAIN, "categorical"),
    Characteristic("MODICBL", "Modic type", PAIN, "categorical"),
    Characteristic("OPIOIDBL", "Opioid use", PAIN, "categorical"),
    Characteristic("VASPAIN", "Pain (VAS)", OUTCOMES, unit="mm"),
    Characteristic("ODI", "Disability (ODI)", OUTCOMES, unit="%"),
    Characteristic("SF36PCS", "SF-36 physical component", OUTCOMES),
    Characteristic("SF36MCS", "SF-36 mental component", OUTCOMES),
    Characteristic("T2", "Disc T2 relaxation time", OUTCOMES, unit="ms"),
)


def analyse(study: Study) -> Results:
    """Table 1 by arm and overall, with standardised mean differences; characteristics without any value are left out.

    Ids: ``baseline.<variable>.<statistic>.<arm>``, categories as ``baseline.<variable>.<level>.<arm>``, and
    ``baseline.<variable>.smd``.
    """
    results = Results()
    frame = values(study)
    for role in COLUMNS:
        n = len(_of(frame, role))
        estimate = Estimate(statistic="count", value=n, n=n, method="count of participants")
        results.add(f"baseline.n.{role}", estimate, arm=role, **_CONTEXT)
    for item in CHARACTERISTICS:
        if frame[item.name].notna().any():
            _characteristic(results, item, frame)
    return results


def values(study: Study) -> pd.DataFrame:
    """One row an ITT participant, one column a characteristic, and ``ARM``."""
    people = study.trial.participants("ITT")
    columns = {
        item.name: people[item.name] if item.name in people else study.trial.values(item.name, 0).reindex(people.index)
        for item in CHARACTERISTICS
    }
    return pd.DataFrame(columns).assign(ARM=people["ARM"])


def levels(column: pd.Series[Any]) -> list[Any]:
    """The observed levels of a category, sorted."""
    return sorted(column.dropna().unique())


def level_slug(level: object) -> str:
    """A level's name in result ids."""
    text = f"{level:g}" if isinstance(level, float) else str(level)
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "blank"


def _of(frame: pd.DataFrame, role: str) -> pd.DataFrame:
    return frame if role == "overall" else frame[frame["ARM"] == role]


def _characteristic(results: Results, item: Characteristic, frame: pd.DataFrame) -> None:
    context = {**_CONTEXT, "parameter": item.name}
    for role in COLUMNS:
        column = _of(frame, role)[item.name]
        if item.kind == "categorical":
            shares = proportions(column, levels(frame[item.name]))
            found = {level_slug(level): estimate for level, estimate in shares.items()}
            found["missing"] = missing(column)
        else:
            summary = summarize(column, unit=item.unit)
            wanted = ("mean", "sd", "missing") if item.kind == "mean" else ("median", "q1", "q3", "missing")
            found = {name: summary[name] for name in wanted}
        for name, estimate in found.items():
            place = f"baseline.{item.slug}.{name}.{role}"
            results.add(place, estimate.replace(method=estimate.method or "observed values"), arm=role, **context)
    by_arm = [_of(frame, role)[item.name] for role in ROLES]
    difference = smd_categorical(*by_arm) if item.kind == "categorical" else smd(*by_arm)
    method = "Yang-Dalton" if item.kind == "categorical" else "difference over the root mean variance of the arms"
    results.add(f"baseline.{item.slug}.smd", difference.replace(method=method), arm="difference", **context)


def missing(column: pd.Series[Any]) -> Estimate:
    """How many values are missing."""
    n = int(column.notna().sum())
    return Estimate(statistic="missing", value=len(column) - n, n=n)


def characteristic(name: str) -> Characteristic:
    """The characteristic of a result's parameter."""
    return next(item for item in CHARACTERISTICS if item.name == name)


def observed_levels(results: Results, item: Characteristic) -> list[str]:
    """Slugs of the levels that the results hold for a category, in order."""
    prefix = f"baseline.{item.slug}."
    ids = [id.removeprefix(prefix) for id in results if id.startswith(prefix) and id.endswith(".overall")]
    return [id.removesuffix(".overall") for id in ids if id != "missing.overall"]
