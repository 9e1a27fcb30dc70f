"""The states of a deletion: the numbers of the proto's DeletionState."""

NOTING, EMPTYING, CLEANING, DONE = 1, 2, 3, 4
