"""Deleting streams: plans, jobs, and who runs them."""
