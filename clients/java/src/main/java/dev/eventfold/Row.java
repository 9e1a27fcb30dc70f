package dev.eventfold;

import dev.eventfold.v1.ProjectionRow;
import java.util.List;

/**
 * A row of a projection.
 *
 * @param <T> class of the columns
 * @param key its key
 * @param version version, in its stream, of the last event that touched it
 * @param position position of that event
 * @param json its columns as a JSON object, in the order of the document
 * @param erased names of columns that are null because their value was erased
 * @param withheld names of columns that are null because the caller may not see personal values
 * @param type class of the columns
 */
public record Row<T>(
        String key,
        long version,
        long position,
        Json json,
        List<String> erased,
        List<String> withheld,
        Class<T> type) {

    /**
     * The columns, decoded each time that they are asked for.
     *
     * @throws dev.eventfold.errors.StateMismatchException they do not fit the class
     */
    public T columns() {
        return json.as(type);
    }

    static <T> Row<T> of(ProjectionRow row, Class<T> type) {
        return new Row<>(
                row.getKey(),
                row.getVersion(),
                row.getPosition(),
                Json.of(row.getColumns()),
                List.copyOf(row.getErasedList()),
                List.copyOf(row.getWithheldList()),
                type);
    }
}
