"""A checked trial kept as files that are mapped into memory: the chapters of a build share one, and none checks again.

One Arrow file a table, numbers as they lie in memory, and ``trial.json``: what the trial says of itself, what it was
made from, and the hash of each file. A trial is recalled only for the files, labels and program it was made from.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from respine.trial.trial import Trial

VARIABLE = "RESPINE_TRIAL"
"""Environment variable: the folder of a kept trial that :func:`respine.trial.load_trial` may recall."""
_ABOUT = "trial.json"

Origin = dict[str, Any]


def origin(data: Path, treatment: str | None, control: str | None) -> Origin:
    """What a trial is made from: the data set's files by size and time, the labels asked for, this program.

    To be taken before the data are read: a file that changes meanwhile then makes the kept trial one of other files.
    """
    data = data.resolve()
    home = data if data.is_dir() else data.parent
    files = {p.name: [p.stat().st_size, p.stat().st_mtime_ns] for p in sorted(home.iterdir()) if p.is_file()}
    return {"data": str(data), "files": files, "treatment": treatment, "control": control, "program": _program()}


@cache
def _program() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()


def keep(trial: Trial, folder: Path, made_from: Origin) -> None:
    """Keep a trial in ``folder``, in place of what is there; a reader sees it whole or not at all.

    One at a time: what another writer has begun is taken for abandoned.
    """
    import pyarrow as pa

    from respine.trial.contract import TABLES

    folder.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name in TABLES:
            frame = getattr(trial, name)
            table = _to_arrow(frame.reset_index() if name == "adsl" else frame)
            with pa.OSFile(str(aside / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                # One batch, so that a column is one piece of memory.
                writer.write_table(table, max_chunksize=max(1, table.num_rows))
        about = {"origin": made_from, "info": _info_to_json(trial), "sha256": _hashes(aside, TABLES)}
        (aside / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def is_kept(folder: Path, made_from: Origin) -> bool:
    """Whether ``folder`` holds the trial made from this, undamaged."""
    about = _about(folder, made_from)
    try:
        return about is not None and _hashes(folder, about["sha256"]) == about["sha256"]
    except OSError:
        return False


def recall(data: Path, treatment: str | None, control: str | None) -> Trial | None:
    """The kept trial that :data:`VARIABLE` points to, where it is the one asked for.

    Whoever sets the variable has kept the trial or asked :func:`is_kept`; the files are not hashed again here. Columns
    of numbers are views of the mapped files and cannot be written to.
    """
    if VARIABLE not in os.environ:
        return None
    folder = Path(os.environ[VARIABLE])
    try:
        about = _about(folder, origin(data, treatment, control))
        return None if about is None else _load(folder, about)
    except OSError:  # deleted meanwhile
        return None


def _about(folder: Path, made_from: Origin) -> dict[str, Any] | None:
    try:
        about: dict[str, Any] = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if about.get("origin") == made_from else None


def _hashes(folder: Path, names: Mapping[str, Any]) -> dict[str, str]:
    hashes = {}
    for name in names:
        with (folder / f"{name}.arrow").open("rb") as file:
            hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _load(folder: Path, about: Mapping[str, Any]) -> Trial:
    import pandas as pd
    import pyarrow as pa

    from respine.trial.trial import Trial

    frames = {}
    for name in about["sha256"]:
        with pa.ipc.open_file(pa.memory_map(str(folder / f"{name}.arrow"))) as file:
            table = file.read_all()
        columns = {column: _to_pandas(table.column(column)) for column in table.column_names}
        frames[name] = pd.DataFrame(columns, copy=False)
    # Not set_index, which would copy every column.
    adsl = frames["adsl"]
    index = pd.Index(adsl.pop("USUBJID"), name="USUBJID")
    frames["adsl"] = adsl.set_axis(index, axis="index")
    return Trial(info=_info_of_json(about["info"]), **frames)


def _info_to_json(trial: Trial) -> dict[str, Any]:
    info = trial.info
    cutoff = info.cutoff.isoformat() if info.cutoff else None
    # JSON has no numbers as keys.
    return dataclasses.asdict(info) | {"cutoff": cutoff, "windows": list(info.windows.items())}


def _info_of_json(info: Mapping[str, Any]) -> Any:
    from respine.trial.dataset import DatasetInfo

    cutoff = dt.date.fromisoformat(info["cutoff"]) if info["cutoff"] else None
    return DatasetInfo(**dict(info) | {"cutoff": cutoff, "windows": dict(info["windows"])})


def _to_arrow(frame: pd.DataFrame) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    def column(values: pd.Series) -> pa.Array:
        if isinstance(values.dtype, pd.CategoricalDtype):
            codes = values.cat.codes.to_numpy()
            categories = pa.array(list(values.cat.categories), pa.string())
            indices = pa.array(codes, mask=codes < 0)
            return pa.DictionaryArray.from_arrays(indices, categories, ordered=True)
        if values.dtype == object:
            codes, texts = pd.factorize(values.to_numpy())
            indices = pa.array(codes, pa.int32(), mask=codes < 0)
            return pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))
        # NaN stays a number here: a null would keep the column from being one piece of memory.
        return pa.array(values.to_numpy(), from_pandas=False)

    return pa.table({name: column(values) for name, values in frame.items()})


def _to_pandas(column: pa.ChunkedArray) -> Any:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        return array.to_numpy(zero_copy_only=False)
    codes = array.indices.fill_null(-1).to_numpy()
    values = array.dictionary.to_pylist()
    if array.type.ordered:
        return pd.Categorical.from_codes(codes, categories=values, ordered=True)
    return np.array([*values, math.nan], dtype=object)[codes]
