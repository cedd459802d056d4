"""What a data set is: its contract, how it is read, checked and derived.

>>> from respine.trial import load_trial
>>> trial = load_trial("data/respine-synthetic")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from respine.trial.checking import check, load_trial
    from respine.trial.contract import data_dictionary
    from respine.trial.dataset import DatasetInfo
    from respine.trial.findings import CheckReport, DataError, Finding
    from respine.trial.trial import Trial

_HOME = {
    "check": "checking",
    "load_trial": "checking",
    "data_dictionary": "contract",
    "DatasetInfo": "dataset",
    "CheckReport": "findings",
    "DataError": "findings",
    "Finding": "findings",
    "Trial": "trial",
}

__all__ = ["CheckReport", "DataError", "DatasetInfo", "Finding", "Trial", "check", "data_dictionary", "load_trial"]


def __getattr__(name: str) -> Any:
    # Loaded when first used: pandas and pyarrow take longer to import than a refused command may last.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
