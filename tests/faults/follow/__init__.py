"""Random histories of subscriptions: traffic, faults, what was recorded, and what must be true."""
