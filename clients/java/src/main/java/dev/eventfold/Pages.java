package dev.eventfold;

import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;

/** Lists that are fetched page after page, as they are asked for. */
final class Pages {
    private Pages() {}

    /**
     * The items of all pages.
     *
     * @param fetch the page of a token; of the empty one the first
     * @param items the items of a page
     * @param next the token of the page behind it; empty: it is the last
     */
    static <P, T> Stream<T> of(
            Function<String, P> fetch, Function<P, List<T>> items, Function<P, String> next) {
        return Stream.iterate(
                        new Page<>("", fetch, next),
                        page -> page != null,
                        Page::behind)
                .flatMap(page -> items.apply(page.get()).stream());
    }

    private static final class Page<P> {
        private final String token;
        private final Function<String, P> fetch;
        private final Function<P, String> next;
        private P found;

        Page(String token, Function<String, P> fetch, Function<P, String> next) {
            this.token = token;
            this.fetch = fetch;
            this.next = next;
        }

        P get() {
            if (found == null) {
                found = fetch.apply(token);
            }
            return found;
        }

        Page<P> behind() {
            String following = next.apply(get());
            return following.isEmpty() ? null : new Page<>(following, fetch, next);
        }
    }
}
