"""Fits the string models of text columns: one to the strings of all folds, and one without each fold.

The former has seen more strings than the latter, so it finds new ones a little less unusual than those found the
strings of their own fold. So where rows are independent, strings have ten folds of their own
(docs/adr/0044-ten-folds-of-strings.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaecli.data.string_features import READOUTS, Strings, high_level, readouts_of
from vaecli.data.strings.string_model import StringModel
from vaecli.data.strings.texts import Texts
from vaecli.schema import Column, Kind

MOST_FITTED = 50_000  # strings of a column, a uniform sample
MOST_FOR_LEVELS = 2_000  # held-out strings that give the levels of read-outs
N_FOLDS = 10  # of strings, in a table of independent rows


@dataclass(frozen=True, slots=True)
class FittedStrings:
    """The encoder of t text columns, and for each of them the models (t) that do not know a fold, by its number."""

    encoder: Strings
    without: tuple[dict[int, StringModel], ...]

    @classmethod
    def of(cls, texts: np.ndarray, fold: np.ndarray, seed: int) -> FittedStrings | None:
        """The models of the strings `texts` (n, t) of rows in folds `fold` (n,); None of no columns."""
        if not texts.shape[1]:
            return None
        models, high, without = [], [], []
        for i, column in enumerate(texts.T):
            there = np.flatnonzero(column != None)  # noqa: E711  (elementwise)
            if there.size > MOST_FITTED:
                chosen = np.random.default_rng([seed, 0x57A1, i]).choice(there.size, MOST_FITTED, replace=False)
                there = there[np.sort(chosen)]
            strings, of_fold = column[there], fold[there]
            model, others = StringModel.fit_without_folds(_texts(strings), of_fold, seed)
            models.append(model)
            without.append(others)
            each = -(-MOST_FOR_LEVELS // max(len(others), 1))
            read = [other.read(_texts(strings[of_fold == f][:each])) for f, other in others.items()]
            high.append(high_level(read))
        return cls(Strings(tuple(models), np.array(high)), tuple(without))

    def held_out_readouts(self, texts: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """The read-outs (n, t, 5) of the strings `texts` (n, t) by the models without their own fold (n,)."""
        found = np.full((*texts.shape, len(READOUTS)), np.nan)
        for i, (others, high) in enumerate(zip(self.without, self.encoder.high, strict=True)):
            for number, model in others.items():
                own = np.flatnonzero((fold == number) & (texts[:, i] != None))  # noqa: E711  (elementwise)
                if own.size:
                    found[own, i] = readouts_of(model.read(_texts(texts[own, i])), float(high))
        return found

    def described(self, columns: Sequence[Column]) -> tuple[Column, ...]:
        """The columns of a schema with what is known of the classes of those that are text features."""
        models, found = iter(self.encoder.models), []
        for column in columns:
            if column.kind is Kind.TEXT and column.role == "feature":
                model = next(models)
                found.append(
                    replace(column, categories=prototypes(model), class_shares=tuple(model.classes.share.tolist()))
                )
            else:
                found.append(column)
        return tuple(found)


def _texts(strings: np.ndarray) -> Texts:
    return Texts.of(strings.tolist())


def prototypes(model: StringModel) -> tuple[str, ...]:
    """The most probable string of each class, numbered where two classes have the same."""
    texts = [model.most_probable(k).decode("utf-8", "replace") for k in range(model.n_classes)]
    n_before = [texts[:k].count(text) for k, text in enumerate(texts)]
    found = [f"{text} ({n + 1})" if n else text for text, n in zip(texts, n_before, strict=True)]
    return tuple(found) if len(set(found)) == len(found) else tuple(f"{k + 1}: {text}" for k, text in enumerate(texts))
