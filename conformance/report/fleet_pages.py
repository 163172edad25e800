"""The files of a fleet: index.html, fleet.json, a page for each gateway, a badge for each gateway and revision."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Final

from markupsafe import Markup

from conformance.errors import UsageError
from conformance.evidence.events import JSON
from conformance.expectations import status_of
from conformance.report.badge import Badge, NoBadge, badge, write_badge
from conformance.report.escape import file_name
from conformance.report.fleet import STANDINGS, UNCHECKED, Fleet, FleetCell, FleetResult, fleet_json
from conformance.report.overview import Meaning, Reason
from conformance.report.records import Diagnosis, Footer, Report, count_verdicts
from conformance.report.shards import Product, ShardReport
from conformance.report.templates import html_templates
from conformance.spec.profiles import profile
from conformance.spec.revisions import Revision

FLEET_JSON: Final = "fleet.json"
_ADDRESS: Final = re.compile(r"https://[\w./~%+#?=&-]+", re.ASCII)
_MARKS: Final = {
    str(Meaning.PASS): "✓",
    "pass in part": "◐",
    str(Meaning.UNEXPECTED_FAILURE): "✗",
    str(Meaning.WRONG_CLASS): "✗",
    str(Meaning.UNEXPECTED_PASS): "‼",
    str(Meaning.HARNESS_ERROR): "!",
    str(Meaning.KNOWN_FAILURE): "▲",
    str(Meaning.BELOW_THRESHOLD): "▽",
    str(Meaning.CHARGED_ELSEWHERE): "→",
    str(Meaning.NOT_APPLICABLE): "-",
    str(Meaning.NOT_EXERCISED): "○",
    str(Meaning.INCONCLUSIVE): "?",
    UNCHECKED: "□",
}
"""A sign for each standing: what colour says is said in black and white too."""


def write_fleet(found: Fleet, out: Path) -> tuple[Path, ...]:
    """Write a fleet's files into `out` and return them; what an earlier fleet left there is removed.

    Raises OSError when they cannot be written.
    """
    for name in ("gateways", "badges"):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir(parents=True)
    badges = {item.name: tuple(_badges(found, item.name, out)) for item in found.plan.gateways}
    data = fleet_json(found, badges)
    written = {out / FLEET_JSON: json.dumps(data, indent=1, ensure_ascii=True) + "\n"}
    written[out / "index.html"] = index_page(found, data, badges)
    for item in found.plan.gateways:
        written[out / "gateways" / page_name(item.name)] = gateway_page(found, item, badges[item.name])
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return tuple(written)


def page_name(gateway: str) -> str:
    """Return the file name of a gateway's page."""
    return f"{file_name(gateway)}.html"


# badges ---------------------------------------------------------------------------------------------------------------


def _badges(found: Fleet, gateway: str, out: Path) -> Iterable[dict[str, JSON]]:
    """Write a gateway's badges, one for each revision, and yield what fleet.json says of them."""
    for revision in found.revisions:
        made = _badge(found, gateway, revision)
        record: dict[str, JSON] = {"revision": revision, "message": None, "why": None, "json": None, "svg": None}
        if isinstance(made, Badge):
            name = f"badges/{file_name(f'{gateway}-{revision}')}"
            write_badge(made, out / f"{name}.json")
            record |= {"message": made.message, "json": f"{name}.json", "svg": f"{name}.svg"}
        else:
            record |= {"why": made.why}
        yield record


def _badge(found: Fleet, gateway: str, revision: str) -> Badge | NoBadge:
    """Return a gateway's badge as if it had been judged alone: another's trouble is none of its own."""
    report = found.report_of(gateway)
    if report is None:
        return NoBadge(gateway, "nothing was driven")
    results = tuple(
        replace(item, revision=revision)
        for item in found.results
        if item.target == gateway and found.plan.counts_for(item, revision)
    )
    status = status_of((item.verdict, item.expectation) for item in results)
    footer = Footer(count_verdicts(item.verdict for item in results), status, complete=True)
    # A shard may hold a part of the gateway's cells; here are all of them.
    selection = replace(report.header.selection, partial=not found.plan.standard)
    alone = Report(replace(report.header, selection=selection), results, (), footer, complete=True)
    try:
        return badge(alone, gateway, profile(Revision(revision)))
    except UsageError:
        return NoBadge(gateway, f"revision {revision} has no frozen profile")


# the matrix -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Column:
    """What stands under a column: one suite as one client drives it."""

    client: str
    suite: str


@dataclass(frozen=True, slots=True)
class _Square:
    """One field of the matrix. index: of its cell in fleet.json. standings: all that occur in it."""

    client: str
    suite: str
    standing: str
    standings: str
    counts: str
    index: int


@dataclass(frozen=True, slots=True)
class _Row:
    gateway: Product
    backend: str
    revision: str
    cells: tuple[_Square | None, ...]


@dataclass(frozen=True, slots=True)
class _Listed:
    """A gateway's line in the list below the matrix. unmet: how many baseline entries no cell bore out."""

    product: Product
    badges: Sequence[Mapping[str, JSON]]
    unmet: int


def index_page(found: Fleet, data: Mapping[str, JSON], badges: Mapping[str, Sequence[Mapping[str, JSON]]]) -> str:
    """Return the page of the whole matrix; it needs nothing but itself. data: fleet.json."""
    clients = {client.name: number for number, client in enumerate(found.plan.clients)}
    columns = sorted(
        {_Column(cell.client, cell.suite) for cell in found.cells},
        key=lambda column: (clients[column.client], found.suites.index(column.suite)),
    )
    script = files("conformance.report").joinpath("templates", "fleet.js").read_text(encoding="utf-8")
    marks = {"marks": _MARKS, "css": {name: css_class(name) for name in STANDINGS}}
    wanted = ("rules", "causes", "cells")
    return (
        html_templates()
        .get_template("fleet.html.j2")
        .render(
            fleet=found,
            standings=STANDINGS,
            filters=_filters(found),
            columns=columns,
            rows=_rows(found, columns),
            gateways=[
                _Listed(item, badges[item.name], sum(entry.target == item.name for entry in found.unmet))
                for item in found.plan.gateways
            ],
            css=css_class,
            mark=_MARKS.__getitem__,
            page=page_name,
            ended=_ended,
            data=_data_block({**{name: data[name] for name in wanted}, **marks}),
            script=Markup(script),  # noqa: S704 - this program's own file
            script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _filters(found: Fleet) -> tuple[tuple[str, str, list[str]], ...]:
    cells, plan = found.cells, found.plan
    seen = {item.standing for cell in cells for item in cell.results}
    return (
        ("client", "client", [item.name for item in plan.clients]),
        ("gateway", "gateway", [item.name for item in plan.gateways]),
        ("backend", "backend", sorted({cell.backend for cell in cells})),
        ("revision", "revision", list(found.revisions)),
        ("suite", "suite", list(found.suites)),
        ("standing", "verdict", [name for name in STANDINGS if name in seen]),
    )


def _rows(found: Fleet, columns: Sequence[_Column]) -> list[_Row]:
    products = {item.name: item for item in found.plan.gateways}
    by_row: dict[tuple[str, str, str], dict[_Column, _Square]] = defaultdict(dict)
    for index, cell in enumerate(found.cells):
        by_row[cell.gateway, cell.backend, cell.revision][_Column(cell.client, cell.suite)] = _Square(
            client=cell.client,
            suite=cell.suite,
            standing=cell.standing,
            standings="|".join(cell.counts),
            counts=_short(cell.counts),
            index=index,
        )
    order = {name: number for number, name in enumerate(products)}
    return [
        _Row(products[gateway], backend, revision, tuple(squares.get(column) for column in columns))
        for (gateway, backend, revision), squares in sorted(
            by_row.items(), key=lambda item: (order[item[0][0]], item[0][1], item[0][2])
        )
    ]


def _short(counts: Mapping[str, int]) -> str:
    return " ".join(f"{number}{_MARKS[name]}" for name, number in counts.items())


def _ended(shard: ShardReport) -> str:
    header = shard.report.header
    begun = header.runs[0].started if header.runs else header.started
    last = max((result.driven for result in shard.report.results), default="")
    return f"{begun} to {last}" if last else begun


def css_class(standing: str) -> str:
    """Return the class name of a standing in the style sheet."""
    return standing.replace(" ", "-")


def _data_block(data: JSON) -> Markup:
    """Return JSON for a script element that no string in it can end (HTML, restrictions on script elements)."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    escaped = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(escaped)  # noqa: S704 - no markup can begin in it


# a gateway's page -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Finding:
    """One rule's failures on a gateway, of one failure class. first: the one whose bytes are shown."""

    first: FleetResult
    cells: tuple[str, ...]
    cause: Diagnosis | None


def gateway_page(found: Fleet, item: Product, badges: Sequence[Mapping[str, JSON]]) -> str:
    """Return the page of one gateway; it needs nothing but its badges' pictures."""
    cells = found.of(item.name)
    headings = {
        "Unexpected failures": (Meaning.UNEXPECTED_FAILURE, Meaning.WRONG_CLASS),
        "Known failures": (Meaning.KNOWN_FAILURE,),
        "Failures below --fail-on": (Meaning.BELOW_THRESHOLD,),
        "Failures charged to others than the gateway": (Meaning.CHARGED_ELSEWHERE,),
    }
    undecided = {
        "Unexpected passes": (Meaning.UNEXPECTED_PASS,),
        "Harness errors": (Meaning.HARNESS_ERROR,),
        "Inconclusive": (Meaning.INCONCLUSIVE,),
        "Not exercised, and why": (Meaning.NOT_EXERCISED, UNCHECKED),
        "Not applicable, and why": (Meaning.NOT_APPLICABLE,),
    }
    return (
        html_templates()
        .get_template("gateway.html.j2")
        .render(
            gateway=item,
            badges=badges,
            cells=cells,
            failures=[(heading, _findings(found, cells, wanted)) for heading, wanted in headings.items()],
            undecided=[(heading, _reasons(cells, wanted)) for heading, wanted in undecided.items()],
            unmet=[entry for entry in found.unmet if entry.target == item.name],
            css=css_class,
            mark=_MARKS.__getitem__,
            is_address=lambda text: bool(_ADDRESS.fullmatch(text)),
        )
    )


def _findings(found: Fleet, cells: Iterable[FleetCell], wanted: Sequence[str]) -> list[_Finding]:
    """Return failures of one rule and class as one finding; one whose bytes are at hand speaks for it."""
    grouped: dict[tuple[str, str | None], list[FleetResult]] = defaultdict(list)
    for cell in cells:
        for item in cell.results:
            if item.standing in wanted:
                grouped[item.result.rule, item.result.failure_class].append(item)
    return [
        _Finding(
            first=(first := next((item for item in group if item.excerpt), group[0])),
            cells=tuple(dict.fromkeys(item.result.cell for item in group)),
            cause=found.causes[first.cause] if first.cause is not None else None,
        )
        for _, group in sorted(grouped.items(), key=lambda item: (item[0][0], item[0][1] or ""))
    ]


def _reasons(cells: Iterable[FleetCell], wanted: Sequence[str]) -> list[Reason]:
    grouped = defaultdict(list)
    for cell in cells:
        for item in cell.results:
            if item.standing in wanted:
                grouped[item.result.observed].append(item.result)
    ordered = sorted(grouped.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Reason(text, tuple(results)) for text, results in ordered]
