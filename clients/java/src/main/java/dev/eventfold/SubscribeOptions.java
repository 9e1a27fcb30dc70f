package dev.eventfold;

import com.google.protobuf.Empty;
import dev.eventfold.v1.Copies;
import dev.eventfold.v1.SubscribeRequest;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.function.Consumer;

/**
 * Which events to follow, and from where on. All that is set must hold. Default of the start: the
 * first event of the log, or of the stream. The last start that is named counts.
 */
public final class SubscribeOptions {
    private final SubscribeRequest.Builder request = SubscribeRequest.newBuilder();
    private Place place = Place.BEGINNING;
    private Duration giveUpAfter;
    private Consumer<Reconnect> onReconnect = news -> {};

    private SubscribeOptions() {}

    /** All events of the log but the system's. */
    public static SubscribeOptions log() {
        return new SubscribeOptions();
    }

    /** The events of one stream, which need not exist yet. */
    public static SubscribeOptions stream(String name) {
        SubscribeOptions options = new SubscribeOptions();
        options.request.setStream(name);
        return options;
    }

    /** The events of these categories; at most 100. */
    public static SubscribeOptions categories(String... categories) {
        SubscribeOptions options = new SubscribeOptions();
        options.request.addAllCategories(List.of(categories));
        return options;
    }

    /** Only events of these types; at most 100. */
    public SubscribeOptions types(String... types) {
        request.addAllTypes(List.of(types));
        return this;
    }

    /** Only events that have all of these tags; at most 64. */
    public SubscribeOptions tags(String... tags) {
        request.addAllTags(List.of(tags));
        return this;
    }

    /** Only events for which this CEL expression over {@code event} and {@code meta} is true. */
    public SubscribeOptions where(String expression) {
        request.setWhere(expression);
        return this;
    }

    /** Also events of streams whose name starts with {@code $}. */
    public SubscribeOptions includeSystemEvents() {
        request.setIncludeSystemEvents(true);
        return this;
    }

    /** Whether copies, which transforms have made of other events, are among the events. */
    public SubscribeOptions copies(Copies copies) {
        request.setCopies(copies);
        return this;
    }

    /** Data as it is stored, without the mappings in force. */
    public SubscribeOptions raw() {
        request.setRaw(true);
        return this;
    }

    /** Begins behind this place, which an earlier subscription told. */
    public SubscribeOptions from(Place place) {
        request.clearStart();
        this.place = place;
        return this;
    }

    /** Begins behind what this token of a frame or of a read stands for. */
    public SubscribeOptions from(ResumeToken token) {
        return from(token.isEmpty() ? Place.BEGINNING : Place.of(token));
    }

    /** Begins with this position, inclusive, at least 1, at most head + 1. */
    public SubscribeOptions fromPosition(long position) {
        from(Place.BEGINNING).request.setFromPosition(position);
        return this;
    }

    /** Begins with this version of the stream, inclusive, at least 1. */
    public SubscribeOptions fromVersion(long version) {
        from(Place.BEGINNING).request.setFromVersion(version);
        return this;
    }

    /** Begins with the first event recorded at or after this time. */
    public SubscribeOptions fromRecordedAt(Instant time) {
        from(Place.BEGINNING).request.setFromRecordedAt(Times.toWire(time));
        return this;
    }

    /** Begins behind the head. */
    public SubscribeOptions fromNow() {
        from(Place.BEGINNING).request.setNow(Empty.getDefaultInstance());
        return this;
    }

    /** How long a broken call is begun again until its error is thrown. Default: without limit. */
    public SubscribeOptions giveUpAfter(Duration limit) {
        giveUpAfter = limit;
        return this;
    }

    /** Told when the call broke, before the pause. */
    public SubscribeOptions onReconnect(Consumer<Reconnect> told) {
        onReconnect = told;
        return this;
    }

    Subscription begin(Calls calls) {
        String about =
                request.getCategoriesCount() > 0
                        ? String.join(", ", request.getCategoriesList())
                        : request.getStream().isEmpty() ? "the log" : request.getStream();
        Reconnects reconnects =
                new Reconnects(
                        "subscription to " + about, calls.timeout(), giveUpAfter, onReconnect);
        return new Subscription(calls, new Following(request.clone().build(), place), reconnects);
    }
}
