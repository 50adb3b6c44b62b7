"""Centres stand for the codes of the rows that a member learned from, and for no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_info

from vaecli.data.training_rows import Rows
from vaecli.model.ensemble import Family, draw_noise
from vaecli.model.exemplar_prior import ExemplarPrior, choose_exemplars, nearest_exemplar_distance
from vaecli.model.families import ScoreTerm
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import encode
from vaecli.model.ppca_init import start_parameters
from vaecli.schema import Column, Kind, Layout
from vaecli.training import choose_centers as module
from vaecli.training.choose_centers import choose_centers

N, D, K = 300, 4, 2
HELD_OUT = (0, 2)
LIKELIHOOD = Likelihood.of(Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(D)]), np.zeros(D), N, -3.0)


def table(seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(N, 2)) @ np.random.default_rng(9).normal(size=(2, D)) + 0.3 * rng.normal(size=(N, D))
    return Rows(values.astype(np.float32), np.zeros((N, D), np.uint8), np.arange(N) % 3)


PARAMETERS = start_parameters(
    table(), LIKELIHOOD, held_out=HELD_OUT, n_latent=K, n_hidden=6, homoscedastic=False, seed=0
)
EXEMPLARS = choose_exemplars(LIKELIHOOD, PARAMETERS, HELD_OUT, table(), n_exemplars=150, seed=0)


def centers(rows: Rows, n: int = 20) -> ExemplarPrior | None:
    return choose_centers(LIKELIHOOD, PARAMETERS, HELD_OUT, rows, EXEMPLARS, n, seed=0)


def found(rows: Rows, n: int = 20) -> ExemplarPrior:
    prior = centers(rows, n)
    assert prior is not None
    return prior


def codes(rows: Rows) -> np.ndarray:
    return encode(PARAMETERS, LIKELIHOOD, rows.values, None)[0]


def test_they_are_near_all_rows() -> None:
    """A row is on average nearer to 20 centres than to 20 rows drawn at random."""
    few = choose_exemplars(LIKELIHOOD, PARAMETERS, HELD_OUT, table(), n_exemplars=20, seed=0)
    drawn = EXEMPLARS.with_codes((few.codes / few.scale + few.center - EXEMPLARS.center) * EXEMPLARS.scale)
    mean = codes(table(seed=1))
    apart = [nearest_exemplar_distance(mean, prior).mean(1) for prior in (found(table()), drawn)]
    assert (apart[0] < 0.8 * apart[1]).all()


def test_rows_of_the_fold_held_out_do_not_move_them() -> None:
    """The centres of a member, whole and without each part, stay to the last bit when the rows it holds out change."""
    rows = table()
    values = rows.values.copy()
    values[rows.fold == 2] = np.random.default_rng(5).normal(size=values[rows.fold == 2].shape)
    one, other = found(rows), found(rows._replace(values=values))
    assert one.left_out is not None
    assert other.left_out is not None
    for before, after in zip((one, *one.left_out.priors), (other, *other.left_out.priors), strict=True):
        np.testing.assert_array_equal(before.codes[1], after.codes[1])
        assert (before.codes[0] != after.codes[0]).any()


@pytest.mark.parametrize("most_rows", [module.MOST_ROWS, 120])
def test_a_row_that_calibrates_has_not_moved_its_centres(monkeypatch: pytest.MonkeyPatch, most_rows: int) -> None:
    """The distance of a training row is the same whether it was among the rows as it is or as another."""
    monkeypatch.setattr(module, "MOST_ROWS", most_rows)
    rows = table()
    prior, mean = found(rows), codes(rows)
    assert prior.left_out is not None
    for number in (1, 4, 5, 100):
        values = rows.values.copy()
        values[number] += 9.0
        changed = found(rows._replace(values=values))
        row, its_code = np.array([number]), mean[:, [number]]
        np.testing.assert_array_equal(
            nearest_exemplar_distance(its_code, prior, row), nearest_exemplar_distance(its_code, changed, row)
        )


def test_sums_do_not_depend_on_the_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each k-means has one thread of every library, in whichever thread it runs."""
    used: list[int] = []

    class Watched(KMeans):
        def fit(self, *args: Any, **kwargs: Any) -> KMeans:
            used.extend(library["num_threads"] for library in threadpool_info())
            return super().fit(*args, **kwargs)

    monkeypatch.setattr("sklearn.cluster.KMeans", Watched)
    found(table())
    assert set(used) == {1}


def test_few_rows_need_none() -> None:
    """A member that learned from no more rows than there would be centres compares with its exemplars."""
    assert centers(table(), 200) is None
    assert centers(table(), 199) is not None


def test_a_family_compares_with_its_centres_and_forgets_the_rows() -> None:
    """What a bundle holds of a family knows no row numbers, and scores with the same centres."""
    prior = found(table())
    family = Family(
        LIKELIHOOD, PARAMETERS, draw_noise(2, 2, K, 0), EXEMPLARS, HELD_OUT, (ScoreTerm.EXEMPLAR_DISTANCE,), prior
    ).without_row_numbers()
    assert family.nearest is family.centers
    assert family.nearest.left_out is None
    kept = Family.from_arrays(family.to_arrays("some"), "some", LIKELIHOOD, D, (ScoreTerm.EXEMPLAR_DISTANCE,))
    mean = codes(table(seed=2))
    np.testing.assert_array_equal(nearest_exemplar_distance(mean, kept.nearest), nearest_exemplar_distance(mean, prior))
    forged = family.to_arrays("some") | {"some/centers": prior.codes[:, :, :1]}
    with pytest.raises(ValueError, match="some/centers has shape"):
        Family.from_arrays(forged, "some", LIKELIHOOD, D, (ScoreTerm.EXEMPLAR_DISTANCE,))
    forged["some/centers"] = np.full_like(prior.codes, 1e30)
    with pytest.raises(ValueError, match="some/centers holds numbers beyond"):
        Family.from_arrays(forged, "some", LIKELIHOOD, D, (ScoreTerm.EXEMPLAR_DISTANCE,))
