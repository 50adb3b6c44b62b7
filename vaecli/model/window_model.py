"""What normal windows of sensors look like: a linear variational autoencoder of windows, and shrunk Gaussians.

The probabilistic principal components of the windows are the maximum of a linear VAE's ELBO (Lucas et al., "Don't Blame
the ELBO!", 2019; Tipping & Bishop 1999), so they are computed instead of trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.data.sensor_scale import CONTINUOUS, SensorScale
from vaecli.data.windows import (
    N_ROW_STATISTICS,
    N_SHAPE_STATISTICS,
    N_STATISTICS,
    Columns,
    Rolling,
    each_window,
    movement,
    row_statistics_at,
    shape_of,
    statistics_at,
    windows,
)
from vaecli.model.readout_tiles import GUARD, TILE, ReadoutTiles

LARGEST_FEATURE = 12.0  # standard deviations; statistics further out are cut there
EXPLAINED = 0.95  # share of the windows' variance that the components keep
MOST_WINDOWS = 6_000  # that components are learned from
MOST_JOINT, MOST_SINGLE = 8_000, 5_000  # rows that Gaussians of statistics are learned from
MOST_WINDOW_FEATURES = 4_096  # readings in one window; more sensors get shorter windows
MOST_JOINT_FEATURES = 1_800  # statistics of all sensors in one Gaussian; with more there is none
SHORT, WINDOW, MOVEMENT, LONG = 8, 32, 128, 128  # rows
HISTORY = 128  # rows before a row that its score can depend on
FEWEST_FOR_LONG = 1_000  # training rows
FEWEST_FOR_MOVEMENT = 4 * MOVEMENT  # training rows


@dataclass(frozen=True, slots=True)
class WindowShape:
    """How many rows the windows of a model span; functions of the number of training rows n and of sensors.

    `window` rows are reconstructed; statistics are taken of the last SHORT rows and of `statistics` rows, or where that
    would be fewer than 16, of SHORT rows and of single rows; `movement` and `long`, the rows of the statistics without
    level, are 0 where training is too short for them.
    """

    window: int
    statistics: int
    movement: int
    long: int

    @classmethod
    def of(cls, n_rows: int, n_sensors: int, window: int = WINDOW) -> WindowShape:
        """The shape for a training table; `window` is the longest wanted. Raises ValueError for too many sensors."""
        longest = MOST_WINDOW_FEATURES // max(n_sensors, 1)
        if longest < 4:
            raise ValueError(f"{n_sensors:,} sensors; windows are modelled of at most {MOST_WINDOW_FEATURES // 4:,}")
        return cls(
            int(max(4, min(window, n_rows // 8, longest))),
            int(np.clip(n_rows // 64, SHORT, window)),
            MOVEMENT if n_rows >= FEWEST_FOR_MOVEMENT else 0,
            min(LONG, n_rows // 8) if n_rows >= FEWEST_FOR_LONG else 0,
        )

    @classmethod
    def from_json(cls, values: Mapping[str, int], n_sensors: int) -> WindowShape:
        """The shape with these fields. Raises TypeError or ValueError on fields that no shape has."""
        shape = cls(**values)
        if not all(type(number) is int for number in (shape.window, shape.statistics, shape.movement, shape.long)):
            raise TypeError("the rows of a window are not whole numbers")
        spans = 2 <= shape.window <= HISTORY and SHORT <= shape.statistics <= HISTORY and 0 <= shape.long <= LONG
        if not spans or shape.movement not in (0, MOVEMENT) or shape.window * n_sensors > MOST_WINDOW_FEATURES:
            raise ValueError("the rows of a window are out of range")
        return shape

    @property
    def with_rows(self) -> bool:
        """Whether single rows take the place of the longer statistics."""
        return self.statistics < 16

    @property
    def n_statistics(self) -> int:
        """Statistics per sensor."""
        return N_STATISTICS + (N_ROW_STATISTICS if self.with_rows else N_STATISTICS)

    @property
    def statistics_span(self) -> int:
        """Rows that the statistics look back over."""
        return SHORT if self.with_rows else self.statistics

    @property
    def lengths(self) -> tuple[int, ...]:
        """The numbers of columns that statistics are taken of."""
        lengths = (SHORT,) if self.with_rows else (SHORT, self.statistics)
        return (*lengths, self.long) if self.long else lengths

    def statistics_at(self, rolling: Rolling, columns: Columns, out: np.ndarray | None = None) -> np.ndarray:
        """The statistics of sensors at some columns, into `out` (d, n_statistics, m)."""
        if out is None:
            out = np.empty((rolling.x.shape[0], self.n_statistics, columns.index.size), rolling.x.dtype)
        statistics_at(rolling, SHORT, columns, out[:, :N_STATISTICS])
        if self.with_rows:
            row_statistics_at(rolling, columns, out[:, N_STATISTICS:])
        else:
            statistics_at(rolling, self.statistics, columns, out[:, N_STATISTICS:])
        return out

    def long_statistics_at(self, rolling: Rolling, columns: Columns) -> np.ndarray:
        """The statistics without level of the last `long` rows at some columns (d, 6, m)."""
        return shape_of(statistics_at(rolling, self.long, columns))


@dataclass(frozen=True, slots=True)
class Readouts:
    """What a model measures of m rows; larger is less normal, at least 0.

    `joint` (m,): mean squared whitened statistic of all sensors (None without such a Gaussian); `single` (d, m): the
    same of each continuous sensor by itself; `residual` (m,): mean squared error of the window's reconstruction;
    `code` (m,): mean squared standardised coordinate of the window's code; `moved` (d, m): squared distance from the
    mean of the MOVEMENT rows before, in training deviations, and `long` (m,): mean squared whitened statistic without
    level of all sensors (both None for short trainings).
    """

    joint: np.ndarray | None
    single: np.ndarray
    residual: np.ndarray
    code: np.ndarray
    moved: np.ndarray | None
    long: np.ndarray | None


@dataclass(frozen=True, slots=True)
class WindowModel:
    """The fitted parts; all arrays float32. D sensors of which d are continuous; F statistics per sensor; w = window.

    `statistics_mean`, `statistics_deviation` (d, F); `joint_whitening` (dF, dF) or empty; `single_whitening` (d, F, F);
    `window_mean` (D w,); `components` (k, D w), orthonormal rows; `component_variance` (k,); `noise_variance` (1,):
    that of a reading which the components leave unexplained; `movement_deviation` (d,) or empty; `long_mean`,
    `long_deviation` (d, 6) and `long_whitening` (6d, 6d) or empty.
    """

    shape: WindowShape
    continuous: np.ndarray
    statistics_mean: np.ndarray
    statistics_deviation: np.ndarray
    joint_whitening: np.ndarray
    single_whitening: np.ndarray
    window_mean: np.ndarray
    components: np.ndarray
    component_variance: np.ndarray
    noise_variance: np.ndarray
    movement_deviation: np.ndarray
    long_mean: np.ndarray
    long_deviation: np.ndarray
    long_whitening: np.ndarray

    def rolling(self, x: np.ndarray) -> Rolling:
        """What statistics of x (D, columns) are made of, for the continuous sensors."""
        return Rolling(x[self.continuous], self.shape.lengths)

    def readouts(self, x: np.ndarray, column: np.ndarray, rolling: Rolling | None = None) -> Readouts:
        """The read-outs at the columns `column` (m,) of x (D, columns), and `rolling` of it.

        Before each of them x holds at least HISTORY columns of the same series. The bits of a result depend on these
        columns and on nothing else.
        """
        rolling = self.rolling(x) if rolling is None else rolling
        columns, tiles = Columns.of(column), ReadoutTiles(column.size)
        single, joint = np.empty((self.continuous.size, column.size), np.float32), None
        if self.continuous.size:
            z = tiles.empty(self.continuous.size, self.shape.n_statistics)
            _standardised(
                self.shape.statistics_at(rolling, columns, tiles.rows(z)),
                self.statistics_mean,
                self.statistics_deviation,
            )
            tiles.mean_squares(self.single_whitening, z, single)
            if self.joint_whitening.size:
                joint = np.empty(column.size, np.float32)
                tiles.mean_squares_of_all(self.joint_whitening, z, joint)
        long = None
        if self.long_whitening.size:
            z = tiles.empty(self.continuous.size, N_SHAPE_STATISTICS)
            tiles.rows(z)[...] = self.shape.long_statistics_at(rolling, columns)
            _standardised(tiles.rows(z), self.long_mean, self.long_deviation)
            long = np.empty(column.size, np.float32)
            tiles.mean_squares_of_all(self.long_whitening, z, long)
        residual, code = self._reconstructed(x, columns, tiles)
        return Readouts(joint, single, residual, code, self._moved(rolling, columns), long)

    def _reconstructed(self, x: np.ndarray, columns: Columns, tiles: ReadoutTiles) -> tuple[np.ndarray, np.ndarray]:
        """Mean squared error and mean squared standardised code (m,) of the windows that end at the columns."""
        residual, code = (np.empty(columns.index.size, np.float32) for _ in range(2))
        length, scale = self.shape.window, np.float32(1 / self.window_mean.size)
        view, window_mean = each_window(x, length), self.window_mean.reshape(-1, length, 1)
        window = np.zeros((x.shape[0], length, TILE), np.float32)
        flat = window.reshape(-1, TILE)
        deviation = np.sqrt(self.component_variance)[:, None]
        n_code = max(self.components.shape[0], 1)
        for out, within in tiles.each():
            for first, at, number in columns.within(out.start, out.stop):
                begin = first - length + 1
                of_run = window[:, :, GUARD + at : GUARD + at + number]
                np.subtract(view[:, :, begin : begin + number], window_mean, out=of_run)
            projected = self.components @ flat
            total = np.add.reduce(np.square(flat, out=flat), axis=0)
            error = np.maximum(total - np.add.reduce(np.square(projected), axis=0), 0) * scale
            residual[out] = error[within]
            projected /= deviation
            code[out] = (np.add.reduce(np.square(projected, out=projected), axis=0) / np.float32(n_code))[within]
        return residual, code

    def _moved(self, rolling: Rolling, columns: Columns) -> np.ndarray | None:
        """Squared distances from the mean of the MOVEMENT rows before, in training deviations: (d, m)."""
        if not self.movement_deviation.size:
            return None
        before = columns.take(rolling.sums(self.shape.movement), by=1)
        before /= np.float32(self.shape.movement)
        distance = np.subtract(columns.take(rolling.x), before, out=before)
        distance /= self.movement_deviation[:, None]
        return np.square(distance, out=distance)

    def short(self, x: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Mean squared whitened statistic of the last SHORT rows of each sensor, at the columns `column` (m,): (d, m).

        A whitening matrix is lower triangular and statistics of SHORT rows come first, so its leading block whitens
        them alone.
        """
        k, tiles = N_STATISTICS, ReadoutTiles(column.size)
        z = tiles.empty(self.continuous.size, k)
        statistics_at(Rolling(x[self.continuous], (SHORT,)), SHORT, Columns.of(column), tiles.rows(z))
        _standardised(tiles.rows(z), self.statistics_mean[:, :k], self.statistics_deviation[:, :k])
        out = np.empty((self.continuous.size, column.size), np.float32)
        tiles.mean_squares(np.ascontiguousarray(self.single_whitening[:, :k, :k]), z, out)
        return out


def _standardised(found: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Statistics (d, F, columns) in deviations (d, F) from their mean (d, F), cut at ±12, in place."""
    found -= mean[:, :, None]
    found /= deviation[:, :, None]
    return np.clip(found, -LARGEST_FEATURE, LARGEST_FEATURE, out=found)


def fit_window_model(
    x: np.ndarray, scale: SensorScale, rows: np.ndarray, long_rows: np.ndarray, shape: WindowShape
) -> WindowModel:
    """Fit on the windows that end at the columns `rows` of x (D, columns), scaled sensors, ascending.

    Before each of these columns x holds HISTORY columns of its series. The statistics without level are learned from
    the columns `long_rows`.
    """
    which = scale.continuous
    mean, deviation, z = _fitted_statistics(
        x[which], _spread(rows, MOST_JOINT), shape.n_statistics, shape.lengths, shape.statistics_at
    )
    n_joint = which.size * shape.n_statistics
    joint = _whitening(z.reshape(n_joint, -1)) if 0 < n_joint <= MOST_JOINT_FEATURES else np.empty((0, 0), np.float32)
    fewer = _spread(np.arange(z.shape[2]), MOST_SINGLE)
    single = np.stack([_whitening(of_sensor[:, fewer]) for of_sensor in z]) if which.size else _no_sensor(shape)
    window_mean, components, variance, noise = _components(windows(x, shape.window, _spread(rows, MOST_WINDOWS)))
    deviation_moved = np.empty(0, np.float32)
    if shape.movement and which.size and (scale.kind[which] >= CONTINUOUS).any():
        deviation_moved = (movement(x[which], shape.movement)[:, rows].std(1) + 1e-3).astype(np.float32)
    n_long = which.size * N_SHAPE_STATISTICS
    long_mean, long_deviation = np.empty((0, N_SHAPE_STATISTICS), np.float32), np.empty((0, 6), np.float32)
    long_whitening = np.empty((0, 0), np.float32)
    if shape.long and 0 < n_long <= MOST_JOINT_FEATURES:
        chosen = _spread(long_rows, MOST_JOINT)
        long_mean, long_deviation, z = _fitted_statistics(
            x[which], chosen, N_SHAPE_STATISTICS, (shape.long,), shape.long_statistics_at
        )
        long_whitening = _whitening(z.reshape(n_long, -1))
    return WindowModel(
        shape,
        which,
        mean,
        deviation,
        joint,
        single,
        window_mean,
        components,
        variance,
        noise,
        deviation_moved,
        long_mean,
        long_deviation,
        long_whitening,
    )


def _no_sensor(shape: WindowShape) -> np.ndarray:
    return np.empty((0, shape.n_statistics, shape.n_statistics), np.float32)


def _fitted_statistics(
    x: np.ndarray,
    chosen: np.ndarray,
    n_statistics: int,
    lengths: tuple[int, ...],
    statistics_at: Callable[[Rolling, Columns], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation (d, F) of the statistics of x (d, columns) at chosen columns, and them standardised (d, F, n).

    Computed sensor by sensor, so that memory stays small. Means and deviations are added up in float32, row by row: a
    statistic that never changes may have the deviation of that rounding, which is above the least one, and then so much
    weight that any change of it counts.
    """
    if not x.shape[0]:
        shape = (0, n_statistics)
        return np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty((*shape, chosen.size), np.float32)
    columns = Columns.of(np.arange(x.shape[1]))
    # an index by an array lays the rows out one after the other, so that means run along them
    found = np.concatenate([statistics_at(Rolling(sensor[None], lengths), columns)[:, :, chosen] for sensor in x])
    mean, deviation = found.mean(2), found.std(2)
    deviation = np.where(deviation < 1e-6, 1, deviation).astype(np.float32)
    return mean, deviation, _standardised(found, mean, deviation)


def _spread(numbers: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the numbers, evenly spread."""
    if numbers.size <= most:
        return numbers
    return numbers[np.linspace(0, numbers.size - 1, most).round().astype(np.int64)]


def _whitening(z: np.ndarray) -> np.ndarray:
    """The whitening matrix (p, p) of the Ledoit-Wolf covariance of z (p, n): its product with z has covariance I."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(z.T.astype(np.float64))
    covariance += 1e-4 * np.eye(z.shape[0])
    inverse: np.ndarray = np.linalg.inv(np.linalg.cholesky(covariance))
    return inverse.astype(np.float32)


def _components(window: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(mean, components with 95 % of the variance, their variances, noise variance) of windows (p, n)."""
    window = window.astype(np.float64)
    mean = window.mean(1)
    window -= mean[:, None]
    values, vectors = np.linalg.eigh(window @ window.T / window.shape[1])
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    total = values.sum()
    if total <= 0:  # nothing moved in training
        return mean.astype(np.float32), np.empty((0, mean.size), np.float32), np.empty(0, np.float32), _one(1e-6)
    n_kept = min(int(np.searchsorted(values.cumsum() / total, EXPLAINED)) + 1, mean.size - 1)
    noise = values[n_kept:].mean()
    arrays = mean, vectors[:, :n_kept].T, np.maximum(values[:n_kept], 1e-12)
    mean32, components, variance = (np.ascontiguousarray(a, np.float32) for a in arrays)
    return mean32, components, variance, _one(max(float(noise), 1e-6))


def _one(number: float) -> np.ndarray:
    return np.array([number], np.float32)


_ARRAYS = (
    "statistics_mean",
    "statistics_deviation",
    "joint_whitening",
    "single_whitening",
    "window_mean",
    "components",
    "component_variance",
    "noise_variance",
    "movement_deviation",
    "long_mean",
    "long_deviation",
    "long_whitening",
)


def window_model_to_arrays(model: WindowModel) -> dict[str, np.ndarray]:
    """Named arrays for the bundle; `window_model_from_arrays` is the inverse."""
    return {"continuous": model.continuous, **{name: getattr(model, name) for name in _ARRAYS}}


def window_model_from_arrays(arrays: Mapping[str, np.ndarray], shape: WindowShape, n_sensors: int) -> WindowModel:
    """The inverse of `window_model_to_arrays`. Raises KeyError or ValueError on arrays that it cannot have written."""
    continuous, found = arrays["continuous"], {name: arrays[name] for name in _ARRAYS}
    if continuous.dtype != np.int64 or continuous.ndim != 1 or (np.diff(continuous) <= 0).any():
        raise ValueError("the continuous sensors are not ascending positions")
    if continuous.size and not 0 <= continuous[0] <= continuous[-1] < n_sensors:
        raise ValueError("a continuous sensor is not one of the sensors")
    d, f, w = continuous.size, shape.n_statistics, n_sensors * shape.window
    k, moved = found["component_variance"].size, found["movement_deviation"].size
    joint = d * f if found["joint_whitening"].size else 0
    long = d if found["long_whitening"].size else 0
    of_long = ((long, N_SHAPE_STATISTICS), (long, N_SHAPE_STATISTICS), (6 * long, 6 * long))
    shapes = ((d, f), (d, f), (joint, joint), (d, f, f), (w,), (k, w), (k,), (1,), (moved,), *of_long)
    for (name, array), expected in zip(found.items(), shapes, strict=True):
        if array.shape != expected or array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"{name} does not hold finite float32 of shape {expected}")
    if moved not in (0, d) or (moved > 0) > (shape.movement > 0) or (long > 0) > (shape.long > 0) or k >= max(w, 2):
        raise ValueError("movements or components are not those of the sensors")
    for name in (
        "statistics_deviation",
        "component_variance",
        "noise_variance",
        "movement_deviation",
        "long_deviation",
    ):
        if (found[name] <= 0).any():
            raise ValueError(f"{name} is not positive")
    return WindowModel(shape, continuous, **found)
