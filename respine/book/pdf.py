"""Typst in one place: the report's PDF and the figures' PNG, from packaged fonts alone, always the same bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import font_source_sans_pro
import font_source_serif_pro
import typst
from sphinx.errors import SphinxError

PNG_PPI = 200.0
_FACES = ("Regular", "It", "Semibold", "SemiboldIt", "Bold")
FONTS = {
    font_source_serif_pro: tuple(f"SourceSerifPro-{face}" for face in _FACES),
    font_source_sans_pro: tuple(f"SourceSansPro-{face}" for face in _FACES),
}


class PdfError(SphinxError):  # type: ignore[misc]
    """What Typst refused to compile."""

    category = "PDF"


def png_images(drawings: Mapping[str, str]) -> dict[str, bytes]:
    """PNG images on white of SVG drawings without live text, by name."""
    if not drawings:
        return {}
    names = list(drawings)
    with TemporaryDirectory(prefix="respine-") as folder:
        for k, name in enumerate(names):
            Path(folder, f"{k}.svg").write_text(drawings[name], encoding="utf-8")
        images = "\n#pagebreak()\n".join(f'#image("{k}.svg")' for k in range(len(names)))
        setup = "#set page(width: auto, height: auto, margin: 6pt, fill: white)\n"
        Path(folder, "main.typ").write_text(setup + images, encoding="utf-8")
        # One page gives its bytes, several a list of them; the stubs know the first alone.
        pages: Any = typst.compile(
            str(Path(folder, "main.typ")), root=folder, ignore_system_fonts=True, format="png", ppi=PNG_PPI
        )
    return dict(zip(names, [pages] if isinstance(pages, bytes) else pages, strict=True))


UNSETTLED = "document did not converge"
"""How the compiler's warning starts where a layout that depends on itself did not come to rest."""


def compile_pdf(source: Path, target: Path) -> list[str]:
    """Compile a Typst document to tagged PDF (PDF/UA-1); returns the compiler's warnings.

    Figures move to the next page where they do not fit; a report that finds no rest so is set with all in place.

    Raises
    ------
    PdfError
        What the compiler says, with the place in the source.
    """
    with font_folder() as fonts:
        pdf, warnings = _compiled(source, fonts)
        if any(warning.startswith(UNSETTLED) for warning in warnings):
            pdf, warnings = _compiled(source, fonts, {"in-place": "true"})
    target.write_bytes(pdf)
    return warnings


def _compiled(source: Path, fonts: str, inputs: Mapping[str, str] | None = None) -> tuple[bytes, list[str]]:
    try:
        pdf, warnings = typst.compile_with_warnings(
            str(source),
            root=str(source.parent),
            font_paths=[fonts],
            ignore_system_fonts=True,
            pdf_standards=["ua-1"],
            format="pdf",
            sys_inputs=dict(inputs or {}),
            timestamp=int(os.environ.get("SOURCE_DATE_EPOCH", "0")),
        )
    except typst.TypstError as error:
        raise PdfError("; ".join([error.message, *error.hints]) + f"\n{error.diagnostic}") from error
    return pdf, [warning.message for warning in warnings]


@contextmanager
def font_folder() -> Iterator[str]:
    """A folder with the fonts of the report and no others: two formats of one face would be a choice left to chance."""
    with TemporaryDirectory(prefix="respine-fonts-") as folder:
        for package, names in FONTS.items():
            for name in names:
                source = Path(package.__file__).parent / "files" / f"{name}.otf"
                shutil.copyfile(source, Path(folder, source.name))
        yield folder
