"""Response and times to event, by the definitions of the analysis plan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.parameters import Parameters
from respine.trial.contract import MONTH_DAYS, PARAMETERS, nominal_day
from respine.trial.trial import Trial

Floats = npt.NDArray[np.float64]

TOLERANCE = 1e-9
"""Slack of every threshold, so that decimals compare as written: from 24.5 to 19.6 is an improvement of 20%."""

POST_BASELINE = tuple(month for month in PARAMETERS["VASPAIN"].visits if month > 0)


class Response(NamedTuple):
    """Three-valued response, float arrays of one shape: 1 yes, 0 no, NaN missing."""

    vas: Floats
    odi: Floats
    response: Floats


def response_from_values(
    vas_base: npt.ArrayLike,
    vas: npt.ArrayLike,
    odi_base: npt.ArrayLike,
    odi: npt.ArrayLike,
    parameters: Parameters,
    rescued: npt.ArrayLike = False,
) -> Response:
    """Response from values, observed or imputed.

    VAS part: baseline - value >= ``vas_rule_mm`` and >= ``vas_rule_percent`` of baseline. ODI part: baseline > 0 and
    baseline - value >= ``odi_rule_percent`` of baseline (``odi_rule`` points: that many points). Responder: one part or
    the other, three-valued: true or missing is true, false or missing is missing. A part is missing where its baseline
    or its value is. All thresholds have the slack :data:`TOLERANCE`.

    Parameters
    ----------
    vas_base, vas
        Baseline and follow-up VAS, mm, lower is better; any shapes that broadcast, NaN where missing.
    odi_base, odi
        Baseline and follow-up ODI, percent.
    parameters
        The rules; with ``rescue`` non_responder, a rescued participant has no response in either part, known or not.
    rescued
        Whether a rescue came at or before the visit.

    Returns
    -------
    Response
        Arrays of the broadcast shape.
    """
    vas_base, vas, odi_base, odi = (np.asarray(x, dtype=np.float64) for x in (vas_base, vas, odi_base, odi))
    vas_gain, odi_gain = vas_base - vas, odi_base - odi
    vas_rule = np.maximum(parameters.vas_rule_mm, parameters.vas_rule_percent / 100 * vas_base)
    odi_rule = parameters.odi_rule_percent * (odi_base / 100 if parameters.odi_rule == "relative" else 1.0)
    vas_part = _three_valued(vas_gain >= vas_rule - TOLERANCE, np.isnan(vas_gain))
    odi_part = _three_valued((odi_gain >= odi_rule - TOLERANCE) & (odi_base > 0), np.isnan(odi_gain))
    if parameters.rescue == "non_responder":
        vas_part, odi_part = (np.where(rescued, 0.0, part) for part in (vas_part, odi_part))
    either = (vas_part == 1) | (odi_part == 1)
    return Response(vas_part, odi_part, _three_valued(either, ~either & np.isnan(vas_part + odi_part)))


def _three_valued(true: npt.NDArray[np.bool_], missing: npt.NDArray[np.bool_]) -> Floats:
    return np.where(missing, np.nan, true.astype(np.float64))


def responses(trial: Trial, parameters: Parameters) -> pd.DataFrame:
    """Response of each randomised participant at each visit after baseline.

    Returns
    -------
    pandas.DataFrame
        One row an ITT participant and month (1, 3, 6, 12, 24), sorted so: ``USUBJID``, ``ARM``, ``AVISITN``;
        ``VAS_RESPONSE``, ``ODI_RESPONSE``, ``RESPONSE`` (nullable boolean) as :func:`response_from_values` defines
        them, rescue as ``parameters.rescue`` says; ``RESCUED`` (bool): rescued at or before the visit, its day being
        the later ADY of VAS and ODI, else the nominal day.
    """
    itt = trial.participants("ITT")
    rescued = _rescued(trial).loc[itt.index]
    response = _response(trial, itt, parameters, rescued.to_numpy())
    n, visits = rescued.shape
    columns = {
        "USUBJID": np.repeat(itt.index.to_numpy(), visits),
        "ARM": itt["ARM"].repeat(visits).array,
        "AVISITN": np.tile(np.array(POST_BASELINE), n),
    }
    for name, values in zip(("VAS_RESPONSE", "ODI_RESPONSE", "RESPONSE"), response, strict=True):
        flat = values.ravel()
        columns[name] = pd.arrays.BooleanArray(flat == 1, np.isnan(flat))
    return pd.DataFrame({**columns, "RESCUED": rescued.to_numpy().ravel()})


def _response(trial: Trial, itt: pd.DataFrame, parameters: Parameters, rescued: npt.ArrayLike) -> Response:
    """Response, one row an ITT participant, one column a month of :data:`POST_BASELINE`."""
    vas, odi = (trial.wide(code).loc[itt.index, list(POST_BASELINE)].to_numpy() for code in ("VASPAIN", "ODI"))
    vas_base, odi_base = (itt[[name]].to_numpy() for name in ("VASBL", "ODIBL"))
    return response_from_values(vas_base, vas, odi_base, odi, parameters, rescued)


def _rescued(trial: Trial) -> pd.DataFrame:
    """Whether each participant was rescued at or before each month, visits without a row taken at their nominal day."""
    days = pd.DataFrame({m: float(nominal_day(m)) for m in POST_BASELINE}, index=trial.adsl.index)
    written = [trial.wide(code, "ADY")[list(POST_BASELINE)] for code in ("VASPAIN", "ODI")]
    latest = np.fmax(written[0].to_numpy(), written[1].to_numpy())
    days = days.where(np.isnan(latest), latest)
    return days.ge(trial.adsl["RESCUEDY"], axis="index")


def time_to_first_response(trial: Trial, parameters: Parameters) -> pd.DataFrame:
    """Months to the first visit with response (ITT).

    Rescue counts as ``parameters.rescue`` says at visits with a known response; a visit that was missed stays unknown.
    A participant without response is censored at the last visit with a known response, at month 0 if there is none.

    Returns
    -------
    pandas.DataFrame
        Index USUBJID; ``ARM``; ``MONTHS``; ``EVENT`` (bool); ``LOWER``, month of the last visit known to be without
        response before the event (0 if none): the response came after LOWER and by MONTHS.
    """
    itt = trial.participants("ITT")
    rescued = _rescued(trial).loc[itt.index]
    counted = _response(trial, itt, parameters, rescued.to_numpy()).response
    known = ~np.isnan(_response(trial, itt, parameters, np.False_).response)
    months = np.array(POST_BASELINE, dtype=float)
    event_at = np.where(known & (counted == 1), months, np.inf).min(axis=1)
    event = np.isfinite(event_at)
    before = known & (months < event_at[:, None])
    lower = np.where(before, months, 0.0).max(axis=1)
    columns = {"ARM": itt["ARM"].array, "MONTHS": np.where(event, event_at, lower), "EVENT": event, "LOWER": lower}
    return pd.DataFrame(columns, index=itt.index)


def time_to_rescue(trial: Trial) -> pd.DataFrame:
    """Months to the first rescue (treated ITT, by planned arm): day / 30.4375, censored at EOSDY.

    A rescue after EOSDY is not counted: follow-up has ended for everybody else by then.

    Returns
    -------
    pandas.DataFrame
        Index USUBJID; ``ARM``; ``MONTHS``; ``EVENT`` (bool).
    """
    itt = trial.participants("ITT")
    treated = itt[itt["SAF"]]
    event = treated["RESCUEDY"].le(treated["EOSDY"])
    days = treated["RESCUEDY"].where(event, treated["EOSDY"])
    return pd.DataFrame({"ARM": treated["ARM"], "MONTHS": days / MONTH_DAYS, "EVENT": event})
