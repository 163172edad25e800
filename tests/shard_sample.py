"""Shard files of a small matrix, made for the tests of the fleet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from report_sample import HEADER, write

from conformance.report.fleet import Fleet, fleet
from conformance.report.records import Header, Run
from conformance.report.shards import MatrixPlan, Product, read_shard, shard_file, whole, write_shard
from conformance.sharding import Shard

PLAN = MatrixPlan(
    digest="a" * 64,
    parts={"the cells": "1", "target gw": "2"},
    shares=(("gw",), ("other",)),
    gateways=(
        Product("gw", "A gateway", "1.2.3", "MIT", "https://example.com/gw", ("http",)),
        Product("other", "Another", "4", fronts=("stdio",)),
    ),
    backends=(Product("witness", "The witness", "0.1.0"),),
    clients=(Product("driver", "the harness's own driver", "0.1.0"), Product("mcp-remote", "mcp-remote", "0.1")),
    driven_by={"client-mcp-remote": "mcp-remote"},
    driven_once=("gateway-restarts",),
    standard=True,
)


def shard(
    out: Path,
    name: str,
    *records: dict[str, Any],
    plan: MatrixPlan = PLAN,
    excerpts: dict[str, list[dict[str, Any]]] | None = None,
    header: Header = HEADER,
    **how: Any,
) -> Path:
    """Write the shard file of these results and diagnoses."""
    out.mkdir(parents=True, exist_ok=True)
    part = Shard.parse(name)
    named = sorted({record["target"] for record in records if record["kind"] == "result"})
    runs = (Run("r1", "2026-01-02T03:04:05Z"),)
    own = replace(header, targets={name: header.targets[name] for name in named}, runs=runs)
    report = write(out / f"report-{part.part}.jsonl", *records, header=own, **how)
    write_shard(shard_file(out, part), part, plan, excerpts or {}, report)
    return shard_file(out, part)


def fleet_of(out: Path, *records: dict[str, Any], **how: Any) -> Fleet:
    """Return the fleet of a matrix in one shard."""
    return fleet(whole([read_shard(shard(out, "1/1", *records, **how))]))
