"""What an author asked for on the command line, made into validated parameters, or refused with the reason."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from respine.book.failures import RefusedError
from respine.book.paths import Repository

if TYPE_CHECKING:
    from pydantic import ValidationError


def choose(
    repository: Repository, given: Sequence[str], file: Path | None, data: Path | None
) -> tuple[dict[str, Any], Path | None]:
    """Validated parameters by name, only those that were asked for, and the data set where one was named.

    Parameters
    ----------
    repository
        The book; a relative ``data`` parameter starts at its top.
    given
        ``name=value`` texts, values written as in YAML.
    file
        YAML file of parameters; ``given`` goes before it.
    data
        A data set, relative to the working folder.
    """
    return settled(repository, {**(_from_file(file) if file else {}), **_from_texts(given)}, data)


def settled(
    repository: Repository, asked: Mapping[str, Any], data: Path | None = None
) -> tuple[dict[str, Any], Path | None]:
    """The same for values as they are; ``data`` may be among them."""
    folder = _folder(repository, asked, data)
    # First, since the model of the parameters takes longer to load than a label takes to look up.
    _check_labels(repository, folder, asked)
    chosen = validated(asked) if asked else {}
    chosen.pop("data", None)
    return chosen, folder


def _folder(repository: Repository, asked: Mapping[str, Any], data: Path | None) -> Path | None:
    """The data set that was asked for; None also for what is no text, which is refused with the other types."""
    named = asked.get("data")
    if data is not None and named is not None:
        raise RefusedError("the data set is named twice: by --data and by the parameter data")
    folder = data if data is not None else (repository.root / named if isinstance(named, str) else None)
    if folder is not None and not folder.exists():
        raise RefusedError(f"there is no data set at {folder}")
    return folder.resolve() if folder is not None else None


def _from_texts(given: Sequence[str]) -> dict[str, Any]:
    import yaml

    values: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise RefusedError(f"-p {text}: write it as name=value")
        if name in values:
            raise RefusedError(f"-p {name} is given twice")
        try:
            values[name] = _as_written(name, value.strip(), yaml.safe_load(value))
        except yaml.YAMLError:
            raise RefusedError(f"-p {text}: the value is neither a word, a number nor a [list, of, them]") from None
    return values


def _as_written(name: str, text: str, value: Any) -> Any:
    """Labels stay the text they were written as: YAML would read ``NO`` or ``12`` as something else."""
    if value is None or isinstance(value, str):
        return value
    from respine.parameters import Parameters

    field = Parameters.model_fields.get(name)
    return text if field is not None and field.annotation in (str, str | None) else value


def _from_file(file: Path) -> dict[str, Any]:
    import yaml

    try:
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RefusedError(f"--params {file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RefusedError(f"--params {file} is not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise RefusedError(f"--params {file}: write one 'name: value' a line")
    return {str(name): value for name, value in values.items()}


def validated(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The values with the types of the plan; refused are unknown names, wrong types, bounds and contradictions."""
    from pydantic import ValidationError

    from respine.parameters import Parameters

    problems = [_unknown(name, list(Parameters.model_fields)) for name in asked if name not in Parameters.model_fields]
    known = {name: value for name, value in asked.items() if name in Parameters.model_fields}
    # pydantic takes True for 1; nobody means that.
    problems += [f"{name} = {value}: not a number" for name, value in known.items() if isinstance(value, bool)]
    try:
        parameters = Parameters(**known)
    except ValidationError as error:
        problems += _explained(error)
    if problems:
        raise RefusedError("\n".join(problems))
    return {name: getattr(parameters, name) for name in known}


def _unknown(name: str, names: list[str]) -> str:
    # Names are lower-case; some write them as the data's columns.
    near = difflib.get_close_matches(name.lower().replace("-", "_"), names, n=2)
    hint = f"did you mean {' or '.join(near)}?" if near else "`respine parameters` lists them"
    return f"there is no parameter {name}; {hint}"


def _explained(error: ValidationError) -> list[str]:
    from respine.parameters import Parameters

    lines = []
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
        if not problem["loc"]:
            lines.append(message)
            continue
        name = str(problem["loc"][0])
        meaning = Parameters.model_fields[name].description
        if problem["type"] == "tuple_type":
            message = "write a list: [A, B]"
        lines.append(f"{name} = {_written(problem['input'])}: {message} ({meaning})")
    return lines


def _written(value: Any) -> str:
    """A refused value as it was understood: text in quotes, since '12' is not 12."""
    if isinstance(value, str):
        return repr(value)
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _check_labels(repository: Repository, folder: Path | None, asked: Mapping[str, Any]) -> None:
    """Refuse arm labels that are the same, or that the data set plainly does not have; the full check says the rest."""
    labels = {name: asked[name] for name in ("treatment", "control") if isinstance(asked.get(name), str)}
    if not labels or labels.get("treatment") == labels.get("control"):
        return
    from respine.trial.arms import planned_arms
    from respine.trial.contract import DEFAULT_DATA
    from respine.trial.dataset import read_settings
    from respine.trial.findings import Findings

    data = folder or repository.root / DEFAULT_DATA
    if not data.exists():
        return
    found = planned_arms(data)
    arms = f"the data set's arms are {', '.join(sorted(found))}"
    for name, label in labels.items():
        if found and label.strip() not in found:
            near = difflib.get_close_matches(label, found, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise RefusedError(f"{name} = {label}: {arms}{hint}")
    home = data if data.is_dir() else data.parent
    settings = read_settings(home, Findings(), labels.get("treatment"), labels.get("control"))
    if settings.treatment == settings.control:
        other = "control" if "treatment" in labels else "treatment"
        raise RefusedError(f"treatment and control are both {settings.control!r}: set {other}, too; {arms}")


def describe_parameters() -> list[dict[str, Any]]:
    """Name, default, unit, what is allowed, and meaning of every parameter."""
    from respine.parameters import Parameters

    schema = Parameters.model_json_schema()
    rows = []
    for name, field in Parameters.model_fields.items():
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        rows.append(
            {
                "name": name,
                "default": default,
                "unit": schema["properties"][name].get("unit", ""),
                "allowed": _allowed(schema["properties"][name]),
                "help": field.description,
            }
        )
    return rows


def _allowed(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if "items" in field:
        return "a list of " + _allowed(field["items"])
    signs = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    return ", ".join(f"{word} {field[key]:g}" for key, word in signs.items() if key in field)
