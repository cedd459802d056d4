"""The page of findings: complete, counted, inert."""

from __future__ import annotations

import lxml.html
import pytest

from respine.book.findings_page import SHOWN, findings_page
from respine.trial.findings import CheckReport, Findings
from tests.trial.test_findings import HOSTILE


def report(n: int = 1, text: str = "x") -> CheckReport:
    found = Findings()
    found.extend("code", "adae", "AESEV", range(2, 2 + n), [text] * n, [text] * n, "one of MILD, MODERATE, SEVERE")
    found.add("visit-window", "adqs", "ADY", value=text, row=7, subject="S1", severity="warning")
    return found.report(None, "data/trial")


def test_every_field_of_a_finding_is_on_the_page() -> None:
    document = lxml.html.fromstring(findings_page(report()))
    overview, first, second = document.xpath("//table")
    assert [row.xpath("string(td[5])") for row in overview.xpath("tbody/tr")] == ["1", "1"]
    assert [cell.text_content() for cell in first.xpath("tbody/tr/td")] == [
        "adae", "2", "x", "AESEV", "code", "x", "one of MILD, MODERATE, SEVERE",
    ]  # fmt: skip
    assert second.xpath("string(tbody/tr/td[2])") == "7"
    assert "Errors: 1; warnings: 1" in document.xpath("string(//p[1])")
    targets = {link.removeprefix("#") for link in document.xpath("//a/@href")}
    assert targets == set(document.xpath("//details/@id"))


def test_long_lists_are_cut_and_say_so() -> None:
    document = lxml.html.fromstring(findings_page(report(SHOWN + 5)))
    assert len(document.xpath("//details[1]//tbody/tr")) == SHOWN
    assert "and 5 more in findings.csv" in document.text_content()


def test_no_findings() -> None:
    assert "Errors: 0; warnings: 0" in findings_page(Findings().report(None, "data/trial"))


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_text_of_the_data_stays_text(text: str) -> None:
    document = lxml.html.fromstring(findings_page(report(text=text)))
    assert {element.tag for element in document.iter()} <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "div", "table", "thead", "tbody", "tr",
        "th", "td", "a", "details", "summary",
    }  # fmt: skip
    assert not [name for element in document.iter() for name in element.attrib if name.startswith("on")]
    assert all(link.startswith("#") for link in document.xpath("//@href | //@src"))
