"""What a run takes: what its jobs have used, and what those of a larger one will."""
