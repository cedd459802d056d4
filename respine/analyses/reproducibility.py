"""What a report needs to be made again: parameters, versions and checks."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from respine.analyses import participants
from respine.analyses.study import Study
from respine.parameters import Parameters

PACKAGES = (
    "respine", "numpy", "pandas", "scipy", "statsmodels", "lifelines", "pingouin", "seaborn", "matplotlib",
    "great-tables", "pandera", "papermill", "nbclient", "ipykernel", "jupyter-book", "sphinx", "myst-nb", "typst",
)  # fmt: skip
"""The packages that numbers and pages come from."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A parameter of the plan as this report was built with it."""

    name: str
    help: str
    unit: str
    value: Any
    default: Any

    @property
    def changed(self) -> bool:
        """Whether it differs from the plan's default."""
        return bool(self.value != self.default)


def settings(study: Study) -> list[Setting]:
    """Every parameter the chapter takes; an arm label that is not given is the data set's own, and no change."""
    labels = {"treatment": study.arms.treatment, "control": study.arms.control}
    out = []
    for name, field in Parameters.model_fields.items():
        if name in study.taken:
            extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
            value = labels.get(name, getattr(study.parameters, name))
            default = labels.get(name, field.default)
            out.append(Setting(name, field.description or "", str(extra.get("unit", "")), value, default))
    return out


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers and pages come from."""
    return {"Python": f"Python {platform.python_version()}"} | {name: version(name) for name in PACKAGES}


def checks(study: Study) -> dict[str, bool]:
    """Checks that a report makes of itself when it is built; a failing one raises there."""
    participants.analyse(study)
    return {
        # Opening the study and drawing the flow raise where these two do not hold.
        "The data set fulfils the contract": True,
        "The boxes of the participant flow add up": True,
        "Every randomised participant has a planned arm": bool(study.trial.participants("ITT")["ARM"].notna().all()),
        "Every participant of the safety set has an actual arm": bool(
            study.trial.participants("SAF")["ARM"].notna().all()
        ),
        "The per-protocol set lies inside the modified intention-to-treat set": bool(
            study.trial.participants("PP").index.isin(study.trial.participants("mITT").index).all()
        ),
    }
