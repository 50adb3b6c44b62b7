"""What a model of strings hands back of the strings that it was fitted to: no more than fresh strings have of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from vaecli.data.strings import string_model
from vaecli.data.strings.string_model import StringModel
from vaecli.data.strings.texts import Texts

N = 200
N_DRAWN = 4000
N_SECRETS = 20


def secrets(seed: int) -> list[bytes]:
    """Messages of one customer, each with a number of twelve random digits."""
    digits = np.random.default_rng(seed).integers(0, 10_000, (N_SECRETS, 3))
    return [f"INFO card 6011-{a:04d}-{b:04d}-{c:04d} of customer 7 accepted".encode() for a, b, c in digits]


def rows(n: int, seed: int) -> list[bytes]:
    """Messages with such a number, and messages that come again."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        a, b, c, customer = rng.integers(0, 10_000, 4).tolist()
        card = f"INFO card 6011-{a:04d}-{b:04d}-{c:04d} of customer {customer % 500} accepted"
        found.append((card if i % 2 else f"WARN terminal {customer % 40} slow").encode())
    return found


def drawn_from(table: Sequence[bytes]) -> list[bytes]:
    """Strings drawn from the model of a table."""
    model = StringModel.fit(Texts.of(table), 0, 1)
    return model.sample(np.random.default_rng(2), np.zeros(N_DRAWN, np.int64))


def copies(strings: Sequence[bytes], table: Sequence[bytes]) -> tuple[float, int]:
    """The share of strings that the table has, and the bytes of the longest of them."""
    known = set(table)
    length = [len(string) for string in strings if string in known]
    return len(length) / len(strings), max(length, default=0)


def longest_shared(secret: bytes, everything: bytes) -> int:
    """The bytes of the longest part of a secret that is somewhere in `everything`."""
    longest = 0
    for start in range(len(secret)):
        while start + longest < len(secret) and secret[start : start + longest + 1] in everything:
            longest += 1
    return longest


@pytest.mark.parametrize("n_rows", [1, 4])
def test_no_more_and_no_longer_copies_are_drawn_than_fresh_rows_are(n_rows: int):
    """Strings with secrets, each in one row or in four, are not drawn; others no more often than they come."""
    table = [*rows(N, 0), *secrets(1) * n_rows]
    share, longest = copies(drawn_from(table), table)
    of_fresh, longest_of_fresh = copies(rows(N_DRAWN, 3), table)
    assert 0 < share <= of_fresh + 3 * np.sqrt(of_fresh * (1 - of_fresh) / N_DRAWN)
    assert longest <= longest_of_fresh < min(map(len, secrets(1)))


@pytest.mark.parametrize(("n_rows", "more"), [(1, 2), (4, 6)])
def test_drawn_strings_have_hardly_longer_parts_of_a_secret_than_of_one_that_training_lacks(n_rows: int, more: int):
    """On average the longest one is less than so many of its 19 bytes longer; of a secret in four rows, longer ones."""
    everything = b"\n".join(drawn_from([*rows(N, 0), *secrets(1) * n_rows]))
    own, other = (np.mean([longest_shared(one.split()[2], everything) for one in secrets(s)]) for s in (1, 4))
    assert own < other + more


def test_a_model_that_keeps_what_two_strings_share_hands_back_secrets(monkeypatch: pytest.MonkeyPatch):
    """The tests above find what they look for: with contexts of two strings, secrets in four rows are drawn whole."""
    monkeypatch.setattr(string_model, "LEAST_STRINGS", 2)
    table = [*rows(N, 0), *secrets(1) * 4]
    drawn = drawn_from(table)
    assert copies(drawn, table)[1] == len(secrets(1)[0])
    assert max(longest_shared(one, b"\n".join(drawn)) for one in secrets(1)) == len(secrets(1)[0])
