"""Strings ↔ features: the classes that a string may be of, and read-outs of how odd it is by itself.

The features of a string are its responsibilities ρ_k p_k(text) / p0(text), which sum to 1 over the K classes of its
column's `StringModel`. Read-outs, higher for odder strings, with s_t the nats of the t-th of its symbols, the end of
the string being the last:

| read-out  | of a string of L symbols                                   | sees                                  |
|-----------|------------------------------------------------------------|---------------------------------------|
| `whole`   | (Σ_t s_t − L · usual) / √L                                 | another language, another template    |
| `stretch` | the largest sum of s_t − high over a stretch of characters | a wrong word, a slip of the pen       |
| `symbol`  | the largest s_t                                            | one wrong character                   |
| `long`    | log L                                                      | what was added or injected            |
| `short`   | −log L                                                     | what was cut off                      |

`usual` is the mean of s_t in strings that the model has not seen, `high` a level that few of their symbols exceed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.data.named_arrays import arrays_within
from vaecli.data.strings.model import StringModel, StringReadings
from vaecli.schema import Column, Slot

READOUTS = ("whole", "stretch", "symbol", "long", "short")
HIGH_SHARE = 0.9  # of symbols that are not above `high`
LARGEST_LEVEL = 1e6  # nats


@dataclass(frozen=True, slots=True)
class Levels:
    """What symbols of one column take in strings that the model has not seen: on average, and rarely more; in nats."""

    usual: float
    high: float

    @classmethod
    def of(cls, readings: StringReadings) -> Levels:
        """The levels of held-out strings."""
        nats = readings.per_character
        if not nats.size:
            return cls(0.0, 0.0)
        return cls(float(nats.mean()), float(np.quantile(nats, HIGH_SHARE)))


def readouts_of(readings: StringReadings, levels: Levels) -> np.ndarray:
    """The read-outs (n, 5), float64, in the order of READOUTS; those of a string do not depend on the others."""
    nats, offsets = readings.per_character.astype(np.float64), readings.offsets
    n_symbols = np.diff(offsets)
    order = np.argsort(-n_symbols, kind="stable")
    first, at_least = offsets[:-1][order], -n_symbols[order]
    total, stretch, largest_stretch, largest = np.zeros((4, order.size))
    for place in range(int(n_symbols.max(initial=0))):
        n_left = int(np.searchsorted(at_least, -place))  # strings that have so many symbols come first
        now = nats[first[:n_left] + place]
        total[:n_left] += now
        np.maximum(largest[:n_left], now, out=largest[:n_left])
        stretch[:n_left] = np.maximum(stretch[:n_left], 0.0) + now - levels.high
        np.maximum(largest_stretch[:n_left], stretch[:n_left], out=largest_stretch[:n_left])
    found = np.empty((order.size, len(READOUTS)))
    n_symbols = np.maximum(n_symbols, 1)
    length = np.log(n_symbols[order])
    whole = (total - n_symbols[order] * levels.usual) / np.sqrt(n_symbols[order])
    found[order] = np.stack([whole, largest_stretch, largest, length, -length], axis=1)
    return found


def worst_stretch(nats: np.ndarray, high: float) -> tuple[int, int]:
    """Begin and end of the stretch of the symbols `nats` (m,), m at least 1, with the largest sum of nats − `high`."""
    best, begin, end, total, started = -np.inf, 0, 1, 0.0, 0
    for place, excess in enumerate((nats - high).tolist()):
        if total <= 0:
            total, started = 0.0, place
        total += excess
        if total > best:
            best, begin, end = total, started, place + 1
    return begin, end


@dataclass(frozen=True, slots=True)
class ReadStrings:
    """What n strings of one column are read as: features (n, K), float32, and read-outs (n, 5); NaN where missing."""

    features: np.ndarray
    readouts: np.ndarray


@dataclass(frozen=True, slots=True)
class Strings:
    """w text columns: an `Encoder`, whose features are read from strings."""

    models: tuple[StringModel, ...]
    levels: tuple[Levels, ...]

    @classmethod
    def fit(cls, _values: np.ndarray, columns: Sequence[Column], _same_unit: Collection[str]) -> Strings:
        """The encoder of no column; text is fitted before, since its classes decide the layout (`fit_strings`)."""
        if columns:
            raise ValueError("columns of text are fitted by their strings")
        return cls((), ())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The models and levels by name, nothing for no column; `from_arrays` is the inverse."""
        arrays: dict[str, np.ndarray] = {}
        for i, (model, levels) in enumerate(zip(self.models, self.levels, strict=True)):
            arrays |= {f"strings/{i}/{name}": array for name, array in model.to_arrays().items()}
            arrays[f"strings/{i}/levels"] = np.array([levels.usual, levels.high])
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], slots: Sequence[Slot]) -> Strings:
        """The encoder in arrays of `to_arrays`. Raises KeyError or ValueError on arrays not written for w slots."""
        models, levels = [], []
        for i, slot in enumerate(slots):
            own = arrays_within(arrays, f"strings/{i}/")
            found = own["levels"]
            if found.dtype != np.float64 or found.shape != (2,) or not (np.abs(found) <= LARGEST_LEVEL).all():
                raise ValueError(f"strings/{i}/levels are not two numbers of nats")
            model = StringModel.from_arrays({name: array for name, array in own.items() if name != "levels"})
            if model.n_classes != slot.stop - slot.start:
                raise ValueError(f"strings/{i} has {model.n_classes} classes, its column {slot.stop - slot.start}")
            models.append(model)
            levels.append(Levels(float(found[0]), float(found[1])))
        return cls(tuple(models), tuple(levels))

    def read(self, i: int, texts: np.ndarray) -> ReadStrings:
        """Features and read-outs of the strings `texts` (n,) of column i, None where there is none."""
        model = self.models[i]
        there = np.flatnonzero(texts != None)  # noqa: E711  (elementwise)
        features = np.zeros((texts.size, model.n_classes), np.float32)
        readouts = np.full((texts.size, len(READOUTS)), np.nan)
        if there.size:
            readings = model.read(texts[there])
            features[there] = responsibilities(model, readings)
            readouts[there] = readouts_of(readings, self.levels[i])
        return ReadStrings(features, readouts)

    def encode(self, _i: int, _values: np.ndarray, _state: np.ndarray, _features: np.ndarray) -> None:
        """Nothing: `read` gives the features (n, K) of strings, which codes (n,) do not determine."""

    def decode(self, _i: int, features: np.ndarray) -> np.ndarray:
        """The most probable class, (n,), from the probabilities (n, K)."""
        return features.argmax(1)

    def recalled(self, i: int) -> np.ndarray:
        """Counts (K,) that are 0: the preprocessing knows nothing of them."""
        return np.zeros(self.models[i].n_classes, np.int64)

    def moments(self, _i: int) -> tuple[float, float]:
        """Codes have none: NaN."""
        return np.nan, np.nan

    def plain_knots(self, _i: int) -> None:
        """None: responsibilities are between 0 and 1 already."""

    def grid(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """The features (K, K) of strings that are certainly of each class (K,)."""
        n_classes = self.models[i].n_classes
        return np.eye(n_classes, dtype=np.float32), np.arange(float(n_classes))


def responsibilities(model: StringModel, readings: StringReadings) -> np.ndarray:
    """How probably each string is of each class, (n, K) float32; they sum to 1."""
    log_share = np.log(model.shares)[None] + readings.log_ratio
    share = np.exp(log_share - log_share.max(1, keepdims=True))
    found: np.ndarray = (share / share.sum(1, keepdims=True)).astype(np.float32)
    return found
