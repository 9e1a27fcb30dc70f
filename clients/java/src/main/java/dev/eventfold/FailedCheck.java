package dev.eventfold;

import dev.eventfold.v1.SchemaViolation;
import java.util.List;
import java.util.OptionalInt;

/**
 * A demand on one stream that the store did not meet.
 *
 * @param stream name of the stream
 * @param actualVersion the version at which it is
 * @param error why, as {@code append} would have thrown it
 * @param appendIndex its place among the appends, from 0; empty: it is one of the checks
 * @param checkIndex its place among the checks, from 0; empty: it is one of the appends
 * @param violations where its events do not fit their schemas, at most 1,000
 */
public record FailedCheck(
        String stream,
        long actualVersion,
        EventfoldException error,
        OptionalInt appendIndex,
        OptionalInt checkIndex,
        List<SchemaViolation> violations) {
    static FailedCheck of(dev.eventfold.v1.FailedCheck check) {
        return new FailedCheck(
                check.getStream(),
                check.getActualVersion(),
                Failures.ofStatus(check.getRefused()),
                check.hasAppendIndex()
                        ? OptionalInt.of(check.getAppendIndex())
                        : OptionalInt.empty(),
                check.hasCheckIndex()
                        ? OptionalInt.of(check.getCheckIndex())
                        : OptionalInt.empty(),
                List.copyOf(check.getViolationsList()));
    }
}
