"""A study: a trial data set and the parameters that an analysis may use."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeGuard, cast

from respine.parameters import Parameters
from respine.trial import Trial, load_trial

TABLES = ("adsl", "adqs", "admi", "adis", "adae", "adcm")
DATA_ALIAS = "dataset"
"""What a chapter's ``data`` says when the build was given a data set outside the repository."""


class ParameterNotTakenError(AttributeError):
    """A chapter used a parameter that its parameters cell does not name."""


class _Taken:
    """The parameters that a chapter takes; another is refused, so that no default is used unseen."""

    def __init__(self, parameters: Parameters, names: frozenset[str]) -> None:
        self._parameters = parameters
        self._names = names

    def __getattr__(self, name: str) -> Any:
        needed = "alpha" if name == "level" else name
        if needed not in self._names:
            raise ParameterNotTakenError(
                f"this chapter does not take the parameter {needed!r}: add it to the chapter's parameters cell "
                "and pass it to open_study"
            )
        return getattr(self._parameters, name)

    def model_copy(self, *, update: dict[str, Any]) -> _Taken:
        """The same names with some values changed; what is changed counts as taken."""
        return _Taken(self._parameters.model_copy(update=update), self._names | frozenset(update))


@dataclass(frozen=True, slots=True)
class Arms:
    """Labels of the arms, for display alone."""

    treatment: str
    control: str
    overall: str = "All"

    def __getitem__(self, role: str) -> str:
        return cast(str, getattr(self, role))


@dataclass(frozen=True, slots=True)
class Study:
    """What every analysis takes: the derived trial and the parameters.

    Parameters
    ----------
    trial
        The checked and derived data set.
    parameters
        The plan's choices; in a chapter, only those it takes.
    taken
        Names of the parameters the chapter takes, in its order.
    """

    trial: Trial
    parameters: Parameters
    taken: tuple[str, ...] = tuple(Parameters.model_fields)

    @property
    def arms(self) -> Arms:
        """The arm labels."""
        return Arms(self.trial.info.treatment, self.trial.info.control)

    def bundle(self) -> tuple[dict[str, str], dict[str, Any]]:
        """Data and metadata of the notebook output that names the study."""
        info = self.trial.info
        randomised = len(self.trial.participants("ITT"))
        text = f"{info.title}: {randomised} randomised, {info.treatment} against {info.control}"
        values = {name: getattr(self.parameters, name) for name in self.taken}
        metadata = {
            "kind": "study",
            "parameters": {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
            "info": {
                "title": info.title,
                "studyid": info.studyid,
                "synthetic": info.synthetic,
                "source": info.source,
                "licence": info.licence,
                "cutoff": str(info.cutoff) if info.cutoff else "",
                "treatment": info.treatment,
                "control": info.control,
                "sha256": dict(info.sha256),
            },
        }
        return {"text/plain": text}, metadata


def open_study(*, tables: Sequence[str] = TABLES, **chosen: Any) -> Study:
    """The study of a chapter, from the names in its parameters cell.

    Parameters
    ----------
    tables
        The tables that the chapter reads, as its notebook's metadata declares them (``respine.tables``): it is executed
        again only when one of these changes, so that any other, and what is derived from it, is taken away.
    chosen
        Every parameter the chapter uses; using another one raises :class:`ParameterNotTakenError`.

    Raises
    ------
    ParameterNotTakenError
        papermill was given a parameter that the chapter does not take.
    pydantic.ValidationError
        A name or value that :class:`respine.parameters.Parameters` does not allow.
    respine.trial.DataError
        A data set that breaks the contract.
    """
    _refuse_unknown_injected(chosen)
    parameters = Parameters(**chosen)
    trial = load_trial(locate_data(parameters.data), treatment=parameters.treatment, control=parameters.control)
    trial = restricted(trial, tables)
    taken = ("data", *(name for name in chosen if name != "data"))
    return Study(trial, cast(Parameters, _Taken(parameters, frozenset(taken))), taken)


def _refuse_unknown_injected(chosen: Mapping[str, Any]) -> None:
    """Refuse what papermill's ``-p`` put into the notebook and no chapter reads: papermill itself only warns."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    cells = [] if shell is None else shell.user_ns.get("In", [])
    injected = next((cell for cell in reversed(cells) if cell.startswith(_INJECTED)), "")
    names = [target.id for node in ast.parse(injected).body for target in ast.walk(node) if _is_assigned(target)]
    for name in names:
        if name not in chosen:
            near = difflib.get_close_matches(name, chosen, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(chosen)}"
            raise ParameterNotTakenError(f"this chapter does not take the parameter {name!r}; {hint}")


_INJECTED = "# Parameters\n"
"""How papermill's cell begins."""


def _is_assigned(node: ast.AST) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)


class TableNotReadError(AttributeError):
    """A chapter used a table that it does not declare."""


class _NotRead:
    """Stands for a table that the chapter does not declare."""

    def __init__(self, table: str) -> None:
        self._table = table

    def _refuse(self) -> NoReturn:
        raise TableNotReadError(
            f"this chapter does not read the table {self._table!r}: add it to `tables` in open_study and to "
            "`respine.tables` in the notebook's metadata"
        )

    def __getattr__(self, name: str) -> Any:
        self._refuse()

    def __getitem__(self, key: object) -> Any:
        self._refuse()


def restricted(trial: Trial, tables: Sequence[str]) -> Trial:
    """The trial without the tables that are not in ``tables``, and without the columns derived from them."""
    unread = [table for table in TABLES if table not in tables]
    if not unread:
        return trial
    gone = {column for table in unread for column in _DERIVED.get(table, ())} | {"EOSDY"}
    adsl = trial.adsl.drop(columns=gone.intersection(trial.adsl.columns))
    frames: dict[str, Any] = {table: _NotRead(table) for table in unread}
    if "adcm" in unread and "adqs" not in unread:
        # Not drop, which would copy what chapters share in memory.
        frames["adqs"] = trial.adqs.copy(deep=False)
        del frames["adqs"]["RESCUED"]
    info = dataclasses.replace(trial.info, sha256={t: h for t, h in trial.info.sha256.items() if t in tables})
    return dataclasses.replace(trial, info=info, adsl=adsl, **frames)


# EOSDY, where the input lacks it, comes from whichever table saw the participant last: it needs them all.
_DERIVED = {"adqs": ("MITT", "PP", "VASBL", "ODIBL"), "admi": ("T2BL",), "adcm": ("RESCUEDY",)}


def locate_data(data: str) -> Path:
    """The folder of the data set: relative paths start at the repository's top, from wherever a chapter is opened."""
    if data == DATA_ALIAS and "RESPINE_DATA" in os.environ:
        return Path(os.environ["RESPINE_DATA"])
    path = Path(data)
    if path.is_absolute():
        return path
    if "RESPINE_ROOT" in os.environ:
        return Path(os.environ["RESPINE_ROOT"]) / path
    here = Path.cwd()
    # The last: a chapter that papermill runs from somewhere else belongs to the book that this package lies in.
    tops = (here, *here.parents, Path(__file__).resolve().parents[2])
    return next((folder for folder in tops if (folder / "_toc.yml").is_file()), here) / path
