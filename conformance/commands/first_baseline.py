"""`--write-baseline`: the failures of a run as the baseline of the next one."""

from __future__ import annotations

import json
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import chain, combinations
from pathlib import Path
from typing import Final, TypeAlias

from packaging.version import InvalidVersion, Version

from conformance.errors import CannotJudgeError, UsageError
from conformance.evidence.events import JSON
from conformance.expectations import NOT_THE_TARGET
from conformance.report.escape import shown_lines

Record: TypeAlias = Mapping[str, JSON]

NOT_REPORTED: Final = "not reported"
_PATTERNS: Final = ("backend", "scenario", "runtime", "revision")
"""Cell fields that an entry can be narrowed to, those that say most first."""

_HEAD: Final = """\
# What this target is known to fail. Listed failures still run, and must fail as the class that stands here; one that
# passes, and one that is not listed, fail the run. issue: the upstream report, once there is one.
"""


def write_baseline(file: Path, report: Path) -> int:
    """Write the target's failures in `report` (a report.jsonl) to `file` and return the number of entries.

    Of what `file` already holds, entries that the run did not decide are kept whole, and of the others the issue and
    what stands under `sometimes`; comments are not kept. Raises CannotJudgeError when the report has no footer,
    UsageError when `file` cannot be written.
    """
    header, results = _results(report)
    before = _before(file)
    since = _since(header)
    told = {(item["rule"], item["failure_class"]): item for item in before}
    entries = [
        {**entry, **since, **_told(told.get((entry["rule"], entry["failure_class"]), {}))}
        for entry in entries_of(results)
    ]
    entries += [item for item in before if _is_open(item, results)]
    tables = [
        "\n".join(["[[known]]", *(f"{key} = {_toml(value)}" for key, value in entry.items())]) for entry in entries
    ]
    try:
        file.write_text("\n\n".join([_HEAD.rstrip(), *tables]) + "\n", encoding="utf-8")
    except OSError as error:
        raise _unwritable(file, error) from error
    return len(entries)


def refuse_unwritable(file: Path) -> None:
    """Raise UsageError when `write_baseline` could not write to `file`; nothing is changed."""
    _before(file)
    try:
        if file.exists():
            file.open("a").close()
        else:
            with tempfile.NamedTemporaryFile(dir=file.parent):
                pass
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"{file} cannot be written ({error.strerror}); choose a folder that is there.")


def entries_of(results: Sequence[Record]) -> Iterator[dict[str, str]]:
    """Yield one entry for each failure, as general as it can be without also matching a cell that does not fail so."""
    decided = [item for item in results if item["verdict"] in {"pass", "fail"}]
    failures = [item for item in decided if _is_the_targets(item)]
    for rule, failure_class in sorted({(item["rule"], _class_of(item)) for item in failures}):
        members = [item for item in failures if (item["rule"], _class_of(item)) == (rule, failure_class)]
        others = [item for item in decided if item["rule"] == rule and item not in members]
        fields = _narrowest(members, others)
        for cell in sorted({_cell(item, fields) for item in members}):
            seen = next(str(item["observed"]) for item in members if _cell(item, fields) == cell)
            yield {"rule": rule, "failure_class": failure_class, "seen": seen, **dict(zip(fields, cell, strict=True))}


def _told(before: Mapping[str, str]) -> dict[str, str]:
    """Return what an entry takes over from the one before it, which a person wrote."""
    sometimes = {"sometimes": before["sometimes"]} if "sometimes" in before else {}
    return {**sometimes, "issue": before.get("issue", NOT_REPORTED)}


def _is_open(entry: Mapping[str, str], results: Sequence[Record]) -> bool:
    """Whether a run leaves an entry as it is: it decided nothing of it, or met only the passes that it speaks of."""
    of = (item for item in results if item["rule"] == entry["rule"] and item["verdict"] in {"pass", "fail"})
    met = [item for item in of if all(fnmatchcase(str(item[name]), entry.get(name, "*")) for name in _PATTERNS)]
    return not met or ("sometimes" in entry and all(item["verdict"] == "pass" for item in met))


def _narrowest(members: Sequence[Record], others: Sequence[Record]) -> tuple[str, ...]:
    """Return the fewest fields by which the members differ from every other cell that the rule was judged on."""
    subsets: Iterable[tuple[str, ...]] = chain.from_iterable(
        combinations(_PATTERNS, size) for size in range(len(_PATTERNS))
    )
    for fields in subsets:
        if not {_cell(item, fields) for item in members} & {_cell(item, fields) for item in others}:
            return fields
    return _PATTERNS


def _cell(item: Record, fields: Sequence[str]) -> tuple[str, ...]:
    return tuple(str(item[field]) for field in fields)


def _is_the_targets(item: Record) -> bool:
    return item["verdict"] == "fail" and item["charged_to"] not in {str(hop) for hop in NOT_THE_TARGET}


def _class_of(item: Record) -> str:
    return str(item["failure_class"])


def _since(header: Record) -> dict[str, str]:
    """Return the range from the target's version on; nothing where that is none, as of a command line's program."""
    for version in header.get("versions", {}).get("targets", {}).values():
        with suppress(InvalidVersion):
            return {"versions": f">={Version(version)}"}
    return {}


def _results(report: Path) -> tuple[Record, list[Record]]:
    try:
        records = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise CannotJudgeError(f"No baseline was written: {report} cannot be read ({error}); run again.") from error
    if not records or records[-1].get("kind") != "footer" or not records[-1].get("complete"):
        raise CannotJudgeError(f"No baseline was written: the run did not complete ({report}); run again.")
    return records[0], [record for record in records if record["kind"] == "result"]


def _before(file: Path) -> list[dict[str, str]]:
    """Return the entries that the file already holds; none when it is not there. Raises UsageError for another file."""
    try:
        known = tomllib.loads(file.read_text(encoding="utf-8-sig")).get("known", [])
        return [
            {str(key): str(value) for key, value in item.items()}
            for item in known
            if item["failure_class"] and item["rule"]
        ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unwritable(file, error) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError(f"{file} is there and is no baseline ({error}); choose another name.") from error


def _toml(value: str) -> str:
    """Return a TOML basic string: JSON's escapes of what `shown_lines` leaves (quotes, line ends) are TOML's."""
    return json.dumps(shown_lines(value), ensure_ascii=False)
