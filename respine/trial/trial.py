"""The trial: a loaded, checked and derived data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from respine.trial.contract import PARAMETERS
from respine.trial.dataset import DatasetInfo

AnalysisSet = Literal["ITT", "SAF", "mITT", "PP"]

ROLES = ("treatment", "control")
"""The arms, in the order in which they are always shown."""


class _Cells(NamedTuple):
    """Rows of a parameter in its table, and for each its participant's place in ``adsl`` and its visit's number."""

    rows: npt.NDArray[np.intp]
    participants: npt.NDArray[np.intp]
    visits: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """A data set that fulfils the contract, with all that the package derives.

    Frames hold the contract's columns (optional ones always, missing where the input has none), the derived ones, then
    what else the input brought. They are sorted by key, so that nothing depends on the order of rows in a file. Numbers
    are float64 (visits and sequence numbers int64), dates ``datetime64[s]``, text objects with NaN where missing.
    Callers must not change them.

    Parameters
    ----------
    info
        Title, labels, visit windows, hashes.
    adsl
        One row a screened participant, index USUBJID. Adds bool ``ITT``, ``SAF``, ``MITT``, ``PP``; ``ARM`` (planned)
        and ``ARMA`` (actual) as ordered categories ``treatment``, ``control``, missing where there is none; ``BMIBL``,
        ``VASBL``, ``ODIBL``, ``T2BL``; ``RESCUEDY``, day of the first rescue; ``EOSDY`` filled for the treated.
    adqs, admi, adis
        One row a participant, parameter and visit. Add ``ADYN`` (ADY, else the nominal day), ``BASE``; ``CHG`` and
        ``PCHG`` (percent) after baseline, PCHG missing where BASE is 0; ``adqs`` also ``RESCUED`` (at or before ADYN).
    adae
        Adverse events. Adds bool ``TRTEM`` (treatment-emergent: treated, and ASTDY >= 1 or empty), ``RELATED``
        (possible or stronger), ``SERIOUS``.
    adcm
        Concomitant treatments. Adds bool ``RESCUE``.
    """

    info: DatasetInfo
    adsl: pd.DataFrame
    adqs: pd.DataFrame
    admi: pd.DataFrame
    adis: pd.DataFrame
    adae: pd.DataFrame
    adcm: pd.DataFrame
    # Where each parameter stands, looked for once: in a large trial the search would take most of an analysis.
    _found: dict[str, _Cells] = field(default_factory=dict, init=False, repr=False)

    def participants(self, analysis_set: AnalysisSet) -> pd.DataFrame:
        """Rows of ``adsl`` in an analysis set, a copy; ``ARM`` is the actual arm in SAF, the planned one elsewhere.

        ITT: randomised. SAF: treated. mITT: ITT with a baseline and a later value of the same instrument, VAS or ODI.
        PP: mITT and per protocol (PPROTFL Y; treated where the data set says nothing of it).
        """
        rows = self.adsl[self.adsl[analysis_set.upper()]].copy()
        if analysis_set == "SAF":
            rows["ARM"] = rows["ARMA"]
        return rows

    def rows(self, paramcd: str) -> pd.DataFrame:
        """Rows of one parameter from the table it stands in."""
        frame: pd.DataFrame = getattr(self, PARAMETERS[paramcd].table)
        return frame.take(self._cells(paramcd).rows)

    def wide(self, paramcd: str, value: str = "AVAL") -> pd.DataFrame:
        """One row a screened participant, one column a month of the parameter, NaN where missing."""
        visits = PARAMETERS[paramcd].visits
        frame: pd.DataFrame = getattr(self, PARAMETERS[paramcd].table)
        at = self._cells(paramcd)
        cells = frame[value].to_numpy()[at.rows]
        dtype = np.float64 if np.issubdtype(cells.dtype, np.number) else object
        result = np.full((len(self.adsl), len(visits)), np.nan, dtype=dtype)
        result[at.participants, at.visits] = cells
        return pd.DataFrame(result, index=self.adsl.index, columns=pd.Index(list(visits), name="AVISITN"))

    def values(self, paramcd: str, month: int, value: str = "AVAL") -> pd.Series:
        """One value a screened participant at one visit, NaN where missing; named by the parameter."""
        return self.wide(paramcd, value).reindex(columns=[month])[month].rename(paramcd)

    def _cells(self, paramcd: str) -> _Cells:
        if paramcd not in self._found:
            frame: pd.DataFrame = getattr(self, PARAMETERS[paramcd].table)
            rows = np.flatnonzero((frame["PARAMCD"] == paramcd).to_numpy())
            self._found[paramcd] = _Cells(
                rows=rows,
                participants=self.adsl.index.get_indexer(pd.Index(frame["USUBJID"].to_numpy()[rows])),
                visits=np.searchsorted(list(PARAMETERS[paramcd].visits), frame["AVISITN"].to_numpy()[rows]),
            )
        return self._found[paramcd]

    @property
    def countries(self) -> tuple[str, ...]:
        """Countries with randomised participants, sorted."""
        return tuple(sorted(self.adsl.loc[self.adsl["ITT"], "COUNTRY"].unique()))
