"""Projections: folds of the log that are kept as tables."""
