"""Reads labelled rows of series."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.engines.base import features_of
from vaecli.sensors.detector import SensorDetector
from vaecli.tables import Batch, ReadRequest, label_mask
from vaecli.tasks.evaluate import label_column
from vaecli.tasks.sensors import ReadSensors, SensorRows


@dataclass(frozen=True, slots=True)
class LabelledSensors:
    """The rows of a batch, and where the label marks an anomaly, (n,) bool."""

    rows: SensorRows
    is_anomaly: np.ndarray


@dataclass(frozen=True, slots=True)
class ReadLabelledSensors:
    """Reads batches: readings, times and series, and the labels in the column `label`."""

    detector: SensorDetector
    label: str

    @property
    def needs(self) -> ReadRequest:
        """The features, the clock, the group and the label."""
        schema = self.detector.schema
        others = [column.name for column in (schema.time, schema.group) if column is not None]
        return features_of(schema, [*others, self.label])

    def process(self, batch: Batch) -> LabelledSensors:
        """The rows of one batch. Raises InputError for labels that cannot be read."""
        return LabelledSensors(ReadSensors(self.detector).process(batch), label_mask(batch, label_column(self.label)))
