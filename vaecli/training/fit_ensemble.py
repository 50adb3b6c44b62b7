"""From training rows to an ensemble: start parameters, training, and what scoring needs besides the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.config import FitConfig
from vaecli.config.contamination import contamination_share
from vaecli.data.training_rows import Rows, TrainingRows, sampled_rows
from vaecli.errors import UsageError
from vaecli.model.ensemble import Ensemble, Family, draw_noise
from vaecli.model.exemplar_prior import choose_exemplars
from vaecli.model.families import FAMILIES, ScoreTerm
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters
from vaecli.model.ppca_init import independent_output, start_parameters
from vaecli.results import OnEvent, ignore
from vaecli.runtime.blas import one_blas_thread
from vaecli.training.checkpoint import Checkpoint
from vaecli.training.choose_centers import choose_centers
from vaecli.training.distrust import Distrust
from vaecli.training.plans import OnCheckpoint, Plan, Trained
from vaecli.training.trainer import Trainer

START_ROWS = 50_000  # rows from which the start parameters (PCA) and the baseline are computed


@dataclass(frozen=True, slots=True)
class FittedEnsemble:
    """A trained ensemble, the rows that its calibration needs, and how training went."""

    ensemble: Ensemble  # row numbers of its exemplars are positions in `sample`
    sample: Rows  # a uniform sample of the training rows, from every fold
    trained: Trained
    distrust: Distrust | None  # with a share of contamination
    baseline_log_prob: float  # mean log-likelihood per row of independent columns, in nats: the ELBO should be higher


def fit_ensemble(
    rows: TrainingRows,
    n_folds: int,
    plans: Sequence[Plan],
    config: FitConfig,
    trainer: Trainer,
    *,
    trusted: np.ndarray | None = None,
    on_event: OnEvent = ignore,
    on_checkpoint: OnCheckpoint | None = None,
    resume: Checkpoint | None = None,
) -> FittedEnsemble:
    """Train the families of `plans_of`, in the order of FAMILIES, on rows divided into `n_folds` folds.

    With `config.train.contamination` the rows that it distrusts are no exemplars, except those `trusted` (n,) bool.
    `on_checkpoint` is called every few seconds of training, which starts from `resume` if given. Raises UsageError when
    training diverges or a fold has none of the sampled or trusted rows, EnvironmentProblem when the device is absent.
    """
    trained = trainer.train(rows, plans, config.train, on_event=on_event, on_checkpoint=on_checkpoint, resume=resume)
    sample = rows.sample(config.calibration.max_rows, config.seed)
    _require_every_fold(sample.fold, n_folds)
    distrust = _distrust(sample, rows.n_rows, trusted, n_folds, config)
    distrusted = None if distrust is None else distrust.distrusted
    with one_blas_thread():  # codes keep their bits, whatever the number of cores
        families = tuple(
            _family(plan, parameters, score_terms, sample, config, distrusted)
            for plan, parameters, score_terms in zip(plans, trained.parameters, FAMILIES.values(), strict=True)
        )
    baseline = _baseline_log_prob(rows, plans[0].likelihood, config.seed)
    return FittedEnsemble(Ensemble(families), sample, trained, distrust, baseline)


def _family(
    plan: Plan,
    parameters: Parameters,
    score_terms: tuple[ScoreTerm, ...],
    sample: Rows,
    config: FitConfig,
    distrusted: np.ndarray | None,
) -> Family:
    """The trained members of a plan, with the codes of rows of `sample` that scores compare rows with."""
    likelihood, held_out, model = plan.likelihood, plan.held_out, config.model
    noise = draw_noise(model.n_noise, len(held_out), parameters["encoder.mean.b"].shape[-1], config.seed)
    prior = choose_exemplars(likelihood, parameters, held_out, sample, model.n_exemplars, config.seed, distrusted)
    centers = choose_centers(likelihood, parameters, held_out, sample, prior, model.n_centers, config.seed, distrusted)
    return Family(likelihood, parameters, noise, prior, held_out, score_terms, centers)


def _distrust(
    sample: Rows, n_rows: int, trusted: np.ndarray | None, n_folds: int, config: FitConfig
) -> Distrust | None:
    if config.train.contamination is None:
        return None
    by_person = np.zeros(sample.fold.size, bool)
    if trusted is not None:
        by_person = trusted[sampled_rows(n_rows, config.calibration.max_rows, config.seed)]
    share = contamination_share(config.train.contamination)
    distrust = Distrust.of(sample, share, by_person, config.seed)
    left = np.bincount(sample.fold[~distrust.distrusted], minlength=n_folds)
    if left.sum() - left.max() < 1:
        raise UsageError(
            f"--contamination {config.train.contamination}: only rows of one fold are left to be trusted",
            "give a smaller share, or larger groups",
        )
    return distrust


def plans_of(
    rows: TrainingRows, n_folds: int, likelihoods: Sequence[Likelihood], config: FitConfig
) -> tuple[Plan, ...]:
    """The two families to train: each holds out every fold when rows are few, else they take turns.

    The same to the bit for any number of cores.
    """
    sample = rows.sample(START_ROWS, config.seed)
    folds = tuple(range(n_folds))
    crossed = rows.n_rows < config.model.full_crossfit_below
    plans = []
    for i, family in enumerate((config.heteroscedastic, config.homoscedastic)):
        held_out = folds if crossed else folds[i::2]
        with threadpool_limits(1, "blas"):  # of NumPy and SciPy; sums of several threads depend on their number
            start = start_parameters(
                sample,
                likelihoods[i],
                held_out=held_out,
                n_latent=min(family.n_latent, likelihoods[i].likelihood_slope.size),
                n_hidden=family.n_hidden,
                homoscedastic=i == 1,
                seed=config.seed + i,
            )
        plans.append(Plan(likelihoods[i], start, held_out, family.beta, homoscedastic=i == 1))
    return tuple(plans)


def _require_every_fold(fold: np.ndarray, n_folds: int) -> None:
    n_rows = np.bincount(fold, minlength=n_folds)
    if n_rows.min() == 0 or n_rows.max() == fold.size:
        raise UsageError(
            f"among the {fold.size:,} rows that calibrate, one of the {n_folds} folds has none or all",
            "raise calibration.max_rows, or give larger groups",
        )


def _baseline_log_prob(rows: TrainingRows, likelihood: Likelihood, seed: int) -> float:
    sample = rows.sample(START_ROWS, seed)
    # of the family whose likelihood space is that of the features
    output = independent_output(sample, likelihood).astype(np.float32)
    return float(likelihood.column_log_prob(output, sample.values, sample.state).sum(-1).mean(dtype=np.float64))
