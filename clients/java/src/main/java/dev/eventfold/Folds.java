package dev.eventfold;

import dev.eventfold.v1.FoldsGrpc;
import dev.eventfold.v1.GetFoldRequest;
import dev.eventfold.v1.ListFoldsRequest;
import dev.eventfold.v1.ListFoldsResponse;
import dev.eventfold.v1.PutFoldRequest;
import dev.eventfold.v1.PutFoldResponse;
import java.time.Instant;
import java.util.List;
import java.util.stream.Stream;

/** The registry of folds. */
public final class Folds {
    private final Calls calls;

    Folds(Calls calls) {
        this.calls = calls;
    }

    /**
     * A registered fold.
     *
     * @param name the name that the document carries
     * @param revision counts the different documents under this name, from 1
     * @param digest SHA-256 of the normal form, lower-case hexadecimal
     * @param source the document as it came in
     * @param putAt when this revision was registered
     * @param putBy who registered it
     * @param created of the answer to {@code put}: whether the document is a new revision
     */
    public record FoldInfo(
            String name,
            long revision,
            String digest,
            String source,
            Instant putAt,
            String putBy,
            boolean created) {
        static FoldInfo of(dev.eventfold.v1.Fold fold, boolean created) {
            return new FoldInfo(
                    fold.getName(),
                    fold.getRevision(),
                    fold.getDigest(),
                    fold.getSource(),
                    Times.of(fold.getPutAt()),
                    fold.getPutBy(),
                    created);
        }
    }

    /**
     * Registers a fold under the name that its document carries. The same fold again changes
     * nothing; another one becomes the next revision.
     *
     * @param document YAML 1.2 or JSON; at most 64 KiB
     * @throws dev.eventfold.errors.InvalidFoldException it does not compile
     */
    public FoldInfo put(String document) {
        PutFoldRequest request = PutFoldRequest.newBuilder().setSource(document).build();
        PutFoldResponse answer = calls.unary(FoldsGrpc.getPutFoldMethod(), request);
        return FoldInfo.of(answer.getFold(), answer.getCreated());
    }

    /** The newest revision of a fold. */
    public FoldInfo get(String name) {
        return get(name, 0);
    }

    /**
     * A revision of a fold.
     *
     * @throws dev.eventfold.errors.FoldNotFoundException there is none
     */
    public FoldInfo get(String name, long revision) {
        GetFoldRequest request =
                GetFoldRequest.newBuilder().setName(name).setRevision(revision).build();
        return FoldInfo.of(calls.unary(FoldsGrpc.getGetFoldMethod(), request).getFold(), false);
    }

    /** The newest revision of every fold, in byte order of their names. */
    public Stream<FoldInfo> list() {
        return Pages.of(this::page, Folds::infos, ListFoldsResponse::getNextPageToken);
    }

    private ListFoldsResponse page(String token) {
        return calls.unary(
                FoldsGrpc.getListFoldsMethod(),
                ListFoldsRequest.newBuilder().setPageToken(token).build());
    }

    private static List<FoldInfo> infos(ListFoldsResponse page) {
        return page.getFoldsList().stream().map(fold -> FoldInfo.of(fold, false)).toList();
    }
}
