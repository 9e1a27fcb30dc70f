package dev.eventfold;

import dev.eventfold.v1.ExportSubjectRequest;
import dev.eventfold.v1.FindSubjectRequest;
import dev.eventfold.v1.FindSubjectResponse;
import dev.eventfold.v1.GetPrivacyStatusRequest;
import dev.eventfold.v1.GetPrivacyStatusResponse;
import dev.eventfold.v1.GetSubjectRequest;
import dev.eventfold.v1.KeysGrpc;
import dev.eventfold.v1.ListSubjectsRequest;
import dev.eventfold.v1.ListSubjectsResponse;
import dev.eventfold.v1.ReadmitSubjectRequest;
import dev.eventfold.v1.ReadmitSubjectResponse;
import dev.eventfold.v1.RotateDataKeyRequest;
import dev.eventfold.v1.RotateDataKeyResponse;
import dev.eventfold.v1.RotateMasterKeyRequest;
import dev.eventfold.v1.RotateMasterKeyResponse;
import dev.eventfold.v1.Subject;
import dev.eventfold.v1.SubjectEvents;
import dev.eventfold.v1.SubjectsGrpc;
import java.util.stream.Stream;

/**
 * Subjects: where their personal values are, all of these values for whom they concern, and the
 * keys that they are sealed under. No call shows a key. A subject is named like a stream.
 */
public final class Subjects {
    private final Calls calls;

    Subjects(Calls calls) {
        this.calls = calls;
    }

    /**
     * In which streams and types events with sealed values of a subject are.
     *
     * @throws dev.eventfold.errors.SubjectNotFoundException nothing is known of it; thrown by the
     *     stream
     */
    public Stream<SubjectEvents> find(String subject) {
        return Pages.of(
                token ->
                        calls.unary(
                                SubjectsGrpc.getFindSubjectMethod(),
                                FindSubjectRequest.newBuilder()
                                        .setSubject(subject)
                                        .setPageToken(token)
                                        .build()),
                FindSubjectResponse::getEventsList,
                FindSubjectResponse::getNextPageToken);
    }

    /** All events with sealed values of a subject; {@code $audit} says so. */
    public SubjectExport export(String subject) {
        return export(ExportSubjectRequest.newBuilder().setSubject(subject).build());
    }

    /** All that is stored of a subject, as the request says. */
    public SubjectExport export(ExportSubjectRequest request) {
        return SubjectExport.of(calls, request);
    }

    /** How personal data fares in this store: figures only. */
    public GetPrivacyStatusResponse status() {
        return calls.unary(
                SubjectsGrpc.getGetPrivacyStatusMethod(),
                GetPrivacyStatusRequest.getDefaultInstance());
    }

    /** The subject that has a name now. */
    public Subject get(String name) {
        return calls.unary(
                        KeysGrpc.getGetSubjectMethod(),
                        GetSubjectRequest.newBuilder().setName(name).build())
                .getSubject();
    }

    /** Lists subjects in the order of their ids. The page token of the request does not count. */
    public Stream<Subject> list(ListSubjectsRequest request) {
        return Pages.of(
                token ->
                        calls.unary(
                                KeysGrpc.getListSubjectsMethod(),
                                request.toBuilder().setPageToken(token).build()),
                ListSubjectsResponse::getSubjectsList,
                ListSubjectsResponse::getNextPageToken);
    }

    /** Makes a new version of the data key of a subject; says which seals now. */
    public int rotateDataKey(String subject) {
        return rotateDataKeys(RotateDataKeyRequest.newBuilder().setSubject(subject).build())
                .getVersion();
    }

    /** Makes new versions of data keys, of a category at most 250 a call. */
    public RotateDataKeyResponse rotateDataKeys(RotateDataKeyRequest request) {
        return calls.unary(KeysGrpc.getRotateDataKeyMethod(), request);
    }

    /** Wraps data keys under the newest master key; to be called until the answer is done. */
    public RotateMasterKeyResponse rotateMasterKey() {
        return calls.unary(
                KeysGrpc.getRotateMasterKeyMethod(), RotateMasterKeyRequest.getDefaultInstance());
    }

    /** Lets a subject that was erased have keys again, under a new id. */
    public ReadmitSubjectResponse readmit(String subject) {
        return calls.unary(
                KeysGrpc.getReadmitSubjectMethod(),
                ReadmitSubjectRequest.newBuilder().setSubject(subject).build());
    }
}
