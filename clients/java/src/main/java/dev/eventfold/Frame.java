package dev.eventfold;

import dev.eventfold.v1.FrameKind;
import java.util.List;

/**
 * A part of a subscription: some events, or news of how far it is.
 *
 * @param kind what it says
 * @param events its events; those that were taken before are not among them
 * @param position everything up to here was looked at, and what passed the filter was delivered
 * @param resumeToken stands for {@code position} on this very log
 * @param head head of the log as the server knew it
 */
public record Frame(
        FrameKind kind,
        List<RecordedEvent> events,
        long position,
        ResumeToken resumeToken,
        long head) {}
