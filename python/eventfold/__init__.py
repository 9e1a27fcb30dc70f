"""eventfold: append events to streams and fold them into aggregates."""
