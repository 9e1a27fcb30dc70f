package dev.eventfold;

import dev.eventfold.v1.ExportSubjectRequest;
import dev.eventfold.v1.ExportSubjectResponse;
import dev.eventfold.v1.ExportedSchema;
import dev.eventfold.v1.SubjectsGrpc;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * All that is stored of a subject.
 *
 * @param events its events in the order of their positions, with its values opened
 * @param schemas the schemas of their types
 * @param position all events up to this position were looked at
 */
public record SubjectExport(
        List<RecordedEvent> events, List<ExportedSchema> schemas, long position) {

    static SubjectExport of(Calls calls, ExportSubjectRequest request) {
        Progress progress = new Progress(request);
        Streaming.read(calls, SubjectsGrpc.getExportSubjectMethod(), progress, true);
        return new SubjectExport(
                List.copyOf(progress.events),
                List.copyOf(progress.schemas.values()),
                progress.position);
    }

    private static final class Progress
            implements Streaming.Progress<ExportSubjectRequest, ExportSubjectResponse> {
        private final ExportSubjectRequest request;
        private final List<RecordedEvent> events = new ArrayList<>();
        private final Map<String, ExportedSchema> schemas = new LinkedHashMap<>();
        private boolean isOver;
        private long position;

        Progress(ExportSubjectRequest request) {
            this.request = request;
        }

        @Override
        public ExportSubjectRequest request() {
            if (events.isEmpty()) {
                return request;
            }
            long last = events.get(events.size() - 1).position();
            return request.toBuilder().setAfterPosition(last).build();
        }

        @Override
        public boolean accept(ExportSubjectResponse message) {
            message.getEventsList().forEach(event -> events.add(RecordedEvent.of(event)));
            message.getSchemasList().forEach(one -> schemas.put(one.getEventType(), one));
            if (message.hasEnd()) {
                isOver = true;
                position = message.getEnd().getPosition();
            }
            return message.getEventsCount() > 0;
        }

        @Override
        public boolean finish() {
            return isOver;
        }
    }
}
