"""replays/: a page for each field replay, and its record beside it. The page needs nothing else to be looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.evidence.events import JSON
from conformance.report.escape import file_name
from conformance.report.records import Moment
from conformance.report.sequence import sequence
from conformance.report.templates import html_templates
from conformance.report.timeline import two_sided


def write_replay(record: Mapping[str, JSON], out: Path) -> Path:
    """Write `ID.json` and `ID.html` into `out` and return the page. record: as `replay_record` makes it."""
    out.mkdir(parents=True, exist_ok=True)
    page = out / f"{file_name(str(record['id']))}.html"
    page.write_text(render_replay(record), encoding="utf-8")
    page.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return page


def render_replay(record: Mapping[str, JSON]) -> str:
    """Return the page of one replay; links are relative to its folder."""
    template = html_templates().get_template("replay.html.j2")
    return template.render(replay=record, moments=_moments, sequence=sequence, two_sided=two_sided)


def _moments(data: Sequence[Mapping[str, JSON]]) -> tuple[Moment, ...]:
    return tuple(Moment(**item) for item in data)
