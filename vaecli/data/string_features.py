"""Strings ↔ features: the classes that a string may be of, and read-outs of how unusual it is by itself.

The features of a string are its responsibilities ρ_k p_k(text) / p0(text), which sum to 1 over the K classes of its
column's `StringModel`. Read-outs, higher for more unusual strings, with x_t the excess of the t-th of its symbols,
the end of the string being the last: the nats that it costs beyond what the next symbol costs there on average.

| read-out  | of a string of L symbols                            | sees                               |
|-----------|-----------------------------------------------------|------------------------------------|
| `whole`   | Σ_t x_t / √L                                        | another language, another template |
| `stretch` | the largest sum of x_t − high over neighbours       | a wrong word, a slip of the pen    |
| `symbol`  | the largest x_t                                     | one wrong character                |
| `long`    | log L                                               | what was added or injected         |
| `short`   | −log L                                              | what was cut off                   |

`high` is a level that few symbols exceed in strings that the model has not seen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vaecli.data.named_arrays import arrays_within
from vaecli.data.number_features import of_shape
from vaecli.schema import Column, Slot

if TYPE_CHECKING:  # few tables have text: its model is loaded with the first column
    from vaecli.data.strings.string_model import StringModel, StringReadings

READOUTS = ("whole", "stretch", "symbol", "long", "short")
OF_LENGTH = ("long", "short")
HIGH_SHARE = 0.9  # of symbols that are not above `high`
LEAST_HIGH = 0.5  # nats: a stretch ends where symbols cost what they always do
LARGEST_LEVEL = 1e6  # nats


def high_level(parts: Sequence[StringReadings]) -> float:
    """The level of excess, in nats, that one in ten symbols of held-out strings exceeds, 0.5 at least."""
    excess = np.concatenate([np.empty(0), *(readings.per_symbol - readings.expected for readings in parts)])
    return max(float(np.quantile(excess, HIGH_SHARE)) if excess.size else 0.0, LEAST_HIGH)


def readouts_of(readings: StringReadings, high: float) -> np.ndarray:
    """The read-outs (n, 5), float64, in the order of READOUTS; those of a string do not depend on the others."""
    excess, offsets = readings.per_symbol - readings.expected, readings.offsets
    n_symbols = np.diff(offsets)
    order = np.argsort(-n_symbols, kind="stable")
    first, at_least = offsets[:-1][order], -n_symbols[order]
    total, stretch, largest_stretch = np.zeros((3, order.size))
    largest = np.full(order.size, -np.inf)
    for place in range(int(n_symbols.max(initial=0))):
        n_left = int(np.searchsorted(at_least, -place))  # strings that have so many symbols come first
        now = excess[first[:n_left] + place]
        total[:n_left] += now
        np.maximum(largest[:n_left], now, out=largest[:n_left])
        stretch[:n_left] = np.maximum(stretch[:n_left], 0.0) + now - high
        np.maximum(largest_stretch[:n_left], stretch[:n_left], out=largest_stretch[:n_left])
    found = np.empty((order.size, len(READOUTS)))
    length = np.log1p(readings.length[order])
    found[order] = np.stack([total / np.sqrt(n_symbols[order]), largest_stretch, largest, length, -length], axis=1)
    return found


def worst_stretch(excess: np.ndarray, high: float) -> tuple[int, int]:
    """Begin and end of the stretch of symbols, m at least 1, with the largest sum of `excess` (m,) over `high`."""
    best, begin, end, total, started = -np.inf, 0, 1, 0.0, 0
    for place, one in enumerate((excess - high).tolist()):
        if total <= 0:
            total, started = 0.0, place
        total += one
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
    high: np.ndarray  # (w,) nats

    @classmethod
    def fit(cls, _values: np.ndarray, columns: Sequence[Column], _same_unit: Collection[str]) -> Strings:
        """The encoder of no column; text is fitted before, since its classes decide the layout (`fit_strings`).

        Raises ValueError where there are columns: values (n, w) do not hold their strings.
        """
        if columns:
            raise ValueError("columns of text are fitted by their strings")
        return cls((), np.empty(0))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The models and levels by name, nothing for no column; `from_arrays` is the inverse."""
        arrays = {"string_levels": self.high} if self.models else {}
        for i, model in enumerate(self.models):
            arrays |= {f"strings/{i}/{name}": array for name, array in model.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], slots: Sequence[Slot]) -> Strings:
        """The encoder in arrays of `to_arrays`. Raises KeyError or ValueError on arrays not written for w slots."""
        if not slots:
            return cls((), np.empty(0))
        from vaecli.data.strings.string_model import StringModel

        high = of_shape("string_levels", arrays["string_levels"], (len(slots),))
        if not (np.abs(high) <= LARGEST_LEVEL).all():
            raise ValueError("string_levels are not numbers of nats")
        models = []
        for i, slot in enumerate(slots):
            model = StringModel.from_arrays(arrays_within(arrays, f"strings/{i}/"))
            if model.n_classes != slot.stop - slot.start:
                raise ValueError(f"strings/{i} has {model.n_classes} classes, its column {slot.stop - slot.start}")
            models.append(model)
        return cls(tuple(models), high)

    def read(self, i: int, texts: np.ndarray) -> ReadStrings:
        """Features and read-outs of the strings `texts` (n,) of column i, None where there is none."""
        from vaecli.data.strings.texts import Texts

        model = self.models[i]
        there = np.flatnonzero(texts != None)  # noqa: E711  (elementwise)
        features = np.zeros((texts.size, model.n_classes), np.float32)
        readouts = np.full((texts.size, len(READOUTS)), np.nan)
        if there.size:
            readings = model.read(Texts.of(texts[there].tolist()))
            features[there] = responsibilities(model, readings)
            readouts[there] = readouts_of(readings, float(self.high[i]))
        return ReadStrings(features, readouts)

    def encode(self, _i: int, _values: np.ndarray, _state: np.ndarray, _features: np.ndarray) -> None:
        """Write nothing: `read` gives the features (n, K) of strings, which codes (n,) do not determine."""

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
    log_share = np.log(model.classes.share) + readings.log_ratio
    share = np.exp(log_share - log_share.max(1, keepdims=True))
    found: np.ndarray = (share / share.sum(1, keepdims=True)).astype(np.float32)
    return found
