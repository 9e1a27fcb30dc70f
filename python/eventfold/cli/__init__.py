"""The command `eventfold`: one file for each subject, put together in `app`."""

from eventfold.cli.app import app, main

__all__ = ["app", "main"]
