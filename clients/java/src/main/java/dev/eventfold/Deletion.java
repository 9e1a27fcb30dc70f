package dev.eventfold;

import dev.eventfold.v1.DeleteStreamRequest;
import dev.eventfold.v1.DeletionGrpc;
import dev.eventfold.v1.DeletionJob;
import dev.eventfold.v1.DeletionPlan;
import dev.eventfold.v1.GetDeletionRequest;
import dev.eventfold.v1.GetDeletionResponse;
import dev.eventfold.v1.ListDeletionsRequest;
import dev.eventfold.v1.ListDeletionsResponse;
import dev.eventfold.v1.PlanDeleteRequest;
import java.util.UUID;
import java.util.stream.Stream;

/** Deleting what events of streams hold: plans and jobs, as the contract has them. */
public final class Deletion {
    private final Calls calls;

    Deletion(Calls calls) {
        this.calls = calls;
    }

    /** Says what a deletion would do, and changes nothing. */
    public DeletionPlan plan(String stream) {
        PlanDeleteRequest request = PlanDeleteRequest.newBuilder().setStream(stream).build();
        return calls.unary(DeletionGrpc.getPlanDeleteMethod(), request).getPlan();
    }

    /**
     * Deletes a stream and what goes with it, which cannot be taken back.
     *
     * @param reason why, for people; no personal data
     * @throws dev.eventfold.errors.DeletionRestrictedException links forbid it
     */
    public DeletionJob delete(String stream, ExpectedVersion expected, String reason) {
        return delete(
                DeleteStreamRequest.newBuilder()
                        .setStream(stream)
                        .setExpectedVersion(expected.toWire())
                        .setReason(reason)
                        .build());
    }

    /** Deletes a stream; with the digest of a plan, only if it still holds. */
    public DeletionJob delete(DeleteStreamRequest request) {
        return calls.unary(DeletionGrpc.getDeleteStreamMethod(), request).getDeletion();
    }

    /** A job, and up to 1,000 of its streams. */
    public GetDeletionResponse get(UUID deletionId) {
        return calls.unary(
                DeletionGrpc.getGetDeletionMethod(),
                GetDeletionRequest.newBuilder()
                        .setDeletionId(deletionId.toString())
                        .setPageSize(1_000)
                        .build());
    }

    /** Lists jobs, the newest first. */
    public Stream<DeletionJob> list() {
        return Pages.of(
                token ->
                        calls.unary(
                                DeletionGrpc.getListDeletionsMethod(),
                                ListDeletionsRequest.newBuilder().setPageToken(token).build()),
                ListDeletionsResponse::getDeletionsList,
                ListDeletionsResponse::getNextPageToken);
    }
}
