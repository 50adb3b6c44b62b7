"""Strings as features: read-outs, their laws, and the models of held-out strings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from vaecli.data.fit_strings import FittedStrings
from vaecli.data.string_features import LEAST_HIGH, READOUTS, Strings, worst_stretch
from vaecli.schema import Column, Kind, Layout

N = 240


def serials(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([f"SN-{rng.integers(2000, 2025)}-{rng.integers(10_000):04d}".encode() for _ in range(n)], object)


@pytest.fixture(scope="module")
def fitted() -> FittedStrings:
    """Two columns of serial numbers, the second with gaps."""
    texts = np.stack([serials(N, 0), np.where(np.arange(N) % 5 == 0, None, serials(N, 1))], axis=1)
    found = FittedStrings.of(texts, np.arange(N) % 2, seed=0)
    assert found is not None
    return found


def test_a_wrong_character_stands_out_in_its_read_out(fitted: FittedStrings):
    """A letter for a digit is the worst symbol and stretch; length is read on both sides."""
    texts = np.array([b"SN-2004-0031", b"SN-20O4-0031", b"SN-2004", b"SN-2004-0031-0031"], object)
    read = dict(zip(READOUTS, fitted.encoder.read(0, texts).readouts.T, strict=True))
    for name in ("whole", "stretch", "symbol"):
        assert read[name][1] > read[name][0] + 2
    assert read["short"].argmax() == 2
    assert read["long"].argmax() == 3


@settings(max_examples=15, deadline=None)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6))
def test_a_string_reads_the_same_alone_and_among_others(fitted: FittedStrings, texts: list[bytes]):
    """To the bit, whatever stands beside it; its responsibilities sum to 1."""
    together = fitted.encoder.read(0, np.array(texts, object))
    assert np.allclose(together.features.sum(1), 1, atol=1e-5)
    for i, text in enumerate(texts):
        alone = fitted.encoder.read(0, np.array([text], object))
        assert (alone.readouts[0] == together.readouts[i]).all()
        assert (alone.features[0] == together.features[i]).all()


def test_a_missing_string_has_no_read_outs(fitted: FittedStrings):
    """NaN, and no class at all."""
    read = fitted.encoder.read(1, np.array([None, b"SN-2004-0031"], object))
    assert np.isnan(read.readouts[0]).all()
    assert np.isfinite(read.readouts[1]).all()
    assert not read.features[0].any()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12))
def test_the_worst_stretch_has_the_largest_sum(excess: list[float]):
    """As all stretches tried one by one."""
    begin, end = worst_stretch(np.array(excess), LEAST_HIGH)
    over = np.array(excess) - LEAST_HIGH
    sums = [over[i:j].sum() for i in range(len(excess)) for j in range(i + 1, len(excess) + 1)]
    assert over[begin:end].sum() == pytest.approx(max(sums))


def test_held_out_read_outs_know_nothing_of_their_fold(fitted: FittedStrings):
    """A string is read by the model without its fold, so its read-outs are not those of the other fold's model."""
    texts, fold = np.stack([serials(N, 0)] * 2, axis=1), np.arange(N) % 2
    found, other = fitted.held_out_readouts(texts, fold), fitted.held_out_readouts(texts, 1 - fold)
    assert found[:, 0, 0].mean() > other[:, 0, 0].mean()  # the other model has seen the string


def test_strings_of_one_fold_have_no_held_out_read_outs():
    """As where only the rows of one group have strings: no model is without them, and the column is modelled."""
    found = FittedStrings.of(serials(N, 0)[:, None], np.zeros(N, np.int64), seed=0)
    assert found is not None
    assert np.isnan(found.held_out_readouts(serials(5, 1)[:, None], np.zeros(5, np.int64))).all()
    assert np.isfinite(found.encoder.read(0, serials(5, 1)).readouts).all()


def test_arrays_make_the_encoder_again(fitted: FittedStrings):
    """The same read-outs to the bit; arrays of other columns are refused."""
    columns = fitted.described([Column("a", Kind.TEXT), Column("b", Kind.TEXT)])
    slots = Layout.of(columns).slots
    arrays = fitted.encoder.to_arrays()
    again, texts = Strings.from_arrays(arrays, slots), serials(5, 3)
    for one, other in zip(
        (again.read(0, texts).readouts, again.read(0, texts).features),
        (fitted.encoder.read(0, texts).readouts, fitted.encoder.read(0, texts).features),
        strict=True,
    ):
        assert (one == other).all()
    with pytest.raises(ValueError, match="string_levels"):
        Strings.from_arrays(arrays, slots[:1])
    with pytest.raises(ValueError, match="nats"):
        Strings.from_arrays(arrays | {"string_levels": np.array([1e9, 1.0])}, slots)
