"""Projections under faults: documents with a model each, traffic, and what must hold of tables."""
