"""Four applied machine-learning studies, from raw data to the figures of a report."""

__version__ = "0.1.0"
