package dev.eventfold;

import dev.eventfold.v1.EraseRequest;
import dev.eventfold.v1.ErasureJob;
import dev.eventfold.v1.ErasurePlan;
import dev.eventfold.v1.ErasuresGrpc;
import dev.eventfold.v1.GetErasureRequest;
import dev.eventfold.v1.GetErasureResponse;
import dev.eventfold.v1.LegalHold;
import dev.eventfold.v1.ListErasuresRequest;
import dev.eventfold.v1.ListErasuresResponse;
import dev.eventfold.v1.ListLegalHoldsRequest;
import dev.eventfold.v1.ListLegalHoldsResponse;
import dev.eventfold.v1.PlanEraseRequest;
import dev.eventfold.v1.PutLegalHoldRequest;
import dev.eventfold.v1.ReleaseLegalHoldRequest;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;

/** Erasing subjects: plans, jobs, receipts, and legal holds, as the contract has them. */
public final class Erasures {
    private final Calls calls;

    Erasures(Calls calls) {
        this.calls = calls;
    }

    /** Says what an erasure would do, and changes nothing. */
    public ErasurePlan plan(String subject) {
        PlanEraseRequest request = PlanEraseRequest.newBuilder().setSubject(subject).build();
        return calls.unary(ErasuresGrpc.getPlanEraseMethod(), request).getPlan();
    }

    /**
     * Begins to erase a subject, which cannot be taken back.
     *
     * @param subject named like a stream, {@code User-456}
     * @param reason why, for people; no personal data
     * @throws dev.eventfold.errors.LegalHoldException a hold forbids it
     */
    public ErasureJob erase(String subject, String reason) {
        return erase(
                EraseRequest.newBuilder()
                        .setSubject(subject)
                        .setReason(reason)
                        .setRequestId(Uuid7.next().toString())
                        .build());
    }

    /** Begins to erase a subject; with the digest of a plan, only if it still holds. */
    public ErasureJob erase(EraseRequest request) {
        return calls.unary(ErasuresGrpc.getEraseMethod(), request).getErasure();
    }

    /** A job, and its receipt once it is done. */
    public GetErasureResponse get(UUID erasureId) {
        return calls.unary(
                ErasuresGrpc.getGetErasureMethod(),
                GetErasureRequest.newBuilder().setErasureId(erasureId.toString()).build());
    }

    /** The receipt of a job, a JSON document; empty: it is not done. */
    public Optional<Json> receipt(UUID erasureId) {
        return Times.text(get(erasureId).getReceipt()).map(Json::of);
    }

    /** Lists all jobs, the newest first. */
    public Stream<ErasureJob> list() {
        return list(ListErasuresRequest.getDefaultInstance());
    }

    /** Lists jobs, the newest first. The page token of the request does not count. */
    public Stream<ErasureJob> list(ListErasuresRequest request) {
        return Pages.of(
                token ->
                        calls.unary(
                                ErasuresGrpc.getListErasuresMethod(),
                                request.toBuilder().setPageToken(token).build()),
                ListErasuresResponse::getErasuresList,
                ListErasuresResponse::getNextPageToken);
    }

    /** Holds a subject, so that it is not erased until the hold is released. */
    public LegalHold holdSubject(String name, String subject, String reason) {
        return hold(
                PutLegalHoldRequest.newBuilder()
                        .setName(name)
                        .setSubject(subject)
                        .setReason(reason)
                        .build());
    }

    /** Holds a stream, so that it is not deleted until the hold is released. */
    public LegalHold holdStream(String name, String stream, String reason) {
        return hold(
                PutLegalHoldRequest.newBuilder()
                        .setName(name)
                        .setStream(stream)
                        .setReason(reason)
                        .build());
    }

    private LegalHold hold(PutLegalHoldRequest request) {
        return calls.unary(ErasuresGrpc.getPutLegalHoldMethod(), request).getHold();
    }

    /** Releases a hold. */
    public void releaseHold(String name) {
        calls.unary(
                ErasuresGrpc.getReleaseLegalHoldMethod(),
                ReleaseLegalHoldRequest.newBuilder().setName(name).build());
    }

    /** Lists holds in byte order of their names. */
    public Stream<LegalHold> listHolds() {
        return Pages.of(
                token ->
                        calls.unary(
                                ErasuresGrpc.getListLegalHoldsMethod(),
                                ListLegalHoldsRequest.newBuilder().setPageToken(token).build()),
                ListLegalHoldsResponse::getHoldsList,
                ListLegalHoldsResponse::getNextPageToken);
    }
}
