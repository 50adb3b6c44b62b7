"""The variational autoencoder: likelihoods, networks, exemplar prior, ensemble, devices."""
