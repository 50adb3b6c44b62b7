"""Plain features: standardised numbers read off features that are bent and clipped."""

from __future__ import annotations

import numpy as np
import pytest

from vaecli.data.cells import MISSING, PRESENT, Cells
from vaecli.data.plain_features import PlainFeatures
from vaecli.data.preprocessor import Preprocessor
from vaecli.schema import Column, Kind

COLUMNS = (
    Column("bell", Kind.NUMERIC),
    Column("heavy", Kind.NUMERIC),
    Column("flat", Kind.NUMERIC),
    Column("on", Kind.BOOLEAN),
    Column("k", Kind.CATEGORICAL, categories=("p", "q", "r")),
)


def cells(n: int, seed: int) -> Cells:
    """Numbers of several shapes, a boolean, a category; one in ten cells is missing."""
    rng = np.random.default_rng(seed)
    values = np.stack(
        [rng.normal(5, 2, n), rng.lognormal(0, 2, n), rng.random(n), rng.random(n) < 0.2, rng.integers(0, 3, n)], axis=1
    )
    state = np.where(rng.random(values.shape) < 0.1, MISSING, PRESENT).astype(np.uint8)
    return Cells(np.where(state == MISSING, np.nan, values), state, np.arange(n), None)


@pytest.mark.parametrize("stretch", [1.0, 30.0])
def test_numbers_are_standardised_again(stretch: float) -> None:
    """Within the training range and far beyond, to a hundredth of a standard deviation or of the number."""
    train = cells(800, 0)
    preprocessor = Preprocessor.fit(train, COLUMNS)
    new = cells(200, 1)
    new.values[:, :3] *= stretch
    batch = preprocessor.transform(new)
    plain = PlainFeatures.of(preprocessor)
    found = plain.transform(batch.values, batch.state)
    assert found.shape == (200, 7 + 5)
    assert found.dtype == np.float32
    assert plain.column == (*preprocessor.layout.column_of_feature, 0, 1, 2, 3, 4)
    mean, spread = np.nanmean(train.values, 0), np.nanstd(train.values, 0)
    for j in range(4):  # numbers and the boolean
        right = np.where(new.state[:, j] == PRESENT, (new.values[:, j] - mean[j]) / spread[j], 0.0)
        i = preprocessor.layout.slots[j].start
        np.testing.assert_allclose(found[:, i], right, rtol=0.01, atol=0.02)
    slot = preprocessor.layout.slots[4]
    np.testing.assert_array_equal(found[:, slot.start : slot.stop], batch.values[:, slot.start : slot.stop])
    np.testing.assert_array_equal(found[:, 7:], new.state == MISSING)
