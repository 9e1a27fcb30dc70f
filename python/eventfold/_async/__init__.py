"""The asynchronous client, written by hand. `eventfold._sync` is generated from it."""
