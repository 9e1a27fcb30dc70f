package dev.eventfold;

import java.time.Duration;

/**
 * A call without an end broke, and is begun again.
 *
 * @param what what the call is about, for people
 * @param error what broke it
 * @param failures failures in a row without anything new, this one included
 * @param pause how long it waits until the next attempt
 * @param position position from which it goes on; 0: from its start, or not known
 */
public record Reconnect(
        String what, EventfoldException error, int failures, Duration pause, long position) {}
