/** Lists that come in pages. */

/** All items of all pages; `fetch` answers those of one, and the token of the next. */
export async function* paged<T>(
  fetch: (pageToken: string) => Promise<readonly [readonly T[], string]>,
): AsyncGenerator<T, void, undefined> {
  let token = "";
  do {
    const [items, next] = await fetch(token);
    yield* items;
    token = next;
  } while (token !== "");
}
