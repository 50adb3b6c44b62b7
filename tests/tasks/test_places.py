"""Places of incidents: codes of groups and stretches of time, in bounded memory."""

from __future__ import annotations

from vaecli.tasks.incidents import Places


def test_a_forgotten_place_gets_a_code_that_no_place_had() -> None:
    """A place that is kept has its code for ever; one that is forgotten is another place when it comes again."""
    places = Places()
    assert [places.code(*where) for where in (("a", 0), ("b", 0), ("a", 1), ("a", 0))] == [0, 1, 2, 0]
    places.forget_all_but({0})
    assert places.groups == {0: "a"}
    assert [places.code(*where) for where in (("a", 0), ("b", 0))] == [0, 3]
