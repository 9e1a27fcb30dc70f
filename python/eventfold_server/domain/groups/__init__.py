"""Consumer groups: their administration, and the sessions of consumers."""
