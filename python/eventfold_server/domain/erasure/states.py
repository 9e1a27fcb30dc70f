"""The states of an erasure: the numbers of the proto's ErasureState."""

REQUESTED, DESTROYED, EVICTED, SCRUBBED, ANNOUNCED, DONE = 1, 2, 3, 4, 5, 6
