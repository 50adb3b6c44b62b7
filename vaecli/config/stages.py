"""The settings of a fit, one frozen dataclass per stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vaecli.config.windows import WindowsConfig


@dataclass(frozen=True, slots=True)
class ColumnsConfig:
    """Which columns are modelled, and which roles the others have."""

    columns: tuple[str, ...] = ()  # only these; empty means all
    exclude: tuple[str, ...] = ()
    label: str | None = None
    id: tuple[str, ...] = ()
    time: str | None = None
    group: str | None = None
    long: str | None = None  # name=COLUMN,value=COLUMN[,every=DURATION] of a table with a row per sensor and time
    same_unit: tuple[str, ...] = ()  # numbers measured in one unit, which share one scale; ("all",): every number
    missing: tuple[str, ...] = ()  # words and numbers that mean "missing": WORD in all columns, NAME=WORD in one
    decimal: str = ""  # mark of numbers kept as text; empty: as the cells suggest
    thousands: str = ""
    lines: bool = False  # the input is lines without columns: a log
    text: tuple[str, ...] = ()  # columns of strings, judged by their characters, whatever they look like
    max_categories: int = 128  # the rest become one "other" category


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The ensemble: members of two families, each held out from one fold of the rows."""

    n_noise: int = 4  # Monte Carlo draws stored for the scores that are expectations
    n_exemplars: int = 3000  # training rows per member whose codes are the exemplar prior
    n_centers: int = 768  # of clusters of codes per member, which stand for more training rows than that in scores
    min_log_variance: float = -6.0
    full_crossfit_below: int = 2000  # training rows below which both families hold out every fold; else they take turns


@dataclass(frozen=True, slots=True)
class FamilyConfig:
    """One kind of network: an MLP encoder beside a linear path, a latent space, a mirrored decoder."""

    n_latent: int
    n_hidden: int
    beta: float  # weight of the KL term in training; 1 is the ELBO


HETEROSCEDASTIC = FamilyConfig(n_latent=16, n_hidden=96, beta=1.0)
HOMOSCEDASTIC = FamilyConfig(n_latent=32, n_hidden=48, beta=0.1)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How the networks are trained."""

    seed: int = 0
    device: str = "auto"
    max_epochs: int = 300
    max_steps: int = 1000
    batch_rows: int = 256
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.2  # of the steps, or of the time budget, over which the KL weight grows to `beta`
    patience: int = 8  # checks of the held-out ELBO without improvement before stopping
    time_budget_seconds: float | None = None
    contamination: str | None = None  # auto, or the share of the rows that may be anomalies: 5%; None: none
    memory_bytes: int = 256 * 2**20  # features kept in memory; beyond it they are streamed from disk


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """How scores become decisions."""

    threshold: float = 0.99
    n_folds: int = 4
    max_rows: int = 250_000  # rows whose held-out scores calibrate; a seeded sample beyond it


@dataclass(frozen=True, slots=True)
class FitConfig:
    """All settings of `vaecli fit`."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    heteroscedastic: FamilyConfig = HETEROSCEDASTIC  # a variance for every cell: local structure
    homoscedastic: FamilyConfig = HOMOSCEDASTIC  # one variance a column, little KL: distance to what is known
    train: TrainConfig = field(default_factory=TrainConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    windows: WindowsConfig = field(default_factory=WindowsConfig)
    preset: str = "default"
    score_kind: str = "combined"
    marks: str | None = None  # file of rows that a person decided about
    distrusted: str | None = None  # table to write of the rows that contamination distrusts
    resume: bool = False

    @property
    def seed(self) -> int:
        """The seed of the whole fit: folds, samples, start parameters, batches, noise and exemplars."""
        return self.train.seed


# Where columns share one scale, one that hardly ever varies has a tiny variance, and its rare readings would rule every
# score (docs/adr/0017-one-scale-for-one-unit.md).
SAME_UNIT_SETTINGS: dict[str, Any] = {"model.min_log_variance": -3.0}

PRESET_SETTINGS: dict[str, dict[str, Any]] = {
    "fast": {
        "model.n_exemplars": 1000,
        "model.n_centers": 384,
        "model.n_noise": 2,
        "model.full_crossfit_below": 0,
        "heteroscedastic.n_hidden": 64,
        "homoscedastic.n_hidden": 32,
        "train.max_steps": 300,
        "calibration.n_folds": 2,
    },
    "default": {},
    "best": {
        "model.n_exemplars": 6000,
        "model.n_centers": 1536,
        "model.n_noise": 8,
        "model.full_crossfit_below": 10**9,
        "heteroscedastic.n_hidden": 128,
        "homoscedastic.n_hidden": 64,
        "calibration.n_folds": 5,
    },
}
