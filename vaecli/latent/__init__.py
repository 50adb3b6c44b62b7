"""What the latent code is used for: encoding, reconstruction, sampling, maps."""
