"""Pollution aloft from satellite images and a few balloon soundings."""

FIGURES: dict[str, set[str]] = {
    "scores": set(),
    "label_curves": set(),
    "observed_predicted": {"season"},
    "overfitting": set(),
    "reconstruction": {"pca"},
    "latent_traversal": {"pca"},
    "latent_map": {"pca"},
    "autocorrelation": set(),
    "training_curves": {"network"},
    "cost": {"pca"},
}
"""The figures of every data set, and the models without which each cannot be drawn; network is any
autoencoder."""
