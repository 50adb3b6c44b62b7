"""The model of short strings: proper probabilities, the same alone and among others, and nothing that came once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from vaecli.data.strings.alphabet import LEAST_STRINGS
from vaecli.data.strings.string_model import MOST_BYTES, StringModel, StringReadings
from vaecli.data.strings.texts import Texts

STRINGS = st.one_of(st.binary(max_size=12), st.text(max_size=8).map(str.encode), st.from_regex(rb"\A[A-C]{2}-2\d{3}\Z"))
NAMES = ("nats", "per_symbol", "expected", "log_ratio", "length")


def lines(n: int, seed: int) -> list[bytes]:
    """Serials and two kinds of messages, by turns."""
    rng = np.random.default_rng(seed)
    kinds = (
        lambda a, b: f"SN-{2003 + a % 3}-{b:04d}",
        lambda a, b: f"INFO block blk_{a}{b} received",
        lambda a, b: f"WARN größe of {a} exceeds {b} bytes",
    )
    numbers = rng.integers(0, 10_000, (n, 2)).tolist()
    return [kinds[i % 3](a, b).encode() for i, (a, b) in enumerate(numbers)]


@pytest.fixture(scope="module")
def model() -> StringModel:
    return StringModel.fit(Texts.of(lines(1500, 0)), 0)


def test_a_model_without_a_fold_is_that_of_the_other_strings() -> None:
    """To the bit, with strings that come once, in several folds, and so often that one of them is no secret."""
    often = [b"SN-2004-0031 received"] * 22 + [b"SN-2003-0007 exceeds"] * 3
    texts = np.array([*lines(600, 5), *often], object)
    fold = np.random.default_rng(0).permutation(texts.size) % 7
    whole, without = StringModel.fit_without_folds(Texts.of(texts.tolist()), fold, 0)
    assert sorted(without) == list(range(7))
    fresh = Texts.of([*lines(30, 6), b"SN-2004-0031 recieved", b"SN-2003-0007 exceed"])
    for number, model in without.items():
        other = StringModel.fit(Texts.of(texts[fold != number].tolist()), 0, 1)
        np.testing.assert_array_equal(model.alphabet.known, other.alphabet.known)
        assert (model.exponents == whole.exponents).all()
        np.testing.assert_array_equal(model.read(fresh).per_symbol, other._with(model.exponents).read(fresh).per_symbol)


@pytest.mark.parametrize("start", [b"", b"SN-2004", b"SN-", b"INFO block blk", "WARN grö".encode(), b"\x00\xff", b"zz"])
def test_the_probabilities_of_all_next_bytes_sum_to_one(model: StringModel, start: bytes) -> None:
    """Of 256 bytes and the end, after any beginning; `expected` is the mean of what they cost."""
    longer = Texts.of([start + bytes([byte]) for byte in range(256)] + [start])
    readings = model.read(longer)
    at = readings.offsets[:-1] + len(start)
    nats = readings.per_symbol[at]
    assert np.exp(-nats).sum() == pytest.approx(1, abs=1e-5)
    assert readings.expected[at] == pytest.approx(np.exp(-nats) @ nats, abs=1e-4)


def test_all_strings_of_an_alphabet_have_probability_one() -> None:
    """Of strings of two letters that end soon, those of up to 14 letters are all but a few."""
    rng = np.random.default_rng(0)
    short = [bytes(rng.choice([97, 98], rng.integers(0, 6)).tolist()) for _ in range(400)]
    model = StringModel.fit(Texts.of(short), 0)
    every = [bytes(97 + (i >> k & 1) for k in range(n)) for n in range(15) for i in range(2**n)]
    assert np.exp(-model.read(Texts.of(every)).nats).sum() == pytest.approx(1, abs=0.02)
    assert np.exp(-model.read(Texts.of(every[:63])).nats).sum() > 0.9


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(strings=st.lists(STRINGS, max_size=30), cut=st.integers(0, 30))
def test_a_string_reads_the_same_alone_and_among_others(model: StringModel, strings: list[bytes], cut: int) -> None:
    """To the bit, in one batch, in two and one by one; its nats are the sum of its symbols'."""
    whole = model.read(Texts.of(strings))
    halves = [model.read(Texts.of(part)) for part in (strings[:cut], strings[cut:])]
    alone = [model.read(Texts.of([string])) for string in strings]
    for name in NAMES:
        for parts in (halves, alone):
            joined = np.concatenate([getattr(part, name) for part in parts]) if parts else np.empty(0)
            np.testing.assert_array_equal(getattr(whole, name).ravel(), joined.ravel())
    for i, string in enumerate(strings):
        own = whole.per_symbol[whole.offsets[i] : whole.offsets[i + 1]]
        assert own.size == len(string) + 1
        assert own.sum() == pytest.approx(whole.nats[i])
    assert np.isfinite(whole.nats).all()
    assert (whole.per_symbol >= -1e-6).all()


def test_long_strings_are_read_in_blocks_and_beyond_the_cap_by_their_bytes(model: StringModel) -> None:
    """A megabyte costs memory for its first bytes only, and each byte more costs more."""
    short, long = b"SN-2004-0031", b"SN-2004-0031 " * 80_000
    readings = model.read(Texts.of([short, long, long[:-13], short]))
    assert np.diff(readings.offsets).tolist() == [13, MOST_BYTES + 1, MOST_BYTES + 1, 13]
    assert readings.nats[0] == readings.nats[3]
    assert readings.nats[1] > readings.nats[2] + 13
    assert readings.length.tolist() == [12, len(long), len(long) - 13, 12]


def test_classes_tell_the_kinds_of_lines_apart(model: StringModel) -> None:
    """Each kind of line has one class that is far more probable given it, and ratios average to one."""
    texts = lines(300, 1)
    ratio = np.exp(model.read(Texts.of(texts)).log_ratio)
    share = ratio * model.classes.share
    np.testing.assert_allclose(share.sum(1), 1, rtol=1e-6)
    kinds = [share[i::3].mean(0).argmax() for i in range(3)]
    assert len(set(kinds)) == 3
    for i, kind in enumerate(kinds):
        assert share[i::3, kind].mean() > 0.8


def test_drawn_strings_come_as_often_as_the_model_says() -> None:
    """Shares of the most frequent strings among many draws, within five standard errors; and their mean nats."""
    model = StringModel.fit(Texts.of([b"ab", b"abb", b"b", b"ab"] * 50), 0, most_classes=1)
    drawn = model.sample(np.random.default_rng(0), np.zeros(20_000, np.int64))
    different, count = np.unique(drawn, return_counts=True)
    frequent = count > 100
    p = np.exp(-model.read(Texts.of(different[frequent].tolist())).nats)
    assert frequent.sum() >= 3
    assert (np.abs(count[frequent] / 20_000 - p) < 5 * np.sqrt(p / 20_000)).all()


def test_each_class_draws_its_own_strings(model: StringModel) -> None:
    """A string of a class is one that the class is probable for; the most probable one is such a string too."""
    classes = np.arange(60) % model.n_classes
    drawn = model.sample(np.random.default_rng(0), classes)
    ratio = model.read(Texts.of(drawn)).log_ratio
    assert (ratio[np.arange(60), classes] > 0).mean() > 0.9
    for k in range(model.n_classes):
        assert model.read(Texts.of([model.most_probable(k)])).log_ratio[0, k] > 0


def test_the_expected_byte_mends_the_string(model: StringModel) -> None:
    assert model.expected(b"SN-20O4-0031", 5) == b"0"
    assert model.expected(b"INFO bl0ck blk_123 received", 7) == b"o"
    assert model.expected(b"SN-2004", 7) == b"-"


def test_arrays_give_the_same_model(model: StringModel) -> None:
    """To the bit."""
    texts = Texts.of(lines(50, 2))
    again = StringModel.from_arrays(model.to_arrays())
    for name in NAMES:
        np.testing.assert_array_equal(getattr(again.read(texts), name), getattr(model.read(texts), name))


@pytest.mark.parametrize("name", ["known", "exponents", "rest", "symbols.shorter", "shapes.next_of", "classes.share"])
def test_a_missing_array_is_named(model: StringModel, name: str) -> None:
    arrays = model.to_arrays()
    del arrays[name]
    with pytest.raises(KeyError, match=name.rpartition(".")[2]):
        StringModel.from_arrays(arrays)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_forged_arrays_are_refused_or_read(model: StringModel, data: st.DataObject) -> None:
    """One number of one array replaced, or an array of another type or shape: ValueError, or readings without NaN."""
    arrays = model.to_arrays()
    name = data.draw(st.sampled_from(sorted(arrays)))
    forged = arrays[name].copy()
    match data.draw(st.sampled_from(["number", "type", "shape"])):
        case "number":
            at = data.draw(st.integers(0, forged.size - 1))
            numbers = [-1, 0, 1, 2**30] if forged.dtype.kind == "i" else [-1, 0, 0.5, np.nan, np.inf, 1e30]
            forged[at if forged.ndim == 1 else np.unravel_index(at, forged.shape)] = (
                data.draw(st.integers(0, 255)) if name == "known" else data.draw(st.sampled_from(numbers))
            )
        case "type":
            forged = forged.astype(np.complex64)
        case "shape":
            forged = forged[:-1]
    try:
        again = StringModel.from_arrays(arrays | {name: forged})
    except ValueError:
        return
    readings = again.read(Texts.of(lines(6, 3)))
    assert np.isfinite(readings.nats).all()
    assert np.isfinite(readings.log_ratio).all()


def test_strings_that_came_once_are_not_in_the_arrays() -> None:
    """No context that fewer than five different strings hold is kept, so no secret of one string is spelled out."""
    secret = b"hunter2-Xyzzy"
    texts = [*lines(600, 4), *[b"SN-2004-0031 " + secret] * 10]
    model = StringModel.fit(Texts.of(texts), 0)
    for context in contexts(model):
        holding = len({text for text in texts if context in text.join([b"\n", b"\n"])})
        assert holding >= LEAST_STRINGS or not context
    drawn = model.sample(np.random.default_rng(0), np.zeros(2000, np.int64))
    assert not any(secret in text for text in drawn)


def contexts(model: StringModel) -> list[bytes]:
    """The kept contexts of symbols as bytes, the edge as a line end; those with other bytes are left out."""
    of_symbol = [bytes([byte]) for byte in model.alphabet.known] + [b"\xff", b"\n"]
    spelled: list[bytes] = [b""]
    tree = model.symbols
    for shorter, first in zip(tree.shorter[1:].tolist(), tree.first[1:].tolist(), strict=True):
        spelled.append(of_symbol[first] + spelled[shorter])
    return [context for context in spelled if b"\xff" not in context]


def test_one_string_or_equal_ones_can_be_modelled() -> None:
    """A column of one value, and of empty strings."""
    for texts in ([b"a"], [b""] * 10, [b"same"] * 100):
        readings: StringReadings = StringModel.fit(Texts.of(texts), 0).read(Texts.of([*texts, b"else"]))
        assert np.isfinite(readings.nats).all()
