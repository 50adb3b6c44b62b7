"""Classes of strings: a category whose evidence is soft."""

from __future__ import annotations

import numpy as np
import pytest

from vaecli.model.likelihoods.categorical import Categorical
from vaecli.model.likelihoods.soft_classes import LEAST_RESPONSIBILITY, SoftClasses
from vaecli.schema import Kind, Slot

SHARES = (0.7, 0.2, 0.1)
SLOTS = [Slot("a", Kind.TEXT, 0, 3, class_shares=SHARES), Slot("b", Kind.TEXT, 3, 5, class_shares=(0.5, 0.5))]
LOGITS = np.array([[1.0, -2.0, 0.5, 0.0, 3.0]], np.float32)


def test_certain_classes_are_categories_over_their_shares():
    """log softmax − log ρ of the class: a Categorical's, less what the class costs without the row."""
    x = np.array([[0, 0, 1, 1, 0]], np.float32)
    found = SoftClasses.of(SLOTS, -6.0).log_prob(x, LOGITS)
    plain = Categorical.of(SLOTS, -6.0).log_prob(x, LOGITS)
    assert found == pytest.approx(plain - np.log([0.1, 0.5]), abs=1e-3)


def test_a_string_of_any_class_costs_nothing():
    """Responsibilities that are the shares: 0, whatever the row expects; and 0 of a string that is not there."""
    x = np.array([[*SHARES, 0, 0]], np.float32)
    assert SoftClasses.of(SLOTS, -6.0).log_prob(x, LOGITS) == pytest.approx(0, abs=1e-5)


def test_no_class_costs_more_than_the_least_responsibility():
    """However certain the row is of another class."""
    x, logits = np.array([[1, 0, 0, 1, 0]], np.float32), np.array([[-1e4, 1e4, 0, -1e4, 1e4]], np.float32)
    found = SoftClasses.of(SLOTS, -6.0).log_prob(x, logits)
    assert (found >= np.log(LEAST_RESPONSIBILITY) - 1e-3).all()
    assert (found < -11).all()
