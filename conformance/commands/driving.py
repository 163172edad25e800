"""Driving a selection from a command that prints no report of its own: progress on standard error, records returned."""

from __future__ import annotations

from conformance.errors import CannotJudgeError
from conformance.progress import Record
from conformance.report.progress import LiveProgress
from conformance.report.terminal import make_console
from conformance.running import Selection, begin, drive_and_judge
from conformance.stage.scenario import scenarios


def records_of(selection: Selection) -> list[Record]:
    """Drive and judge a selection, and return its result records in the order in which they came.

    Raises NothingRanError as `begin` does, KeyboardInterrupt where the drive was interrupted: half of it shows nothing,
    and CannotJudgeError where something kept pytest from judging all of it.
    """
    records: list[Record] = []
    begun = begin(selection)
    waits = {cell.id: scenarios()[cell.scenario].seconds for cell in begun.driven}
    # Standard output is the command's own: a table, or the JSON that a program reads.
    with LiveProgress(make_console(stderr=True), waits) as live:

        def take(record: Record) -> None:
            records.append(record)
            live.result({**record, "expectation": ""})

        judged = drive_and_judge(selection, begun, on_result=take, on_progress=live.engine)
    if judged.interrupted:
        raise KeyboardInterrupt
    if judged.trouble:
        raise CannotJudgeError(f"Not all of it was judged: {judged.trouble[0]}")
    return records
