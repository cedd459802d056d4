"""The data set itself: its tables, and the warnings of the check."""

from __future__ import annotations

import pandas as pd

from respine.analyses.study import Study, locate_data
from respine.results import Estimate, Results
from respine.trial import check

TABLES = {
    "adsl": "Participants",
    "adqs": "Questionnaires",
    "admi": "Imaging",
    "adis": "Immune response",
    "adae": "Adverse events",
    "adcm": "Concomitant treatment",
}
_CONTEXT = {"analysis": "Data set"}


def analyse(study: Study, warnings: pd.DataFrame) -> Results:
    """Rows and participants of each table (``data.rows.<table>``, ``data.subjects.<table>``) and ``data.warnings``."""
    results = Results()
    for name in TABLES:
        frame = getattr(study.trial, name)
        subjects = len(frame) if name == "adsl" else frame["USUBJID"].nunique()
        for what, value in (("rows", len(frame)), ("subjects", subjects)):
            estimate = Estimate(statistic="count", value=value, method=f"count of {what}")
            results.add(f"data.{what}.{name}", estimate, **_CONTEXT)
    total = Estimate(statistic="count", value=len(warnings), method="count of warnings of the data check")
    results.add("data.warnings", total, **_CONTEXT)
    return results


def warnings_of(study: Study) -> pd.DataFrame:
    """The warnings of the data check, one row a finding; an error would have stopped the study from opening."""
    parameters = study.parameters
    report = check(locate_data(parameters.data), treatment=parameters.treatment, control=parameters.control)
    return report.to_frame()
