"""The conformance suite: cases that every client of eventfold must pass, and a Python runner."""
