"""The fitted whole of a bundle of sensors: schema, scale, window model, surprisal scales, calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from vaecli.calibration.conformal import Calibration
from vaecli.calibration.effective_rows import EffectiveRows
from vaecli.config import SCORE_KINDS, LongForm
from vaecli.data.cells import Cells
from vaecli.data.cycle_profile import CycleProfile
from vaecli.data.named_arrays import arrays_within
from vaecli.data.sensor_columns import SensorColumns
from vaecli.data.sensor_scale import SensorScale
from vaecli.data.series import Alarms, Chunk, Stretch, chunks_of
from vaecli.model.readout_tiles import INNER
from vaecli.model.window_model import (
    HISTORY,
    SHORT,
    WindowModel,
    WindowShape,
    window_model_from_arrays,
    window_model_to_arrays,
)
from vaecli.schema import Schema
from vaecli.scoring.single_sensors import SingleSensors
from vaecli.scoring.window_scores import (
    Surprisals,
    WindowScales,
    from_start,
    mean_of,
    score_of,
)
from vaecli.sensors.event_rates import EventRates
from vaecli.sensors.fitting import largest_of, readouts_of, short_of
from vaecli.sensors.history import Histories
from vaecli.sensors.stretches import TrainingStretches

CHUNK_READINGS = 2**17  # readings whose windows are computed at once; more take memory and hardly less time
JUDGED_KINDS = ("combined", "offline/combined")  # of scores that a single sensor may decide
KINDS = (*SCORE_KINDS, *(f"offline/{kind}" for kind in SCORE_KINDS))  # of scores that are calibrated
MODEL = "sensors"  # the name of this kind of bundle in its settings


@dataclass(frozen=True, slots=True)
class Clock:
    """What training found out about time; in seconds, or in units of a clock that is a plain number.

    `step` is the median step between the rows of one series, `max_gap` the longest that a window spans, `first` and
    `last` the times of training; `groups` how many series it had; `effective_rows` how many independent rows its
    held-out scores are worth, counted by `effective_groups` groups, or along time where that is 0.
    """

    step: float
    max_gap: float
    first: float
    last: float
    groups: int
    effective_rows: int
    effective_groups: int

    @property
    def effective(self) -> EffectiveRows:
        """What the held-out scores are worth, and which levels they let us promise."""
        return EffectiveRows(self.effective_rows, self.effective_groups)


@dataclass(frozen=True, slots=True)
class SensorDetector:
    """Everything that scoring series of sensors needs."""

    schema: Schema
    scale: SensorScale
    model: WindowModel
    scales: WindowScales
    spike_limit: np.ndarray  # (D,) float32, scaled; see Histories
    calibrations: Mapping[str, Calibration]  # by score kind, and by offline/kind; of scores times a margin
    margin: float  # at least 1: how much larger than held-out scores a threshold is, as those are few
    score_kind: str
    threshold: float
    clock: Clock
    known_groups: tuple[str, ...] = ()
    rates: EventRates | None = None  # of events of normal rows, in the order of KINDS; None without a clock of moments
    long: LongForm | None = None  # of the tables that it was fitted on, whose tags are the feature columns
    short_limits: np.ndarray | None = None  # (d,) float32, see `evident`; None in earlier bundles
    hold: np.ndarray | None = None  # (D,) float64, in units of the clock, where `long.hold` is given; see Histories
    cycle: CycleProfile | None = None  # None where the hour of the day does not help; its companions are among the D
    judge: SingleSensors | None = None  # None in earlier bundles, and where no sensor moved
    stretches: TrainingStretches | None = None  # what a check compares with; None in earlier bundles

    @property
    def sensors(self) -> SensorColumns:
        """The sensors that the feature columns become, without companions."""
        return SensorColumns(self.schema.features)

    @property
    def sensor_column(self) -> np.ndarray:
        """(D,) the column of each sensor, companions after theirs."""
        column = self.sensors.column
        return column if self.cycle is None else self.cycle.widened(column, column[self.cycle.sensor], column)

    @property
    def companions(self) -> np.ndarray:
        """(k,) the places among the D sensors of those that are companions."""
        if self.cycle is None:
            return np.empty(0, np.int64)
        column = self.sensors.column
        return np.flatnonzero(self.cycle.order(column) >= column.size)

    def scaled(self, cells: Cells, time: np.ndarray) -> np.ndarray:
        """Scaled readings (n, D) of cells at times (n,), NaN where missing."""
        readings = self.sensors.readings(cells)
        if self.cycle is None:
            return self.scale.scaled(readings)
        column = self.sensors.column
        own = np.flatnonzero(self.cycle.order(column) < column.size)
        scaled = self.scale.take(own).scaled(readings)
        return self.cycle.widened(scaled, self.cycle.companions(scaled, time), column)

    def histories(self) -> Histories:
        """The histories of series before any row."""
        silence_limit, support = (None, None) if self.judge is None else (self.judge.silence_limit, self.judge.support)
        return Histories(
            self.scale.start,
            self.clock.max_gap,
            self.spike_limit,
            hold=self.hold,
            silence_limit=silence_limit,
            support=support,
        )

    def chunks(self, stretches: Sequence[Stretch]) -> list[Chunk]:
        """The stretches laid out in chunks whose windows fit into a processor's cache."""
        n_tiles = (CHUNK_READINGS // max(self.scale.n_sensors, 1) - HISTORY) // INNER
        return list(chunks_of(stretches, HISTORY + max(n_tiles, 1) * INNER))

    def surprisals(self, chunk: Chunk) -> Surprisals:
        """The surprisals of the rows of a chunk, in its order."""
        rolling = self.model.rolling(chunk.x)
        surprisals = self.scales.surprisals(self.model, self.model.readouts(chunk.x, chunk.column, rolling))
        from_start(surprisals.of, chunk.seen, self.model.shape)
        if self.judge is None:
            return surprisals
        far, sensor = self.judge.views.largest(rolling, chunk.column, self.judge.limits)
        return self._with_opinions(surprisals, far, sensor, chunk.seen, chunk.alarms)

    def surprisals_at(self, chunk: Chunk, index: np.ndarray) -> Surprisals:
        """The surprisals of the rows `index` (k,) of a chunk, ascending; the same as all rows give."""
        surprisals = self.scales.surprisals(self.model, readouts_of(self.model, chunk, index))
        from_start(surprisals.of, chunk.seen[index], self.model.shape)
        if self.judge is None:
            return surprisals
        far, sensor = largest_of(self.judge, self.model, chunk, index)
        return self._with_opinions(surprisals, far, sensor, chunk.seen[index], chunk.alarms[index])

    def _with_opinions(
        self, surprisals: Surprisals, far: np.ndarray, sensor: np.ndarray, seen: np.ndarray, alarms: Alarms
    ) -> Surprisals:
        """The surprisals of m rows with those of the judge, by how far which continuous sensor lies out (m,)."""
        assert self.judge is not None
        opinion = self.judge.opinions(far, mean_of(surprisals.of, self.model.shape), seen, alarms)
        beyond = np.where(sensor >= 0, self.model.continuous[sensor], -1)
        alone = np.where(alarms.far > 0, alarms.sensor, beyond)
        return replace(surprisals, of=np.concatenate([surprisals.of, opinion[None]]), alone=alone[None])

    def score(self, stretches: Sequence[Stretch], n_rows: int, kind: str) -> np.ndarray:
        """Scores (n,) in nats of the rows of a batch; NaN for rows in no stretch."""
        score = np.full(n_rows, np.nan)
        for chunk in self.chunks(stretches):
            score[chunk.row] = score_of(self.surprisals(chunk).of, kind, self.model.shape)
        return score

    def evident(self, stretches: Sequence[Stretch], wanted: np.ndarray) -> np.ndarray:
        """Which of the `wanted` rows (n,) bool of a batch are anomalous by their latest SHORT rows alone, (n,) bool.

        A long window holds a fault that is over; these rows hold it no longer. Earlier bundles do not know.
        """
        out = np.zeros(wanted.size, bool)
        if self.short_limits is None:
            return out
        limits = self.short_limits[:, None]
        for chunk in self.chunks([stretch for stretch in stretches if wanted[stretch.row].any()]):
            index = np.flatnonzero(wanted[chunk.row])
            if index.size and limits.size:
                out[chunk.row[index]] = (short_of(self.model, chunk, index) > limits).any(0)
                if self.judge is not None:
                    out[chunk.row[index]] |= largest_of(self.judge, self.model, chunk, index)[0] > 1
                out[chunk.row[index]] |= chunk.alarms.far[index] > 0
        return out

    def readout_surprisals(self, stretches: Sequence[Stretch], n_rows: int) -> np.ndarray:
        """The surprisals (7 or 8, n) of each read-out, float32, for looking ahead; NaN for rows in no stretch."""
        out = np.full((len(self.scales.readouts) + (self.judge is not None), n_rows), np.nan, np.float32)
        for chunk in self.chunks(stretches):
            out[:, chunk.row] = self.surprisals(chunk).of
        return out

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(settings as JSON values, arrays); `from_parts` is the inverse."""
        settings = {
            "model": MODEL,
            "score_kind": self.score_kind,
            "threshold": self.threshold,
            "margin": self.margin,
            "shape": asdict(self.model.shape),
            "clock": asdict(self.clock),
            "known_groups": list(self.known_groups),
            **({} if self.short_limits is None else {"events_end_by_rows": SHORT}),
        }
        settings |= {} if self.long is None else {"long": self.long.to_json()}
        if self.judge is not None and self.judge.silence_limit is not None:
            settings["judges_silence"] = True
        if self.judge is not None and self.judge.support is not None:
            settings["judges_support"] = True
        arrays = {f"scale/{name}": value for name, value in self.scale.to_arrays().items()}
        arrays |= {f"model/{name}": value for name, value in window_model_to_arrays(self.model).items()}
        arrays |= self.scales.to_arrays() | {"history/spike_limit": self.spike_limit}
        for kind, calibration in self.calibrations.items():
            arrays |= calibration.to_arrays(f"calibration/{kind}")
        arrays |= {} if self.rates is None else self.rates.to_arrays()
        arrays |= {} if self.short_limits is None else {"short/limits": self.short_limits}
        arrays |= {} if self.cycle is None else self.cycle.to_arrays()
        arrays |= {} if self.hold is None else {"history/hold": self.hold}
        arrays |= {} if self.judge is None else self.judge.to_arrays("alone")
        arrays |= {} if self.stretches is None else self.stretches.to_arrays()
        return settings, arrays

    @classmethod
    def from_parts(
        cls, schema: Schema, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> SensorDetector:
        """The inverse of `to_parts`. Raises KeyError, TypeError or ValueError on parts that it cannot have written."""
        if settings["model"] != MODEL:
            raise ValueError(f"the model is {settings['model']!r}, not {MODEL!r}")
        columns = SensorColumns(schema.features)
        cycle = CycleProfile.from_arrays(arrays, columns.n_sensors)
        n_sensors = columns.n_sensors + (0 if cycle is None else cycle.sensor.size)
        scale = SensorScale.from_arrays(arrays_within(arrays, "scale/"), n_sensors)
        shape = WindowShape.from_json(settings["shape"], n_sensors)
        model = window_model_from_arrays(arrays_within(arrays, "model/"), shape, n_sensors)
        scales = WindowScales.from_arrays(arrays, model)
        spike_limit = arrays["history/spike_limit"]
        if spike_limit.shape != (n_sensors,) or spike_limit.dtype != np.float32 or not (spike_limit > 0).all():
            raise ValueError("history/spike_limit is not one positive float32 per sensor")
        if not np.isfinite(spike_limit).all():
            raise ValueError("history/spike_limit is not finite")
        calibrations = {kind: Calibration.from_arrays(arrays, f"calibration/{kind}") for kind in KINDS}
        threshold, margin = float(settings["threshold"]), float(settings["margin"])
        clock = Clock(**settings["clock"])
        if not 0 < threshold < 1 or not 1 <= margin < 1e6 or settings["score_kind"] not in SCORE_KINDS:
            raise ValueError("the threshold, the margin or the score kind is out of range")
        if not all(isinstance(value, int | float) for value in asdict(clock).values()) or not clock.max_gap > 0:
            raise ValueError("the clock is not of numbers")
        if not all(type(count) is int and count >= 0 for count in (clock.effective_rows, clock.effective_groups)):
            raise ValueError("the effective rows are not counts")
        groups = tuple(settings["known_groups"])
        if not all(isinstance(group, str) for group in groups):
            raise ValueError("a group is not text")
        rates = EventRates.from_arrays(arrays, len(KINDS))
        long = LongForm.from_json(settings["long"]) if "long" in settings else None
        if long is not None and schema.time is None:
            raise ValueError("the long table has no clock")
        hold = arrays.get("history/hold")
        if (hold is None) != (long is None or long.hold is None):
            raise ValueError("history/hold is missing, or not asked for")
        if hold is not None and (hold.shape != (n_sensors,) or hold.dtype != np.float64 or not (hold > 0).all()):
            raise ValueError("history/hold is not one positive float64 per sensor")
        limits = arrays.get("short/limits")
        if settings.get("events_end_by_rows") != (None if limits is None else SHORT):
            raise ValueError("short/limits are missing, or of other rows")
        if limits is not None and (limits.shape != model.continuous.shape or limits.dtype != np.float32):
            raise ValueError("short/limits is not one float32 per continuous sensor")
        if limits is not None and not (np.isfinite(limits) & (limits > 0)).all():
            raise ValueError("short/limits are not positive and finite")
        judge = SingleSensors.from_arrays(arrays, "alone", n_sensors, model.continuous.size)
        if settings.get("judges_silence", False) is not (judge is not None and judge.silence_limit is not None):
            raise ValueError("alone/silence is missing, or not asked for")
        if settings.get("judges_support", False) is not (judge is not None and judge.support is not None):
            raise ValueError("alone/support is missing, or not asked for")
        n_companions = 0 if cycle is None else cycle.sensor.size
        stretches = TrainingStretches.from_arrays(arrays, schema.features, n_companions)
        return cls(
            schema,
            scale,
            model,
            scales,
            spike_limit,
            calibrations,
            margin,
            settings["score_kind"],
            threshold,
            clock,
            groups,
            rates,
            long,
            limits,
            hold,
            cycle,
            judge,
            stretches,
        )
