// Runs cases of the format of tests/golden, in Node and in browsers alike.

const MICROS = 1_000_000n;
const STATE_BYTES_MAX = 4096;

/** What a case comes to, as files tell it. */
export async function outcome(api, case_) {
  let fold;
  try {
    fold = api.compileFold(sourceOf(case_));
    const events = case_.events.map((event) => recorded(event, case_.stream));
    return await told(fold.fold(events, { stream: case_.stream, root: case_.root }));
  } catch (error) {
    if (!(error instanceof api.FoldError)) throw error;
    return { reason: error.reason, facts: error.facts };
  } finally {
    fold?.free();
  }
}

/** The case with numbers as they are: versions and times go beyond those of JavaScript. */
export function parse(text) {
  // Numbers of members that hold 64 bits, as text; in strings quotes are escaped.
  const wide = /"(version|position|recorded_us|occurred_us)": ?(-?\d+)(?=[,}])/g;
  return JSON.parse(text.replace(wide, '"$1": "$2"'));
}

function sourceOf({ fold, fold_parts: parts }) {
  return fold ?? parts.map(([text, times]) => text.repeat(times)).join("");
}

/** An event as clients that read over gRPC have it. */
function recorded(event, stream) {
  return {
    $typeName: "eventfold.v1.RecordedEvent",
    id: event.id,
    stream,
    type: event.type,
    version: BigInt(event.version),
    position: BigInt(event.position),
    recordedAt: timestamp(BigInt(event.recorded_us)),
    occurredAt: timestamp(BigInt(event.occurred_us)),
    writer: event.writer,
    data: new TextEncoder().encode(event.data),
    metadata: new TextEncoder().encode(event.metadata ?? ""),
    tags: event.tags ?? [],
    flags: event.flags ?? 0,
    copiedFrom: event.copied_from ?? "",
    cancels: event.cancels ?? "",
    traceContext: "",
    deleted: event.deleted ?? false,
    erasedPaths: event.erased_paths ?? [],
    withheldPaths: event.withheld_paths ?? [],
  };
}

function timestamp(micros) {
  const rest = ((micros % MICROS) + MICROS) % MICROS;
  return { seconds: (micros - rest) / MICROS, nanos: Number(rest) * 1000 };
}

async function told(found) {
  const outcome = {
    digest: found.foldDigest,
    exists: found.exists,
    version: String(found.version),
    position: String(found.position),
    events_read: found.eventsRead,
    events_folded: found.eventsFolded,
  };
  if (found.state.length <= STATE_BYTES_MAX) {
    outcome.state = found.stateText;
  } else {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", found.state));
    const letters = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0"));
    outcome.state_sha256 = letters.join("");
    outcome.state_bytes = found.state.length;
  }
  if (found.erasedPaths.length > 0 || found.withheldPaths.length > 0) {
    outcome.erased_paths = found.erasedPaths;
    outcome.withheld_paths = found.withheldPaths;
  }
  return outcome;
}
