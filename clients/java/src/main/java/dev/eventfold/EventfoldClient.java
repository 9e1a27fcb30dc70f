package dev.eventfold;

import dev.eventfold.errors.ChecksFailedException;
import dev.eventfold.errors.StreamNotFoundException;
import dev.eventfold.v1.AppendManyRequest;
import dev.eventfold.v1.AppendManyResponse;
import dev.eventfold.v1.CompensateRequest;
import dev.eventfold.v1.EventStoreGrpc;
import dev.eventfold.v1.FoldsGrpc;
import dev.eventfold.v1.GetEventRequest;
import dev.eventfold.v1.GetStreamRequest;
import dev.eventfold.v1.ListStreamsRequest;
import dev.eventfold.v1.WatchRequest;
import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * A client of eventfold. It is safe for threads, connects with its first call, and is closed when
 * it is not needed any more.
 *
 * <p>Every call throws {@link EventfoldException}, or one of the classes of {@link
 * dev.eventfold.errors}. A call has the timeout of the client for all of its repetitions; {@link
 * #withTimeout} gives a view with another one. A thread that is interrupted while it waits gets a
 * {@link java.util.concurrent.CancellationException}.
 */
public final class EventfoldClient implements AutoCloseable {
    private final Calls calls;
    private final boolean isOwner;

    EventfoldClient(Calls calls) {
        this(calls, true);
    }

    private EventfoldClient(Calls calls, boolean isOwner) {
        this.calls = calls;
        this.isOwner = isOwner;
    }

    /** A client in plain text, without a token. */
    public static EventfoldClient connect(String target) {
        return builder(target).build();
    }

    /**
     * A client that is told more.
     *
     * @param target {@code host:port}
     */
    public static ClientBuilder builder(String target) {
        return new ClientBuilder(target);
    }

    /** The name of the stream of an aggregate, {@code category-id}. */
    public static String streamName(String category, String id) {
        return Aggregates.streamName(category, id);
    }

    /** The same client with another timeout; closing this view does nothing. */
    public EventfoldClient withTimeout(Duration timeout) {
        return new EventfoldClient(calls.withTimeout(timeout), false);
    }

    // The log.

    /**
     * Appends events to a stream: all of them are stored, or none. Events have ids, so the call is
     * repeated by itself when the connection breaks, and may be repeated with the same objects.
     *
     * @param stream name of the stream, {@code category-id}, at most 255 bytes
     * @param events 1 to 1,000 events, at most 3 MiB together
     * @param expected what the stream is to be like
     * @throws dev.eventfold.errors.VersionConflictException the stream is at another version
     * @throws dev.eventfold.errors.OutcomeUnknownException the events may be stored or not
     */
    public AppendResult append(String stream, List<Event> events, ExpectedVersion expected) {
        return Appends.append(calls, stream, events, expected, false);
    }

    /** Appends to a stream at a version; 0: it has no event yet. */
    public AppendResult append(String stream, List<Event> events, long expectedVersion) {
        return append(stream, events, ExpectedVersion.exact(expectedVersion));
    }

    /**
     * Appends to a stream at any version; where it is closed, to the open stream at the end of its
     * line of periods, which the result names.
     */
    public AppendResult appendFollowing(String stream, List<Event> events) {
        return Appends.append(calls, stream, events, ExpectedVersion.ANY, true);
    }

    /**
     * Appends to several streams: all events are stored, or none.
     *
     * @param appends at least one; each stream once
     * @param checks streams that are not written to, and what each is to be like
     * @return the result of each append, in order
     * @throws ChecksFailedException demands were not met; it lists all of them
     */
    public List<AppendResult> appendMany(
            List<StreamAppend> appends, Map<String, ExpectedVersion> checks) {
        AppendManyRequest request = Appends.many(appends, checks);
        AppendManyResponse answer = calls.unary(EventStoreGrpc.getAppendManyMethod(), request);
        return Appends.results(answer);
    }

    /** Cancels an event that was wrong, and stores what would have been right. */
    public AppendResult compensate(
            String stream, Compensation compensation, ExpectedVersion expected) {
        CompensateRequest request = compensation.request(stream, expected);
        return AppendResult.of(
                calls.unary(EventStoreGrpc.getCompensateMethod(), request).getAppended());
    }

    /** Closes the books of a stream, and opens the one that goes on. */
    public ClosedStream closeStream(String stream, Closing closing) {
        return ClosedStream.of(
                stream,
                calls.unary(EventStoreGrpc.getCloseStreamMethod(), closing.request(stream)));
    }

    /** Reads a stream from its first event to the last. */
    public EventReader read(String stream) {
        return read(stream, ReadOptions.all());
    }

    /**
     * Reads a stream, as it stood when the read began. Errors come when the events are asked for.
     */
    public EventReader read(String stream, ReadOptions options) {
        return new EventReader(calls, new Cursor.OfStream(options.request(stream)));
    }

    /** Reads the log in the order of commits, as it stood when the read began. */
    public EventReader readAll(ReadAllOptions options) {
        return new EventReader(calls, new Cursor.OfLog(options.request()));
    }

    /**
     * Reads one event by its id.
     *
     * @throws dev.eventfold.errors.EventNotFoundException there is none
     */
    public RecordedEvent getEvent(UUID id) {
        GetEventRequest request = GetEventRequest.newBuilder().setId(id.toString()).build();
        return RecordedEvent.of(
                calls.unary(EventStoreGrpc.getGetEventMethod(), request).getEvent());
    }

    /** Describes a stream. One that never had an event has version 0: that is no error. */
    public StreamInfo getStream(String name) {
        GetStreamRequest request = GetStreamRequest.newBuilder().setName(name).build();
        try {
            return StreamInfo.of(
                    calls.unary(EventStoreGrpc.getGetStreamMethod(), request).getStream());
        } catch (StreamNotFoundException error) {
            return StreamInfo.neverWritten(name);
        }
    }

    /** Lists the streams of a category in byte order of their names; empty: of all. */
    public Stream<StreamInfo> listStreams(String category) {
        return listStreams(ListStreamsRequest.newBuilder().setCategory(category).build());
    }

    /** Lists streams, page after page. The page token of the request does not count. */
    public Stream<StreamInfo> listStreams(ListStreamsRequest request) {
        return Pages.of(
                token ->
                        calls.unary(
                                EventStoreGrpc.getListStreamsMethod(),
                                request.toBuilder().setPageToken(token).build()),
                page -> page.getStreamsList().stream().map(StreamInfo::of).toList(),
                page -> page.getNextPageToken());
    }

    // Aggregates.

    /** Folds an aggregate into its state, as JSON. */
    public Hydrated<Json> hydrate(String category, String id, Fold fold) {
        return hydrate(category, id, fold, Json.class);
    }

    /** Folds an aggregate into its state, as an object of a class. */
    public <T> Hydrated<T> hydrate(String category, String id, Fold fold, Class<T> type) {
        return hydrate(category, id, fold, type, HydrateOptions.atHead());
    }

    /**
     * Folds the events of an aggregate into its state, on the server and consistently.
     *
     * @param type class of the state: a record, a bean, a map, or {@link Json}
     */
    public <T> Hydrated<T> hydrate(
            String category, String id, Fold fold, Class<T> type, HydrateOptions options) {
        return hydrateStream(streamName(category, id), fold, type, options);
    }

    /** Folds the events of a stream, named as a whole. */
    public <T> Hydrated<T> hydrateStream(
            String stream, Fold fold, Class<T> type, HydrateOptions options) {
        return Hydrated.of(
                calls.unary(FoldsGrpc.getHydrateMethod(), options.request(stream, fold)), type);
    }

    /** Folds many streams with one fold; each state is consistent with its stream. */
    public <T> HydratedMany<T> hydrateMany(
            Collection<String> streams, Fold fold, Class<T> type) {
        return hydrateMany(streams, fold, type, 0);
    }

    /** The same, when the log has a position. */
    public <T> HydratedMany<T> hydrateMany(
            Collection<String> streams, Fold fold, Class<T> type, long atLeastPosition) {
        return HydratedMany.of(calls, streams, fold.toWire(), type, atLeastPosition);
    }

    /** Folds the events of an aggregate here. */
    public <S> Aggregate<S> readAggregate(String category, String id, Handlers<S> handlers) {
        return Aggregates.read(this, streamName(category, id), handlers, ReadOptions.all());
    }

    /** Folds the events of an aggregate here, through all streams of its line of periods. */
    public <S> Aggregate<S> readAggregateFollowing(
            String category, String id, Handlers<S> handlers) {
        ReadOptions options = ReadOptions.all().followAll();
        return Aggregates.read(this, streamName(category, id), handlers, options);
    }

    /** Reads an aggregate, decides, and appends; five times at the most. */
    public <T> Optional<AppendResult> retry(
            String category,
            String id,
            Fold fold,
            Class<T> type,
            Function<? super T, List<Event>> decide) {
        return retry(category, id, fold, type, decide, RetryOptions.DEFAULT);
    }

    /**
     * Reads an aggregate, decides, and appends; again from the start when it has moved.
     *
     * @param decide called once an attempt, so it should depend on the state alone; an empty list
     *     appends nothing, and an exception ends all
     * @return where the events stand; empty: there were none
     * @throws dev.eventfold.errors.VersionConflictException it moved in every attempt
     */
    public <T> Optional<AppendResult> retry(
            String category,
            String id,
            Fold fold,
            Class<T> type,
            Function<? super T, List<Event>> decide,
            RetryOptions options) {
        String stream = streamName(category, id);
        return Aggregates.retry(
                this,
                () -> {
                    HydrateOptions at = HydrateOptions.atHead();
                    at = options.followAll() ? at.followAll() : at.followOpen();
                    Hydrated<T> found = hydrateStream(stream, fold, type, at);
                    return new Aggregate<>(
                            found.state(), found.version(), found.stream().orElse(stream));
                },
                decide,
                options);
    }

    /** The same with a state that is folded here. */
    public <S> Optional<AppendResult> retry(
            String category,
            String id,
            Handlers<S> handlers,
            Function<? super S, List<Event>> decide,
            RetryOptions options) {
        String stream = streamName(category, id);
        return Aggregates.retry(
                this,
                () -> {
                    ReadOptions all = ReadOptions.all();
                    all = options.followAll() ? all.followAll() : all.followOpen();
                    return Aggregates.read(this, stream, handlers, all);
                },
                decide,
                options);
    }

    /**
     * The state of a stream now, and again after every event that it gets.
     *
     * @param fromVersion first version whose state comes; 0: that of the head
     */
    public <T> Watch<T> watch(String stream, Fold fold, Class<T> type, long fromVersion) {
        WatchRequest request =
                WatchRequest.newBuilder()
                        .setStream(stream)
                        .setFold(fold.toWire())
                        .setFromVersion(fromVersion)
                        .build();
        Reconnects reconnects =
                new Reconnects("watch of " + stream, calls.timeout(), null, news -> {});
        return new Watch<>(calls, request, type, reconnects);
    }

    // Following.

    /** Follows the log, categories or a stream: what is stored, then what is appended. */
    public Subscription subscribe(SubscribeOptions options) {
        return options.begin(calls);
    }

    /** Consumes the events of a group, at least once each; its consumers share the work. */
    public GroupConsumer consume(String group) {
        return consume(group, ConsumeOptions.named(""));
    }

    /** Consumes the events of a group. */
    public GroupConsumer consume(String group, ConsumeOptions options) {
        return options.begin(calls, group);
    }

    // The other services.

    /** The registry of folds. */
    public Folds folds() {
        return new Folds(calls);
    }

    /** Consumer groups. */
    public Groups groups() {
        return new Groups(calls);
    }

    /** Projections, and queries of them. */
    public Projections projections() {
        return new Projections(calls);
    }

    /** Privacy rules. */
    public Privacy privacy() {
        return new Privacy(calls);
    }

    /** Erasing subjects, and legal holds. */
    public Erasures erasures() {
        return new Erasures(calls);
    }

    /** Subjects: where their values are, and their keys. */
    public Subjects subjects() {
        return new Subjects(calls);
    }

    /** Deleting streams. */
    public Deletion deletion() {
        return new Deletion(calls);
    }

    /** Links: which stream belongs to which. */
    public Links links() {
        return new Links(calls);
    }

    /** Every call of the contract. */
    public RawCalls raw() {
        return new RawCalls(calls);
    }

    /** Ends the connection; calls under way fail. */
    @Override
    public void close() {
        if (isOwner) {
            calls.connection().close();
        }
    }
}
