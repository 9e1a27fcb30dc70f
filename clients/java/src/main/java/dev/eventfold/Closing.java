package dev.eventfold;

import dev.eventfold.v1.CloseStreamRequest;
import dev.eventfold.v1.Follow;
import java.util.UUID;

/**
 * How the books of a stream are closed. The ids of the closing and of the opening event are made
 * with this object, so that the same one may be sent again.
 */
public final class Closing {
    private final CloseStreamRequest.Builder request = CloseStreamRequest.newBuilder();

    private Closing() {
        request.setClosingId(Uuid7.next().toString());
        request.setExpectedVersion(ExpectedVersion.EXISTS.toWire());
    }

    /** Nothing goes on: the stream only ends. */
    public static Closing withoutSuccessor() {
        return new Closing();
    }

    /** Another stream goes on, of the same category and without events. */
    public static Closing withSuccessor(String stream) {
        Closing closing = new Closing();
        closing.request.setSuccessor(stream).setOpeningId(Uuid7.next().toString());
        return closing;
    }

    /** Folds whose states the successor starts from. */
    public Closing carrying(Fold... folds) {
        for (Fold fold : folds) {
            request.addFolds(fold.toWire());
        }
        return this;
    }

    /** The version that the close was decided on. Default: whichever it is. */
    public Closing atVersion(long version) {
        request.setExpectedVersion(ExpectedVersion.exact(version).toWire());
        return this;
    }

    /** Type of the closing event, and what it has beside {@code successor}. */
    public Closing closing(String type, Object data) {
        request.setClosingType(type).setClosingData(Json.encode(data).wire());
        return this;
    }

    /** Type of the opening event, and what it has beside {@code predecessor} and states. */
    public Closing opening(String type, Object data) {
        request.setOpeningType(type).setOpeningData(Json.encode(data).wire());
        return this;
    }

    /** Ids of the closing and of the opening event. Default: new ones. */
    public Closing ids(UUID closing, UUID opening) {
        request.setClosingId(closing.toString()).setOpeningId(opening.toString());
        return this;
    }

    /** A fold whose state the stream was not opened with is folded through all periods. */
    public Closing followAll() {
        request.setFollow(Follow.FOLLOW_ALL);
        return this;
    }

    CloseStreamRequest request(String stream) {
        return request.clone().setStream(stream).build();
    }
}
