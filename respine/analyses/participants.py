"""Participants: the CONSORT flow, the analysis sets and who was seen when."""

from __future__ import annotations

import re
from typing import cast

import pandas as pd

from respine.analyses.study import Study
from respine.results import Estimate, Result, Results
from respine.trial.trial import AnalysisSet

ROLES = ("treatment", "control")
SETS: dict[AnalysisSet, str] = {"ITT": "itt", "mITT": "mitt", "PP": "pp", "SAF": "saf"}
_CONTEXT = {"analysis": "Participant flow"}


class FlowError(ValueError):
    """The boxes of the participant flow do not add up."""


def analyse(study: Study) -> Results:
    """Counts of the participant flow (CONSORT 2025), of the analysis sets and of the visits.

    Ids are ``participants.<box>.<arm>``; reasons are numbered by falling frequency (``.r1``, ``.r2``), their text in
    ``parameter``.

    Raises
    ------
    FlowError
        Where a box is not the sum of the boxes it splits into.
    """
    results = Results()
    adsl = study.trial.adsl
    randomised = study.trial.participants("ITT")
    _count(results, "screened", len(adsl), arm="overall")
    _count(results, "excluded", int((~adsl["ITT"]).sum()), arm="overall")
    _reasons(results, "excluded", adsl.loc[~adsl["ITT"], "SCRFREAS"])
    _count(results, "randomised.overall", len(randomised), arm="overall", set="ITT")
    _count(results, "centres", adsl.loc[adsl["ITT"], "SITEID"].nunique(), arm="overall", set="ITT")
    _count(results, "countries", adsl.loc[adsl["ITT"], "COUNTRY"].nunique(), arm="overall", set="ITT")
    for role in ROLES:
        _arm_flow(results, role, randomised[randomised["ARM"] == role])
    _sets(results, study)
    _visits(results, study)
    _check_sums(results)
    return results


def _count(results: Results, name: str, n: int, **context: object) -> None:
    estimate = Estimate(statistic="count", value=int(n), n=int(n), method="count of participants")
    results.add(f"participants.{name}", estimate, **(_CONTEXT | context))


def _reasons(results: Results, box: str, reasons: pd.Series) -> None:
    counts = reasons.dropna().value_counts()
    ordered = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))
    for k, (reason, n) in enumerate(ordered, start=1):
        _count(results, f"{box}.r{k}", int(n), parameter=str(reason), arm="overall")


def _arm_flow(results: Results, role: str, arm: pd.DataFrame) -> None:
    context = {"arm": role, "set": "ITT"}
    _count(results, f"randomised.{role}", len(arm), **context)
    _count(results, f"as_allocated.{role}", int((arm["ARMA"] == role).sum()), **context)
    _count(results, f"other_arm.{role}", int((arm["ARMA"].notna() & (arm["ARMA"] != role)).sum()), **context)
    _count(results, f"not_treated.{role}", int(arm["ARMA"].isna().sum()), **context)
    left = arm["DCSREAS"].notna()
    _count(results, f"discontinued.{role}", int(left.sum()), **context)
    _count(results, f"completed.{role}", int((~left).sum()), **context)
    for reason, n in sorted(arm.loc[left, "DCSREAS"].value_counts().items()):
        slug = re.sub(r"[^a-z0-9]+", "_", str(reason).lower())
        _count(results, f"discontinued.{slug}.{role}", int(n), parameter=str(reason), **context)


def _sets(results: Results, study: Study) -> None:
    for name, slug in SETS.items():
        members = study.trial.participants(name)
        for role in ROLES:
            _count(results, f"set.{slug}.{role}", int((members["ARM"] == role).sum()), arm=role, set=name)


def _visits(results: Results, study: Study) -> None:
    """Participants of the ITT set with a value of VAS or ODI at each visit, and those rescued before it."""
    randomised = study.trial.participants("ITT")
    adqs = study.trial.adqs
    seen = adqs[adqs["PARAMCD"].isin(["VASPAIN", "ODI"]) & adqs["AVAL"].notna()]
    for month, rows in seen.groupby("AVISITN"):
        month = cast(float, month)
        present = randomised.index.intersection(pd.Index(rows["USUBJID"].unique()))
        for role in ROLES:
            n = int((randomised.loc[present, "ARM"] == role).sum())
            _count(results, f"seen.m{month:g}.{role}", n, arm=role, set="ITT", visit=month)


def _check_sums(results: Results) -> None:
    def value(name: str) -> float:
        return results[f"participants.{name}"].value

    sums = [
        ("screened", ["excluded", "randomised.overall"]),
        ("randomised.overall", [f"randomised.{r}" for r in ROLES]),
    ]
    for role in ROLES:
        sums.append((f"randomised.{role}", [f"{box}.{role}" for box in ("as_allocated", "other_arm", "not_treated")]))
        sums.append((f"randomised.{role}", [f"{box}.{role}" for box in ("discontinued", "completed")]))
    for whole, parts in sums:
        total = sum(value(part) for part in parts)
        if value(whole) != total:
            raise FlowError(f"participant flow: {whole} is {value(whole):g}, but {' + '.join(parts)} make {total:g}")


def reasons(results: Results, box: str) -> list[Result]:
    """The reasons of a box, most frequent first, each with its text in ``parameter``."""
    prefix = f"participants.{box}.r"
    return [r for r in results.values() if r.id.startswith(prefix) and r.id.removeprefix(prefix).isdigit()]
