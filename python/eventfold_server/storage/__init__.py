"""The truth in PostgreSQL; nothing else imports its driver."""
