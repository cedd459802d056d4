"""HTML and PDF from executed chapters, in one process and from one reading of the sources."""

from __future__ import annotations

import io
import logging
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from respine.book.pdf import PdfError, compile_pdf
from respine.book.typst_builder import PDF_NAME, SOURCE_NAME

BUILDERS = ("typst", "html")
"""In the order they run: Typst compiles the PDF, on a core of its own, while the HTML is written."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class RenderWarning:
    """One thing Sphinx or an extension found wrong: where (page and line), its type, and what."""

    location: str
    type: str
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message


@dataclass(frozen=True, slots=True)
class RenderReport:
    """What was written, and the seconds each builder took."""

    html: Path | None
    pdf: Path | None
    results: Path | None
    seconds: Mapping[str, float]


class RenderError(Exception):
    """The book was not rendered; ``warnings`` says why, all of it."""

    def __init__(self, warnings: Sequence[RenderWarning]) -> None:
        super().__init__("\n".join(str(warning) for warning in warnings))
        self.warnings = tuple(warnings)


class _Recorder(logging.Handler):
    def __init__(self, source_dir: Path) -> None:
        super().__init__(logging.WARNING)
        self.source_dir = source_dir
        self.warnings: list[RenderWarning] = []

    def emit(self, record: logging.LogRecord) -> None:
        location = str(getattr(record, "location", "") or "").replace(f"{self.source_dir}/", "")
        kind = ".".join(filter(None, (getattr(record, "type", ""), getattr(record, "subtype", ""))))
        # Sphinx's own records put location and level into their message.
        warning = RenderWarning(location, kind, _ANSI.sub("", logging.LogRecord.getMessage(record)))
        if warning not in self.warnings:
            self.warnings.append(warning)


def render(
    source_dir: Path,
    out_dir: Path,
    *,
    builders: Sequence[str] = BUILDERS,
    config: Mapping[str, Any] | None = None,
) -> RenderReport:
    """Render the book in ``source_dir`` (``_config.yml``, ``_toc.yml``, executed chapters) into ``out_dir``.

    ``out_dir`` gets ``html/``, ``respine.pdf`` and ``results.csv``; the HTML folder has copies of both files under
    ``downloads/``. Sphinx's working files go to ``out_dir/.sphinx``, to be kept for the next call or thrown away.

    Raises
    ------
    RenderError
        If any page gives a warning: unknown results, references, citations, nodes the PDF cannot show.
    """
    source_dir, out_dir = Path(source_dir).resolve(), Path(out_dir).resolve()
    unknown = set(builders) - set(BUILDERS)
    if unknown:
        raise ValueError(f"no builder {', '.join(sorted(unknown))}; there are {', '.join(BUILDERS)}")
    recorder = _Recorder(source_dir)
    _keep_bibliography_plugin()
    seconds: dict[str, float] = {}
    targets = {"html": out_dir / "html", "typst": out_dir / ".sphinx" / "typst"}
    overrides = {"nitpicky": True, "respine_pdf": "typst" in builders, "respine_compile": False, **(config or {})}
    # Sphinx compares this file with its settings, among them paths of this machine: it stays out of the report.
    build_info = out_dir / ".sphinx" / "buildinfo"
    if build_info.is_file():
        shutil.move(build_info, targets["html"] / ".buildinfo")
    with ThreadPoolExecutor(1) as pool:
        compiled: Future[list[str]] | None = None
        for builder in (name for name in BUILDERS if name in builders):
            start = time.perf_counter()
            _run(source_dir, targets[builder], out_dir / ".sphinx" / "doctrees", builder, overrides, recorder)
            seconds[builder] = time.perf_counter() - start
            if builder == "typst":
                compiled = pool.submit(compile_pdf, targets["typst"] / SOURCE_NAME, targets["typst"] / PDF_NAME)
    if compiled is not None:
        _require_compiled(compiled)
    if "html" in builders:
        shutil.move(targets["html"] / ".buildinfo", build_info)
    return _gather(out_dir, targets, builders, seconds)


def _require_compiled(compiled: Future[list[str]]) -> None:
    try:
        problems = [RenderWarning("", "respine.typst", f"Typst: {text}") for text in compiled.result()]
    except PdfError as error:
        problems = [RenderWarning("", error.category, str(error))]
    if problems:
        raise RenderError(problems)


def _keep_bibliography_plugin() -> None:
    # pybtex would look its backend up in the metadata of every installed package once for each citation: a tenth of the
    # whole rendering.
    from pybtex.plugin import find_plugin, register_plugin

    # Without force, what is installed is not registered.
    register_plugin("pybtex.backends", "plaintext", find_plugin("pybtex.backends", "plaintext"), force=True)


def _run(
    source_dir: Path, target: Path, doctrees: Path, builder: str, overrides: Mapping[str, Any], recorder: _Recorder
) -> None:
    from jupyter_book.config import get_final_config
    from sphinx.application import Sphinx
    from sphinx.errors import SphinxError
    from sphinx.util.docutils import docutils_namespace, patch_docutils
    from sphinx.util.logging import WarningLogRecordTranslator, WarningSuppressor

    settings, _ = get_final_config(
        user_yaml=source_dir / "_config.yml",
        cli_config={"latex_individualpages": False, "external_toc_path": "_toc.yml", **overrides},
        sourcedir=source_dir,
    )
    # The theme appends to this list; Sphinx's own default would carry that into the next build of this process.
    settings["templates_path"] = []
    early = io.StringIO()
    recorder.filters.clear()
    logger = logging.getLogger("sphinx")
    try:
        with patch_docutils(None), docutils_namespace():
            app = Sphinx(
                srcdir=source_dir,
                confdir=None,
                outdir=target,
                doctreedir=doctrees,
                buildername=builder,
                confoverrides=settings,
                status=None,
                warning=early,
            )
            # Sphinx sets its handlers up while it starts; what it said until now stands in the stream alone.
            for line in filter(None, (_ANSI.sub("", line).strip() for line in early.getvalue().splitlines())):
                recorder.warnings.append(RenderWarning("", "", line.removeprefix("WARNING: ")))
            recorder.addFilter(WarningSuppressor(app))
            recorder.addFilter(WarningLogRecordTranslator(app))
            logger.addHandler(recorder)
            app.build()
    except SphinxError as error:
        recorder.warnings.append(RenderWarning("", error.category, str(error)))
    finally:
        logger.removeHandler(recorder)
    if recorder.warnings:
        # Pages with a warning must be read again, not taken from what this run has stored.
        shutil.rmtree(doctrees, ignore_errors=True)
        raise RenderError(recorder.warnings)


def _gather(
    out_dir: Path, targets: Mapping[str, Path], builders: Sequence[str], seconds: Mapping[str, float]
) -> RenderReport:
    shutil.rmtree(out_dir / "jupyter_execute", ignore_errors=True)  # MyST-NB's copies, beside a builder's folder
    pdf = results = None
    if "typst" in builders:
        pdf = out_dir / PDF_NAME
        shutil.copyfile(targets["typst"] / PDF_NAME, pdf)
    if "html" in builders:
        downloads = targets["html"] / "downloads"
        results = out_dir / "results.csv"
        shutil.copyfile(downloads / "results.csv", results)
        if pdf is not None:
            shutil.copyfile(pdf, downloads / PDF_NAME)
    return RenderReport(targets["html"] if "html" in builders else None, pdf, results, seconds)
