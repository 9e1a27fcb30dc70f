"""Erasing subjects: plans, jobs, receipts, and who runs them."""
