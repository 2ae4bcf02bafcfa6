"""What all studies share: splits, scores with intervals, conformal intervals, combination."""
