"""Faults of strings, and the peers that look for them, for `benchmarks/text.py`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

ALIKE = dict(zip("0158267" + "OlISZBGTo", "OISBZGT" + "011528707", strict=True))
MARKUP = (
    "<script>alert(1)</script>",
    "<b>",
    "' OR '1'='1",
    "${jndi:ldap://x/a}",
    "%0d%0aSet-Cookie:",
    "{{7*7}}",
    "; rm -rf /",
    "&quot;&gt;",
)
Fault = Callable[[str, np.random.Generator], tuple[str, int] | None]


def _swap(text: str, rng: np.random.Generator) -> tuple[str, int] | None:
    places = [i for i in range(len(text) - 1) if text[i] != text[i + 1]]
    if not places:
        return None
    i = int(rng.choice(places))
    return text[:i] + text[i + 1] + text[i] + text[i + 2 :], i


def _drop(text: str, rng: np.random.Generator) -> tuple[str, int] | None:
    i = int(rng.integers(len(text)))
    return (text[:i] + text[i + 1 :], i) if len(text) > 1 else None


def _double(text: str, rng: np.random.Generator) -> tuple[str, int] | None:
    i = int(rng.integers(len(text)))
    return text[: i + 1] + text[i:], i


def _letter_for_digit(text: str, rng: np.random.Generator) -> tuple[str, int] | None:
    """A digit becomes a letter that looks like it, or, where there are no digits, a letter a digit."""
    places = [i for i, c in enumerate(text) if c.isdigit()] or [i for i, c in enumerate(text) if c.isalpha()]
    if not places:
        return None
    i = int(rng.choice(places))
    other = ALIKE.get(text[i]) or str(rng.choice(list("OIlSBZ" if text[i].isdigit() else "013458")))
    return text[:i] + other + text[i + 1 :], i


def _truncated(text: str, rng: np.random.Generator) -> tuple[str, int] | None:
    kept = int(len(text) * rng.uniform(0.3, 0.9))
    return (text[:kept], -1) if 0 < kept < len(text) else None


def _markup(text: str, rng: np.random.Generator) -> tuple[str, int] | None:
    i = int(rng.integers(len(text) + 1))
    return text[:i] + MARKUP[int(rng.integers(len(MARKUP)))] + text[i:], -1


CHANGES: dict[str, Fault] = {
    "swap": _swap,
    "drop": _drop,
    "double": _double,
    "letter for digit": _letter_for_digit,
    "truncated": _truncated,
    "markup": _markup,
}
FAULTS = (*CHANGES, "foreign")
ONE_CHARACTER = ("swap", "drop", "double", "letter for digit")


def faulty(
    fault: str, strings: Sequence[str], foreign: Sequence[str], known: set[str], seed: int
) -> list[tuple[str, int]]:
    """The strings with the fault, and the character at which it is (−1: no single one).

    For `foreign` they are some of these instead. Strings that are `known` to be normal are no faults.
    """
    rng = np.random.default_rng([seed, *fault.encode()])
    if fault == "foreign":
        return [(foreign[i], -1) for i in rng.integers(len(foreign), size=len(strings)) if foreign[i] not in known]
    found = (CHANGES[fault](string, rng) for string in strings)
    return [one for one in found if one is not None and one[0] not in known]


class KneserNey:
    """An interpolated character model of order n (Kneser & Ney 1995), one discount for each order."""

    def __init__(self, strings: Sequence[str], order: int = 6) -> None:
        """Count all contexts of up to `order` − 1 characters."""
        self.order = order
        self.counts: list[dict[str, Counter[str]]] = [defaultdict(Counter) for _ in range(order)]
        for string in strings:
            text = "\x02" * (order - 1) + string + "\x03"
            for i in range(order - 1, len(text)):
                self.counts[order - 1][text[i - order + 1 : i]][text[i]] += 1
        for n in range(order - 1, 0, -1):
            for context, followers in self.counts[n].items():
                for character in followers:
                    self.counts[n - 1][context[1:]][character] += 1
        self.n_characters = len(self.counts[0][""]) + 1
        self.discount = []
        for n in range(order):
            ones = sum(v == 1 for followers in self.counts[n].values() for v in followers.values())
            twos = sum(v == 2 for followers in self.counts[n].values() for v in followers.values())
            self.discount.append(ones / max(ones + 2 * twos, 1) if ones else 0.5)
        self.total = [{context: sum(f.values()) for context, f in level.items()} for level in self.counts]

    def nats(self, string: str) -> np.ndarray:
        """−log of the probability of each character and of the end."""
        text = "\x02" * (self.order - 1) + string + "\x03"
        out = []
        for i in range(self.order - 1, len(text)):
            p = 1 / (self.n_characters + 100)
            for n in range(self.order):
                context = text[i - n : i]
                followers = self.counts[n].get(context)
                if followers is None:
                    break
                d, total = self.discount[n], self.total[n][context]
                p = max(followers.get(text[i], 0) - d, 0) / total + d * len(followers) / total * p
            out.append(-np.log(p))
        return np.array(out)

    def draw(self, rng: np.random.Generator) -> str:
        """Draw a string: at each place a context of any length by its discounts, then what followed it."""
        text = "\x02" * (self.order - 1)
        while not text.endswith("\x03") and len(text) < 600:
            n = next(n for n in range(self.order - 1, -1, -1) if text[len(text) - n :] in self.counts[n])
            while n > 0:
                context = text[len(text) - n :]
                followers = self.counts[n][context]
                if rng.random() >= self.discount[n] * len(followers) / self.total[n][context]:
                    break
                n -= 1
            followers = self.counts[n][text[len(text) - n :] if n else ""]
            weight = np.array(list(followers.values())) - (self.discount[n] if n else 0)
            text += str(rng.choice(list(followers), p=weight / weight.sum()))
        return text[self.order - 1 :].rstrip("\x03")


class Profile:
    """A profile of regular expressions inferred from strings, from the strictest to the loosest.

    Runs of digits, capitals and small letters with their lengths; the same without lengths; with all letters alike;
    and the characters and the length that occur. A string's score adds −log of the share of strings that match it.
    """

    def __init__(self, strings: Sequence[str]) -> None:
        """Infer the expressions."""
        self.n = len(strings)
        self.levels = [Counter(level(string) for string in strings) for level in self._levels()]
        self.characters = Counter(character for string in strings for character in set(string))

    @staticmethod
    def _levels() -> list[Callable[[str], str]]:
        def exact(s: str) -> str:
            return re.sub(r"\d", "0", re.sub(r"[^\W\d_]", lambda m: "A" if m[0].isupper() else "a", s))

        def runs(s: str) -> str:
            return re.sub(r"(.)\1+", r"\1+", exact(s))

        def loose(s: str) -> str:
            return re.sub(r"([a0])\1+", r"\1", exact(s).replace("A", "a"))

        return [exact, runs, loose]

    def score(self, string: str) -> float:
        """How little of training the string looks like."""
        value = sum(
            np.log((self.n + 1) / (counts[level(string)] + 0.5))
            for counts, level in zip(self.levels, self._levels(), strict=True)
        )
        return float(value + max((np.log((self.n + 1) / (self.characters[c] + 0.5)) for c in set(string)), default=0))


def peer_scores(train: Sequence[str]) -> dict[str, Callable[[Sequence[str]], np.ndarray]]:
    """A score of strings, higher is stranger, for every peer fitted to `train`."""
    from sklearn.ensemble import IsolationForest
    from sklearn.feature_extraction.text import HashingVectorizer

    profile, model = Profile(train), KneserNey(train)
    vectors = HashingVectorizer(analyzer="char", ngram_range=(1, 3), n_features=1024, lowercase=False)
    forest = IsolationForest(n_estimators=200, random_state=0).fit(vectors.transform(train))
    return {
        "regular expressions": lambda strings: np.array([profile.score(s) for s in strings]),
        "Kneser-Ney, mean": lambda strings: np.array([model.nats(s).mean() for s in strings]),
        "Kneser-Ney, rarest": lambda strings: np.array([model.nats(s).max() for s in strings]),
        "isolation forest": lambda strings: -forest.score_samples(vectors.transform(strings)),
    }
