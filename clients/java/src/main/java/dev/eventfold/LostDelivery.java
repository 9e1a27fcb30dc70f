package dev.eventfold;

/** A delivery that was settled too late, or not at all. */
record LostDelivery(DeskItem item, EventfoldException error) {}
