"""Whether an incident goes on: the laws of chance that the rule keeps."""

from __future__ import annotations

import pytest
from scipy.stats import poisson

from vaecli.decisions.incident_fate import RARELY, SIMILAR, Counted, Fate, fate, is_beyond_chance, poisson_at_least


@pytest.mark.parametrize("mean", [0.0, 0.001, 0.7, 5.0, 300.0, 5000.0])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 310, 5050])
def test_the_tail_of_the_poisson_law_is_that_of_scipy(count: int, mean: float) -> None:
    """P(X >= count), of counts from none to thousands."""
    assert poisson_at_least(count, mean) == pytest.approx(poisson.sf(count - 1, mean), abs=1e-9)


@pytest.mark.parametrize("scored", [10, 60, 500, 1500, 10_000, 200_000])
def test_normal_rows_keep_an_incident_open_in_at_most_one_run_of_a_hundred(scored: int) -> None:
    """Where a quarter of the normal rows that are flagged deviate as it does."""
    mean = SIMILAR * 0.01 * scored
    least = next(rows for rows in range(1, scored) if is_beyond_chance(Counted(rows, scored), 0.01))
    assert poisson.sf(least - 1, mean) <= RARELY
    assert least == 1 or poisson.sf(least - 2, mean) > RARELY


@pytest.mark.parametrize(("rows", "scored"), [(2, 60), (12, 500), (40, 1500), (400, 10_000)])
def test_an_incident_at_half_its_pace_is_ended_in_at_most_one_run_of_a_hundred(rows: int, scored: int) -> None:
    """What a run shows of it that has as many rows as the Poisson law gives."""
    ending = [
        found
        for found in range(rows)
        if fate(Counted(found, scored), Counted(), Counted(rows, scored), 0.01) is Fate.ENDED
    ]
    assert sum(poisson.pmf(found, 0.5 * rows) for found in ending) <= RARELY


def test_a_row_at_the_flag_rate_is_no_evidence_and_many_are() -> None:
    """Of an incident of 40 in 1,500 rows: 9 rows end it, 20 show that it goes on; of one of 15, 6 leave it in doubt."""
    proven = Counted(40, 1500)
    found = [fate(Counted(rows, 1500), Counted(), proven, 0.01) for rows in (0, 1, 9, 20)]
    assert found == [Fate.ENDED, Fate.ENDED, Fate.ENDED, Fate.GOES_ON]
    assert fate(Counted(10, 1500), Counted(), Counted(15, 1500), 0.01) is Fate.GOES_ON
    assert fate(Counted(6, 1500), Counted(), Counted(15, 1500), 0.01) is Fate.IN_DOUBT
    assert fate(Counted(), Counted(6, 1500), Counted(15, 1500), 0.01) is Fate.IN_DOUBT
    assert fate(Counted(), Counted(6, 3000), Counted(15, 1500), 0.01) is Fate.ENDED


def test_few_rows_of_many_runs_add_up_to_evidence() -> None:
    """One row in each run of 60 is more than chance brings once there are several."""
    proven, one = Counted(6, 360), Counted(1, 60)
    assert fate(one, Counted(), proven, 0.01) is Fate.IN_DOUBT
    assert fate(one, Counted(5, 300), proven, 0.01) is Fate.GOES_ON
    assert fate(Counted(0, 60), Counted(5, 300), proven, 0.01) is not Fate.GOES_ON
