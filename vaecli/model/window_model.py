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
    each_window,
    movement,
    moving_sum,
    row_statistics,
    shape_of,
    shape_statistics,
    statistics_into,
    window_statistics,
    windows,
)

TILE = 64  # columns of one matrix product; see `Chunk`
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

    def statistics_of(self, x: np.ndarray) -> np.ndarray:
        """The statistics of sensors (d, rows): (d, n_statistics, rows)."""
        return self.statistics_and_long(x, with_long=False)[0]

    def statistics_and_long(self, x: np.ndarray, *, with_long: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """The statistics of sensors (d, n_statistics, rows), and with_long the seven of `long` rows (d, 7, rows)."""
        out = np.empty((x.shape[0], self.n_statistics, x.shape[1]), x.dtype)
        long = np.empty((x.shape[0], N_STATISTICS, x.shape[1]), x.dtype) if with_long else None
        lengths, outs = [SHORT], [out[:, :N_STATISTICS]]
        if self.with_rows:
            out[:, N_STATISTICS:] = row_statistics(x)
        else:
            lengths, outs = [*lengths, self.statistics], [*outs, out[:, N_STATISTICS:]]
        if long is not None:
            lengths, outs = [*lengths, self.long], [*outs, long]
        statistics_into(x, lengths, outs)
        return out, long


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

    def readouts(self, x: np.ndarray, tiles: np.ndarray) -> Readouts:
        """The read-outs at the columns of `tiles` (t,), each the first of TILE columns of x (D, columns).

        Before each tile x holds at least HISTORY columns of the same series. The bits of a result depend on the
        column's place in its tile and on the rows before it, on nothing else.
        """
        n, n_single = tiles.size * TILE, self.continuous.size
        single, residual, code = np.empty((n_single, n), np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
        joint = np.empty(n, np.float32) if self.joint_whitening.size else None
        long = np.empty(n, np.float32) if self.long_whitening.size else None
        moving = x[self.continuous]
        statistics, long_found = self.shape.statistics_and_long(moving, with_long=long is not None)
        moved = self._moved(moving, None if long_found is None else long_found[:, 0], tiles)
        _standardised(statistics, self.statistics_mean, self.statistics_deviation)
        long_statistics = None
        if long_found is not None:
            long_statistics = _standardised(shape_of(long_found), self.long_mean, self.long_deviation)
        length, scale = self.shape.window, np.float32(1 / self.window_mean.size)
        view, window_mean = each_window(x, length), self.window_mean.reshape(-1, length, 1)
        window = np.empty((x.shape[0], length, TILE), np.float32)
        flat = window.reshape(-1, TILE)
        deviation = np.sqrt(self.component_variance)[:, None]
        n_code = max(self.components.shape[0], 1)
        for i, tile in enumerate(tiles.tolist()):
            out, columns = slice(i * TILE, (i + 1) * TILE), slice(tile, tile + TILE)
            if n_single:
                z = np.ascontiguousarray(statistics[:, :, columns])
                single[:, out] = _mean_square(np.matmul(self.single_whitening, z), axis=1)
                if joint is not None:
                    joint[out] = _mean_square(self.joint_whitening @ z.reshape(-1, TILE))
            if long is not None and long_statistics is not None:
                z = np.ascontiguousarray(long_statistics[:, :, columns])
                long[out] = _mean_square(self.long_whitening @ z.reshape(-1, TILE))
            np.subtract(view[:, :, tile - length + 1 : tile - length + 1 + TILE], window_mean, out=window)
            projected = self.components @ flat
            total = np.add.reduce(np.square(flat, out=flat), axis=0)
            residual[out] = np.maximum(total - np.add.reduce(np.square(projected), axis=0), 0) * scale
            projected /= deviation
            code[out] = np.add.reduce(np.square(projected, out=projected), axis=0) / np.float32(n_code)
        return Readouts(joint, single, residual, code, moved, long)

    def _moved(self, moving: np.ndarray, level: np.ndarray | None, tiles: np.ndarray) -> np.ndarray | None:
        """Squared distances from the mean of the MOVEMENT rows before, at the columns of the tiles: (d, t TILE).

        `moving` (d, columns) are the continuous sensors, and `level` their means over the last `shape.long` rows.
        """
        if not self.movement_deviation.size:
            return None
        if level is None or self.shape.long != self.shape.movement:
            level = moving_sum(moving, self.shape.movement) / np.float32(self.shape.movement)
        columns = columns_of(tiles)
        distance = moving[:, columns] - level[:, columns - 1]
        distance /= self.movement_deviation[:, None]
        return np.square(distance, out=distance)

    def short(self, x: np.ndarray, tiles: np.ndarray) -> np.ndarray:
        """Mean squared whitened statistic of the last SHORT rows of each sensor, at the columns of the tiles.

        The result is (d, t TILE). A whitening matrix is lower triangular and statistics of SHORT rows come first, so
        its leading block whitens them alone.
        """
        k = N_STATISTICS
        z = window_statistics(x[self.continuous], SHORT)
        z = _standardised(z, self.statistics_mean[:, :k], self.statistics_deviation[:, :k])
        whitening = np.ascontiguousarray(self.single_whitening[:, :k, :k])
        out = np.empty((self.continuous.size, tiles.size * TILE), np.float32)
        for i, tile in enumerate(tiles.tolist()):
            whitened = np.matmul(whitening, np.ascontiguousarray(z[:, :, tile : tile + TILE]))
            out[:, i * TILE : (i + 1) * TILE] = _mean_square(whitened, axis=1)
        return out


def _standardised(found: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Statistics (d, F, columns) in deviations (d, F) from their mean (d, F), cut at ±12, in place."""
    found -= mean[:, :, None]
    found /= deviation[:, :, None]
    return np.clip(found, -LARGEST_FEATURE, LARGEST_FEATURE, out=found)


def _mean_square(whitened: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean along an axis of squares, which take the place of what they are of."""
    total = np.add.reduce(np.square(whitened, out=whitened), axis=axis)
    total /= np.float32(whitened.shape[axis])
    return np.asarray(total)


def columns_of(tiles: np.ndarray) -> np.ndarray:
    """The columns of tiles that begin at `tiles` (t,): (t TILE,)."""
    return (tiles[:, None] + np.arange(TILE)).ravel()


def fit_window_model(
    x: np.ndarray, scale: SensorScale, rows: np.ndarray, long_rows: np.ndarray, shape: WindowShape
) -> WindowModel:
    """Fit on the windows that end at the columns `rows` of x (D, columns), scaled sensors, ascending.

    Before each of these columns x holds HISTORY columns of its series. The statistics without level are learned from
    the columns `long_rows`.
    """
    which = scale.continuous
    mean, deviation, z = _fitted_statistics(x[which], _spread(rows, MOST_JOINT), shape.statistics_of)
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
            x[which], chosen, lambda sensor: shape_statistics(sensor, shape.long)
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
    x: np.ndarray, chosen: np.ndarray, statistics: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation (d, F) of the statistics of x (d, columns) at chosen columns, and them standardised (d, F, n).

    Computed sensor by sensor, so that memory stays small.
    """
    if not x.shape[0]:
        n = statistics(np.zeros((1, HISTORY), np.float32)).shape[1]
        return np.empty((0, n), np.float32), np.empty((0, n), np.float32), np.empty((0, n, chosen.size), np.float32)
    found = np.concatenate([statistics(sensor[None])[:, :, chosen] for sensor in x])
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
