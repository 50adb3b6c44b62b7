"""The probability of a string, byte by byte, with the kind of string that it is.

Two experts know what comes next: one from the symbols before, one from their shapes (a digit, a capital, a small
letter, or the symbol itself), which sees further back and knows lengths and places. The shape of the next symbol has
the probability p_symbols^a · p_shapes^b, divided by the sum of that over all shapes; the symbol given its shape is left
to the expert on symbols. A byte that fewer than `LEAST_STRINGS` training strings have counts as “another byte”, whose
probability all such bytes share equally.

The first `MOST_BYTES` bytes are read in this way. Those beyond cost what their number (a geometric distribution) and
each byte by itself do.

NumPy only. Shapes: n strings, k classes, s states, g shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaecli.data.named_arrays import arrays_within
from vaecli.data.strings.alphabet import LEAST_STRINGS, Alphabet
from vaecli.data.strings.classes import MOST_CLASSES, N_BUCKETS, StringClasses, buckets_of
from vaecli.data.strings.context_tree import ContextTree
from vaecli.data.strings.contexts import Contexts
from vaecli.data.strings.drawing import draw
from vaecli.data.strings.texts import Texts
from vaecli.schema import MOST_COUNTED

MOST_BYTES = 512
LONGEST = (8, 32)  # symbols, shapes of a context
MOST_STATES = (2**15, 2**14)
MOST_TRAINED = 500_000  # bytes
LEAST_REST = 1.0  # bytes
_ELSEWHERE = 1e6  # nats
_DRAWN = 2**12  # strings at once
_BLOCK = 2**18  # bytes that are read at once
_CHUNK = 2**12  # symbols whose shapes are weighed at once
_EXPONENTS = ((1.0, 0.0), (0.7, 0.3), (0.5, 0.5), (0.3, 0.7), (0.8, 0.5), (0.6, 0.8), (0.5, 1.0), (0.9, 0.9))
_ONE_CLASS = StringClasses(np.ones(1), np.zeros((N_BUCKETS, 1), np.float32))


@dataclass(frozen=True, slots=True)
class StringReadings:
    """What n strings read.

    `nats` (n,): −log of each string's probability. String i has the symbols from `offsets[i]` to `offsets[i + 1]`: its
    bytes, at most `MOST_BYTES`, then its end; each cost `per_symbol` (t,) nats where `expected` (t,) was the mean of
    what the next symbol costs there. `log_ratio` (n, k): log of the share of each class given the string, over its
    share of training strings. `length` (n,) int64 in bytes. All float64 else.
    """

    nats: np.ndarray
    per_symbol: np.ndarray
    expected: np.ndarray
    offsets: np.ndarray
    log_ratio: np.ndarray
    length: np.ndarray


@dataclass(frozen=True, slots=True)
class StringModel:
    """The fitted model: an alphabet, the two experts and their exponents, the classes.

    `rest` is the mean number of bytes beyond `MOST_BYTES`.
    """

    alphabet: Alphabet
    symbols: ContextTree
    shapes: ContextTree
    exponents: np.ndarray  # (2,)
    rest: float
    classes: StringClasses
    _given: np.ndarray = field(init=False, repr=False, compare=False)  # (s · a,) −log of a symbol given its shape
    _by_symbols: np.ndarray = field(init=False, repr=False, compare=False)  # (s, g) p ** a
    _by_shapes: np.ndarray = field(init=False, repr=False, compare=False)  # (s', g) p ** b
    _of_symbols: np.ndarray = field(init=False, repr=False, compare=False)  # (s, g) the same times the mean nats
    _of_shapes: np.ndarray = field(init=False, repr=False, compare=False)
    _alone: np.ndarray = field(init=False, repr=False, compare=False)  # (256,) −log p of a byte by itself

    def __post_init__(self) -> None:
        """Compute the tables that reading looks up."""
        a, b = self.exponents
        p = self.symbols.probabilities()
        p_shape = np.stack([p[:, self.alphabet.shape_of == g].sum(1) for g in range(self.alphabet.n_shapes)], axis=1)
        given = -np.log(p / p_shape[:, self.alphabet.shape_of])
        mean_given = np.stack(
            [(p * given)[:, self.alphabet.shape_of == g].sum(1) for g in range(self.alphabet.n_shapes)], axis=1
        )
        q = self.shapes.probabilities()
        alone = -np.log(p[0, :-1] / p[0, :-1].sum())
        share_of_other = np.log(max(self.alphabet.n_others, 1))
        alone[self.alphabet.other] += share_of_other
        given[:, self.alphabet.other] += share_of_other
        mean_given[:, self.alphabet.shape_of[self.alphabet.other]] += share_of_other * p[:, self.alphabet.other]
        by_symbols, by_shapes = p_shape**a, q**b
        tables = {
            "_given": given.ravel(),
            "_by_symbols": by_symbols,
            "_by_shapes": by_shapes,
            "_of_symbols": by_symbols * (mean_given / p_shape - np.log(by_symbols)),
            "_of_shapes": by_shapes * -np.log(by_shapes),
        }
        for name, table in tables.items():
            object.__setattr__(self, name, table.astype(np.float32))
        object.__setattr__(self, "_alone", alone[self.alphabet.symbol_of_byte])

    @classmethod
    def fit(cls, texts: Texts, seed: int, most_classes: int = MOST_CLASSES) -> StringModel:
        """The model of the strings `texts`, one or more, of which a random part is read where there are many."""
        return cls.fit_without_folds(texts, np.zeros(len(texts), np.int64), seed, most_classes)[0]

    @classmethod
    def fit_without_folds(
        cls, texts: Texts, fold: np.ndarray, seed: int, most_classes: int = MOST_CLASSES
    ) -> tuple[StringModel, dict[int, StringModel]]:
        """The model of the strings `texts`, and those that do not know the strings of a fold, by its number in (n,).

        The latter have the alphabet and the exponents of the former, and a single class. There are none of one fold.
        """
        rng = np.random.default_rng([seed, 0x57E1])
        order = rng.permutation(len(texts))
        order = np.sort(order[: max(int(np.searchsorted(np.cumsum(texts.length[order] + 2), MOST_TRAINED)), 1)])
        numbers, of_fold = np.unique(fold, return_inverse=True)
        strings, in_fold = _different(texts[order], of_fold[order], numbers.size)
        weight = in_fold.sum(1)
        alphabet = Alphabet.of(strings, weight)
        held_out = rng.permutation(len(strings)) < len(strings) // 5
        exponents = np.array(_EXPONENTS[2])
        if held_out.any():
            learned = np.flatnonzero(~held_out)
            part = _Trees.of(alphabet, strings[learned], weight[learned, None]).model(exponents, _ONE_CLASS)
            tested, tested_weight = strings[np.flatnonzero(held_out)], weight[held_out]
            nats = [
                float(np.average(part._with(np.array(tried)).read(tested).nats, weights=tested_weight))
                for tried in _EXPONENTS
            ]
            exponents = np.array(_EXPONENTS[int(np.argmin(nats))])
        trees = _Trees.of(alphabet, strings, in_fold)
        pieces = buckets_of(trees.symbols.symbols, trees.symbols.offsets, alphabet.n_symbols)
        classes = StringClasses.of(pieces, trees.symbols.offsets, weight, seed, most_classes)
        of_all = trees.model(exponents, classes)
        if numbers.size == 1:
            return of_all, {}
        return of_all, {int(f): trees.model(exponents, _ONE_CLASS, i) for i, f in enumerate(numbers)}

    def _with(self, exponents: np.ndarray) -> StringModel:
        return StringModel(self.alphabet, self.symbols, self.shapes, exponents, self.rest, self.classes)

    @property
    def n_classes(self) -> int:
        """How many classes of strings there are."""
        return self.classes.n_classes

    def read(self, texts: Texts) -> StringReadings:
        """What each string reads; the same to the bit alone and among others. Strings are read by blocks."""
        end = texts.offsets[1:]
        parts: list[StringReadings] = []
        start = 0
        while start < len(texts) or not parts:
            stop = max(int(np.searchsorted(end, texts.offsets[start] + _BLOCK)), min(start + 1, len(texts)))
            parts.append(self._read(texts[start:stop]))
            start = stop
        offsets = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.offsets) for part in parts]))])
        names = ("nats", "per_symbol", "expected", "log_ratio", "length")
        found = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
        return StringReadings(offsets=offsets, **found)

    def _read(self, texts: Texts) -> StringReadings:
        symbols, offsets = _symbols(self.alphabet, texts)
        by_symbols = self.symbols.walk(symbols, offsets)
        by_shapes = self.shapes.walk(self.alphabet.shape_of[symbols], offsets)
        counted = np.ones(symbols.size, bool)
        counted[offsets[:-1]] = False
        by_symbols, by_shapes, next_symbol = by_symbols[counted], by_shapes[counted], symbols[counted]
        per_symbol, expected = np.empty(next_symbol.size), np.empty(next_symbol.size)
        for start in range(0, next_symbol.size, _CHUNK):
            rows = slice(start, start + _CHUNK)
            self._weigh(by_symbols[rows], by_shapes[rows], next_symbol[rows], per_symbol[rows], expected[rows])
        starts = offsets - np.arange(offsets.size)
        self._add_rest(texts, per_symbol, expected, starts[1:] - 1)
        nats = np.add.reduceat(per_symbol, starts[:-1]) if len(texts) else np.empty(0)
        log_ratio = self.classes.log_ratio(buckets_of(symbols, offsets, self.alphabet.n_symbols), offsets)
        return StringReadings(nats, per_symbol, expected, starts, log_ratio, texts.length)

    def _weigh(
        self,
        by_symbols: np.ndarray,
        by_shapes: np.ndarray,
        symbol: np.ndarray,
        nats: np.ndarray,
        expected: np.ndarray,
    ) -> None:
        """Write the nats of each next `symbol` (t,) in its two states (t,), and the mean nats there, to (t,)."""
        a, b = self._by_symbols[by_symbols], self._by_shapes[by_shapes]
        at = np.arange(symbol.size), self.alphabet.shape_of[symbol]
        weight = a * b
        total = weight.sum(1, dtype=np.float64)
        log_total = np.log(total)
        nats[:] = log_total - np.log(weight[at].astype(np.float64))
        nats += self._given[by_symbols * self.alphabet.n_symbols + symbol]
        mean = (self._of_symbols[by_symbols] * b + a * self._of_shapes[by_shapes]).sum(1, dtype=np.float64)
        expected[:] = mean / total + log_total

    def next_probabilities(self, by_symbols: np.ndarray, by_shapes: np.ndarray) -> np.ndarray:
        """The probability (n, a) of every next symbol in the two states (n,) of a string; float64."""
        weight = (self._by_symbols[by_symbols] * self._by_shapes[by_shapes]).astype(np.float64)
        weight /= weight.sum(1, keepdims=True)
        given = -self._given.reshape(-1, self.alphabet.n_symbols)[by_symbols].astype(np.float64)
        given[:, self.alphabet.other] += np.log(max(self.alphabet.n_others, 1))
        return weight[:, self.alphabet.shape_of] * np.exp(given)

    def _add_rest(self, texts: Texts, nats: np.ndarray, expected: np.ndarray, end: np.ndarray) -> None:
        """Write what the bytes beyond the cap cost over the ends (n,) of the strings that reach it, in (t,) nats."""
        go_on = np.log1p(self.rest) - np.log(self.rest)
        mean = float(np.exp(-self._alone) @ self._alone)
        for i in np.flatnonzero(texts.length >= MOST_BYTES):
            beyond = texts.data[texts.offsets[i] + MOST_BYTES : texts.offsets[i + 1]]
            nats[end[i]] = np.log1p(self.rest) + beyond.size * go_on + self._alone[beyond].sum()
            expected[end[i]] = np.log1p(self.rest) + self.rest * go_on + beyond.size * mean

    def sample(self, rng: np.random.Generator, classes: np.ndarray) -> list[bytes]:
        """A string of each of the `classes` (n,) int."""
        wanted = np.bincount(classes, minlength=self.n_classes)
        found: list[list[bytes]] = [[] for _ in range(self.n_classes)]
        while any(len(have) < n for have, n in zip(found, wanted, strict=True)):
            for one_class, strings in enumerate(self._drawn_by_class(rng)):
                found[one_class] += strings
        taken = np.zeros(self.n_classes, np.int64)
        out = []
        for one_class in classes.tolist():
            out.append(found[one_class][taken[one_class]])
            taken[one_class] += 1
        return out

    def _drawn_by_class(self, rng: np.random.Generator) -> list[list[bytes]]:
        """Strings drawn from the model, each given to a class by its probability."""
        strings = draw(self, rng, _DRAWN)
        share = np.exp(self.read(Texts.of(strings)).log_ratio) * self.classes.share
        chosen = (share.cumsum(1) < rng.random(len(strings))[:, None]).sum(1)
        return [[strings[i] for i in np.flatnonzero(chosen == k)] for k in range(self.n_classes)]

    def most_probable(self, k: int) -> bytes:
        """The most probable of some strings of class `k` that the model draws."""
        return self._most_probable()[k]

    def _most_probable(self) -> list[bytes]:
        texts = Texts.of(draw(self, np.random.default_rng(0), _DRAWN))
        readings = self.read(texts)
        own = readings.log_ratio + np.log(self.classes.share)
        elsewhere = own < own.max(1, keepdims=True)  # strings that are rather of another class come last
        best = (readings.log_ratio - readings.nats[:, None] - _ELSEWHERE * elsewhere).argmax(0)
        return texts[best].to_list()

    def expected(self, text: bytes, position: int) -> bytes:
        """The byte that makes `text` most probable in place of the one at `position`, or after its last.

        Bytes that few training strings have are not tried; b"" where there are no others.
        """
        options = [bytes([byte]) for byte in self.alphabet.known]
        readings = self.read(Texts.of([text[:position] + option + text[position + 1 :] for option in options]))
        nats = readings.nats if position < len(text) else readings.per_symbol[readings.offsets[:-1] + position]
        return options[int(nats.argmin())] if options else b""

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays = {"known": self.alphabet.known, "exponents": self.exponents, "rest": np.array([self.rest])}
        for name in ("symbols", "shapes", "classes"):
            arrays |= {f"{name}.{key}": array for key, array in getattr(self, name).to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> StringModel:
        """The model in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        known, exponents, rest = arrays["known"], arrays["exponents"], arrays["rest"]
        if known.dtype != np.uint8 or known.ndim != 1 or (np.diff(known.astype(int)) <= 0).any():
            raise ValueError("bytes of the string model do not ascend")
        if exponents.dtype != np.float64 or exponents.shape != (2,) or not ((exponents >= 0) & (exponents <= 2)).all():
            raise ValueError("exponents of the string model are not two within [0, 2]")
        if rest.dtype != np.float64 or rest.shape != (1,) or not LEAST_REST <= rest[0] <= MOST_COUNTED:
            raise ValueError("the string model has an impossible rest of strings")
        alphabet = Alphabet(known)
        trees = [
            ContextTree.from_arrays(arrays_within(arrays, f"{name}."), n, most)
            for name, n, most in zip(
                ("symbols", "shapes"), (alphabet.n_symbols, alphabet.n_shapes), MOST_STATES, strict=True
            )
        ]
        classes = StringClasses.from_arrays(arrays_within(arrays, "classes."))
        return cls(alphabet, trees[0], trees[1], exponents, float(rest[0]), classes)


@dataclass(frozen=True, slots=True)
class _Trees:
    """What the two trees of different strings are made of, with all strings or without a fold of them."""

    alphabet: Alphabet
    symbols: Contexts
    shapes: Contexts
    beyond: np.ndarray  # (n,) bytes of each string beyond `MOST_BYTES`

    @classmethod
    def of(cls, alphabet: Alphabet, strings: Texts, weight: np.ndarray) -> _Trees:
        """Of the `strings`, of which `weight` (n, k) rows are in each fold."""
        symbols, offsets = _symbols(alphabet, strings)
        shapes = alphabet.shape_of[symbols]
        return cls(
            alphabet,
            Contexts.of(symbols, offsets, alphabet.n_symbols, weight, LONGEST[0], LEAST_STRINGS),
            Contexts.of(shapes, offsets, alphabet.n_shapes, weight, LONGEST[1], LEAST_STRINGS),
            np.maximum(strings.length - MOST_BYTES, 0),
        )

    def model(self, exponents: np.ndarray, classes: StringClasses, without: int | None = None) -> StringModel:
        """The model of all strings, or `without` those of one fold."""
        weight = self.symbols.weight
        weight = weight.sum(1) if without is None else weight.sum(1) - weight[:, without]
        rest = float(self.beyond @ weight / max(weight.sum(), 1))
        trees = [tree.tree(most, without) for tree, most in zip((self.symbols, self.shapes), MOST_STATES, strict=True)]
        return StringModel(self.alphabet, trees[0], trees[1], exponents, max(rest, LEAST_REST), classes)


def _different(texts: Texts, fold: np.ndarray, n_folds: int) -> tuple[Texts, np.ndarray]:
    """The different strings among n, and how often each came in each fold (m, n_folds), float64."""
    place: dict[bytes, int] = {}
    which = np.array([place.setdefault(text, len(place)) for text in texts.to_list()], np.int64)
    counts = np.bincount(which * n_folds + fold, minlength=len(place) * n_folds)
    return Texts.of(list(place)), counts.reshape(-1, n_folds).astype(np.float64)


def _symbols(alphabet: Alphabet, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
    """The symbols (t,) of strings with an edge before and after each, and where each string begins (n + 1,).

    Only the first `MOST_BYTES` bytes of each are there.
    """
    length = np.minimum(texts.length, MOST_BYTES)
    offsets = np.concatenate([[0], np.cumsum(length + 2)])
    symbols = np.full(offsets[-1], alphabet.edge)
    start = offsets[:-1] - np.concatenate([[0], np.cumsum(length)])[:-1] + 1
    place = np.arange(length.sum())
    read = (
        texts.data if (length == texts.length).all() else texts.data[place + np.repeat(_skipped(texts, length), length)]
    )
    symbols[place + np.repeat(start, length)] = alphabet.symbol_of_byte[read]
    return symbols, offsets


def _skipped(texts: Texts, length: np.ndarray) -> np.ndarray:
    """How many bytes of the strings before each, (n,), are not read."""
    return texts.offsets[:-1] - np.concatenate([[0], np.cumsum(length)])[:-1]
