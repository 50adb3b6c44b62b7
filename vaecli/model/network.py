"""The variational autoencoder's two networks: the one definition of its maths.

    p(z) = N(0, I)      p(x|z) = Π_j p(x_j|z)      q(z|x) = N(μ(x), diag σ²(x))
    ELBO(x) = E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))                  Kingma & Welling 2014, equation 3

An ensemble of e members is one set of parameters with a leading axis, so all members are trained and
scored by one batched matrix product. Encoder and decoder are two-layer perceptrons beside a linear path: with
the hidden part at zero the model is probabilistic PCA (Tipping & Bishop 1999), where training starts.

Pure functions of arrays, NumPy or torch (see `array_namespace`). Shapes: n rows, d features, c columns, i encoder
inputs, h hidden units, k latent dimensions, p decoder outputs, s Monte Carlo samples, e members.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import MISSING
from vaecli.model.array_namespace import Array, affine, leaky, like, namespace, plus, product
from vaecli.model.likelihoods.likelihood import Likelihood

Parameters = dict[str, Array]

MAX_LATENT_LOG_VARIANCE = 10.0
LEAK = 0.1
MOST_AT_ONCE = 2**23  # activations of the widest layer for the draws in memory at a time; what follows takes tenfold


@dataclass(frozen=True, slots=True)
class Elbo:
    """A lower bound on log p(x) as its two terms, in nats, float32."""

    column_log_prob: Array  # (e, n, c) E_q[log p(x_j|z)]
    kl: Array  # (e, n) KL(q(z|x) ‖ p(z))

    @property
    def value(self) -> Array:
        """The bound itself (e, n); higher is more normal."""
        return self.column_log_prob.sum(-1) - self.kl


def shapes(n_features: int, likelihood: Likelihood, n_latent: int, n_hidden: int) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of one member, by name: i inputs, h hidden, k latent, p outputs."""
    i, h, k, p = n_features + likelihood.has_missing.size, n_hidden, n_latent, likelihood.n_parameters
    return {
        "encoder.0.w": (i, h),
        "encoder.0.b": (1, h),
        "encoder.1.w": (h, h),
        "encoder.1.b": (1, h),
        "encoder.mean.w": (h, k),
        "encoder.mean.b": (1, k),
        "encoder.skip.w": (i, k),
        "encoder.log_variance.w": (h, k),
        "encoder.log_variance.b": (1, k),
        "decoder.0.w": (k, h),
        "decoder.0.b": (1, h),
        "decoder.1.w": (h, h),
        "decoder.1.b": (1, h),
        "decoder.out.w": (h, p),
        "decoder.out.b": (1, p),
        "decoder.skip.w": (k, p),
    }


def check_shapes(
    parameters: Parameters, likelihood: Likelihood, n_features: int, *, n_members: int, n_latent: int
) -> None:
    """Raise ValueError unless the parameters are those of an ensemble for this table."""
    if "encoder.0.b" not in parameters or parameters["encoder.0.b"].ndim != 3:
        raise ValueError("network/encoder.0.b is missing or not a stack of members")
    expected = shapes(n_features, likelihood, n_latent, parameters["encoder.0.b"].shape[-1])
    if parameters.keys() != expected.keys():
        raise ValueError(f"network parameters differ: {sorted(parameters.keys() ^ expected.keys())}")
    for name, shape in expected.items():
        if parameters[name].shape != (n_members, *shape):
            raise ValueError(f"network/{name} has shape {parameters[name].shape}, not {(n_members, *shape)}")


def encoder_inputs(features: Array, state: Array | None, has_missing: np.ndarray) -> Array:
    """Inputs (…, n, i): features (…, n, d), and by `state` (n, c) which cells of `has_missing` (g,) are missing."""
    if not has_missing.size or state is None:
        return features
    xp = namespace(features)
    missing = (state == MISSING)[..., like(has_missing, features)] * like(np.ones((), np.float32), features)
    return xp.concatenate([features, xp.broadcast_to(missing, (*features.shape[:-1], has_missing.size))], -1)


def posterior(parameters: Parameters, inputs: Array) -> tuple[Array, Array]:
    """Mean and log-variance of q(z|x), each (e, n, k), for inputs (n, i) or (e, n, i)."""
    xp = namespace(inputs)
    hidden = _hidden(parameters, "encoder", inputs)
    log_variance = affine(hidden, parameters["encoder.log_variance.w"], parameters["encoder.log_variance.b"])
    log_variance = xp.clip(log_variance, -MAX_LATENT_LOG_VARIANCE, MAX_LATENT_LOG_VARIANCE)
    return _mean(parameters, hidden, inputs), log_variance


def posterior_mean(parameters: Parameters, inputs: Array) -> Array:
    """The mean of q(z|x) alone, (e, n, k), for inputs as in `posterior` and the same to the bit."""
    return _mean(parameters, _hidden(parameters, "encoder", inputs), inputs)


def _mean(parameters: Parameters, hidden: Array, inputs: Array) -> Array:
    mean = affine(hidden, parameters["encoder.mean.w"], parameters["encoder.mean.b"])
    return plus(mean, product(inputs, parameters["encoder.skip.w"]))


def decode(parameters: Parameters, z: Array) -> Array:
    """The parameters of p(x|z), (…, e, n, p), for z (…, e, n, k)."""
    output = affine(_hidden(parameters, "decoder", z), parameters["decoder.out.w"], parameters["decoder.out.b"])
    return plus(output, product(z, parameters["decoder.skip.w"]))


def _hidden(parameters: Parameters, part: str, inputs: Array) -> Array:
    """Activation max(v, 0.1 v): the cheapest one whose gradient never dies."""
    hidden = leaky(affine(inputs, parameters[f"{part}.0.w"], parameters[f"{part}.0.b"]), LEAK)
    hidden = affine(hidden, parameters[f"{part}.1.w"], parameters[f"{part}.1.b"])  # which lets go of the first layer
    return leaky(hidden, LEAK)


def kl_to_prior(mean: Array, log_variance: Array) -> Array:
    """KL(N(mean, exp(log_variance)) ‖ N(0, I)) in nats, (…, n), for (…, n, k). Kingma & Welling 2014, appendix B."""
    if isinstance(mean, np.ndarray) and mean.dtype == np.float32:
        parts = np.exp(log_variance)
        parts -= log_variance
        parts += np.square(mean)
        half = np.full((mean.shape[-1], 1), 0.5, np.float32)
        return product(parts, half)[..., 0] - np.float32(0.5 * mean.shape[-1])
    xp = namespace(mean)
    return 0.5 * (mean**2 + xp.exp(log_variance) - log_variance - 1.0).sum(-1)


@dataclass(frozen=True, slots=True)
class Forward:
    """One pass through both networks: z_s = μ + σ·noise_s, and the log-probability of each cell given z_s."""

    mean: Array  # (e, n, k) of q(z|x)
    log_variance: Array  # (e, n, k) of q(z|x)
    noise: Array  # (s, e, n or 1, k) standard normal
    log_prob: Array  # (s, e, n, c) log p(x_j|z_s)


def encode(parameters: Parameters, likelihood: Likelihood, features: Array, state: Array | None) -> tuple[Array, Array]:
    """Mean and log-variance of q(z|x), each (e, n, k), for preprocessed features (n, d) and their `state` (n, c)."""
    x = likelihood.to_likelihood_space(features, state)
    return posterior(parameters, encoder_inputs(x, state, likelihood.has_missing))


def forward(
    parameters: Parameters, likelihood: Likelihood, features: Array, state: Array | None, noise: Array
) -> Forward:
    """Encode n rows, draw z by reparameterisation with the given `noise`, decode, and evaluate p(x|z).

    `features` (n, d) are preprocessed; `noise` (s, e, n or 1, k) is standard normal, or zeros for z = μ.
    """
    return forward_in_likelihood_space(
        parameters, likelihood, likelihood.to_likelihood_space(features, state), state, noise
    )


def forward_in_likelihood_space(
    parameters: Parameters, likelihood: Likelihood, x: Array, state: Array | None, noise: Array
) -> Forward:
    """Run `forward` on features `x` in the likelihood's space: (n, d), or (e, n, d) if members differ."""
    xp = namespace(x)
    mean, log_variance = posterior(parameters, encoder_inputs(x, state, likelihood.has_missing))
    z = mean + xp.exp(0.5 * log_variance) * noise
    return Forward(mean, log_variance, noise, likelihood.column_log_prob(decode(parameters, z), x, state))


def elbo(passed: Forward) -> Elbo:
    """The bound for each row; the KL term is exact, the expectation of log p(x|z) a mean over the s draws."""
    return Elbo(passed.log_prob.mean(0), kl_to_prior(passed.mean, passed.log_variance))


def elbo_by_draws(parameters: Parameters, likelihood: Likelihood, x: Array, state: Array | None, noise: Array) -> Elbo:
    """`elbo` of `forward_in_likelihood_space` for the same `x` (n, d) or (e, n, d); on the CPU the same to the bit.

    Only some of the s draws of `noise` (s, e, n or 1, k) are in memory at a time.
    """
    widest = max(parameters[name].shape[-1] for name in ("decoder.0.b", "decoder.out.b"))
    n_draws = max(1, MOST_AT_ONCE // (noise.shape[1] * x.shape[-2] * widest))
    parts = (noise[start : start + n_draws] for start in range(0, noise.shape[0], n_draws))
    bound = forward_in_likelihood_space(parameters, likelihood, x, state, next(parts))
    if n_draws >= noise.shape[0]:
        return elbo(bound)
    total, kl = bound.log_prob.sum(0), kl_to_prior(bound.mean, bound.log_variance)
    del bound
    for part in parts:
        for log_prob in forward_in_likelihood_space(parameters, likelihood, x, state, part).log_prob:
            total = total + log_prob  # one by one, as NumPy adds along the first axis
    return Elbo(total / noise.shape[0], kl)
