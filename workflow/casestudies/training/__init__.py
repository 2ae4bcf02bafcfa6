"""What every study that trains a network shares: device, batched ensembles, checkpoints, energy."""
