"""The made-up table of the benchmark of strings: what belongs together in it, and what its wrong rows are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pandas")
sklearn_metrics = pytest.importorskip("sklearn.metrics")


def test_wrong_combinations_are_right_column_by_column(bench):
    """The temperature alone tells wrong rows from right ones as chance does, beside the message nearly always."""
    table = bench.joint_table(3000, [0, 0])
    wrong = bench.wrong_combinations(table, 0)
    label = np.repeat([0, 1], len(table))
    temperature = np.concatenate([table[bench.TEMPERATURE], wrong[bench.TEMPERATURE]])
    assert abs(sklearn_metrics.roc_auc_score(label, temperature) - 0.5) < 0.03
    assert wrong.drop(columns=bench.TEMPERATURE).equals(table.drop(columns=bench.TEMPERATURE))
    error = np.concatenate([table[bench.MESSAGE], wrong[bench.MESSAGE]]).astype(str)
    warmer = temperature - (bench.WARM + bench.COLD) / 2
    misfit = np.where(np.char.startswith(error, "ERROR"), -warmer, warmer)
    assert sklearn_metrics.roc_auc_score(label, misfit) > 0.98


def test_messages_have_about_forty_characters_and_other_seeds_other_rows(bench):
    """Both kinds of message do, so that their length says nothing."""
    table = bench.joint_table(500, [1, 0])
    assert table[bench.MESSAGE].str.len().between(39, 45).all()
    assert table.equals(bench.joint_table(500, [1, 0]))
    assert not table.equals(bench.joint_table(500, [1, 1]))
