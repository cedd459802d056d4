"""The RO-Crate of a run: what the format's own package reads, and what the profile asks for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rocrate.rocrate import ROCrate

from respine.book.crate import crate
from respine.book.provenance import hash_outputs, read_run, verify, write_run

RUN = {
    "built": "2026-01-02T03:04:05+00:00",
    "seconds": 65.4,
    "package": {"name": "respine", "version": "1.0.0", "commit": "c" * 40, "modified": False},
    "parameters": {"alpha": 0.05, "covariates": ["COUNTRY"], "treatment": None},
    "inputs": {"chapters/a.ipynb": "1" * 64, "data set: adsl.csv": "2" * 64, "data set: copy.csv": "2" * 64},
    "environment": {"python": "3.11.2", "numpy": "2.4.6"},
}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "a page.html").write_text("page")
    (tmp_path / "results.csv").write_text("id\n")
    write_run(tmp_path, {**RUN, "outputs": hash_outputs(tmp_path)})
    return tmp_path


def entities(report: Path) -> dict[str, dict[str, Any]]:
    document = json.loads((report / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in document["@graph"]}


def test_the_formats_own_package_reads_it(report: Path) -> None:
    found = ROCrate(report)
    (action,) = [entity for entity in found.get_entities() if entity.type == "CreateAction"]
    assert action["instrument"]["softwareVersion"] == "1.0.0"
    assert {entity["name"] for entity in action["object"]} == {
        "chapters/a.ipynb", "data set: copy.csv", "alpha", "covariates", "treatment",
    }  # fmt: skip
    assert {entity["name"] for entity in action["result"]} == {"a page.html", "results.csv"}
    parts = [part for part in found.root_dataset["hasPart"] if not part.id.startswith("hash:")]
    # Identifiers are quoted; the package finds the files themselves.
    assert {part.source.name for part in parts} == {"a page.html", "results.csv", "run.json"}


def test_what_the_profile_asks_for(report: Path) -> None:
    known = entities(report)
    root, action = known["./"], known["#build"]
    assert root["conformsTo"]["@id"].startswith("https://w3id.org/ro/wfrun/process/")
    assert root["mentions"] == {"@id": "#build"}
    assert root["datePublished"] == action["endTime"] == RUN["built"]
    assert action["startTime"] == "2026-01-02T03:03:00+00:00"
    assert known["#respine"]["identifier"] == "c" * 40
    assert known["#parameter-covariates"]["value"] == ["COUNTRY"]
    assert "value" not in known["#parameter-treatment"]
    references = [
        reference["@id"]
        for entity in known.values()
        for value in entity.values()
        for reference in (value if isinstance(value, list) else [value])
        if isinstance(reference, dict)
    ]
    undefined = {id for id in references if id not in known}
    assert undefined == {"https://w3id.org/ro/crate/1.1", "http://schema.org/CompletedActionStatus"}


def test_it_has_the_hash_of_every_output_and_the_record_has_its_own(report: Path) -> None:
    run = read_run(report)
    assert run is not None
    hashes = {id: entity["sha256"] for id, entity in entities(report).items() if "sha256" in entity}
    assert hashes["html/a%20page.html"] == run["outputs"]["html/a page.html"]
    assert "ro-crate-metadata.json" in run["outputs"]
    assert verify(report).intact
    (report / "ro-crate-metadata.json").write_text("{}")
    assert verify(report).changed == ("ro-crate-metadata.json",)


def test_nothing_but_the_run_decides_what_it_says() -> None:
    run = {**RUN, "outputs": {"results.csv": "3" * 64}}
    assert crate(run, "run.json") == crate(json.loads(json.dumps(run)), "run.json")
