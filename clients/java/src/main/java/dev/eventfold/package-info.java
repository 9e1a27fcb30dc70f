/**
 * A typed client of eventfold, a gRPC event store: {@link dev.eventfold.EventfoldClient} is where
 * to begin.
 *
 * <p>What programs work with has a class of its own here; messages of administration are those of
 * the contract, {@code dev.eventfold.v1}.
 */
package dev.eventfold;
