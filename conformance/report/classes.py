"""classes/: one diagnostic report for each failure class seen, as Markdown, and its timelines as an HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from conformance.diagnosis.failure_classes import FailureClass, failure_classes
from conformance.report.escape import file_name
from conformance.report.overview import Meaning, meaning
from conformance.report.records import Diagnosis, Report, Result
from conformance.report.templates import html_templates, markdown_templates
from conformance.report.timeline import lanes, rows, two_sided


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One diagnosis and the results it explains."""

    diagnosis: Diagnosis
    results: tuple[Result, ...]

    @property
    def expected(self) -> bool:
        """Whether the baseline lists every symptom."""
        return all(meaning(result) is Meaning.KNOWN_FAILURE for result in self.results)

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells it was seen in, each once."""
        return tuple(dict.fromkeys(result.cell for result in self.results))


@dataclass(frozen=True, slots=True)
class ClassReport:
    """What one page tells. known: the class as the catalogue describes it, None for `unclassified`."""

    id: str
    known: FailureClass | None
    occurrences: tuple[Occurrence, ...]

    @property
    def title(self) -> str:
        """The page's heading."""
        return self.known.title if self.known else "Failures that no known class explains"

    @property
    def file(self) -> str:
        """The page's file name without its ending."""
        return file_name(self.id)


def class_reports(report: Report) -> tuple[ClassReport, ...]:
    """Return a report for each failure class of a run, in the order of the first diagnosis."""
    catalogue = {known.id: known for known in failure_classes()}
    by_id = {result.id: result for result in report.results}
    found: dict[str, list[Occurrence]] = {}
    for diagnosis in report.diagnoses:
        results = tuple(by_id[symptom] for symptom in diagnosis.symptoms if symptom in by_id)
        found.setdefault(diagnosis.failure_class, []).append(Occurrence(diagnosis, results))
    return tuple(ClassReport(name, catalogue.get(name), tuple(items)) for name, items in found.items())


def write_classes(report: Report, out: Path) -> tuple[Path, ...]:
    """Write `classes/CLASS.md` and `classes/CLASS.html` into `out` and return the Markdown files."""
    folder = out / "classes"
    written: list[Path] = []
    for item in class_reports(report):
        folder.mkdir(parents=True, exist_ok=True)
        page = folder / f"{item.file}.md"
        page.write_text(render_markdown(item), encoding="utf-8")
        page.with_suffix(".html").write_text(render_html(item), encoding="utf-8")
        written.append(page)
    return tuple(written)


def render_markdown(item: ClassReport) -> str:
    """Return the page of one class as Markdown; links are relative to `classes/`."""
    return markdown_templates().get_template("class.md.j2").render(report=item, two_sided=two_sided)


def render_html(item: ClassReport) -> str:
    """Return the timelines of one class as a page that needs nothing else; links are relative to `classes/`."""
    return html_templates().get_template("class.html.j2").render(report=item, rows=rows, lanes=lanes)
