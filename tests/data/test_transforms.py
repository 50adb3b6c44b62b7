"""How a column is bent towards its ranks, the soft clip, and normal quantiles without SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import optimize, special, stats

from vaecli.data.cells import Cells
from vaecli.data.number_features import Numbers
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.transforms import CLIP, FEW_DISTINCT, HALF_RANK, MOSTLY_RANK, normal_quantile, rank_share, soft_clip
from vaecli.schema import Column, Kind

AT = (np.arange(4000) + 0.5) / 4000  # evenly spaced ranks: each law below without chance


SHAPES = {
    "normal": (stats.norm.ppf(AT), 0.0),
    "logistic": (stats.logistic.ppf(AT), 0.0),
    "triangular": (stats.triang.ppf(AT, 0.3), 0.0),
    "uniform": (AT, MOSTLY_RANK),
    "two humps": (np.concatenate([stats.norm.ppf(AT[::2]) - 4, stats.norm.ppf(AT[::2]) + 4]), MOSTLY_RANK),
    "gamma": (stats.gamma.ppf(AT, 1.4), MOSTLY_RANK),
    "heavy": (stats.gennorm.ppf(AT, 0.85), MOSTLY_RANK),
    "lognormal": (stats.lognorm.ppf(AT, 1), HALF_RANK),
    "Student": (stats.t.ppf(AT, 2), HALF_RANK),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_share_is_by_the_shape_of_the_column(name: str) -> None:
    """Near-normal columns are not bent, flat and moderately heavy ones mostly, very heavy ones half."""
    values, share = SHAPES[name]
    assert rank_share(values[:, None]).tolist() == [share]


@pytest.mark.parametrize("heavier", [False, True])
def test_the_share_is_by_the_excess_kurtosis(heavier: bool) -> None:
    """The bounds are scipy's excess kurtosis of the values at −1.1, 3 and 6."""
    for bound, below, above in ((-1.1, MOSTLY_RANK, 0.0), (3.0, 0.0, MOSTLY_RANK), (6.0, MOSTLY_RANK, HALF_RANK)):
        # of the generalised normal laws, from the heaviest to the flattest, the one just beside the bound
        wanted = bound + 0.01 if heavier else bound - 0.01
        shape = optimize.brentq(lambda beta, wanted=wanted: stats.kurtosis(gennorm(beta)) - wanted, 0.4, 30)
        assert rank_share(gennorm(shape)[:, None]).tolist() == [above if heavier else below]


def gennorm(beta: float) -> np.ndarray:
    return np.asarray(stats.gennorm.ppf(AT, beta))


def test_a_column_of_few_values_is_not_ranked() -> None:
    """With fewer than 17 distinct readings ranks are mostly ties, and the column stays as it is."""
    for n_distinct, share in ((1, 0.0), (2, 0.0), (FEW_DISTINCT - 1, 0.0), (FEW_DISTINCT, MOSTLY_RANK)):
        assert rank_share((np.arange(3400.0) % n_distinct)[:, None]).tolist() == [share]


@given(
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from([1e-140, 1e-9, 1.0, 1e6, 1e140]),
    st.sampled_from([0.0, 1.0, -3.0]),
    st.floats(0, 0.5),
)
def test_units_offsets_and_gaps_do_not_bend(name: str, unit: float, offset: float, share_missing: float) -> None:
    """A column is bent the same in any unit, whatever its zero, sign, empty cells and neighbours."""
    values, share = SHAPES[name]
    column = -unit * (values + offset)
    has_missing = np.append(column, np.full(int(share_missing * column.size), np.nan))
    company = np.where(np.isnan(has_missing), np.nan, 3.0)
    assert rank_share(np.stack([company, has_missing], 1)).tolist() == [0.0, share]


def test_a_column_without_values_is_not_bent() -> None:
    """Empty columns and columns of no spread have a share, not a warning."""
    assert rank_share(np.array([[np.nan, 1.0], [np.nan, 1.0]])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", SHAPES)
def test_a_bent_column_is_between_size_and_rank(name: str) -> None:
    """Before it is centred and scaled again, b = (1 − w)·v + w·Φ⁻¹(rank), but for the coarseness of 256 quantiles."""
    values, share = SHAPES[name]
    cells = Cells(values[:, None], np.zeros((4000, 1), np.uint8), np.arange(4000))
    fitted = Preprocessor.fit(cells, (Column("load", Kind.NUMERIC),))
    assert fitted.encoder(Numbers).share.tolist() == [share]
    standard = (values - values.mean()) / values.std()
    rank = np.clip(stats.norm.ppf((stats.rankdata(values) - 1) / 3999), -3.5, 3.5)
    bent = (1 - share) * standard + share * rank
    expected = soft_clip((bent - bent.mean()) / bent.std())
    within = slice(40, -40)  # beyond lie the first and the last of the quantiles
    np.testing.assert_allclose(fitted.transform(cells).values[within, 0], expected[within], atol=0.05)


def test_the_soft_clip_has_a_continuous_slope() -> None:
    """Value and slope meet at ±10: no kink for the networks to trip over."""
    step = 1e-6
    for at in (CLIP, -CLIP):
        before, here, after = soft_clip(np.array([at - step, at, at + step]))
        assert after - here == pytest.approx(here - before, rel=1e-5)


@given(st.floats(0, 1))
def test_normal_quantiles_are_scipys(p: float) -> None:
    """Φ⁻¹ to fifteen digits without SciPy, at the ends too."""
    np.testing.assert_allclose(normal_quantile(np.array(p)), special.ndtri(p), rtol=2e-15 * 8, atol=1e-15)


def test_normal_quantiles_of_many_sizes() -> None:
    """The same over sixteen decades in both tails."""
    p = np.concatenate(
        [10.0 ** -np.linspace(0.5, 300, 3000), np.linspace(0, 1, 1001), 1 - 10.0 ** -np.linspace(1, 16, 99)]
    )
    np.testing.assert_allclose(normal_quantile(p), special.ndtri(p), rtol=2e-14)
