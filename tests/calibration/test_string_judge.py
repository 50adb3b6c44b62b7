"""The judge of strings: one budget of false alarms, most of which is for the rarest symbol."""

from __future__ import annotations

import numpy as np
import pytest

from vaecli.calibration.string_judge import MILDER, fit_string_judge
from vaecli.data.string_features import READOUTS
from vaecli.schema import Column, Kind, Layout

N = 4000
LAYOUT = Layout.of([Column("line", Kind.TEXT, categories=("a",), class_shares=(1.0,))])


def normal_readouts(n: int, seed: int) -> np.ndarray:
    """Independent ones, all of the same distribution."""
    return np.random.default_rng(seed).exponential(size=(n, 1, len(READOUTS)))


@pytest.fixture(scope="module")
def judge():
    found, _ = fit_string_judge(LAYOUT, normal_readouts(N, 0), np.zeros(N))
    assert found is not None
    return found


def test_an_other_read_out_must_be_rarer_than_a_symbol_to_count_as_much(judge):
    """By the nats that it counts less: beside equal values, the symbol has the larger surprisal."""
    found = judge.surprisals(np.full((1, 1, len(READOUTS)), 4.0))[0, 0]
    symbol = found[READOUTS.index("symbol")]
    for name, surprisal in zip(READOUTS, found, strict=True):
        assert symbol - surprisal == pytest.approx(MILDER[name], abs=0.6)  # tails are of 4,000 draws


def test_the_networks_hardly_flag_a_row_that_is_a_string_alone():
    """Of what is flagged in a table of one text column the judge flags 85 % at least; beside a number, about half."""
    networks = np.random.default_rng(2).pareto(1.0, N)  # a heavy tail
    readouts = normal_readouts(N, 3)
    beside = Layout.of([Column("x", Kind.NUMERIC), Column("line", Kind.TEXT, categories=("a",), class_shares=(1.0,))])
    share = []
    for layout in (LAYOUT, beside):
        found, score = fit_string_judge(layout, readouts, networks)
        assert found is not None
        opinion = found.opinions(readouts).score
        flagged = score >= np.quantile(score, 0.99)
        share.append((opinion[flagged] >= networks[flagged]).mean())
    assert share[0] > 0.85
    assert 0.3 < share[1] < 0.7


def test_most_alarms_of_normal_strings_are_for_a_symbol(judge):
    """With MILDER of 2 or 3 nats, all others together have less than half of them."""
    readouts = normal_readouts(20_000, 1)
    opinions = judge.opinions(readouts)
    flagged = opinions.score >= np.quantile(opinions.score, 0.99)
    share = (opinions.readout[flagged] == READOUTS.index("symbol")).mean()
    assert 0.5 < share < 0.8
