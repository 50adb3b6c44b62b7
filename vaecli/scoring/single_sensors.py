"""One sensor may decide the score of a row: a judge of single sensors beside the mean of the read-outs.

A mean of read-outs hides one sensor of many. So every sensor is also compared with limits of its own
(`model.sensor_views`). Where one lies beyond them, and the row is among the more unusual ones by the mean too, the row
scores as much as a row that is just flagged, and a little more the further out the sensor lies. So does a row of which
a sensor has had no reading for much longer than it ever had none in training, or reads what training does not support.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.data.named_arrays import arrays_within
from vaecli.data.series import Alarms
from vaecli.data.support import Support
from vaecli.model.sensor_views import N_VIEWS, SensorViews
from vaecli.model.window_model import SHORT

CORROBORATED = 0.9  # of normal rows have a smaller mean of read-outs than rows that a sensor may decide
PER_NAT = 0.1  # how much more an opinion is worth, as a share, where a sensor lies e times as far out
MOST_NATS = 3.0
LARGEST_NUMBER = 1e30


@dataclass(frozen=True, slots=True)
class SingleSensors:
    """The judge: `views` of d sensors, their `limits` (4, d) float32, and what its opinion is worth.

    Rows whose mean of read-outs is at least `from_score` score `worth` or more where a sensor lies beyond its limits,
    and any row does where one has had no reading for more rows than its `silence_limit` (D,) float32, of all sensors,
    or reads beyond the `support` of training; earlier bundles lack one or both.
    """

    views: SensorViews
    limits: np.ndarray
    from_score: float
    worth: float
    silence_limit: np.ndarray | None = None
    support: Support | None = None

    def opinions(self, far: np.ndarray, mean: np.ndarray, seen: np.ndarray, alarms: Alarms) -> np.ndarray:
        """What rows score at least (m,), NaN where no sensor decides.

        `far` (m,) is how far the furthest sensor lies out, in limits, `mean` (m,) the mean of the read-outs, and `seen`
        (m,) how many rows of the stretch came before; with fewer than SHORT only `alarms` make an opinion.
        """
        decides = (far > 1) & (mean >= self.from_score) & (seen >= SHORT)
        far = np.where(decides, np.maximum(far, alarms.far), alarms.far)
        decides |= alarms.far > 0
        nats = np.minimum(np.log(np.maximum(far, 1).astype(np.float64)), MOST_NATS)
        return np.where(decides, self.worth * (1 + PER_NAT * nats), np.nan)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays = {f"{prefix}/{name}": array for name, array in self.views.to_arrays().items()}
        worth = np.array([self.from_score, self.worth])
        arrays |= {f"{prefix}/limits": self.limits, f"{prefix}/worth": worth}
        arrays |= {} if self.silence_limit is None else {f"{prefix}/silence": self.silence_limit}
        support = {} if self.support is None else self.support.to_arrays()
        return arrays | {f"{prefix}/support/{name}": array for name, array in support.items()}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], prefix: str, n_sensors: int, n_continuous: int
    ) -> SingleSensors | None:
        """The judge in arrays of `to_arrays`, None where there is none.

        Raises KeyError or ValueError on arrays that no fit gives.
        """
        own = arrays_within(arrays, f"{prefix}/")
        if not own:
            return None
        views, limits, worth = SensorViews.from_arrays(own, n_continuous), own["limits"], own["worth"]
        if limits.shape != (N_VIEWS, n_continuous) or limits.dtype != np.float32 or not np.isfinite(limits).all():
            raise ValueError(f"{prefix}/limits is not finite float32 of 4 views of each sensor")
        if (limits <= 0).any():
            raise ValueError(f"{prefix}/limits are not positive")
        if worth.shape != (2,) or worth.dtype != np.float64 or not (np.abs(worth) <= LARGEST_NUMBER).all():
            raise ValueError(f"{prefix}/worth is not two finite float64")
        silence = own.get("silence")
        if silence is not None and (silence.shape != (n_sensors,) or silence.dtype != np.float32):
            raise ValueError(f"{prefix}/silence is not one float32 per sensor")
        if silence is not None and not (np.isfinite(silence) & (silence > 0)).all():
            raise ValueError(f"{prefix}/silence is not positive and finite")
        of_support = arrays_within(own, "support/")
        support = Support.from_arrays(of_support, n_sensors) if of_support else None
        return cls(views, limits, float(worth[0]), float(worth[1]), silence, support)
