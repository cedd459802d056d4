"""Parameters, versions, checks and the CONSORT 2025 checklist in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from respine.analyses.reproducibility import Setting
from respine.display import wording
from respine.display.outputs import Row, Table
from respine.display.tables import EMPTY
from respine.results import Results

ARTICLE = "in the article; not at hand"
CONSORT: tuple[tuple[str, str, str, str], ...] = (
    ("Title and abstract", "1a", "Title identifies the trial as randomised", "Abstract"),
    ("Title and abstract", "1b", "Structured summary", "Abstract"),
    ("Open science", "2", "Registration", "Abstract"),
    ("Open science", "3", "Protocol and statistical analysis plan", "Methods"),
    ("Open science", "4", "Data, code and materials", "Data; Reproducibility"),
    ("Open science", "5a", "Funding", ARTICLE),
    ("Open science", "5b", "Conflicts of interest", ARTICLE),
    ("Introduction", "6", "Background and rationale", ARTICLE),
    ("Introduction", "7", "Objectives on benefits and harms", "Abstract"),
    ("Methods", "8", "Patient and public involvement", ARTICLE),
    ("Methods", "9", "Trial design", "Methods"),
    ("Methods", "10", "Changes after the trial began", ARTICLE),
    ("Methods", "11", "Setting", "Participants"),
    ("Methods", "12a", "Eligibility of participants", "Methods"),
    ("Methods", "12b", "Eligibility of sites and of those who treat", ARTICLE),
    ("Methods", "13", "Intervention and comparator", "Methods"),
    ("Methods", "14", "Outcomes", "Methods"),
    ("Methods", "15", "Harms: definition and assessment", "Methods; Safety"),
    ("Methods", "16a", "Sample size", "Published numbers"),
    ("Methods", "16b", "Interim analyses and stopping", ARTICLE),
    ("Methods", "17a", "Random sequence: who generated it and how", ARTICLE),
    ("Methods", "17b", "Type of randomisation and restrictions", ARTICLE),
    ("Methods", "18", "Allocation concealment", ARTICLE),
    ("Methods", "19", "Implementation of the allocation", ARTICLE),
    ("Methods", "20a", "Who was blinded", ARTICLE),
    ("Methods", "20b", "How blinding was achieved", ARTICLE),
    ("Methods", "21a", "Statistical methods", "Methods"),
    ("Methods", "21b", "Who is in each analysis", "Methods; Participants"),
    ("Methods", "21c", "Missing data", "Methods; Robustness"),
    ("Methods", "21d", "Additional analyses", "Methods; Robustness; Subgroups"),
    ("Results", "22a", "Participant flow", "Participants"),
    ("Results", "22b", "Losses and exclusions with reasons", "Participants"),
    ("Results", "23a", "Dates of recruitment and follow-up", "Published numbers"),
    ("Results", "23b", "Why the trial ended", ARTICLE),
    ("Results", "24a", "Intervention as delivered", "Participants"),
    ("Results", "24b", "Concomitant care", "Secondary endpoints"),
    ("Results", "25", "Baseline data", "Baseline"),
    ("Results", "26", "Numbers analysed, outcomes and estimation", "Response; Disc structure; Secondary endpoints"),
    ("Results", "27", "Harms", "Safety"),
    ("Results", "28", "Ancillary analyses", "Subgroups; Robustness"),
    ("Discussion", "29", "Interpretation", "Discussion"),
    ("Discussion", "30", "Limitations", "Discussion"),
)
"""Section, item, topic in short, and the chapter that holds it."""


def parameters_table(settings: Sequence[Setting]) -> Table:
    """Every parameter with its value here and, where that differs, its default."""
    rows = []
    for setting in settings:
        value, default = _plain(setting.value), _plain(setting.default)
        rows.append(
            Row(setting.name, (value, "" if value == default else default, setting.unit or EMPTY, setting.help))
        )
    return Table(
        label="tbl-parameters",
        caption="Parameters of the analysis, as this report was built with them and as the plan has them.",
        columns=("Parameter", "Value", "Default", "Unit", "Meaning"),
        rows=tuple(rows),
        text_columns=frozenset({1, 2, 3, 4}),
        notes=("Default: given where the value differs. Arm labels that are not given are those of the data set.",),
    )


def _plain(value: Any) -> str:
    if value is None:
        return EMPTY
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def versions_table(versions: Mapping[str, str]) -> Table:
    """The software that made the numbers and the pages."""
    return Table(
        label="tbl-versions",
        caption="Software.",
        columns=("Package", "Version"),
        rows=tuple(Row(name, (number,)) for name, number in versions.items()),
        text_columns=frozenset({1}),
        notes=("All packages, with hashes, are listed in the lock file of the source.",),
    )


def checks_table(checks: Mapping[str, bool]) -> Table:
    """The checks and their outcome."""
    return Table(
        label="tbl-checks",
        caption="Checks that the report makes of itself when it is built.",
        columns=("Check", "Outcome"),
        rows=tuple(Row(text, ("passed" if passed else "failed",)) for text, passed in checks.items()),
        text_columns=frozenset({1}),
    )


def consort_table() -> Table:
    """Where each item of CONSORT 2025 stands."""
    return Table(
        label="tbl-consort",
        caption="CONSORT 2025 checklist: where each item is reported.",
        columns=("Item", "Topic", "Chapter"),
        rows=tuple(Row(item, (topic, chapter), section) for section, item, topic, chapter in CONSORT),
        text_columns=frozenset({1, 2}),
        notes=("Topics in our own short words. Items that stand in the article alone are not repeated here.",),
    )


def sentences(settings: Sequence[Setting], checks: Mapping[str, bool]) -> Results:
    """Whether the report was built as planned, and whether its checks passed."""
    said = Results()
    changed = [s.name for s in settings if s.changed and s.name != "data"]
    plan = (
        "every parameter has the plan's default"
        if not changed
        else f"every parameter has the plan's default save {wording.listed(changed)}"
    )
    failed = sum(not passed for passed in checks.values())
    outcome = "all its checks passed" if not failed else f"{failed} of its {len(checks)} checks failed"
    said.state("reproducibility.key", f"In this report {plan}, and {outcome}.")
    return said
