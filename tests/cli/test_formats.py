"""Tables as their writers write them: read with every row and column, or refused by name with the way to mend them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from tests.cli.messages import assert_is_a_message, contents
from vaecli import tables

N_ROWS = 40


def cells(i: int) -> list[str]:
    return [f"{20 + i % 7 / 10:.2f}", f"{60 + i % 11 / 4:.2f}", "run" if i % 3 else "idle"]


def table(
    header: str | None = "temp,flow,state",
    delimiter: str = ",",
    above: str = "",
    below: str = "",
    end: str = "",
    rows: Mapping[int, str] | None = None,
) -> bytes:
    """A table of 40 rows, its header in line 1; `rows` replaces lines by their number."""
    lines = [] if header is None else [header.replace(",", delimiter) + end]
    lines += [delimiter.join(cells(i)) + end for i in range(N_ROWS)]
    for number, text in (rows or {}).items():
        lines[number - 1] = text
    return (above + "\n".join(lines) + "\n" + below).encode()


@dataclass(frozen=True)
class Refused:
    """The content of a file, or what writes it, its name, and what the error must contain."""

    content: bytes | Callable[[Path], None]
    says: tuple[str, ...]
    name: str


def refused(id: str, content: bytes | Callable[[Path], None], *says: str, name: str = "bad.csv"):
    return pytest.param(Refused(content, says, name), id=id)


def numbers_only(delimiter: str = ",", decimal: str = ".") -> bytes:
    return "\n".join(delimiter.join(cells(i)[:2]).replace(".", decimal) for i in range(N_ROWS)).encode() + b"\n"


def lines_of(*texts: str) -> bytes:
    return ("\n".join(texts) + "\n").encode()


def int128(path: Path) -> None:
    """A Parquet file whose Arrow schema, in its metadata, has integers of 128 bits, as polars writes them."""
    stored = pa.table({"x": [float(i) for i in range(8)], "n": pa.array([bytes(16)] * 8, pa.binary(16))})
    schema = pa.schema([pa.field("x", pa.float64()), pa.field("n", pa.int64())]).serialize().to_pybytes()
    assert schema.count(b"\x40\x00\x00\x00") == 1  # the width of the integer
    wide = base64.b64encode(schema.replace(b"\x40\x00\x00\x00", b"\x80\x00\x00\x00"))
    out = io.BytesIO()
    # pyarrow keeps the key for itself, so it changes places afterwards
    pq.write_table(stored.replace_schema_metadata({"ARROW:hidden": wide}), out)
    path.write_bytes(out.getvalue().replace(b"ARROW:schema", b"ARROW:backup").replace(b"ARROW:hidden", b"ARROW:schema"))


def orc(path: Path) -> None:
    pa.orc.write_table(pa.table({"x": [1.0, 2.0]}), path)


def feather(path: Path) -> None:
    pyarrow.feather.write_feather(pa.table({"x": [1.0]}), path)


def binary(start: bytes) -> bytes:
    return start + bytes(range(256)) * 4


TOA5 = (
    '"TOA5","Station7","CR1000X","1234","CR1000X.Std.07","CPU:prog.CR1X","1842","Hourly"\n'
    '"TIMESTAMP","RECORD","AirTC_Avg"\n"TS","RN","Deg C"\n"","","Avg"\n'
)
TOA5_SAME = TOA5.replace("Station7", "CR1000X")
LVM = (
    "LabVIEW Measurement\t\nWriter_Version\t2\nSeparator\tTab\n***End_of_Header***\t\n\t\n"
    "Channels\t2\nSamples\t40\t40\n***End_of_Header***\t\t\n"
)
INFLUX = (
    "#group,false,false,true,false\n#datatype,string,long,dateTime:RFC3339,double\n#default,mean,,,\n"
    ",result,table,_time,_value\n"
)
ARFF = "@RELATION pump\n\n@ATTRIBUTE temp NUMERIC\n@ATTRIBUTE flow NUMERIC\n\n@DATA\n"
SWALLOWED = {7: '20.10,60.50,"16 inch', 19: '20.20,60.25,flange 16"'}

PREAMBLES = [
    refused(
        "toa5", TOA5.encode() + b'"2024-01-01",0,20.1\n' * 9, "TOA5", "line 2 looks like the header", "sed '1d;3,4d'"
    ),
    refused("toa5-equal-fields", TOA5_SAME.encode() + b'"2024-01-01",0,20.1\n' * 9, "TOA5", "begin at line 5"),
    refused("toaci1", b'"TOACI1","CR1000","Hourly"\n"TIMESTAMP","x"\n"2024-01-01",1\n', "TOACI1", "sed '1d'"),
    refused("lvm", LVM.encode() + table(delimiter="\t"), "LVM", "line 9 looks like the header", "sed '1,8d'"),
    refused(
        "influx", INFLUX.encode() + b",,0,2024-01-01T00:00:00Z,20.1\n" * 9, "InfluxDB", "line 4 looks like the header"
    ),
    refused(
        "influx-one-annotation",
        b"#datatype,string,long,double\n,result,table,_value\n" + b",,0,1.5\n" * 9,
        "InfluxDB",
        "line 2",
    ),
    refused("influx-not-annotated", b",result,table,_value\n" + b",,0,1.5\n" * 9, "column 1 has no name", "-f2-"),
    refused(
        "comments", table(above="# pump 7\n# exported\n"), "lines 1 to 2", "line 3 looks like the header", "sed '1,2d'"
    ),
    refused("one-comment", table(above="# pump 7\n"), "line 1 begins with `#`", "sed '1d' bad.csv > table.csv"),
    refused("comment-with-comma", table(above="# pump 7, hall 3, a, b\n# x\n"), "line 3 looks like the header"),
    refused(
        "header-in-comment", b"# pump 7\n# temp,flow\n" + numbers_only(), "line 2 looks like the header", "s/^# *//"
    ),
    refused("arff", ARFF.encode() + numbers_only(), "an ARFF file", "loadarff"),
    refused("arff-comments", b"% pumps\n%\n" + ARFF.encode().lower() + numbers_only(), "an ARFF file"),
    refused("title", table(above="Plot Title: pump 7\n"), "line 2 looks like the header", "sed '1d'"),
    refused("titles", table(above="Pump report\n\nSite: north\n\n"), "line 5 looks like the header", "sed '1,4d'"),
    refused(
        "titles-semicolon", table(delimiter=";", above="Report\nSite: north, hall 3\n"), "line 3 looks like the header"
    ),
    refused("titles-tab", table(delimiter="\t", above="Report\nSite\tnorth\n"), "line 3 looks like the header"),
    refused("title-padded", table(above="Pump 7,,\n"), "line 2 looks like the header", "sed '1d'"),
    refused("titles-padded", table(above="Pump 7,,\n\n,,\nSite,,\n"), "line 5 looks like the header", "sed '1,4d'"),
    refused(
        "titles-padded-and-units", table(above="Pump 7,,\n", rows={2: "°C,l/min,"}), "line 2 looks like", "sed '1d'"
    ),
    refused("merged-cells", table(delimiter=";", above="Pump;;\n"), "line 2 looks like the header", "sed '1d'"),
    refused(
        "title-without-names",
        b"Pump 7\n" + numbers_only(),
        "line 2 looks like a row",
        "no line of names",
        "1i name1,name2",
    ),
    refused("units", table(rows={2: "°C,l/min,"}), "line 2", "row of units", "sed 2d"),
    refused("units-brackets", table(rows={2: "[degC],[bar],[-]"}), "line 2", "row of units", "[degC]"),
    refused("units-words", table(rows={2: "celsius,litres,text"}), "line 2", "second header", "sed 2d"),
    refused("units-tab", table(delimiter="\t", rows={2: "V\tA\t"}), "line 2", "row of units"),
    refused("header-again", table(rows={20: "temp,flow,state"}), "line 20", "the header once more", "NR == 1"),
    refused("header-again-at-end", table(below="temp,flow,state\n"), "line 42", "the header once more"),
    refused(
        "trailing-in-rows",
        table().replace(b"run\n", b"run,\n").replace(b"idle\n", b"idle,\n"),
        "end with a delimiter",
        "sed 's/,\\r*$//'",
    ),
    refused("trailing-everywhere", table(end=","), "column 4 has no name", "sed 's/,\\r*$//'"),
    refused("trailing-semicolon", table(delimiter=";", end=";"), "column 4 has no name", "sed 's/;\\r*$//'"),
    refused("trailing-tab", table(delimiter="\t", end="\t"), "column 4 has no name", "sed 's/\\t\\r*$//'"),
    refused("blanks", b"temp flow\n" + numbers_only(" "), "separated by blanks", "awk '{$1=$1}1' OFS=,"),
    refused("many-blanks", b"  temp    flow\n" + numbers_only("    ").replace(b"\n", b"\n  "), "separated by blanks"),
    refused("nul-run", table(below="\0" * 512 + "\n"), "512 NUL bytes in a row", "power cut", "tr -d '\\000'"),
    refused("nul-run-in-the-middle", table(rows={9: "\0" * 40 + "20.1,60.1,run"}), "line 9", "40 NUL bytes in a row"),
    refused("nul-run-far-down", table() + b"20.1,60.1,run\n" * 9000 + bytes(4096), "line 9042", "4,096 NUL bytes"),
    refused("half-written", table(below="20.10,60"), "line 42", "half-written", "sed '$d'"),
    refused("half-written-one-field", table(below="20"), "line 42: 1 field, the header has 3", "half-written"),
]

NO_HEADER = [
    refused("numbers", numbers_only(), "line 1", "looks like a row", "a line of names", "1i name1,name2"),
    refused("decimal-comma", numbers_only(";", ","), "line 1", "looks like a row", "1i name1;name2"),
    refused("tabs", numbers_only("\t"), "line 1", "looks like a row"),
    refused("dates", b"2024-01-01 00:00:00,20.1\n2024-01-01 00:01:00,20.3\n" * 9, "line 1", "looks like a row"),
    refused("dates-and-words", table(header=None), "line 1", "looks like a row", "values of the rows below"),
    refused("times", b"00:00:01,5.5\n00:00:02,5.5\n" * 9, "line 1", "looks like a row"),
    refused("equal-numbers", b"1.5,1.5,2\n1.4,1.6,2\n" * 9, "line 1", "looks like a row"),
    refused("one-column", b"1.5\n1.4\n" * 9, "line 1", "looks like a row"),
    refused("exponents", b"1.5e3,-2E-4\n1.4e3,-1E-4\n" * 9, "line 1", "looks like a row"),
    refused("empty-cells", b"1.5,,7.25,idle\n1.4,2.5,7.5,idle\n" * 9, "line 1", "looks like a row", "1i name1"),
    refused("quoted", b'"1.5","2.5"\n"1.4","2.6"\n' * 9, "line 1", "looks like a row"),
    refused("rising-like-its-rows", b"1.0,2.0,3.0\n1.1,2.1,3.1\n" * 9, "line 1", "looks like a row"),
]

QUOTES = [
    refused("two-stray", table(rows={7: '20.1,60.5,"16 inch', 19: '20.2,60.2,"16 inch'}), "line 7", "in line 19"),
    refused("same-line", table(rows={7: '20.1,60.5,"16" pipe'}), "line 7", "text follows", '"5"" pipe"'),
    refused("first-column", table(rows={7: '"20" .1,60.5,run'}), "line 7", "text follows"),
    refused("backslashes", table(rows={7: r'20.1,60.5,"say \"on\" now"'}), "line 7", "text follows"),
    refused("semicolons", table(delimiter=";", rows={7: '20.1;60.5;"16" pipe'}), "line 7", "text follows"),
    refused("tabs", table(delimiter="\t", rows={7: '20.1\t60.5\t"16"\tpipe'}), "line 7"),
    refused("in-header", table('temp,"flow" rate,state'), "line 1", "text follows"),
    refused("swallowed", table(rows=SWALLOWED), "line 7", "holds whole rows of the table, from line 8 on"),
    refused("swallowed-one", table(rows={7: SWALLOWED[7], 8: SWALLOWED[19]}), "line 7", "from line 8 on"),
    refused(
        "swallowed-and-closed-as-field", table(rows={7: SWALLOWED[7], 19: '20.20,60.25,"'}), "line 7", "whole rows"
    ),
]

DELIMITERS = [
    refused("words-only", b"a;b,c\n" + b"x;y,z\n" * 9, "','", "';'", "sep="),
    refused("comma-and-bar", b"tag|x,kind\n" + b"u|v,w\n" * 9, "separated by ',' or '|'", "sep="),
]

BINARY = [
    refused("mdf4", binary(b"MDF     4.10    "), "an MDF measurement file", "asammdf", name="b.mf4"),
    refused("mdf4-as-csv", binary(b"MDF     4.10    "), "an MDF measurement file"),
    refused("mdf4-unfinished", binary(b"UnFinMF 4.10    "), "an MDF measurement file"),
    refused("tdms", binary(b"TDSm\x0e\0\0\0"), "a LabVIEW TDMS file", "nptdms", name="b.tdms"),
    refused("tdms-index", binary(b"TDSh\x0e\0\0\0"), "a LabVIEW TDMS file"),
    refused("mat", binary(b"MATLAB 5.0 MAT-file, Platform: GLNXA64"), "a MATLAB MAT-file", "writetable", name="b.mat"),
    refused("orc", orc, "an ORC file", "pyarrow.orc.read_table('b.orc')", name="b.orc"),
    refused("netcdf-classic", binary(b"CDF\x01"), "a netCDF file", "xarray", name="b.nc"),
    refused("netcdf-64-bit", binary(b"CDF\x02"), "a netCDF file"),
    refused("netcdf-5", binary(b"CDF\x05"), "a netCDF file"),
    refused("hdf5", binary(b"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
    refused("feather", feather, "an Arrow IPC (Feather) file"),
    refused("feather-1", binary(b"FEA1"), "a Feather file"),
    refused("avro", binary(b"Obj\x01"), "an Avro file"),
    refused("sas", binary(bytes(12) + b"\xc2\xea\x81\x60"), "a SAS table", "read_sas"),
    refused("spss", binary(b"$FL2@(#) SPSS DATA FILE"), "an SPSS file"),
    refused("stata", binary(b"<stata_dta><header>"), "a Stata table"),
    refused("r", binary(b"RDX3\nX\n\0"), "an R data file", "write.csv"),
    refused("pickle", binary(b"\x80\x05\x95"), "a Python pickle"),
    refused("tob3", binary(b'"TOB3","Station","CR1000X"\n'), "Campbell Scientific", "CardConvert"),
    refused("int128", int128, "the file is whole", "n", "cast", "polars.Int64", name="b.parquet"),
]


@pytest.mark.parametrize("verb", ["fit", "score"])
@pytest.mark.parametrize("case", [*PREAMBLES, *NO_HEADER, *QUOTES, *DELIMITERS, *BINARY])
def test_it_is_refused_with_the_way_to_mend_it(case: Refused, verb: str, run, place: Path):
    """Exit 4 names what the file is, or the line that looks like the header, and nothing is written."""
    if callable(case.content):
        case.content(place / case.name)
    else:
        (place / case.name).write_bytes(case.content)
    before = contents(place)
    target = ["-o", "out.vae"] if verb == "fit" else ["-m", "good.vae", "-o", "out.csv"]
    done = run(verb, case.name, *target)
    assert done.code == 4, done.err
    assert contents(place) == before
    assert_is_a_message(done.err)
    for said in case.says:
        assert said in done.err


# -- what is read: every row, every column -----------------------------------------------------------


@dataclass(frozen=True)
class Read:
    """A table in text, and the columns and number of rows that it has."""

    content: bytes
    names: list[str]
    n_rows: int = N_ROWS


def is_read(id: str, content: bytes, *names: str, n_rows: int = N_ROWS):
    return pytest.param(Read(content, list(names), n_rows), id=id)


def wide(names: list[str]) -> bytes:
    rows = [",".join(str((i * 7 + j * j) % 23) for j in range(len(names))) for i in range(N_ROWS)]
    return lines_of(",".join(names), *rows)


def semicolons(header: str, delimiter: str = ";") -> bytes:
    """A table whose numbers have a decimal comma."""
    rows = [delimiter.join([*cells(i)[:2], f"2024-01-{i % 28 + 1:02}"]).replace(".", ",") for i in range(N_ROWS)]
    return lines_of(header, *rows)


def one_cell(cell: str) -> bytes:
    return table(rows={7: f"20.1,60.5,{cell}"})


TABLES = [
    is_read("decimal-comma-and-names", semicolons("Temp, °C;RF, %;Zeit"), "Temp, °C", "RF, %", "Zeit"),
    is_read("decimal-comma-and-tabs", semicolons("Temp, C\tRF, %\tZeit", "\t"), "Temp, C", "RF, %", "Zeit"),
    is_read("decimal-comma-and-bars", semicolons("a, C|b, %|c", "|"), "a, C", "b, %", "c"),
    is_read(
        "prose", b"last, first;city, land\n" + b"Doe, J;Ulm, D\nRoe, K;Linz, A\n" * 20, "last, first", "city, land"
    ),
    is_read("bars-in-words", b"temp,a|b\n" + b"1.5,x|y\n2.5,u|v\n" * 20, "temp", "a|b"),
    is_read("sep-line", b"sep=;\na;b,c\n" + b"x;y,z\nu;v,w\n" * 20, "a", "b,c"),
    is_read("tags-in-one-column", b"tags\n" + b"a;b\nc;d\n" * 20, "tags"),
    is_read("names-are-positions", wide([str(j) for j in range(9)]), *[str(j) for j in range(9)]),
    is_read("names-from-1", wide(["1", "2", "3"]), "1", "2", "3"),
    is_read("names-are-wavelengths", wide(["400.0", "400.5", "401.0"]), "400.0", "400.5", "401.0"),
    is_read("names-rise", wide([*"1249", "17", "40", "99", "200"]), *"1249", "17", "40", "99", "200"),
    is_read("names-are-days", wide([f"2024-01-0{j}" for j in range(1, 6)]), *[f"2024-01-0{j}" for j in range(1, 6)]),
    is_read("some-names-are-numbers", wide(["site", "5", "7.5"]), "site", "5", "7.5"),
    is_read("hash-before-the-first-name", b"# temp,flow\n" + numbers_only(), "# temp", "flow"),
    is_read("hash-is-a-name", b"#,temp\n" + numbers_only(), "#", "temp"),
    is_read("orc-is-a-name", b"ORC,temp\n" + numbers_only(), "ORC", "temp"),
    is_read("tdsm-is-a-name", b"TDSm,temp\n" + numbers_only(), "TDSm", "temp"),
    is_read("no-value-in-the-first-row", table(rows={2: "NA,NA,run"}), "temp", "flow", "state"),
    is_read("quotes-in-a-word", one_cell('5" pipe'), "temp", "flow", "state"),
    is_read("doubled-quotes", one_cell('"5"" pipe"'), "temp", "flow", "state"),
    is_read("blank-after-a-quote", one_cell('"run" '), "temp", "flow", "state"),
    is_read("lines-in-a-cell", one_cell('"first\nsecond, third\nfourth, fifth, sixth"'), "temp", "flow", "state"),
    is_read("lines-in-the-first-cell", b"note,temp,flow\n" + b'"a\nb",1.5,2\nc,2.5,1\n' * 20, "note", "temp", "flow"),
    is_read("header-inside-a-cell", one_cell('"a\ntemp,flow,state\nb"'), "temp", "flow", "state"),
    is_read("own-name-in-one-column", b"word\n" + b"word\nother\n" * 20, "word"),
    is_read("no-end-of-the-last-line", table()[:-1], "temp", "flow", "state"),
]


@pytest.mark.parametrize("case", TABLES)
def test_it_is_read_with_every_row_and_column(case: Read, place: Path):
    """Delimiter, names and number of rows are those that a person sees."""
    (place / "table.csv").write_bytes(case.content)
    source = tables.open_source(["table.csv"])
    assert list(source.names) == case.names
    assert sum(batch.n_rows for batch in source.batches()) == case.n_rows


def test_a_tie_between_delimiters_flags_the_fault(run, place: Path, quick: Path):
    """Decimal commas and commas in the names: the semicolon separates, and the misread fault is found."""
    (place / "normal.csv").write_bytes(semicolons("Temp, °C;RF, %;Zeit"))
    (place / "new.csv").write_bytes(semicolons("Temp, °C;RF, %;Zeit").replace(b"\n20,30;", b"\n950,5;", 1))
    assert run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick)).code == 0
    assert run("score", "new.csv", "-m", "m.vae", "-o", "out.parquet").code == 0
    out = pq.read_table("out.parquet")
    worst = int(np.argmax(out["anomaly_score"].to_numpy()))
    assert out.column_names[:3] == ["Temp, °C", "RF, %", "Zeit"]
    assert float(str(out["Temp, °C"][worst].as_py()).replace(",", ".")) == 950.5


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_empty_part_is_named(place: Path, suffix: str, run):
    """A file of 0 bytes among good ones may be a lost day."""
    (place / "parts").mkdir()
    for name in ("a", "c"):
        (place / "parts" / f"{name}.csv").write_bytes(table())
        pq.write_table(pa.table({"temp": [1.5], "flow": [2.5]}), place / "parts" / f"{name}.parquet")
    (place / "parts" / f"b.{suffix}").touch()
    done = run("fit", f"parts/*.{suffix}", "-o", "out.vae")
    assert done.code == 4
    assert_is_a_message(done.err)
    assert f"parts/b.{suffix}: the file is empty (0 bytes), beside 2 others" in done.err


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> bytes:
    """A bundle of the table."""
    from vaecli.cli.app import main

    folder = tmp_path_factory.mktemp("good")
    (folder / "normal.csv").write_bytes(table())
    with pytest.raises(SystemExit):
        main(["fit", str(folder / "normal.csv"), "-o", str(folder / "good.vae"), "--config", str(quick), "--quiet"])
    return (folder / "good.vae").read_bytes()


@pytest.fixture
def place(tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with a good bundle."""
    (tmp_path / "good.vae").write_bytes(good)
    monkeypatch.chdir(tmp_path)
    return tmp_path
