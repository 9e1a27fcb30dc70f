package dev.eventfold;

/**
 * An aggregate that was folded here.
 *
 * @param <S> class of the state
 * @param state its state
 * @param version the version to expect in an append decided on it; 0: the stream has no event
 * @param stream the stream that the version is of
 */
public record Aggregate<S>(S state, long version, String stream) {}
