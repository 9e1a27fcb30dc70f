package dev.eventfold;

import dev.eventfold.v1.CountProjectionResponse;
import dev.eventfold.v1.DropProjectionRequest;
import dev.eventfold.v1.Freshness;
import dev.eventfold.v1.GetProjectionRequest;
import dev.eventfold.v1.ListParkedKeysRequest;
import dev.eventfold.v1.ListParkedKeysResponse;
import dev.eventfold.v1.ListProjectionsRequest;
import dev.eventfold.v1.ListProjectionsResponse;
import dev.eventfold.v1.ParkedKey;
import dev.eventfold.v1.Projection;
import dev.eventfold.v1.ProjectionSwitch;
import dev.eventfold.v1.ProjectionsGrpc;
import dev.eventfold.v1.PutProjectionRequest;
import dev.eventfold.v1.PutProjectionResponse;
import dev.eventfold.v1.QueryProjectionResponse;
import dev.eventfold.v1.RebuildProjectionRequest;
import dev.eventfold.v1.RebuildProjectionResponse;
import dev.eventfold.v1.RetryProjectionRequest;
import dev.eventfold.v1.RetryProjectionResponse;
import dev.eventfold.v1.SwitchProjectionRequest;
import dev.eventfold.v1.TryProjectionRequest;
import dev.eventfold.v1.TryProjectionResponse;
import dev.eventfold.v1.Verification;
import dev.eventfold.v1.VerifyProjectionRequest;
import dev.eventfold.v1.VerifyProjectionResponse;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Projections: small query models, folded from the log and kept as tables by the server.
 * Projections and their generations are the messages of the contract.
 */
public final class Projections {
    private final Calls calls;

    Projections(Calls calls) {
        this.calls = calls;
    }

    /**
     * A page of rows.
     *
     * @param <T> class of the columns
     * @param rows the rows in the order that was asked for
     * @param nextPageToken asks for the next page; empty: this is the last
     * @param freshness how fresh they are
     */
    public record Page<T>(List<Row<T>> rows, String nextPageToken, Freshness freshness) {}

    /** Registers a document; a new generation takes the place of the active one when verified. */
    public PutProjectionResponse put(String document) {
        return put(PutProjectionRequest.newBuilder().setSource(document).build());
    }

    /**
     * Registers a projection document under the name that it carries. The same again changes
     * nothing; another one begins a new generation, while queries see the old one.
     *
     * @throws dev.eventfold.errors.InvalidProjectionException it says nothing that can be built
     */
    public PutProjectionResponse put(PutProjectionRequest request) {
        return calls.unary(ProjectionsGrpc.getPutProjectionMethod(), request);
    }

    /**
     * A projection with its generations and how far they are.
     *
     * @throws dev.eventfold.errors.ProjectionNotFoundException there is none
     */
    public Projection get(String name) {
        return calls.unary(
                        ProjectionsGrpc.getGetProjectionMethod(),
                        GetProjectionRequest.newBuilder().setName(name).build())
                .getProjection();
    }

    /** Lists projections in byte order of their names. */
    public Stream<Projection> list() {
        return Pages.of(
                token ->
                        calls.unary(
                                ProjectionsGrpc.getListProjectionsMethod(),
                                ListProjectionsRequest.newBuilder().setPageToken(token).build()),
                ListProjectionsResponse::getProjectionsList,
                ListProjectionsResponse::getNextPageToken);
    }

    /** Begins a new generation of the document that was put last, from the first event on. */
    public RebuildProjectionResponse rebuild(String name, ProjectionSwitch when) {
        return calls.unary(
                ProjectionsGrpc.getRebuildProjectionMethod(),
                RebuildProjectionRequest.newBuilder().setName(name).setSwitch(when).build());
    }

    /**
     * Compares a generation with a fold from scratch.
     *
     * @param request which generation, and how many keys
     * @param told called now and then with how far it has come
     */
    public Verification verify(
            VerifyProjectionRequest request, Consumer<VerifyProjectionResponse> told) {
        return Streaming.report(
                        calls,
                        ProjectionsGrpc.getVerifyProjectionMethod(),
                        request,
                        VerifyProjectionResponse::getDone,
                        told)
                .getVerification();
    }

    /**
     * Lets queries see another generation, from one moment to the next.
     *
     * @param generation its number; 0: the newest
     */
    public Projection switchTo(String name, long generation) {
        return calls.unary(
                        ProjectionsGrpc.getSwitchProjectionMethod(),
                        SwitchProjectionRequest.newBuilder()
                                .setName(name)
                                .setGeneration(generation)
                                .build())
                .getProjection();
    }

    /**
     * Drops a generation that queries do not see, or the whole projection.
     *
     * @param generation its number; 0: the whole projection
     */
    public void drop(String name, long generation) {
        calls.unary(
                ProjectionsGrpc.getDropProjectionMethod(),
                DropProjectionRequest.newBuilder()
                        .setName(name)
                        .setGeneration(generation)
                        .build());
    }

    /** Goes on after a failure. */
    public RetryProjectionResponse retry(RetryProjectionRequest request) {
        return calls.unary(ProjectionsGrpc.getRetryProjectionMethod(), request);
    }

    /** Lists parked keys of the active generation in byte order. */
    public Stream<ParkedKey> listParkedKeys(String name) {
        return Pages.of(
                token ->
                        calls.unary(
                                ProjectionsGrpc.getListParkedKeysMethod(),
                                ListParkedKeysRequest.newBuilder()
                                        .setName(name)
                                        .setPageToken(token)
                                        .build()),
                ListParkedKeysResponse::getKeysList,
                ListParkedKeysResponse::getNextPageToken);
    }

    /** The rows that a query asks for, with columns as JSON. */
    public Stream<Row<Json>> query(String name, Query query) {
        return query(name, query, Json.class);
    }

    /**
     * The rows that a query asks for, fetched page after page. Each page is consistent in itself.
     *
     * @param type class of the columns: a record, a bean, a map, or {@link Json}
     * @throws dev.eventfold.errors.ProjectionNotReadyException no generation has caught up yet;
     *     thrown by the stream, as all errors
     */
    public <T> Stream<Row<T>> query(String name, Query query, Class<T> type) {
        return Pages.of(token -> page(name, query, type, token), Page::rows, Page::nextPageToken);
    }

    /**
     * One page of rows, and how fresh it is.
     *
     * @param pageToken of the page before; empty: the first page
     */
    public <T> Page<T> page(String name, Query query, Class<T> type, String pageToken) {
        QueryProjectionResponse answer =
                calls.unary(
                        ProjectionsGrpc.getQueryProjectionMethod(),
                        query.request(name, pageToken));
        List<Row<T>> rows =
                answer.getRowsList().stream().map(row -> Row.of(row, type)).toList();
        return new Page<>(rows, answer.getNextPageToken(), answer.getFreshness());
    }

    /** Counts the rows that a query asks for, and says how fresh that is. */
    public CountProjectionResponse count(String name, Query query) {
        return calls.unary(ProjectionsGrpc.getCountProjectionMethod(), query.count(name));
    }

    /** Folds a bounded number of events with a document, answers rows, and keeps nothing. */
    public TryProjectionResponse tryOut(TryProjectionRequest request) {
        return calls.unary(ProjectionsGrpc.getTryProjectionMethod(), request);
    }
}
