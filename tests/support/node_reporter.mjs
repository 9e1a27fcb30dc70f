// Tells the outcomes of `node --test` as `go test -json` does: tests/support/outcomes.py reads them.
// A suite says no more than its tests.
import { inspect } from "node:util";
import { basename } from "node:path";

const line = (event) => `${JSON.stringify(event)}\n`;

function* told(Test, Action, error) {
  const cause = error?.cause ?? error;
  if (cause !== undefined) {
    yield line({ Action: "output", Test, Output: `${cause.stack ?? inspect(cause)}\n` });
  }
  yield line({ Action, Test });
}

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type === "test:pass" || type === "test:fail") {
      if (data.details?.type === "suite") continue;
      const file = basename(data.file ?? "").replace(/\.test\.js$/, "");
      const action = data.skip !== undefined ? "skip" : type.slice("test:".length);
      yield* told(`${file}: ${data.name}`, action, data.details?.error);
    } else if (type === "test:stdout" || type === "test:stderr" || type === "test:diagnostic") {
      yield line({ Action: "output", Output: data.message });
    }
  }
}
