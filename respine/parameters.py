"""The parameters of the analysis plan: one model with types, bounds, units and help.

A chapter's ``parameters`` cell, ``-p name=value``, ``--params FILE.yml`` and papermill's own ``-p`` all end here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from respine.trial.contract import DEFAULT_DATA

Month = Literal[1, 3, 6, 12, 24]
Covariate = Literal["COUNTRY", "VASBL", "ODIBL"]
Subgroup = Literal["SEX", "AGE", "BMI", "PFIRRMANN", "MODIC", "COUNTRY", "VASBL"]


def _field(default: Any, help: str, unit: str = "", **bounds: Any) -> Any:
    return Field(default, description=help, json_schema_extra={"unit": unit}, **bounds)


class Parameters(BaseModel):
    """Every choice of the analysis that an author may change."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = _field(DEFAULT_DATA, "folder of the data set, from the repository's top or absolute")
    treatment: str | None = _field(None, "label of the treatment arm; empty: as dataset.yml says, else BM-MSC")
    control: str | None = _field(None, "label of the control arm; empty: as dataset.yml says, else Sham")
    primary_month: Month = _field(12, "visit of the co-primary endpoints", "months")
    alpha: float = _field(0.05, "two-sided significance level; intervals are 1 - alpha", gt=0, lt=0.5)
    vas_rule_percent: float = _field(20, "VAS improvement a responder needs, relative", "%", ge=0, le=100)
    vas_rule_mm: float = _field(20, "VAS improvement a responder needs, absolute", "mm", ge=0, le=100)
    odi_rule_percent: float = _field(20, "ODI improvement a responder needs", "% or points", ge=0, le=100)
    odi_rule: Literal["relative", "points"] = _field("relative", "how the ODI improvement is measured")
    rescue: Literal["non_responder", "ignored"] = _field("non_responder", "what a rescue treatment makes of a response")
    mcid_vas_mm: float = _field(20, "minimal clinically important difference of VAS", "mm", gt=0, le=100)
    mcid_odi_points: float = _field(10, "minimal clinically important difference of ODI", "points", gt=0, le=100)
    mcid_sf36: float = _field(5, "minimal clinically important difference of SF-36 scores", "points", gt=0, le=100)
    imputations: int = _field(50, "data sets of the multiple imputation", ge=2, le=10_000)
    seed: int = _field(20241101, "seed of every random draw", ge=0, lt=2**32)
    covariates: tuple[Covariate, ...] = _field(
        ("COUNTRY", "VASBL", "ODIBL"), "baseline covariates of the adjusted risk difference"
    )
    subgroups: tuple[Subgroup, ...] = _field(
        ("SEX", "AGE", "BMI", "PFIRRMANN", "MODIC", "COUNTRY", "VASBL"), "subgroups of the forest plot"
    )
    delta_max: float = _field(40, "largest VAS worsening of the tipping-point grid", "mm", ge=0, le=100)
    delta_step: float = _field(10, "step of the tipping-point grid", "mm", gt=0, le=100)

    @model_validator(mode="after")
    def _consistent(self) -> Parameters:
        if self.treatment is not None and self.treatment == self.control:
            raise ValueError(f"treatment and control are both {self.treatment!r}: name two different arms")
        if self.delta_max and self.delta_step > self.delta_max:
            raise ValueError(f"delta_step {self.delta_step:g} is larger than delta_max {self.delta_max:g}")
        return self

    @field_validator("covariates", "subgroups")
    @classmethod
    def _once(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice} is given twice")
        return values

    @property
    def level(self) -> float:
        """Confidence level of every interval, 1 - alpha."""
        return 1 - self.alpha
