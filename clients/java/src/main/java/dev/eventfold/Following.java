package dev.eventfold;

import dev.eventfold.errors.StoreIncarnationChangedException;
import dev.eventfold.v1.FrameKind;
import dev.eventfold.v1.RecordedEvent;
import dev.eventfold.v1.SubscribeRequest;
import dev.eventfold.v1.SubscribeResponse;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * Follows a subscription: what was taken, and what to ask for when the call breaks.
 *
 * <p>The server gives a token for each frame. Inside of a frame, the place is the token of the
 * frame before with the id of the last event that was taken: a broken call begins again at that
 * token, what was taken already is passed by, and the id is compared in passing. So every place
 * proves that the log is the same, also one in the middle of a frame.
 *
 * <p>Only the thread of the reader changes it; others may look.
 */
final class Following {
    private final SubscribeRequest request;
    // All before the frame under way.
    private Place base;
    private SubscribeResponse frame;
    private int first;
    private int taken;
    // Whether the event that the place names has to be seen yet.
    private boolean unproven;
    private boolean doubtful;
    private long head;
    private boolean caughtUp;

    Following(SubscribeRequest request, Place place) {
        this.request = request;
        this.base = place;
    }

    synchronized long head() {
        return head;
    }

    synchronized boolean isCaughtUp() {
        return caughtUp;
    }

    /** How far the reader is; an event is taken as soon as it was handed out. */
    synchronized Place place() {
        if (frame == null) {
            return base;
        }
        if (taken < frame.getEventsCount()) {
            if (taken == first) {
                return base;
            }
            RecordedEvent last = frame.getEvents(taken - 1);
            return new Place(
                    last.getPosition(),
                    base.resumeToken(),
                    base.tokenPosition(),
                    Optional.of(UUID.fromString(last.getId())));
        }
        if (frame.getResumeToken().isEmpty()) {
            return base;
        }
        return new Place(
                frame.getPosition(),
                ResumeToken.of(frame.getResumeToken()),
                frame.getPosition(),
                Optional.empty());
    }

    /** The request for what is still to come. */
    synchronized SubscribeRequest request() {
        settle();
        caughtUp = false;
        unproven = base.eventId().isPresent();
        SubscribeRequest.Builder next = request.toBuilder();
        if (!base.resumeToken().isEmpty()) {
            next.setResumeToken(base.resumeToken().wire());
        } else if (base.eventId().isPresent()) {
            // With the event itself, to compare it.
            next.setFromPosition(base.position());
        } else if (base.position() > 0) {
            next.setFromPosition(base.position() + 1);
        }
        return next.build();
    }

    private void settle() {
        base = place();
        frame = null;
    }

    /** Takes in the frame that came; false: all of it was taken before. */
    synchronized boolean accept(SubscribeResponse message) {
        settle();
        List<RecordedEvent> events = message.getEventsList();
        int next = 0;
        while (next < events.size() && events.get(next).getPosition() <= base.position()) {
            if (unproven && events.get(next).getPosition() == base.position()) {
                prove(Optional.of(events.get(next)));
            }
            next++;
        }
        head = Math.max(head, message.getHead());
        boolean isOld = message.getPosition() < base.position() && next == events.size();
        FrameKind kind = message.getKind();
        // At the head, what did not come by does not come any more.
        doubtful = unproven && (!isOld || kind == FrameKind.FRAME_KIND_CAUGHT_UP);
        if (isOld) {
            return false;
        }
        if (kind == FrameKind.FRAME_KIND_CAUGHT_UP) {
            caughtUp = true;
        } else if (kind == FrameKind.FRAME_KIND_FELL_BEHIND) {
            caughtUp = false;
        }
        frame = message;
        first = next;
        taken = next;
        return true;
    }

    /** The place whose event did not come by, though it should have: it has to be looked up. */
    synchronized Optional<Place> doubtful() {
        return doubtful ? Optional.of(base) : Optional.empty();
    }

    /** Compares the event at the place with what is stored now; empty: no such event. */
    synchronized void prove(Optional<RecordedEvent> event) {
        boolean isSame =
                event.filter(found -> found.getPosition() == base.position())
                        .filter(found -> found.getId().equals(base.eventId().get().toString()))
                        .isPresent();
        if (!isSame) {
            throw changed();
        }
        unproven = false;
        doubtful = false;
    }

    /** The error of a log that lost what was taken. */
    synchronized StoreIncarnationChangedException changed() {
        return Cursor.changed(base.position(), base.tokenPosition());
    }

    synchronized boolean hasEvent() {
        return frame != null && taken < frame.getEventsCount();
    }

    /** Hands out the next event of the frame. */
    synchronized RecordedEvent take() {
        return frame.getEvents(taken++);
    }

    /** Hands out the frame as a whole. */
    synchronized Frame takeWhole() {
        List<dev.eventfold.RecordedEvent> events =
                frame.getEventsList().subList(first, frame.getEventsCount()).stream()
                        .map(dev.eventfold.RecordedEvent::of)
                        .toList();
        taken = frame.getEventsCount();
        FrameKind kind = frame.getKind();
        // All of a kind that is not known is true of a checkpoint, and a frame whose events were
        // taken before is one.
        boolean isCheckpoint =
                kind == FrameKind.UNRECOGNIZED
                        || kind == FrameKind.FRAME_KIND_UNSPECIFIED
                        || kind == FrameKind.FRAME_KIND_EVENTS && events.isEmpty();
        return new Frame(
                isCheckpoint ? FrameKind.FRAME_KIND_CHECKPOINT : kind,
                events,
                frame.getPosition(),
                ResumeToken.of(frame.getResumeToken()),
                frame.getHead());
    }
}
