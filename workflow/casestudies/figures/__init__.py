"""One style for all figures, and the plots that studies share."""
