"""CSV and TSV: every cell read, every byte of a row kept, every mistake named with its line."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from vaecli import tables
from vaecli.errors import InputError
from vaecli.tables.read import delimited, records

BOM = b"\xef\xbb\xbf"


def written(folder: Path, content: bytes | str, name: str = "pump.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def cells(source: tables.Source, **options) -> list[dict]:
    return [row for batch in source.batches(tables.ReadRequest(**options)) for row in batch.table.to_pylist()]


def refusal(path: str, **options) -> InputError:
    with pytest.raises(InputError) as caught:
        cells(tables.open_source([path]), **options)
    assert caught.value.hint
    return caught.value


# ---------------------------------------------------------------- laws

cell_text = st.text(
    st.one_of(
        st.sampled_from('",;\n\r\t a1é\ufeff'), st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    ),
    max_size=6,
)


@st.composite
def delimited_texts(draw) -> tuple[list[list[str]], bytes, str, str]:
    """A table of strings, its bytes as csv.writer writes them, the delimiter and the line end."""
    n_columns, n_rows = draw(st.integers(1, 4)), draw(st.integers(0, 6))
    rows = [[draw(cell_text) for _ in range(n_columns)] for _ in range(n_rows)]
    delimiter, line_end = draw(st.sampled_from([",", "\t"])), draw(st.sampled_from(["\n", "\r\n"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerow([f"c{j}" for j in range(n_columns)])
    for row in rows:
        # this Python's writer quotes no carriage return that its own line end does not hold
        special = quoting == csv.QUOTE_MINIMAL and any("\r" in one for one in row)
        (
            csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL) if special else writer
        ).writerow(row)
    return rows, text.getvalue().encode(), delimiter, line_end


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=delimited_texts(), batch_rows=st.integers(1, 4), block_bytes=st.sampled_from([1, 7, 64, 2**20]))
@example(table=([["\ufeffa"]], b"c0\n\xef\xbb\xbfa\n", ",", "\n"), batch_rows=1, block_bytes=2**20)  # a mark in a cell
@example(table=([["a", 'b"']], b'c0,c1\na,b"\n', ",", "\n"), batch_rows=1, block_bytes=7)  # a quote inside a field
def test_what_csv_writer_wrote_reads_back(tmp_path, table, batch_rows, block_bytes):
    """Whatever the cells hold, and wherever blocks and batches end, cells and lines are those that were written."""
    rows, content, delimiter, line_end = table
    path = written(tmp_path, content, "t.tsv" if delimiter == "\t" else "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block_bytes)
        batches = list(tables.open_source([path]).batches(tables.ReadRequest(keep=True, batch_rows=batch_rows)))

    read = [list(row.values()) for batch in batches for row in batch.table.to_pylist()]
    assert read == [[None if one in tables.MISSING_TOKENS else one for one in row] for row in rows]
    lines = [line for batch in batches for line in batch.lines.to_pylist()]
    header = content[: content.index(line_end.encode())]
    assert b"".join(line + line_end.encode() for line in [header, *lines]) == content
    assert all(0 < batch.n_rows <= batch_rows for batch in batches)
    assert [batch.first_row for batch in batches] == np.cumsum([0, *(b.n_rows for b in batches)])[:-1].tolist()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=delimited_texts(), multiple_of=st.integers(1, 5), n_files=st.integers(1, 2))
def test_pieces_end_at_multiples(tmp_path, table, multiple_of, n_files):
    """Every piece of a file but its last ends where the number of rows so far is a multiple; no row is lost."""
    rows, content, delimiter, _ = table
    name = "t.tsv" if delimiter == "\t" else "t.csv"
    paths = [written(tmp_path, content, f"{i}{name}") for i in range(n_files)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", 16)
        pieces = [
            piece()
            for piece in tables.open_source(paths).pieces(tables.ReadRequest(keep=True, multiple_of=multiple_of))
        ]
    ends = np.cumsum([piece.n_rows for piece in pieces]).tolist()
    assert [piece.first_row for piece in pieces] == [0, *ends][: len(pieces)]
    assert ends[-1:] == [n_files * len(rows)][: len(ends)]
    last_of_a_file = {len(rows) * (i + 1) for i in range(n_files)}
    assert all(end % multiple_of == 0 or end in last_of_a_file for end in ends)
    written_lines = [
        line for i in range(n_files) for line in tables.open_source([paths[i]]).batches(tables.ReadRequest(keep=True))
    ]
    expected = [one for batch in written_lines for one in batch.lines.to_pylist()]
    assert [one for piece in pieces for one in piece.lines.to_pylist()] == expected


def test_pieces_too_large_for_a_block_are_not_aligned(tmp_path, monkeypatch):
    """Rows so long that a whole multiple would not fit are handed on as they come."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 100)
    monkeypatch.setattr(records, "MAX_ALIGNED_BYTES", 300)
    path = written(tmp_path, b"a\n" + (b"x" * 120 + b"\n") * 20)
    pieces = [piece() for piece in tables.open_source([path]).pieces(tables.ReadRequest(multiple_of=1000))]
    assert len(pieces) > 1
    assert sum(piece.n_rows for piece in pieces) == 20


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=delimited_texts(), block_bytes=st.sampled_from([1, 16, 2**20]))
def test_where_names_the_line_an_editor_shows(tmp_path, table, block_bytes):
    """`where` counts line feeds, those inside quotes too."""
    _, content, delimiter, _ = table
    path = written(tmp_path, content, "t.tsv" if delimiter == "\t" else "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "BLOCK_BYTES", block_bytes)
        batches = list(tables.open_source([path]).batches(tables.ReadRequest(keep=True)))
    said = [batch.where(i) for batch in batches for i in range(batch.n_rows)]
    line = 2
    for place, text in zip(said, [one for b in batches for one in b.lines.to_pylist()], strict=True):
        assert place == f"{path}, line {line}"
        line += text.count(b"\n") + 1


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2"])
def test_compressed_equals_plain(tmp_path, suffix):
    """A compressed file gives the cells and lines of the plain one, several compressed members included."""
    content = b"a,b\n" + b"".join(b'%d,"x\n%d"\n' % (i, i) for i in range(5_000))
    half = len(content) // 2
    packed = b"".join(packed_by(suffix, part) for part in (content[:half], content[half:]))
    plain = tables.open_source([written(tmp_path, content)])
    small = tables.open_source([written(tmp_path, packed, f"pump.csv.{suffix}")])
    assert cells(small) == cells(plain)
    assert small.format == "csv"


def packed_by(suffix: str, content: bytes) -> bytes:
    if suffix == "zst":
        return pa.compress(content, codec="zstd", asbytes=True)
    return gzip.compress(content, mtime=0) if suffix == "gz" else bz2.compress(content)


# ---------------------------------------------------------------- values


def test_numbers_as_people_write_them(tmp_path):
    """Spaces around a number, a sign, an exponent and infinities are read; missing-value tokens are null."""
    written_as = [" 1.5 ", "+2", "-3e2", ".5", "6.", "inf", "-Infinity", "", "NA", '"?"', '"7"', " NA ", "1e400"]
    path = written(tmp_path, "x,y\n" + "".join(f"{one},a\n" for one in written_as))
    read = [row["x"] for row in cells(tables.open_source([path]), numbers=["x"])]
    inf = float("inf")
    assert read == [1.5, 2.0, -300.0, 0.5, 6.0, inf, -inf, None, None, None, 7.0, None, inf]


def test_every_missing_token_is_null_in_text_and_numbers(tmp_path):
    """The tokens mean the same in a column of numbers and in one of text."""
    path = written(tmp_path, "x,y\n" + "".join(f"{token},{token}\n" for token in tables.MISSING_TOKENS))
    assert cells(tables.open_source([path]), numbers=["x"]) == [{"x": None, "y": None}] * len(tables.MISSING_TOKENS)


def test_only_asked_columns_in_the_order_asked(tmp_path):
    """`columns` selects and orders; none at all still gives the rows."""
    source = tables.open_source([written(tmp_path, "a,b,c\n1,2,3\n4,5,6\n")])
    assert [batch.table.column_names for batch in source.batches(tables.ReadRequest(["c", "a"]))] == [["c", "a"]]
    assert [batch.n_rows for batch in source.batches(tables.ReadRequest([]))] == [2]
    with pytest.raises(InputError, match="missing columns 'z'"):
        list(source.batches(tables.ReadRequest(["a", "z"])))


def test_numbers_are_float64_and_the_rest_text(tmp_path):
    """Types are forced, whatever the cells look like."""
    source = tables.open_source([written(tmp_path, "a,b\n1,2\n")])
    [batch] = source.batches(tables.ReadRequest(numbers=["b", "no such column"]))
    assert batch.table.schema.types == [pa.string(), pa.float64()]


def test_blank_lines_are_rows_only_in_a_table_of_one_column(tmp_path):
    """With one column a blank line is a missing cell; with more it is nothing."""
    one = tables.open_source([written(tmp_path, "a\n1\n\n2\r\n\r\n", "one.csv")])
    two = tables.open_source([written(tmp_path, "\n\na,b\n\n1,2\n\r\n3,4\n\n", "two.csv")])
    assert cells(one) == [{"a": "1"}, {"a": None}, {"a": "2"}, {"a": None}]
    assert cells(two) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert [batch.where(0).split()[-1] for batch in two.batches(tables.ReadRequest(batch_rows=1))] == ["5", "7"]


def test_a_record_longer_than_a_block(tmp_path, monkeypatch):
    """A field of megabytes is read, and the rows around it too."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1000)
    long = "x\n" * 2_000_000
    path = written(tmp_path, f'a,b\n1,p\n2,"{long}"\n3,q\n')
    assert [row["b"] for row in cells(tables.open_source([path]))] == ["p", long, "q"]


def test_thousands_of_columns(tmp_path):
    """A header longer than what is looked at first is read whole."""
    names = [f"a_long_column_name_number_{j:05d}" for j in range(5_000)]
    source = tables.open_source([written(tmp_path, ",".join(names) + "\n" + ",".join("1" * 5_000) + "\n")])
    assert source.names == tuple(names)
    [batch] = source.batches(tables.ReadRequest(names[-2:], numbers=names))
    assert batch.table.to_pylist() == [{names[-2]: 1.0, names[-1]: 1.0}]


# ---------------------------------------------------------------- dialects


@pytest.mark.parametrize(
    ("content", "name", "format"),
    [
        (b"a,b\n1,x\n", "t.csv", "csv"),
        (b"a;b\r\n1;x\r\n", "t.csv", "csv"),
        (b"a|b\n1|x\n", "t.txt", "csv"),
        (b"a\tb\n1\tx\n", "t.tsv", "tsv"),
        (b"a\tb\n1\tx\n", "table", "tsv"),
        (BOM + b"a,b\n1,x\n", "t.csv", "csv"),
        (BOM + b"sep=;\r\na;b\r\n1;x\r\n", "t.csv", "csv"),
        (b'"a";"b"\n1;"x"\n', "t.csv", "csv"),
    ],
)
def test_dialects(tmp_path, content, name, format):
    """Semicolons, tabs and bars, a byte order mark and Excel's `sep=` line are understood."""
    source = tables.open_source([written(tmp_path, content, name)])
    assert (source.names, source.format) == (("a", "b"), format)
    assert cells(source) == [{"a": "1", "b": "x"}]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("Temp; in C,b\n1,2\n", ("Temp; in C", "b")),  # the comma returns in the rows, the semicolon does not
        ("T, in C;p\n1;2\n3;4\n", ("T, in C", "p")),  # and the other way round
        ("just one\nrow\n", ("just one",)),
        ("a;b\n", ("a", "b")),
    ],
)
def test_the_delimiter_is_the_one_that_returns_in_the_rows(tmp_path, content, names):
    """A delimiter inside a column's name does not mislead."""
    assert tables.open_source([written(tmp_path, content)]).names == names


def test_a_header_without_rows_is_an_empty_table(tmp_path):
    """Header only, with and without line end: the columns, and no rows."""
    for content in ("a,b", "a,b\n", "a,b\r\n\r\n"):
        source = tables.open_source([written(tmp_path, content)])
        assert (source.names, list(source.batches())) == (("a", "b"), [])


def test_several_files_are_one_table(tmp_path):
    """Rows are numbered through, lines within their file."""
    paths = [written(tmp_path, f"a,b\n{i},x\n", f"{i}.csv") for i in range(3)]
    source = tables.open_source(paths)
    batches = list(source.batches())
    assert [(b.first_row, b.where(0)) for b in batches] == [(i, f"{path}, line 2") for i, path in enumerate(paths)]
    assert "0.csv and 2 more" in source.name


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n3\n", "line 3: 1 field, the header has 2"),
        (b'a,b\n"1\n2",2\n3,4,5\n', "line 4: 3 fields, the header has 2"),
        (b"a,b\n1,\0\n", "line 2: a NUL byte (byte 7 of the file)"),
        (b"a\0,b\n1,2\n", "line 1: a NUL byte (byte 2 of the file)"),
        (b"a,b\n1,2\n3,\xe9\n", "line 3: byte 0xe9 is not UTF-8 (byte 11 of the file)"),
        ("a,é\n1,2\n".encode("latin-1"), "line 1: byte 0xe9 in the header is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16 text"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote opens here and does not close"),
        (b'a,"b\n1,2\n', "line 1: a quote opens here and does not close"),
        (b"a,b\r1,2\r", "line 1: a carriage return without a line feed"),
        (b"a,b\n1,2\r3,4\n", "line 2: a carriage return without a line feed"),
        (b"a,a,b\n1,2,3\n", "line 1: 'a' is given 2 times"),
        (b",a\n0,1\n", "line 1: column 1 has no name"),
        (b"", "the file is empty"),
        (b"\r\n \n", "the file is empty"),
        (BOM, "the file is empty"),
    ],
)
def test_what_is_wrong_and_where(tmp_path, content, said):
    """Every malformed file is refused with the line where it goes wrong."""
    path = written(tmp_path, content)
    problem = refusal(path)
    assert said in problem.message
    assert path in problem.message


def test_all_mistakes_of_one_kind_are_listed(tmp_path):
    """Ten ragged rows are named, the rest are counted; the same for cells that are not numbers."""
    ragged = refusal(written(tmp_path, "a,b\n" + "1\n" * 15))
    assert "15 rows" in ragged.message
    assert "line 11:" in ragged.message
    assert "… and 5 more" in ragged.message
    wrong = refusal(written(tmp_path, "a,b\n1,x\ny,2\n"), numbers=["a", "b"])
    assert 'line 2, column b: "x" is not a number' in wrong.message
    assert 'line 3, column a: "y" is not a number' in wrong.message


def test_a_word_among_a_million_numbers_is_found(tmp_path):
    """Far into the file, after quoted newlines, the message still names the line."""
    content = b'temp,note\n1,"two\nlines"\n' + b"20.5,ok\n" * 600_000 + b"abc,bad\n" + b"1,ok\n"
    problem = refusal(written(tmp_path, content), numbers=["temp"])
    assert problem.message.endswith('pump.csv, line 600004, column temp: "abc" is not a number')


@pytest.mark.parametrize("cell", ["1,000", "1_000", "0x10", "12 kPa", "1.2.3", "--1", "1 2"])
def test_not_numbers(tmp_path, cell):
    """Thousands separators, units and the like are refused rather than guessed."""
    assert "is not a number" in refusal(written(tmp_path, f'x,y\n"{cell}",1\n'), numbers=["x"]).message


def test_files_with_other_columns_are_listed(tmp_path):
    """Each file that differs from the first is named with what differs."""
    contents = {"a.csv": "p,q\n", "b.csv": "p,r\n", "c.csv": "q,p\n", "d.csv": "p;q\n"}
    with pytest.raises(InputError) as caught:
        tables.open_source([written(tmp_path, content, name) for name, content in contents.items()])
    assert "b.csv: missing 'q'; has also 'r'" in caught.value.message
    assert "c.csv: the same columns in another order, from 'q' on" in caught.value.message
    assert "d.csv: fields are separated by ';', not ','" in caught.value.message


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2"])
def test_a_truncated_archive_is_the_inputs_fault(tmp_path, suffix):
    """A compressed file that was cut off is named, whatever its codec."""
    values = np.random.default_rng(0).integers(0, 10**9, 50_000)
    packed = packed_by(suffix, b"a,b\n" + b"".join(b"%d,1\n" % value for value in values))
    assert "cannot be read" in refusal(written(tmp_path, packed[:-20], f"t.csv.{suffix}")).message


def test_a_line_without_end_is_bounded(tmp_path, monkeypatch):
    """A quote that swallows the file stops at a limit instead of filling the memory."""
    monkeypatch.setattr(records, "MAX_ROW_BYTES", 10_000)
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1_000)
    assert "line 2: a quote opens here" in refusal(written(tmp_path, 'a,b\n1,"' + "x\n" * 50_000 + '"\n')).message
    assert "line 2: a line of more than" in refusal(written(tmp_path, "a,b\n1," + "x" * 50_000 + "\n")).message


def test_the_parser_gets_memory_of_its_own():
    """No thread of pyarrow ever holds memory of Python's: letting go of it while the interpreter ends is an abort."""
    data = b"1,2\n3,4\n"
    block = records.RecordBlock(data, len(data), np.array([0, 4]), np.array([3, 7]), quoted=False, first_line=2)
    copy = block.buffer()
    assert copy.to_pybytes() == data
    assert copy.address != np.frombuffer(data, np.uint8).ctypes.data


def test_a_cell_that_ends_in_a_line_end_holds_no_row(tmp_path):
    """What follows its closing quote has as many commas as a row, one of them in a quoted cell."""
    path = tmp_path / "t.csv"
    path.write_text("a,b,c,d,e,f\n" + '1,"x\n",2,3,4,"p, q"\n' * 3)
    rows = [batch.table.to_pydict() for batch in tables.open_source([str(path)]).batches()]
    assert rows[0]["b"] == ["x\n"] * 3
    assert rows[0]["f"] == ["p, q"] * 3
