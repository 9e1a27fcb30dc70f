package dev.eventfold;

import dev.eventfold.v1.ConsumerGroupsGrpc;
import dev.eventfold.v1.CreateGroupRequest;
import dev.eventfold.v1.CreateGroupResponse;
import dev.eventfold.v1.DeleteGroupRequest;
import dev.eventfold.v1.GetGroupRequest;
import dev.eventfold.v1.GetGroupResponse;
import dev.eventfold.v1.Group;
import dev.eventfold.v1.GroupSettings;
import dev.eventfold.v1.GroupSource;
import dev.eventfold.v1.GroupStart;
import dev.eventfold.v1.ListGroupsRequest;
import dev.eventfold.v1.ListGroupsResponse;
import dev.eventfold.v1.ListParkedRequest;
import dev.eventfold.v1.ListParkedResponse;
import dev.eventfold.v1.ParkedEvent;
import dev.eventfold.v1.PurgeParkedRequest;
import dev.eventfold.v1.ReplayParkedRequest;
import dev.eventfold.v1.ResetGroupRequest;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Consumer groups: sharing the work on the events of the log. {@link EventfoldClient#consume}
 * consumes one. Groups and their settings are the messages of the contract.
 */
public final class Groups {
    private final Calls calls;

    Groups(Calls calls) {
        this.calls = calls;
    }

    /**
     * A parked event.
     *
     * @param event the event
     * @param about why it was parked, and what it does
     */
    public record Parked(RecordedEvent event, ParkedEvent about) {}

    /** Creates a group on categories, with the default settings, from the first event on. */
    public CreateGroupResponse create(String name, String... categories) {
        GroupSource source =
                GroupSource.newBuilder().addAllCategories(List.of(categories)).build();
        return create(name, source, GroupSettings.getDefaultInstance());
    }

    /** Creates a group from the first event on. */
    public CreateGroupResponse create(String name, GroupSource source, GroupSettings settings) {
        return create(
                CreateGroupRequest.newBuilder()
                        .setName(name)
                        .setSource(source)
                        .setSettings(settings)
                        .build());
    }

    /**
     * Creates a group. The same again, whatever the start, changes nothing.
     *
     * @throws dev.eventfold.errors.GroupExistsException there is one of this name about other
     *     events, or with other settings
     */
    public CreateGroupResponse create(CreateGroupRequest request) {
        return calls.unary(ConsumerGroupsGrpc.getCreateGroupMethod(), request);
    }

    /**
     * Describes a group, how far it is, and who consumes it.
     *
     * @throws dev.eventfold.errors.GroupNotFoundException there is none
     */
    public GetGroupResponse get(String name) {
        return calls.unary(
                ConsumerGroupsGrpc.getGetGroupMethod(),
                GetGroupRequest.newBuilder().setName(name).build());
    }

    /** Lists groups in byte order of their names. */
    public Stream<Group> list() {
        return Pages.of(
                token ->
                        calls.unary(
                                ConsumerGroupsGrpc.getListGroupsMethod(),
                                ListGroupsRequest.newBuilder().setPageToken(token).build()),
                ListGroupsResponse::getGroupsList,
                ListGroupsResponse::getNextPageToken);
    }

    /** Deletes a group with its progress and its parked events. */
    public void delete(String name) {
        calls.unary(
                ConsumerGroupsGrpc.getDeleteGroupMethod(),
                DeleteGroupRequest.newBuilder().setName(name).build());
    }

    /** Lets a group begin anew somewhere in the log. */
    public Group reset(String name, GroupStart start) {
        ResetGroupRequest request =
                ResetGroupRequest.newBuilder().setName(name).setStart(start).build();
        return calls.unary(ConsumerGroupsGrpc.getResetGroupMethod(), request).getGroup();
    }

    /** Lists the parked events of a group in order of position. */
    public Stream<Parked> listParked(String group) {
        return Pages.of(
                token ->
                        calls.unary(
                                ConsumerGroupsGrpc.getListParkedMethod(),
                                ListParkedRequest.newBuilder()
                                        .setGroup(group)
                                        .setPageToken(token)
                                        .build()),
                Groups::parked,
                ListParkedResponse::getNextPageToken);
    }

    private static List<Parked> parked(ListParkedResponse page) {
        List<Parked> found = new ArrayList<>();
        for (int i = 0; i < page.getEventsCount(); i++) {
            found.add(new Parked(RecordedEvent.of(page.getEvents(i)), page.getParked(i)));
        }
        return found;
    }

    /** Delivers these parked events again; says how many. */
    public long replayParked(String group, List<Long> positions) {
        return calls.unary(
                        ConsumerGroupsGrpc.getReplayParkedMethod(),
                        ReplayParkedRequest.newBuilder()
                                .setGroup(group)
                                .addAllPositions(positions)
                                .build())
                .getReplayed();
    }

    /** Delivers all parked events again; says how many. */
    public long replayAllParked(String group) {
        return calls.unary(
                        ConsumerGroupsGrpc.getReplayParkedMethod(),
                        ReplayParkedRequest.newBuilder().setGroup(group).setAll(true).build())
                .getReplayed();
    }

    /** Gives these parked events up; says how many. */
    public long purgeParked(String group, List<Long> positions) {
        return calls.unary(
                        ConsumerGroupsGrpc.getPurgeParkedMethod(),
                        PurgeParkedRequest.newBuilder()
                                .setGroup(group)
                                .addAllPositions(positions)
                                .build())
                .getPurged();
    }

    /** Gives all parked events up; says how many. */
    public long purgeAllParked(String group) {
        return calls.unary(
                        ConsumerGroupsGrpc.getPurgeParkedMethod(),
                        PurgeParkedRequest.newBuilder().setGroup(group).setAll(true).build())
                .getPurged();
    }
}
