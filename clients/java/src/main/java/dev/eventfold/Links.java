package dev.eventfold;

import dev.eventfold.v1.DropLinkRequest;
import dev.eventfold.v1.DropLinkRuleRequest;
import dev.eventfold.v1.Link;
import dev.eventfold.v1.LinkPolicy;
import dev.eventfold.v1.LinkRule;
import dev.eventfold.v1.LinksGrpc;
import dev.eventfold.v1.ListLinkRulesRequest;
import dev.eventfold.v1.ListLinkRulesResponse;
import dev.eventfold.v1.ListLinksRequest;
import dev.eventfold.v1.ListLinksResponse;
import dev.eventfold.v1.PutLinkRequest;
import dev.eventfold.v1.PutLinkRuleRequest;
import java.util.stream.Stream;

/** Links: which stream belongs to which, and what a deletion of the owner does to it. */
public final class Links {
    private final Calls calls;

    Links(Calls calls) {
        this.calls = calls;
    }

    /** Stores a rule under its name, in place of the one before. */
    public LinkRule putRule(LinkRule rule) {
        PutLinkRuleRequest request = PutLinkRuleRequest.newBuilder().setRule(rule).build();
        return calls.unary(LinksGrpc.getPutLinkRuleMethod(), request).getRule();
    }

    /** Drops a rule and the links that followed from it. */
    public void dropRule(String name) {
        calls.unary(
                LinksGrpc.getDropLinkRuleMethod(),
                DropLinkRuleRequest.newBuilder().setName(name).build());
    }

    /** Lists rules in byte order of their names. */
    public Stream<LinkRule> listRules() {
        return Pages.of(
                token ->
                        calls.unary(
                                LinksGrpc.getListLinkRulesMethod(),
                                ListLinkRulesRequest.newBuilder().setPageToken(token).build()),
                ListLinkRulesResponse::getRulesList,
                ListLinkRulesResponse::getNextPageToken);
    }

    /** Links a stream to its owner by hand, or gives such a link another policy. */
    public void put(String stream, String owner, LinkPolicy policy) {
        calls.unary(
                LinksGrpc.getPutLinkMethod(),
                PutLinkRequest.newBuilder()
                        .setStream(stream)
                        .setOwner(owner)
                        .setPolicy(policy)
                        .build());
    }

    /** Drops a link that was put by hand. */
    public void drop(String stream, String owner) {
        calls.unary(
                LinksGrpc.getDropLinkMethod(),
                DropLinkRequest.newBuilder().setStream(stream).setOwner(owner).build());
    }

    /** Lists links in byte order of owner, stream and rule. */
    public Stream<Link> list(ListLinksRequest request) {
        return Pages.of(
                token ->
                        calls.unary(
                                LinksGrpc.getListLinksMethod(),
                                request.toBuilder().setPageToken(token).build()),
                ListLinksResponse::getLinksList,
                ListLinksResponse::getNextPageToken);
    }
}
