"""Deriving: analysis sets, baselines, changes, rescue, emergence, by the contract and the plan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.trial.contract import PARAMETERS, RELATED_CODES, nominal_day
from respine.trial.dataset import DatasetInfo, Settings
from respine.trial.table import TypedTable
from respine.trial.trial import ROLES, Trial
from respine.trial.typed import Floats, Mask, Text

Positions = npt.NDArray[np.int64]
_BASELINES = {"VASBL": "VASPAIN", "ODIBL": "ODI", "T2BL": "T2"}


def derive(tables: Mapping[str, TypedTable], settings: Settings) -> Trial:
    """The trial of tables that fulfil the contract."""
    adsl = tables["adsl"]
    ids = adsl.text["USUBJID"].to_numpy()
    order = np.argsort(ids, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))

    rescue = _rescue(tables["adcm"], adsl)
    rescue_day = _first_day(tables["adcm"], rescue, len(adsl))
    participants = pd.DataFrame(_participants(tables, settings, rescue_day), index=pd.Index(ids, name="USUBJID"))
    participants = participants.iloc[order]
    treated = ~adsl.missing("TRT01A")
    return Trial(
        info=_info(tables, settings),
        adsl=participants,
        adqs=_sorted(tables["adqs"], rank, _assessments(tables["adqs"], rescue_day)),
        admi=_sorted(tables["admi"], rank, _assessments(tables["admi"])),
        adis=_sorted(tables["adis"], rank, _assessments(tables["adis"])),
        adae=_sorted(tables["adae"], rank, _events(tables["adae"], treated)),
        adcm=_sorted(tables["adcm"], rank, {"RESCUE": rescue}),
    )


def _info(tables: Mapping[str, TypedTable], settings: Settings) -> DatasetInfo:
    sha256 = {name: table.sha256() for name, table in tables.items()}
    digest = hashlib.sha256("\n".join(f"{name} {value}" for name, value in sha256.items()).encode())
    studyid = tables["adsl"].text["STUDYID"].values[0]
    return DatasetInfo(
        title=settings.title or studyid,
        synthetic=settings.synthetic,
        source=settings.source,
        licence=settings.licence,
        cutoff=settings.cutoff,
        treatment=settings.treatment,
        control=settings.control,
        windows=settings.windows,
        studyid=studyid,
        sha256=sha256,
        digest=digest.hexdigest(),
    )


def _sorted(table: TypedTable, rank: Positions, derived: Mapping[str, npt.NDArray[Any]]) -> pd.DataFrame:
    """The table's frame, sorted by its key (parameters in the contract's order)."""
    frame = pd.DataFrame({**table.frame(), **derived}, copy=False)
    if table.spec.longitudinal:
        parameters, visits = (len(table.spec[name].values) for name in ("PARAMCD", "AVISITN"))
        key = (rank[table.subject] * parameters + table.parameter) * visits + table.visit
        # Files mostly are sorted: a look is cheaper than a sort.
        order = None if (key[1:] > key[:-1]).all() else np.argsort(key)
    else:
        order = np.lexsort([table.numbers[table.spec.key[1]], rank[table.subject]])
    return frame if order is None else frame.iloc[order].reset_index(drop=True)


# Participants.


def _participants(tables: Mapping[str, TypedTable], settings: Settings, rescue_day: Floats) -> dict[str, Any]:
    adsl = tables["adsl"]
    columns = adsl.frame()
    del columns["USUBJID"]
    treated = ~adsl.missing("TRT01A")
    randomised = adsl.text["RANDFL"].isin(("Y",))
    mitt = randomised & _assessed(tables["adqs"], len(adsl))
    # A column without any value is no column: exports keep those that nobody filled.
    judged = not adsl.missing("PPROTFL").all()
    per_protocol = adsl.text["PPROTFL"].isin(("Y",)) if judged else treated
    columns |= {"ITT": randomised, "SAF": treated, "MITT": mitt, "PP": mitt & per_protocol}
    arms = (settings.treatment, settings.control)
    columns |= {"ARM": _role(adsl.text["TRT01P"], arms), "ARMA": _role(adsl.text["TRT01A"], arms)}
    columns["BMIBL"] = body_mass_index(adsl.numbers["HEIGHTBL"], adsl.numbers["WEIGHTBL"])
    for name, code in _BASELINES.items():
        columns[name] = _baseline(tables[PARAMETERS[code].table], code, len(adsl))
    columns["RESCUEDY"] = rescue_day
    end = adsl.numbers["EOSDY"]
    columns["EOSDY"] = np.where(treated & np.isnan(end), _last_day(tables), end)
    return columns


def _role(label: Text, arms: tuple[str, str]) -> pd.Categorical:
    place = [*(arms.index(v) for v in label.values), -1]
    roles = pd.Index(ROLES)
    return pd.Categorical.from_codes(np.array(place)[label.codes].tolist(), categories=roles, ordered=True)


def body_mass_index(height: Floats, weight: Floats) -> Floats:
    """kg/m2 from cm and kg."""
    result: Floats = weight / (height / 100) ** 2
    return result


def _baseline(table: TypedTable, code: str, n: int) -> Floats:
    result = np.full(n, np.nan)
    rows = table.text["PARAMCD"].isin((code,)) & (table.numbers["AVISITN"] == 0)
    result[table.subject[rows]] = table.numbers["AVAL"][rows]
    return result


def _assessed(adqs: TypedTable, n: int) -> Mask:
    """Participants with a baseline and a later value of the same instrument, VAS or ODI."""
    result = np.zeros(n, dtype=bool)
    measured = ~np.isnan(adqs.numbers["AVAL"])
    for code in ("VASPAIN", "ODI"):
        rows = measured & adqs.text["PARAMCD"].isin((code,))
        first, later = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        first[adqs.subject[rows & (adqs.numbers["AVISITN"] == 0)]] = True
        later[adqs.subject[rows & (adqs.numbers["AVISITN"] > 0)]] = True
        result |= first & later
    return result


def _last_day(tables: Mapping[str, TypedTable]) -> Floats:
    """The last day each participant is seen in any table, at least day 1."""
    last = np.ones(len(tables["adsl"]))
    for table in tables.values():
        if table.spec.longitudinal:
            # The nominal day of a visit without a value is no sign of the participant.
            seen = ~np.isnan(table.numbers["AVAL"]) | ~np.isnan(table.numbers["ADY"])
            np.fmax.at(last, table.subject[seen], _day_of_visit(table)[seen])
        elif "ASTDY" in table.numbers:
            np.fmax.at(last, table.subject, np.fmax(table.numbers["ASTDY"], table.numbers["AENDY"]))
    return last


# Assessments.


def _assessments(table: TypedTable, rescue_day: Floats | None = None) -> dict[str, npt.NDArray[Any]]:
    day = _day_of_visit(table)
    columns: dict[str, npt.NDArray[Any]] = {"ADYN": day, **changes(table)}
    if rescue_day is not None:
        columns["RESCUED"] = rescue_day[table.subject] <= day
    return columns


def _day_of_visit(table: TypedTable) -> Floats:
    """ADY, else the nominal day."""
    day = table.numbers["ADY"]
    nominal = np.array([nominal_day(int(month)) for month in table.spec["AVISITN"].values], dtype=np.float64)
    return np.where(np.isnan(day), nominal[table.visit], day)


def changes(table: TypedTable) -> dict[str, Floats]:
    """``BASE``, and after baseline ``CHG`` = AVAL - BASE and ``PCHG`` = 100 CHG / BASE, missing where BASE is 0."""
    value = table.numbers["AVAL"]
    # The last row and column stand for what is unknown, position -1, and stay missing.
    base_of = np.full((int(table.subject.max(initial=-1)) + 2, len(table.spec["PARAMCD"].values) + 1), np.nan)
    first = (table.visit == 0) & (table.parameter >= 0) & (table.subject >= 0)
    base_of[table.subject[first], table.parameter[first]] = value[first]
    base = base_of[table.subject, table.parameter]
    change = np.where(table.visit > 0, value - base, np.nan)
    percent = np.divide(100 * change, base, out=np.full(len(base), np.nan), where=base != 0)
    return {"BASE": base, "CHG": change, "PCHG": percent}


# Events and concomitant treatments.


def _events(adae: TypedTable, treated: Mask) -> dict[str, npt.NDArray[Any]]:
    start = adae.numbers["ASTDY"]
    return {
        "TRTEM": treated[adae.subject] & ((start >= 1) | np.isnan(start)),
        "RELATED": adae.text["AEREL"].isin(RELATED_CODES),
        "SERIOUS": adae.text["AESER"].isin(("Y",)),
    }


def _rescue(adcm: TypedTable, adsl: TypedTable) -> Mask:
    """Spinal injection or surgery after day 1, or an opioid after day 1 in someone without opioids at baseline."""
    category = adcm.text["CMCAT"]
    opioid_user = adsl.text["OPIOIDBL"].isin(("Y",))[adcm.subject]
    kind = category.isin(("SPINAL INJECTION", "SURGERY")) | (category.isin(("OPIOID",)) & ~opioid_user)
    result: Mask = kind & (adcm.numbers["ASTDY"] > 1)
    return result


def _first_day(adcm: TypedTable, where: Mask, n: int) -> Floats:
    result = np.full(n, np.nan)
    np.fmin.at(result, adcm.subject[where], adcm.numbers["ASTDY"][where])
    return result
