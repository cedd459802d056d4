"""The data contract: what a data set may hold, said once.

From :data:`TABLES` and :data:`PARAMETERS` come the pandera checks and schemas (:mod:`respine.trial.schemas`) that a
data set is held to (:mod:`respine.trial.checking`), and the data dictionary (:func:`data_dictionary`). Names and codes
are those of CDISC ADaM (ADaMIG 1.3, OCCDS 1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from respine.trial.countries import ALPHA3

if TYPE_CHECKING:
    import pandas as pd

Type = Literal["text", "number", "integer", "day", "date"]
Need = Literal["required", "optional", "conditional"]

MONTH_DAYS = 30.4375
"""Days of a month: 365.25 / 12."""

DEFAULT_DATA = "data/respine-synthetic"
DEFAULT_TREATMENT = "BM-MSC"
DEFAULT_CONTROL = "Sham"
DEFAULT_WINDOWS = {1: 21, 3: 30, 6: 30, 12: 60, 24: 60}
"""Days by which a visit may miss its nominal day, by month."""

PROTOCOL_VAS_ABOVE = 40
"""Baseline VAS (mm) that the protocol asks participants to exceed."""


def nominal_day(month: float) -> int:
    """Study day of a visit: round(30.4375 month) + 1; a half goes to the even day, so that month 24 is day 731."""
    return round(MONTH_DAYS * month) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The rows of its own table in which a conditional column must be filled.

    Parameters
    ----------
    column, values
        The rows where ``column`` has one of ``values``; without values, where it is not empty.
    only
        Elsewhere the cell must be empty.
    """

    column: str
    values: tuple[str, ...] = ()
    only: bool = False

    def __str__(self) -> str:
        where = f"{self.column} = {' or '.join(self.values)}" if self.values else f"{self.column} is given"
        return f"where and only where {where}" if self.only else f"where {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name, label, unit
        CDISC name; what it means; unit of a number.
    type
        ``day`` is a study day: a whole number, and never 0. ``date`` is a complete ISO 8601 day.
    need
        ``required``: the column must be there; ``optional``; ``conditional``: filled where ``where`` says.
    blank
        Cells of a required column may be empty.
    values, values_label
        Codes, matched to the letter; how the dictionary names a list too long to print.
    minimum, maximum
        Bounds, included.
    not_before
        A column of the same type that the value must not precede.
    protocol
        Bounds outside which a randomised participant deviates from the protocol: a warning.
    derived
        The package derives the column; where the input brings it, the two are compared.
    note
        A rule of the contract that the other fields cannot say, in words.
    """

    name: str
    label: str
    type: Type = "text"
    need: Need = "required"
    unit: str = ""
    blank: bool = False
    values: tuple[str, ...] = ()
    values_label: str = ""
    minimum: float | None = None
    maximum: float | None = None
    where: Condition | None = None
    not_before: str = ""
    protocol: tuple[float, float] | None = None
    derived: bool = False
    note: str = ""

    @property
    def numeric(self) -> bool:
        """Whether values are numbers."""
        return self.type in ("number", "integer", "day")

    @property
    def integer(self) -> bool:
        """Whether values are whole numbers."""
        return self.type in ("integer", "day")

    @property
    def may_be_blank(self) -> bool:
        """Whether an empty cell is allowed without looking at other columns."""
        return self.blank or self.need != "required"

    @property
    def allowed(self) -> str:
        """What a value may be, in words."""
        if self.values:
            return self.values_label or "one of " + ", ".join(self.values)
        kind = {
            "text": "text",
            "number": "a number with a decimal point",
            "integer": "a whole number",
            "day": "a whole number other than 0",
            "date": "a complete ISO 8601 day, YYYY-MM-DD",
        }[self.type]
        bounds = _bounds(self.minimum, self.maximum, self.unit)
        return f"{kind}, {bounds}" if bounds else kind


def _bounds(minimum: float | None, maximum: float | None, unit: str) -> str:
    unit = f" {unit}" if unit else ""
    if minimum is not None and maximum is not None:
        return f"{minimum:g} to {maximum:g}{unit}"
    return f"{minimum:g} or more{unit}" if minimum is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One PARAMCD.

    Parameters
    ----------
    code, label, unit, table
        CDISC code, what it is, its unit, and the table it stands in.
    visits
        The months (AVISITN) at which it is assessed; 0 is baseline.
    minimum, maximum
        Bounds of AVAL, included.
    integer
        AVAL is a whole number (a grade).
    better
        Which direction is an improvement; empty where none is.
    """

    code: str
    label: str
    table: str
    visits: tuple[int, ...]
    minimum: float
    maximum: float | None
    unit: str = ""
    integer: bool = False
    better: Literal["lower", "higher", ""] = ""

    @property
    def allowed(self) -> str:
        """What AVAL may be, in words."""
        kind = "a whole number" if self.integer else "a number"
        return f"{kind}, {_bounds(self.minimum, self.maximum, self.unit)} ({self.code})"


_MONTHS = (0, 1, 3, 6, 12, 24)
_IMAGING = (0, 6, 12, 24)
_IMMUNE = (0, 1, 3, 6)


def _sf36(code: str, label: str) -> Parameter:
    return Parameter(
        code=code, label=f"SF-36 {label}", table="adqs", visits=_MONTHS, minimum=0, maximum=100, better="higher"
    )


PARAMETERS = {
    p.code: p
    for p in (
        Parameter(
            code="VASPAIN", label="Low back pain, visual analogue scale", unit="mm", table="adqs", visits=_MONTHS,
            minimum=0, maximum=100, better="lower",
        ),
        Parameter(
            code="ODI", label="Oswestry Disability Index", unit="%", table="adqs", visits=_MONTHS,
            minimum=0, maximum=100, better="lower",
        ),
        _sf36("SF36PCS", "physical component summary"),
        _sf36("SF36MCS", "mental component summary"),
        _sf36("SF36PF", "physical functioning"),
        _sf36("SF36RP", "role physical"),
        _sf36("SF36BP", "bodily pain"),
        _sf36("SF36GH", "general health"),
        _sf36("SF36VT", "vitality"),
        _sf36("SF36SF", "social functioning"),
        _sf36("SF36RE", "role emotional"),
        _sf36("SF36MH", "mental health"),
        Parameter(
            code="T2", label="Disc T2 relaxation time", unit="ms", table="admi", visits=_IMAGING,
            minimum=5, maximum=400, better="higher",
        ),
        Parameter(
            code="PFIRR", label="Modified Pfirrmann grade of the index disc", table="admi", visits=_IMAGING,
            minimum=1, maximum=8, integer=True, better="lower",
        ),
        Parameter(
            code="DSA1", label="Donor-specific antibodies, anti-HLA class I", unit="MFI", table="adis",
            visits=_IMMUNE, minimum=0, maximum=None,
        ),
        Parameter(
            code="DSA2", label="Donor-specific antibodies, anti-HLA class II", unit="MFI", table="adis",
            visits=_IMMUNE, minimum=0, maximum=None,
        ),
    )
}  # fmt: skip


def parameters_of(table: str) -> dict[str, Parameter]:
    """The parameters of one table."""
    return {code: p for code, p in PARAMETERS.items() if p.table == table}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table: its key and its columns."""

    name: str
    label: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    @property
    def longitudinal(self) -> bool:
        """Whether it has one row a participant, parameter and visit."""
        return "PARAMCD" in self.key


_SUBJECT = Column(name="USUBJID", label="Unique subject identifier", note="a participant of adsl")
RESCUE_CATEGORIES = ("SPINAL INJECTION", "SURGERY", "OPIOID")
RELATED_CODES = ("POSSIBLE", "PROBABLE", "RELATED")


_ADSL = Table(
    name="adsl",
    label="Participants, one row a screened participant",
    key=("USUBJID",),
    columns=(
        Column(name="STUDYID", label="Study identifier", note="the same in every row"),
        Column(name="USUBJID", label="Unique subject identifier", note="unique"),
        Column(name="SITEID", label="Centre"),
        Column(
            name="COUNTRY", label="Country of the centre", values=ALPHA3,
            values_label="an assigned ISO 3166-1 alpha-3 code",
        ),
        Column(
            name="AGE", label="Age at consent", type="number", unit="years", minimum=0, maximum=120,
            protocol=(18, 60),
        ),
        Column(name="SEX", label="Sex", values=("M", "F", "U")),
        Column(
            name="HEIGHTBL", label="Height at baseline", type="number", need="optional", unit="cm",
            minimum=100, maximum=230,
        ),
        Column(
            name="WEIGHTBL", label="Weight at baseline", type="number", need="optional", unit="kg",
            minimum=25, maximum=300,
        ),
        Column(name="SMOKBL", label="Smoking", need="optional", values=("NEVER", "FORMER", "CURRENT")),
        Column(
            name="WORKBL", label="Work status", need="optional",
            values=("WORKING", "SICK LEAVE", "NOT WORKING", "RETIRED"),
        ),
        Column(
            name="PAINDUR", label="Duration of low back pain", type="number", need="optional", unit="months",
            minimum=0,
        ),
        Column(
            name="DISCLVL", label="Index disc", need="optional",
            values=("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"),
        ),
        Column(
            name="PFIRRBL", label="Modified Pfirrmann grade of the index disc (Griffith)", type="integer",
            need="optional", minimum=1, maximum=8, protocol=(4, 7),
        ),
        Column(name="MODICBL", label="Modic type", type="integer", need="optional", minimum=0, maximum=3),
        Column(name="OPIOIDBL", label="Opioid use at baseline", need="optional", values=("Y", "N")),
        Column(name="RANDFL", label="Randomised", values=("Y", "N"), note="at least one Y"),
        Column(
            name="SCRFREAS", label="Reason not randomised", need="conditional",
            where=Condition(column="RANDFL", values=("N",)),
        ),
        Column(
            name="TRT01P", label="Planned arm", need="conditional",
            where=Condition(column="RANDFL", values=("Y",), only=True), note="one of the two arm labels",
        ),
        Column(
            name="TRT01A", label="Arm received", blank=True, note="an arm label; empty where not treated",
        ),
        Column(
            name="RANDDT", label="Date of randomisation", type="date", need="conditional",
            where=Condition(column="RANDFL", values=("Y",)),
        ),
        Column(
            name="TRTSDT", label="Date of the injection", type="date", need="conditional",
            where=Condition(column="TRT01A", only=True), not_before="RANDDT",
        ),
        Column(
            name="PPROTFL", label="Per protocol", need="optional", values=("Y", "N"),
            note="where nothing is given, all treated",
        ),
        Column(
            name="DCSREAS", label="Reason for leaving the study early", need="optional",
            values=(
                "ADVERSE EVENT", "LACK OF EFFICACY", "LOST TO FOLLOW-UP", "WITHDRAWAL BY SUBJECT",
                "PROTOCOL DEVIATION", "DEATH", "OTHER",
            ),
        ),
        Column(
            name="EOSDY", label="Study day of leaving or completing", type="day", need="optional", minimum=1,
            note="where empty for a treated participant, the last day seen in any table",
        ),
        Column(
            name="BMIBL", label="Body mass index at baseline", type="number", need="optional", unit="kg/m2",
            derived=True,
        ),
    ),
)  # fmt: skip


def _longitudinal(name: str, label: str, *more: Column) -> Table:
    parameters = parameters_of(name)
    visits = sorted({v for p in parameters.values() for v in p.visits})
    return Table(
        name=name,
        label=label,
        key=("USUBJID", "PARAMCD", "AVISITN"),
        columns=(
            _SUBJECT,
            Column(name="PARAMCD", label="Parameter", values=tuple(parameters)),
            Column(
                name="AVISITN", label="Visit: month, 0 is baseline", type="integer", unit="months",
                values=tuple(str(v) for v in visits),
            ),
            Column(name="ADY", label="Study day of the assessment", type="day", need="optional",
                   note="where empty, the nominal day of the visit"),
            Column(name="AVAL", label="Value", type="number", blank=True),
            *more,
            *(
                Column(name=code, label=label, type="number", need="optional", derived=True)
                for code, label in (
                    ("BASE", "Baseline value"), ("CHG", "Change from baseline"),
                    ("PCHG", "Percentage change from baseline"),
                )
            ),
        ),
    )  # fmt: skip


_ADAE = Table(
    name="adae",
    label="Adverse events",
    key=("USUBJID", "AESEQ"),
    columns=(
        _SUBJECT,
        Column(name="AESEQ", label="Sequence number within the participant", type="integer"),
        Column(name="AETERM", label="Verbatim term", blank=True, note="any text"),
        Column(name="AEDECOD", label="Preferred term"),
        Column(name="AEBODSYS", label="System organ class"),
        Column(name="AESEV", label="Severity", values=("MILD", "MODERATE", "SEVERE")),
        Column(name="AESER", label="Serious", values=("Y", "N")),
        Column(
            name="AEREL", label="Relation to the treatment", values=("NOT RELATED", "UNLIKELY", *RELATED_CODES)
        ),
        Column(
            name="ASTDY", label="Study day of the start", type="day", blank=True,
            note="empty counts as treatment-emergent",
        ),
        Column(name="AENDY", label="Study day of the end", type="day", blank=True, not_before="ASTDY"),
        Column(name="AEOUT", label="Outcome", need="optional"),
        Column(name="AEACN", label="Action taken", need="optional"),
    ),
)  # fmt: skip


_ADCM = Table(
    name="adcm",
    label="Concomitant treatments that matter to the estimand",
    key=("USUBJID", "CMSEQ"),
    columns=(
        _SUBJECT,
        Column(name="CMSEQ", label="Sequence number within the participant", type="integer"),
        Column(name="CMDECOD", label="Drug or procedure"),
        Column(
            name="CMCAT",
            label="Category",
            values=("ANALGESIC", "OPIOID", "SPINAL INJECTION", "SURGERY", "OTHER"),
        ),
        Column(
            name="ASTDY",
            label="Study day of the start",
            type="day",
            blank=True,
            where=Condition(column="CMCAT", values=RESCUE_CATEGORIES),
        ),
        Column(name="AENDY", label="Study day of the end", type="day", blank=True, not_before="ASTDY"),
    ),
)


TABLES = {
    t.name: t
    for t in (
        _ADSL,
        _longitudinal("adqs", "Questionnaires, one row a participant, parameter and visit"),
        _longitudinal("admi", "Imaging, one row a participant, parameter and visit"),
        _longitudinal(
            "adis",
            "Immune response, one row a participant, parameter and visit",
            Column(
                name="AVALC",
                label="Result",
                need="conditional",
                values=("POSITIVE", "NEGATIVE"),
                where=Condition(column="AVAL"),
            ),
        ),
        _ADAE,
        _ADCM,
    )
}


def data_dictionary() -> pd.DataFrame:
    """The contract as a table: ``table``, ``column``, ``label``, ``type``, ``values``, ``need``."""
    import pandas as pd

    rows = [
        (table.name, c.name, c.label, c.type, _dictionary_values(table, c), _dictionary_need(c))
        for table in TABLES.values()
        for c in table.columns
    ]
    return pd.DataFrame(rows, columns=["table", "column", "label", "type", "values", "need"])


def _dictionary_values(table: Table, column: Column) -> str:
    parts = [", ".join(column.values) if column.values and not column.values_label else column.values_label]
    bounds = _bounds(column.minimum, column.maximum, column.unit)
    if column.name == "AVAL":
        parts.append(
            "; ".join(f"{p.code}: {_bounds(p.minimum, p.maximum, p.unit)}" for p in parameters_of(table.name).values())
        )
    elif bounds or column.unit:
        parts.append(bounds or column.unit)
    if column.type == "date":
        parts.append("YYYY-MM-DD")
    if column.type == "day" and column.minimum is None:
        parts.append("never 0")
    if column.not_before:
        parts.append(f"not before {column.not_before}")
    if column.protocol:
        parts.append(f"protocol {column.protocol[0]:g} to {column.protocol[1]:g}")
    parts.append(column.note)
    return "; ".join(p for p in parts if p)


def _dictionary_need(column: Column) -> str:
    if column.derived:
        return "derived; compared where given"
    if column.where:
        # A conditional column may be absent where no row needs it.
        return f"required{'; filled' if column.need == 'required' else ''} {column.where}"
    if column.need == "required" and column.blank:
        return "required; cells may be empty"
    return column.need
