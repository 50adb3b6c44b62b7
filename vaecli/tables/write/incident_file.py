"""Writes incidents, one row each: CSV, Parquet or one JSON object, complete or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vaecli.errors import UsageError
from vaecli.results.incidents import Incident
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.runtime.urls import shown

EXTENSIONS = (".csv", ".parquet", ".json")
_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("status", pa.string()),
        ("columns", pa.string()),
        ("group", pa.string()),
        ("rows", pa.int64()),
        ("events", pa.int64()),
        ("first_row", pa.int64()),
        ("last_row", pa.int64()),
        ("start", pa.string()),
        ("end", pa.string()),
        ("peak_score", pa.float64()),
        ("peak_row", pa.int64()),
        ("total_rows", pa.int64()),
        ("since", pa.string()),
        ("announced", pa.bool_()),
        ("reason", pa.string()),
        ("sentence", pa.string()),
        ("examples", pa.string()),  # JSON
    ]
)


def check_incident_file(target: str) -> None:
    """Raise UsageError for a name without one of EXTENSIONS."""
    if not target.lower().endswith(EXTENSIONS):
        raise UsageError(
            f"--incidents {shown(target)}: not a .csv, .parquet or .json file",
            "name one, such as --incidents incidents.csv",
        )


def incident_bytes(target: str, incidents: Sequence[Incident]) -> bytes:
    """What a file named `target` holds of the incidents."""
    if target.lower().endswith(".csv"):
        return _csv(incidents)
    if target.lower().endswith(".json"):
        values = {"schema_version": SCHEMA_VERSION, "incidents": [one.to_json() for one in incidents]}
        return (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode()
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_row(one) for one in incidents], _SCHEMA), stream, compression="zstd")
    return stream.getvalue()


def _row(incident: Incident) -> dict[str, Any]:
    values = incident.to_json() | {"columns": incident.columns_text}
    values |= {name: None if values[name] is None else str(values[name]) for name in ("start", "end")}
    values["examples"] = json.dumps(values["examples"], ensure_ascii=False, allow_nan=False)
    return {name: values[name] for name in _SCHEMA.names}


def _csv(incidents: Sequence[Incident]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_SCHEMA.names)
    for incident in incidents:
        writer.writerow(str(value).lower() if isinstance(value, bool) else value for value in _row(incident).values())
    return text.getvalue().encode()
