package dev.eventfold;

import dev.eventfold.v1.Cancellation;
import dev.eventfold.v1.CompensateRequest;
import java.time.Instant;
import java.util.List;
import java.util.UUID;

/**
 * Cancels an event that was wrong, and says what would have been right. There is no update of
 * events: the wrong one stays, and an event behind it says so. The ids are made with this object,
 * so that the same one may be sent again.
 */
public final class Compensation {
    private final CompensateRequest.Builder request = CompensateRequest.newBuilder();
    private final Cancellation.Builder cancellation = Cancellation.newBuilder();

    private Compensation(UUID eventId, String reason) {
        request.setEventId(eventId.toString()).setReason(reason);
        cancellation.setId(Uuid7.next().toString());
    }

    /**
     * The cancellation of an event.
     *
     * @param eventId id of the event that was wrong
     * @param reason why, for people; 1 to 1,024 bytes. It stays in the log: nothing personal
     */
    public static Compensation of(UUID eventId, String reason) {
        return new Compensation(eventId, reason);
    }

    /** The event that would have been right, stored right behind the cancellation. */
    public Compensation correction(Event event) {
        request.setCorrection(event.toWire());
        return this;
    }

    /** Type of the cancellation. Default: that of the event, with {@code Cancelled} behind it. */
    public Compensation type(String type) {
        cancellation.setType(type);
        return this;
    }

    /** Id of the cancellation. Default: a new one. */
    public Compensation id(UUID id) {
        cancellation.setId(id.toString());
        return this;
    }

    /** Metadata of the cancellation: a map, a class, or {@link Json}. */
    public Compensation metadata(Object metadata) {
        cancellation.setMetadata(Json.encode(metadata).wire());
        return this;
    }

    /** Tags of the cancellation. */
    public Compensation tags(String... tags) {
        cancellation.addAllTags(List.of(tags));
        return this;
    }

    /** When the mistake was found. Default: when it is recorded. */
    public Compensation occurredAt(Instant time) {
        cancellation.setOccurredAt(Times.toWire(time));
        return this;
    }

    CompensateRequest request(String stream, ExpectedVersion expected) {
        return request.clone()
                .setStream(stream)
                .setExpectedVersion(expected.toWire())
                .setCancellation(cancellation.build())
                .build();
    }
}
