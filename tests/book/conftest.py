from __future__ import annotations

from pathlib import Path

import pytest

from respine.book.render import RenderReport, render
from tests.book.sample.book import HOSTILE, write_book


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> RenderReport:
    """The sample book, rendered once."""
    folder = tmp_path_factory.mktemp("sample")
    return render(write_book(folder / "source"), folder / "report")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> RenderReport:
    """The same book on real data with an arm label that is markup in every language at once."""
    folder = tmp_path_factory.mktemp("hostile")
    source = write_book(folder / "source", treatment=HOSTILE, synthetic=False, responders=45)
    return render(source, folder / "report")


def read(report: RenderReport, page: str) -> str:
    assert report.html is not None
    return Path(report.html, page).read_text(encoding="utf-8")
