"""Runs a function on the rows of a Spark DataFrame, where Spark has them. No other file imports Spark.

    session ── read ── DataFrame ── mapInArrow(function) ── DataFrame     lazily: nothing runs before an action

The function gets the batches of one partition, as `rows_of` hands them to a task, and yields record batches. It runs in
processes of the cluster, which need this package in the same version. What it raises comes back as text; `spark_errors`
makes the exception of it that was raised there.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

import vaecli
from vaecli import errors
from vaecli.errors import EnvironmentProblem, InputError, MissingPackage, UsageError, VaecliError, cut, harmless, quoted
from vaecli.runtime.urls import is_url, without_file_scheme
from vaecli.tables import Batch, ReadRequest, Source, frame_source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARTITION = "__vaecli_partition"  # a column with the number of the partition, which the function sees and drops
_MARK = "vaecli-error: "
_PORT = 15002
_CONNECT_SECONDS = 10.0
_INSTALL = "pip install 'vaecli[spark]'"

Function = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def connect(remote: str) -> SparkSession:
    """A session of the Spark Connect server at `remote`, `sc://host:15002`.

    Raises UsageError for another address, MissingPackage without the client, EnvironmentProblem where nobody answers.
    """
    address = urlsplit(remote)
    try:
        host, port = address.hostname, address.port or _PORT
    except ValueError:
        host = None
    if address.scheme != "sc" or not host:
        raise UsageError(f"--remote {remote}: not the address of a Spark Connect server", "for example sc://host:15002")
    session = _imported("pyspark.sql").SparkSession
    try:  # the client itself tries for minutes
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError as problem:
        raise EnvironmentProblem(
            f"sc://{host}:{port}: no Spark Connect server answers: {problem.strerror or problem}",
            "check the address, and that the server is up",
        ) from None
    with spark_errors():
        found: SparkSession = session.builder.remote(remote).getOrCreate()
        return found


def read_parquet(session: SparkSession, paths: Sequence[str]) -> DataFrame:
    """The Parquet files at paths or URLs of the cluster as a DataFrame. Raises InputError where there are none."""
    with spark_errors():
        frame = session.read.parquet(*paths)
        if not frame.columns:
            raise InputError(
                f"{paths[0]}: Spark finds no Parquet files there", "name a folder of Parquet, or its files"
            )
        return frame


def folder_columns(frame: DataFrame) -> list[str]:
    """The columns that the names of the folders of its files hold (`day=2026-11-01/`), in their order."""
    with spark_errors():
        files = frame.inputFiles()
    found = dict.fromkeys(part.partition("=")[0] for file in files for part in file.split("/")[:-1] if "=" in part)
    return [unquote(name) for name in found if unquote(name) in frame.columns]


def write_parquet(frame: DataFrame, folder: str, by: Sequence[str]) -> None:
    """Compute the DataFrame into a new folder of Parquet files, with one folder for each value of the columns `by`.

    Spark gives a task that failed to another process, and keeps the files of one attempt. Raises what the rows raise.
    """
    with spark_errors():
        writer = frame.write.mode("error")
        (writer.partitionBy(*by) if by else writer).parquet(folder)


def count_rows(session: SparkSession, folder: str, prefix: str) -> dict[str, int]:
    """How many rows a scored folder has, how many of them are flagged and how many have no score.

    Raises EnvironmentProblem where Spark cannot read it.
    """
    functions = _imported("pyspark.sql.functions")
    is_flagged, score = functions.col(f"{prefix}is_anomaly"), functions.col(f"{prefix}anomaly_score")
    with spark_errors():
        table = _read_back(session, folder)
        if table is None:
            return {"rows": 0, "anomalies": 0, "unscored": 0}
        (counts,) = table.agg(
            functions.count(functions.lit(1)).alias("rows"),
            functions.count_if(is_flagged).alias("anomalies"),
            functions.count_if(score.isNull()).alias("unscored"),
        ).collect()
    return {name: int(counts[name]) for name in ("rows", "anomalies", "unscored")}


def rows_in(session: SparkSession, folder: str) -> int:
    """How many rows a folder of Parquet has. Raises EnvironmentProblem where Spark cannot read it."""
    with spark_errors():
        table = _read_back(session, folder)
        return 0 if table is None else table.count()


def _read_back(session: SparkSession, folder: str) -> DataFrame | None:
    """The table that was written to a folder; None where not a row was: Sail finds no columns, Spark no schema."""
    try:
        table = session.read.parquet(folder)
        return table if table.columns else None
    except Exception as problem:
        if "UNABLE_TO_INFER_SCHEMA" in str(problem):
            return None
        raise


def source_like(frame: DataFrame) -> Source:
    """A table without rows that has the columns of `frame`, to check names before anything runs. Raises InputError."""
    types = _imported("pyspark.sql.pandas.types")
    try:
        schema = types.to_arrow_schema(frame.schema, timezone="UTC")
    except Exception as problem:
        if not type(problem).__module__.startswith("pyspark"):
            raise
        raise InputError(f"the DataFrame has a column that Arrow has no type for: {cut(str(problem), 300)}") from None
    return frame_source(schema.empty_table())


def mapped(frame: DataFrame, function: Function, added: Sequence[tuple[str, pa.DataType]]) -> DataFrame:
    """The DataFrame of what `function` yields for each partition: the columns of `frame` and then those `added`.

    The function sees one column more, PARTITION. Nothing is computed before an action. Raises MissingPackage without
    the Spark client, and InputError for a name with a dot.
    """
    _refuse_dots(frame.columns)
    functions, types = _imported("pyspark.sql.functions"), _imported("pyspark.sql.types")
    of_arrow = {pa.float64(): types.DoubleType, pa.bool_(): types.BooleanType, pa.string(): types.StringType}
    fields = [types.StructField(name, of_arrow[kind]()) for name, kind in added]
    numbered = frame.select("*", functions.spark_partition_id().alias(PARTITION))
    return numbered.mapInArrow(function, types.StructType([*frame.schema.fields, *fields]))


def answers(frame: DataFrame, columns: Sequence[str], function: Function, schema: pa.Schema) -> pa.Table:
    """What `function` yields, as `schema` declares it, for all partitions of the named columns; it runs now.

    The function sees one column more, PARTITION. Raises what the rows raise, and InputError for a name with a dot.
    """
    _refuse_dots(columns)
    functions, types = _imported("pyspark.sql.functions"), _imported("pyspark.sql.types")
    of_arrow = {pa.int64(): types.LongType, pa.binary(): types.BinaryType}
    fields = [types.StructField(field.name, of_arrow[field.type]()) for field in schema]
    with spark_errors():
        chosen = [functions.col(f"`{name.replace('`', '``')}`") for name in dict.fromkeys(columns)]
        numbered = frame.select(*chosen, functions.spark_partition_id().alias(PARTITION))
        found: pa.Table = numbered.mapInArrow(function, types.StructType(fields)).toArrow()
    return found


def _refuse_dots(names: Sequence[str]) -> None:
    """Raise InputError for a column that `mapInArrow` takes for a field of another one, since it quotes no names."""
    for name in names:
        if "." in name:
            raise InputError(
                f"column {quoted(name)}: Spark hands no column with a dot in its name to a function",
                "rename it there, or score without --engine spark",
                column=name,
            )


def absolute(path: str) -> str:
    """A path as another process understands it; a URL as it is."""
    return path if is_url(path) else os.path.abspath(without_file_scheme(path))


def rows_of(batches: Iterable[pa.RecordBatch], needs: ReadRequest) -> Iterator[tuple[Batch, pa.Schema]]:
    """The rows of one partition in batches of `needs.aligned_rows`, each with the schema in which it came.

    The engines hand over small batches (1,024 rows at a time in Sail); tiles are computed in larger ones.
    """
    first_row = 0
    for table in _joined(batches, needs.aligned_rows):
        name = f"partition {table.column(PARTITION)[0].as_py()}"
        table = table.drop_columns([PARTITION])
        for batch in frame_source(table).batches(needs):
            where = partial(_where, name, first_row)
            yield Batch(batch.table, first_row, where, whole=batch.whole), table.schema
            first_row += batch.n_rows


def as_declared(table: pa.Table, came: pa.Schema) -> pa.RecordBatch:
    """One record batch of `table`, whose first columns get the types in which they came, in the declared order.

    Engines match columns by position, and some turn a column of another type into nulls without a word.
    """
    columns = [
        _one_array(table.column(i)).cast(came.field(i).type) if i < len(came) else _one_array(table.column(i))
        for i in range(table.num_columns)
    ]
    return pa.RecordBatch.from_arrays(columns, names=table.column_names)


@contextmanager
def sent_errors() -> Iterator[None]:
    """On the cluster: raise a problem of ours as text that `spark_errors` understands."""
    try:
        yield
    except VaecliError as problem:
        values = {
            "kind": type(problem).__name__,
            "message": problem.message,
            "hint": problem.hint,
            "at": {name: getattr(problem, name) for name in ("path", "line", "row", "column")},
        }
        raise RuntimeError(_MARK + json.dumps(values)) from None


@contextmanager
def spark_errors() -> Iterator[None]:
    """Raise what Spark reports as one of our problems: the one raised on the cluster, or EnvironmentProblem."""
    try:
        yield
    except VaecliError:
        raise
    except Exception as problem:
        if not type(problem).__module__.startswith(("pyspark", "grpc")):
            raise
        raise _ours(str(problem)) from problem


def _ours(text: str) -> VaecliError:
    if found := re.search(rf"{_MARK}(\{{.*\}})", text):
        values = json.loads(found[1])
        kind: type[VaecliError] = getattr(errors, values["kind"])
        return kind(values["message"], values["hint"], **values["at"])
    if re.search(r"No module named '?vaecli", text):
        return EnvironmentProblem(
            "the processes of the cluster have no vaecli",
            f"install it there too: pip install vaecli=={vaecli.__version__}",
        )
    if re.search(r"PATH_NOT_FOUND|does not exist|No such file|not found: /", text):
        return InputError(f"Spark cannot read the input: {_first_line(text)}", "check the path as the cluster sees it")
    line = text.rstrip().rpartition("\n")[2] if "Traceback" in text else _first_line(text)
    return EnvironmentProblem(f"Spark: {cut(harmless(line), 300)}", "see the log of the Spark server")


def _first_line(text: str) -> str:
    return cut(harmless(next((line for line in text.splitlines() if line.strip()), "no message")), 300)


def _joined(batches: Iterable[pa.RecordBatch], n_rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of exactly `n_rows`, but for the last."""
    waiting: list[pa.RecordBatch] = []
    n_waiting = 0
    for batch in batches:
        while batch.num_rows:
            piece = batch.slice(0, n_rows - n_waiting)
            batch = batch.slice(piece.num_rows)
            waiting.append(piece)
            n_waiting += piece.num_rows
            if n_waiting == n_rows:
                yield pa.Table.from_batches(waiting).combine_chunks()
                waiting, n_waiting = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays([pa.array([], column.type), *column.chunks])


def _where(name: str, first: int, i: int) -> str:
    return f"{name}, row {first + i + 1}"


def _imported(name: str) -> Any:
    """A module of the Spark client. Raises MissingPackage."""
    from importlib import import_module
    from warnings import catch_warnings, simplefilter

    try:
        with catch_warnings():
            simplefilter("ignore", FutureWarning)  # about pandas 3, which is not used here
            return import_module(name)
    except ImportError as problem:
        raise MissingPackage(f"Spark needs packages that are not installed ({problem})", _INSTALL) from None
