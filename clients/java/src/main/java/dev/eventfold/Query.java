package dev.eventfold;

import dev.eventfold.v1.CountProjectionRequest;
import dev.eventfold.v1.QueryProjectionRequest;
import dev.eventfold.v1.RowOrder;
import java.util.List;

/** Which rows of a projection to answer. Default: all, by key. */
public final class Query {
    private final QueryProjectionRequest.Builder request = QueryProjectionRequest.newBuilder();

    private Query() {}

    /** All rows. */
    public static Query all() {
        return new Query();
    }

    /**
     * The rows of which an expression is true.
     *
     * @param filter of the filter language, such as {@code balance >= 100 && name != null}
     */
    public static Query where(String filter) {
        Query query = new Query();
        query.request.setFilter(filter);
        return query;
    }

    /** Orders by a column, or {@code key}, {@code version}, {@code position}; after others. */
    public Query orderBy(String column) {
        request.addOrder(RowOrder.newBuilder().setColumn(column));
        return this;
    }

    /** The same from high to low. Rows without a value come last, either way. */
    public Query orderByDescending(String column) {
        request.addOrder(RowOrder.newBuilder().setColumn(column).setDescending(true));
        return this;
    }

    /** Columns to return. Default: all. */
    public Query columns(String... columns) {
        request.addAllColumns(List.of(columns));
        return this;
    }

    /** Waits until all events up to this position are in the table. */
    public Query atLeastPosition(long position) {
        request.setAtLeastPosition(position);
        return this;
    }

    /** Rows that are fetched at once, 1 to 1,000. Default: 100. */
    public Query pageSize(int rows) {
        request.setPageSize(rows);
        return this;
    }

    QueryProjectionRequest request(String projection, String pageToken) {
        return request.clone().setName(projection).setPageToken(pageToken).build();
    }

    CountProjectionRequest count(String projection) {
        return CountProjectionRequest.newBuilder()
                .setName(projection)
                .setFilter(request.getFilter())
                .setAtLeastPosition(request.getAtLeastPosition())
                .build();
    }
}
