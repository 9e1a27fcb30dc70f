package dev.eventfold;

import dev.eventfold.v1.CheckPrivacyRulesRequest;
import dev.eventfold.v1.CheckPrivacyRulesResponse;
import dev.eventfold.v1.DropPrivacyRulesRequest;
import dev.eventfold.v1.GetPrivacyRulesRequest;
import dev.eventfold.v1.ListPrivacyRulesRequest;
import dev.eventfold.v1.ListPrivacyRulesResponse;
import dev.eventfold.v1.PrivacyGrpc;
import dev.eventfold.v1.PrivacyRules;
import dev.eventfold.v1.PutPrivacyRulesRequest;
import dev.eventfold.v1.PutPrivacyRulesResponse;
import java.util.function.Consumer;
import java.util.stream.Stream;

/**
 * Privacy rules: which values of events are personal, and whose they are. Putting and checking
 * rules tries stored events, which may take longer than the timeout of the client: see {@link
 * EventfoldClient#withTimeout}. Rules are the messages of the contract.
 */
public final class Privacy {
    private final Calls calls;

    Privacy(Calls calls) {
        this.calls = calls;
    }

    /** Puts the rules of a document in force; plaintext that is stored refuses them. */
    public PutPrivacyRulesResponse put(String document) {
        return put(
                PutPrivacyRulesRequest.newBuilder().setSource(document).build(), told -> {});
    }

    /**
     * Puts the rules of an event type or category in force: its personal values are sealed from
     * now on. The same again changes nothing.
     *
     * @param told called now and then, while stored events are tried
     * @throws dev.eventfold.errors.PlaintextStoredException stored events hold plaintext
     */
    public PutPrivacyRulesResponse put(
            PutPrivacyRulesRequest request, Consumer<PutPrivacyRulesResponse> told) {
        return Streaming.report(
                calls,
                PrivacyGrpc.getPutPrivacyRulesMethod(),
                request,
                PutPrivacyRulesResponse::getDone,
                told);
    }

    /** Says what {@link #put} would do, and changes nothing. */
    public CheckPrivacyRulesResponse check(String document) {
        return Streaming.report(
                calls,
                PrivacyGrpc.getCheckPrivacyRulesMethod(),
                CheckPrivacyRulesRequest.newBuilder().setSource(document).build(),
                CheckPrivacyRulesResponse::getDone,
                told -> {});
    }

    /**
     * The rules in force of an event type.
     *
     * @throws dev.eventfold.errors.PrivacyRulesNotFoundException there are none
     */
    public PrivacyRules getOfType(String eventType) {
        return get(GetPrivacyRulesRequest.newBuilder().setEventType(eventType).build());
    }

    /** The rules in force of a category. */
    public PrivacyRules getOfCategory(String category) {
        return get(GetPrivacyRulesRequest.newBuilder().setCategory(category).build());
    }

    /** Rules, also earlier ones. */
    public PrivacyRules get(GetPrivacyRulesRequest request) {
        return calls.unary(PrivacyGrpc.getGetPrivacyRulesMethod(), request).getRules();
    }

    /** Lists the rules in force: those of event types, then those of categories. */
    public Stream<PrivacyRules> list() {
        return Pages.of(
                token ->
                        calls.unary(
                                PrivacyGrpc.getListPrivacyRulesMethod(),
                                ListPrivacyRulesRequest.newBuilder()
                                        .setPageToken(token)
                                        .build()),
                ListPrivacyRulesResponse::getRulesList,
                ListPrivacyRulesResponse::getNextPageToken);
    }

    /** Takes the rules of an event type out of force; what is sealed stays so. */
    public void dropOfType(String eventType) {
        drop(DropPrivacyRulesRequest.newBuilder().setEventType(eventType).build());
    }

    /** Takes the rules of a category out of force; what is sealed stays so. */
    public void dropOfCategory(String category) {
        drop(DropPrivacyRulesRequest.newBuilder().setCategory(category).build());
    }

    private void drop(DropPrivacyRulesRequest request) {
        calls.unary(PrivacyGrpc.getDropPrivacyRulesMethod(), request);
    }
}
