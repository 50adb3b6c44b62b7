"""The ensemble: families of trained members, and the noise with which they are evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vaecli.model.array_namespace import Array
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.families import FAMILIES, ScoreTerm
from vaecli.model.fixed_variances import without_fixed_variances
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters, check_shapes

# the most that settings allow (config/fit.py): members of a family, noise draws, latent dimensions, hidden units,
# exemplars
MOST_MEMBERS = 20
_MOST = MOST_DRAWS, MOST_LATENT, MOST_HIDDEN, MOST_EXEMPLARS = (1024, 512, 4096, 100_000)

LARGEST_CODE = 1e15  # whose square float32 holds, summed over all dimensions


@dataclass(frozen=True, slots=True)
class Family:
    """A family: e trained members of one kind and all that their scores depend on besides the row.

    `noise` (s, e, 1, k): standard normal draws, made once at fit, the same for every row.
    """

    likelihood: Likelihood
    parameters: Parameters
    noise: Array
    exemplar_prior: ExemplarPrior
    held_out: tuple[int, ...]  # the fold that each member was not trained on
    score_terms: tuple[ScoreTerm, ...]  # one for each of the scores that make up `combined`
    centers: ExemplarPrior | None = None  # of the codes of many training rows, which scores compare rows with
    of_scores: tuple[Likelihood, Parameters] = field(init=False, repr=False, compare=False)  # see `fixed_variances`

    def __post_init__(self) -> None:
        """Leave out of scores what no row moves."""
        object.__setattr__(self, "of_scores", without_fixed_variances(self.likelihood, self.parameters))

    @property
    def nearest(self) -> ExemplarPrior:
        """The prior whose nearest code scores are about: the centres, or the exemplars where these are all rows."""
        return self.exemplar_prior if self.centers is None else self.centers

    @property
    def width(self) -> int:
        """The numbers that the widest layer has for a row, of all members."""
        return len(self.held_out) * max(int(value.shape[-1]) for value in self.of_scores[1].values())

    def without_row_numbers(self) -> Family:
        """The same family for new tables, whose row numbers are not those of the training rows."""
        centers = self.centers and self.centers.leaving_out(None)
        return replace(self, exemplar_prior=replace(self.exemplar_prior, row=None), centers=centers)

    def on(self, device: str) -> Family:
        """The same family as torch tensors on a torch device."""
        import torch

        def moved(array: Array) -> Array:
            return torch.as_tensor(array, device=device)

        parameters = {name: moved(value) for name, value in self.parameters.items()}
        prior, centers = self.exemplar_prior.on(device), self.centers and self.centers.on(device)
        return replace(self, parameters=parameters, noise=moved(self.noise), exemplar_prior=prior, centers=centers)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {
            f"{prefix}/held_out": np.array(self.held_out, np.int64),
            f"{prefix}/noise": self.noise,
            **{f"{prefix}/codes/{part}": value for part, value in self.exemplar_prior.to_arrays().items()},
            **({} if self.centers is None else {f"{prefix}/centers": self.centers.codes}),
            **{f"{prefix}/network/{part}": value for part, value in self.parameters.items()},
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, np.ndarray],
        prefix: str,
        likelihood: Likelihood,
        n_features: int,
        score_terms: tuple[ScoreTerm, ...],
    ) -> Family:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays not written for this table."""
        held_out, noise = arrays[f"{prefix}/held_out"], _checked(arrays, f"{prefix}/noise")
        if held_out.dtype != np.int64 or held_out.ndim != 1 or not 1 <= held_out.size <= MOST_MEMBERS:
            raise ValueError(f"{prefix}/held_out is not a list of folds")
        if not ((held_out >= 0) & (held_out < MOST_MEMBERS)).all():
            raise ValueError(f"{prefix}/held_out names folds that no fit has")
        e = held_out.size
        if noise.ndim != 4 or noise.shape[1:3] != (e, 1) or not noise.size:
            raise ValueError(f"{prefix}/noise has shape {noise.shape}, not (samples, {e}, 1, latent)")
        s, k = noise.shape[0], noise.shape[3]
        network = f"{prefix}/network/"
        parameters = {name.removeprefix(network): _checked(arrays, name) for name in arrays if name.startswith(network)}
        check_shapes(parameters, likelihood, n_features, n_members=e, n_latent=k)
        weight = arrays[f"{prefix}/codes/weight"]
        n_codes = weight.shape[-1] if weight.ndim == 3 and weight.shape[-1] else 1
        sizes = (s, k, parameters["encoder.0.b"].shape[-1], n_codes)
        if 0 in sizes or any(size > most for size, most in zip(sizes, _MOST, strict=True)):
            raise ValueError(
                f"{prefix} has {sizes} draws, latent dimensions, hidden units and exemplars, not 1 to {_MOST}"
            )
        shapes = {"center": (e, 1, k), "scale": (e, 1, k), "weight": (e, k, n_codes), "offset": (e, 1, n_codes)}
        codes = {part: _checked(arrays, f"{prefix}/codes/{part}", shape) for part, shape in shapes.items()}
        if not (codes["scale"] > 0).all():
            raise ValueError(f"{prefix}/codes/scale holds units that are not above 0")
        prior, centers = ExemplarPrior.stored(**codes), None
        if f"{prefix}/centers" in arrays:
            of_centers = _checked(arrays, f"{prefix}/centers")
            shape = of_centers.shape
            if len(shape) != 3 or shape[::2] != (e, k) or not 1 <= shape[1] <= MOST_EXEMPLARS:
                raise ValueError(f"{prefix}/centers has shape {shape}, not ({e}, centres, {k})")
            if np.abs(of_centers).max() > LARGEST_CODE:
                raise ValueError(f"{prefix}/centers holds numbers beyond {LARGEST_CODE:g}")
            centers = prior.with_codes(of_centers)
        return cls(likelihood, parameters, noise, prior, tuple(held_out.tolist()), score_terms, centers)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """All members: families of them, in the order of FAMILIES."""

    families: tuple[Family, ...]

    @property
    def reference_family(self) -> Family:
        """The family trained with the full weight of the KL: its bound is the ELBO, and its q(z|x) a posterior."""
        return self.families[0]

    @property
    def held_out(self) -> np.ndarray:
        """(e,) the fold that each member was not trained on, family after family."""
        return np.concatenate([family.held_out for family in self.families])

    @property
    def family_of_member(self) -> np.ndarray:
        """(e,) the position in `families` of each member's family."""
        return np.repeat(np.arange(len(self.families)), [len(family.held_out) for family in self.families])

    @property
    def n_members(self) -> int:
        """How many members all families have together: e."""
        return len(self.held_out)

    def without_row_numbers(self) -> Ensemble:
        """The same ensemble for new tables, whose row numbers are not those of the training rows."""
        return Ensemble(tuple(family.without_row_numbers() for family in self.families))

    def on(self, device: str) -> Ensemble:
        """The same ensemble computing on a torch device, in full float32 whatever the environment asks for."""
        import torch

        torch.set_float32_matmul_precision("highest")
        return Ensemble(tuple(family.on(device) for family in self.families))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays: dict[str, np.ndarray] = {}
        for name, family in zip(FAMILIES, self.families, strict=True):
            arrays |= family.to_arrays(name)
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], likelihoods: Sequence[Likelihood], n_features: int
    ) -> Ensemble:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays not written for this table."""
        return cls(
            tuple(
                Family.from_arrays(arrays, name, likelihood, n_features, score_terms)
                for (name, score_terms), likelihood in zip(FAMILIES.items(), likelihoods, strict=True)
            )
        )


def draw_noise(n_noise: int, n_members: int, n_latent: int, seed: int) -> np.ndarray:
    """(s, e, 1, k) float32 standard normal draws in antithetic pairs, so that their mean is exactly zero.

    s is `n_noise`, rounded up to whole pairs.
    """
    rng = np.random.default_rng([seed, 0x5C0BE])
    half = rng.standard_normal(((n_noise + 1) // 2, n_members, 1, n_latent))
    return np.concatenate([half, -half]).astype(np.float32)


def _checked(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The finite float32 array of that name. Raises ValueError when it is not one, or not of the `shape` given."""
    array = arrays[name]
    if array.dtype != np.float32:
        raise ValueError(f"{name} is {array.dtype}, not float32")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")
    return array
