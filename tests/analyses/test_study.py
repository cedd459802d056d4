from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from respine.analyses import response
from respine.analyses.study import (
    DATA_ALIAS,
    TABLES,
    ParameterNotTakenError,
    Study,
    TableNotReadError,
    locate_data,
    open_study,
    restricted,
)
from tests.analyses.conftest import SHIPPED

CHAPTERS = sorted((Path(__file__).parents[2] / "chapters").glob("*.ipynb"))


def test_a_parameter_that_is_not_passed_is_refused() -> None:
    study = open_study(data=str(SHIPPED), primary_month=12)
    assert study.parameters.primary_month == 12
    with pytest.raises(ParameterNotTakenError, match="does not take the parameter 'alpha'"):
        _ = study.parameters.level


def test_a_changed_copy_takes_what_it_changes() -> None:
    study = open_study(data=str(SHIPPED), vas_rule_mm=20)
    assert study.parameters.model_copy(update={"rescue": "ignored"}).rescue == "ignored"


def test_a_table_that_is_not_declared_is_refused() -> None:
    study = open_study(data=str(SHIPPED), tables=["adsl", "adqs"])
    with pytest.raises(TableNotReadError, match="'adae'"):
        study.trial.adae["USUBJID"]
    with pytest.raises(TableNotReadError, match="'admi'"):
        study.trial.wide("T2")
    assert not {"RESCUEDY", "T2BL", "EOSDY"} & set(study.trial.adsl.columns)
    assert "RESCUED" not in study.trial.adqs
    assert set(study.bundle()[1]["info"]["sha256"]) == {"adsl", "adqs"}


def test_declared_tables_give_the_same_numbers(shipped: Study) -> None:
    part = Study(restricted(shipped.trial, ["adsl", "adqs", "adcm"]), shipped.parameters)
    assert response.count(response.primary_frame(part)) == response.count(response.primary_frame(shipped))
    assert restricted(shipped.trial, TABLES) is shipped.trial


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_chapters_declare_the_tables_they_open(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    declared = notebook["metadata"].get("respine", {}).get("tables", list(TABLES))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    calls = [
        n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "open_study"
    ]
    assert len(calls) == 1
    given = next((ast.literal_eval(k.value) for k in calls[0].keywords if k.arg == "tables"), TABLES)
    assert list(given) == declared


def test_relative_data_start_at_the_top_from_any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    top = SHIPPED.parents[1]
    monkeypatch.delenv("RESPINE_ROOT", raising=False)
    monkeypatch.chdir(top / "chapters")
    assert locate_data("data/respine-synthetic").resolve() == SHIPPED.resolve()
    monkeypatch.setenv("RESPINE_DATA", "elsewhere")
    assert locate_data(DATA_ALIAS) == Path("elsewhere")


def test_data_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESPINE_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert locate_data("data/respine-synthetic") == SHIPPED
    (tmp_path / "_toc.yml").write_text("root: index\n")
    assert locate_data("data/mine") == tmp_path / "data" / "mine"


class _Shell:
    def __init__(self, *cells: str) -> None:
        self.user_ns = {"In": ["", *cells]}


@pytest.mark.parametrize(
    ("injected", "message"),
    [("alfa = 0.1", "'alfa'; did you mean alpha?"), ("alpha = 0.1\nmonth = 3", "'month'; it takes data, alpha")],
)
def test_what_papermill_passes_in_vain_is_refused(monkeypatch: pytest.MonkeyPatch, injected: str, message: str) -> None:
    cells = ("alpha = 0.05", f"# Parameters\n{injected}\n", "x = 1")
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: _Shell(*cells))
    with pytest.raises(ParameterNotTakenError, match=re.escape(message)):
        open_study(data=str(SHIPPED), alpha=0.1)


def test_what_papermill_passes_and_a_chapter_takes_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("IPython.core.getipython.get_ipython", lambda: _Shell("# Parameters\nalpha = 0.1\n"))
    assert open_study(data=str(SHIPPED), alpha=0.1).parameters.alpha == 0.1
