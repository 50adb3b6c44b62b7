"""Which columns a row needs to be anomalous: laws of rivals, of several wrong cells and of what goes along."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vaecli.scoring.roles import ALTERNATIVE, MINOR, RESPONSIBLE, roles

FLAGGED_FROM = 5.0
NONE_FAR = np.zeros(4, bool)


def wrong(*cells: tuple[Sequence[int], float]) -> Callable[[np.ndarray], np.ndarray]:
    """A row of 2 nats and those of each disagreement, which is gone once one of its columns is replaced."""

    def score_without(replaced: np.ndarray) -> np.ndarray:
        return np.array([2.0 + sum(nats for of, nats in cells if not row[list(of)].any()) for row in replaced])

    return score_without


@pytest.mark.parametrize(
    ("cells", "attribution", "expected"),
    [
        ([((0,), 40.0)], [40, 1, 0.5, 0], [RESPONSIBLE, MINOR, MINOR, MINOR]),
        ([((0, 1), 40.0)], [22, 20, 1, 0], [RESPONSIBLE, ALTERNATIVE, MINOR, MINOR]),
        ([((0,), 40.0), ((2,), 30.0)], [40, 0, 30, 2], [RESPONSIBLE, MINOR, RESPONSIBLE, MINOR]),
        ([((0,), 40.0), ((1,), 30.0), ((2,), 20.0)], [40, 30, 20, 2], [RESPONSIBLE] * 3 + [MINOR]),
        ([((0, 1), 40.0), ((2,), 30.0)], [22, 20, 30, 0], [RESPONSIBLE, MINOR, RESPONSIBLE, MINOR]),
    ],
    ids=["one", "rivals", "two", "three", "rivals and one"],
)
def test_columns_are_named_if_the_row_is_not_usual_without_them(
    cells: list[tuple[Sequence[int], float]], attribution: list[float], expected: list[int]
) -> None:
    """What goes along with a wrong cell is not named, whatever its part of the score."""
    parts, score_without = np.array(attribution, float), wrong(*cells)
    score = float(score_without(np.zeros((1, 4), bool))[0])
    assert roles(score_without, parts, NONE_FAR, score, FLAGGED_FROM, 3).tolist() == expected


def test_cells_far_beyond_training_are_responsible_together() -> None:
    """None of them makes the row usual alone, and none could be right in place of another."""
    score_without, far = wrong(((0,), 400.0), ((1,), 300.0), ((2,), 200.0)), np.array([True, True, True, False])
    found = roles(score_without, np.array([400.0, 300, 200, 5]), far, 902.0, FLAGGED_FROM, 4)
    assert found.tolist() == [RESPONSIBLE, RESPONSIBLE, RESPONSIBLE, MINOR]


def test_a_row_that_no_column_explains_has_no_responsible_one() -> None:
    """Parts below a twentieth of the score are no reason; nor is there one among no parts."""
    for parts in ([0.8, 0.5, 0, 0], [0.0, 0, 0, 0]):
        assert not roles(wrong(((0,), 1.0)), np.array(parts), NONE_FAR, 20.0, FLAGGED_FROM, 3).any()


def test_only_the_largest_parts_have_a_role() -> None:
    """As many as reasons are asked for."""
    score_without = wrong(((0,), 40.0), ((1,), 30.0))
    assert roles(score_without, np.array([40.0, 30, 0, 0]), NONE_FAR, 72.0, FLAGGED_FROM, 1).tolist() == [1, 0, 0, 0]
