package dev.eventfold;

import dev.eventfold.errors.AppendTooLargeException;
import dev.eventfold.errors.ChecksFailedException;
import dev.eventfold.errors.UnexpectedAnswerException;
import dev.eventfold.v1.AppendManyRequest;
import dev.eventfold.v1.AppendManyResponse;
import dev.eventfold.v1.AppendRequest;
import dev.eventfold.v1.EventStoreGrpc;
import dev.eventfold.v1.VersionCheck;
import java.util.List;
import java.util.Map;

/** Appends as requests and answers. */
final class Appends {
    private static final int APPEND_BYTES_MAX = 3 << 20;

    private Appends() {}

    static AppendResult append(
            Calls calls,
            String stream,
            List<Event> events,
            ExpectedVersion expected,
            boolean follow) {
        AppendRequest.Builder request =
                AppendRequest.newBuilder()
                        .setStream(stream)
                        .setExpectedVersion(expected.toWire())
                        .setFollow(follow);
        events.forEach(event -> request.addEvents(event.toWire()));
        AppendRequest built = request.build();
        checkSize(built.getSerializedSize());
        return AppendResult.of(calls.unary(EventStoreGrpc.getAppendMethod(), built));
    }

    private static void checkSize(int bytes) {
        if (bytes > Settings.MESSAGE_BYTES_MAX) {
            // The gRPC layer of the server would refuse it before it could name the reason.
            throw new AppendTooLargeException(
                    "the append has " + bytes + " bytes; 3 MiB are the most",
                    Map.of(
                            "limit", Integer.toString(APPEND_BYTES_MAX),
                            "actual", Integer.toString(bytes)));
        }
    }

    static AppendManyRequest many(
            List<StreamAppend> appends, Map<String, ExpectedVersion> checks) {
        AppendManyRequest.Builder request = AppendManyRequest.newBuilder();
        for (StreamAppend append : appends) {
            dev.eventfold.v1.StreamAppend.Builder one =
                    request.addAppendsBuilder()
                            .setStream(append.stream())
                            .setExpectedVersion(append.expected().toWire());
            append.events().forEach(event -> one.addEvents(event.toWire()));
        }
        checks.forEach(
                (stream, expected) ->
                        request.addChecks(
                                VersionCheck.newBuilder()
                                        .setStream(stream)
                                        .setExpectedVersion(expected.toWire())));
        AppendManyRequest built = request.build();
        checkSize(built.getSerializedSize());
        return built;
    }

    static List<AppendResult> results(AppendManyResponse answer) {
        return switch (answer.getOutcomeCase()) {
            case STORED ->
                    answer.getStored().getAppendsList().stream().map(AppendResult::of).toList();
            case FAILED ->
                    throw new ChecksFailedException(
                            answer.getFailed().getChecksList().stream()
                                    .map(FailedCheck::of)
                                    .toList());
            case OUTCOME_NOT_SET ->
                    throw new UnexpectedAnswerException(
                            "OK", "the answer to an append is empty", Map.of());
        };
    }
}
