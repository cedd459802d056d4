"""A run as an RO-Crate: the same facts as ``run.json``, in the terms that repositories and archives read.

Written as plain JSON-LD: the ``rocrate`` package takes longer to import than this takes altogether, and it puts random
identifiers and its own clock where a run has a time already. It reads the result in the tests.

Sources: RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), Process Run Crate 0.5 (https://w3id.org/ro/wfrun/process/0.5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

CRATE_FILE = "ro-crate-metadata.json"
_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_CRATE, _PROFILE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
# Not by the mimetypes module: that asks the machine's own tables.
_FORMATS = {
    ".css": "text/css", ".csv": "text/csv", ".html": "text/html", ".ipynb": "application/x-ipynb+json",
    ".js": "text/javascript", ".json": "application/json", ".md": "text/markdown", ".otf": "font/otf",
    ".parquet": "application/vnd.apache.parquet", ".pdf": "application/pdf", ".png": "image/png",
    ".svg": "image/svg+xml", ".txt": "text/plain", ".woff2": "font/woff2", ".yml": "application/yaml",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip

Entity = dict[str, Any]


def crate(run: Mapping[str, Any], run_file: str) -> Entity:
    """The JSON-LD document of a run, a function of ``run`` (the content of ``run.json``) alone.

    Parameters
    ----------
    run
        As :func:`respine.book.provenance.describe_run` gives it.
    run_file
        Name of the file that holds ``run``; the crate has no hash of it, since it has the crate's.
    """
    inputs = [_input(name, hash) for name, hash in run["inputs"].items()]
    parameters = [_parameter(name, value) for name, value in run["parameters"].items()]
    outputs = [_file(name, sha256=hash) for name, hash in run["outputs"].items()]
    record = _file(run_file, description="The same run, with the hashes of every file and the time of every chapter.")
    software = _software(run["package"], run["environment"])
    action = _action(run, software[0], [*inputs, *parameters], outputs)
    profile = {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    entities = (
        _descriptor(),
        _root(run, action, [*outputs, record, *inputs]),
        profile,
        action,
        *software,
        *parameters,
        *inputs,
        *outputs,
        record,
    )
    # Two inputs with the same content are one entity.
    return {"@context": _CONTEXT, "@graph": list({entity["@id"]: entity for entity in entities}.values())}


def crate_text(run: Mapping[str, Any], run_file: str) -> str:
    """:func:`crate` as the text of its file."""
    return json.dumps(crate(run, run_file), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _references(entities: list[Entity]) -> list[Entity]:
    return [{"@id": id} for id in dict.fromkeys(entity["@id"] for entity in entities)]


def _descriptor() -> Entity:
    return {"@id": CRATE_FILE, "@type": "CreativeWork", "about": {"@id": "./"}, "conformsTo": {"@id": _CRATE}}


def _root(run: Mapping[str, Any], action: Entity, parts: list[Entity]) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": "Report of a clinical trial, computed from its data set",
        "description": "HTML and PDF report with its results table and executed notebooks.",
        "datePublished": run["built"],
        "conformsTo": {"@id": _PROFILE},
        "hasPart": _references(parts),
        "mentions": {"@id": action["@id"]},
    }


def _action(run: Mapping[str, Any], tool: Entity, inputs: list[Entity], outputs: list[Entity]) -> Entity:
    end = datetime.fromisoformat(run["built"])
    start = end - timedelta(seconds=round(run["seconds"]))
    return {
        "@id": "#build",
        "@type": "CreateAction",
        "name": "Build of the report",
        "instrument": {"@id": tool["@id"]},
        "startTime": start.isoformat(),
        "endTime": end.isoformat(),
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        "object": _references(inputs),
        "result": _references(outputs),
    }


def _software(package: Mapping[str, Any], environment: Mapping[str, str]) -> list[Entity]:
    """The package first, then what it ran on."""
    needed: list[Entity] = [
        {"@id": f"#software-{quote(name)}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}
        for name, version in environment.items()
    ]
    tool: Entity = {
        "@id": "#respine",
        "@type": "SoftwareApplication",
        "name": package["name"],
        "softwareVersion": package["version"],
        "softwareRequirements": _references(needed),
    }
    if "commit" in package:
        changed = "; files under version control were modified" if package["modified"] else ""
        tool["identifier"] = package["commit"]
        tool["description"] = f"git commit {package['commit']}{changed}"
    return [tool, *needed]


def _parameter(name: str, value: Any) -> Entity:
    entity: Entity = {"@id": f"#parameter-{quote(name)}", "@type": "PropertyValue", "name": name}
    # JSON-LD drops null.
    return entity | ({"description": "not set: taken from the data set"} if value is None else {"value": value})


def _input(name: str, sha256: str) -> Entity:
    """A file that is not in the crate: named by its content."""
    return {"@id": f"hash://sha256/{sha256}", "@type": "File", "name": name, "sha256": sha256, **_format(name)}


def _file(name: str, **more: str) -> Entity:
    return {"@id": quote(name), "@type": "File", "name": PurePosixPath(name).name, **more, **_format(name)}


def _format(name: str) -> dict[str, str]:
    known = _FORMATS.get(PurePosixPath(name).suffix.lower())
    return {"encodingFormat": known} if known else {}
