"""The generated messages and stubs of `proto/eventfold/v1`; `make generate` renews them."""
