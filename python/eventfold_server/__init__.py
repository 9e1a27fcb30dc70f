"""The eventfold server: gRPC services over a domain over PostgreSQL."""
