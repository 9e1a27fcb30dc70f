"""The eventfold server: gRPC in front, PostgreSQL behind, the Rust core in between."""
