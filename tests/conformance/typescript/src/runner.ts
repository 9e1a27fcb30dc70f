/** Runs cases against servers that are running already. */

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import { at, Caller, CaseFailed, encoded, methodOf, type Outcome, shown } from "./call.js";
import {
  type Case,
  CaseError,
  compact,
  countOf,
  listOf,
  type Mapping,
  mappingOf,
  type Reason,
  targetOf,
  textOf,
  type Value,
} from "./cases.js";
import { Connection, Settings } from "./client.js";
import { differences } from "./compare.js";
import { bytesOf, expand, Variables } from "./expand.js";

const PROBLEMS_SHOWN_MAX = 10;
const EVENTUALLY_PAUSE_MS = 50;
const VARIABLE = "EVENTFOLD_CONFORMANCE_SERVERS";

/** Connections to servers that another program runs and hands out. */
export class Servers {
  readonly #shared = new Map<string, Promise<[Connection, Socket]>>();

  /** The connection to `shared`, `tokens`, or a `fresh` store; `close` gives the server back. */
  async open(target: string): Promise<{ connection: Connection; close(): void }> {
    if (target === "fresh") {
      const [connection, lease] = await leased(target);
      return {
        connection,
        close: () => {
          connection.close();
          lease.destroy();
        },
      };
    }
    // One connection serves all cases on a shared server, as in a program.
    const opened = this.#shared.get(target) ?? leased(target);
    this.#shared.set(target, opened);
    return { connection: (await opened)[0], close: () => undefined };
  }

  /** Gives all of them back. */
  async close(): Promise<void> {
    for (const opened of this.#shared.values()) {
      const [connection, lease] = await opened;
      connection.close();
      lease.destroy();
    }
  }
}

/** Asks for a server: it is ours as long as the connection to the desk is open. */
async function leased(target: string): Promise<[Connection, Socket]> {
  const [host, port] = (process.env[VARIABLE] ?? "").split(":");
  if (!host || !port) throw new Error(`${VARIABLE} names nobody who hands out servers`);
  const lease = connect(Number(port), host);
  lease.write(`${target}\n`);
  const [line] = (await once(lease, "data")) as [Buffer];
  return [new Connection(new Settings(line.toString().trim(), {})), lease];
}

/** Runs cases. */
export class Runner {
  constructor(
    private readonly reasons: ReadonlyMap<string, Reason>,
    private readonly servers: Servers,
  ) {}

  /** Runs all steps; the error is that of the first that goes wrong. */
  async run(one: Case): Promise<void> {
    const opened = new Map<string, { connection: Connection; close(): void }>();
    try {
      for (const target of new Set(one.steps.map((step) => targetOf(one, step)))) {
        opened.set(target, await this.servers.open(target));
      }
      const variables = new Variables(one.texts);
      for (const [index, step] of one.steps.entries()) {
        const { connection } = opened.get(targetOf(one, step)) as { connection: Connection };
        const caller = new Caller(connection, this.reasons);
        for (let n = 0; n < countOf(step["repeat"] ?? 1); n++) {
          variables.set("n", n);
          try {
            await inTime(step, caller, variables);
          } catch (error) {
            const where = `${one.id}, step ${index + 1} (${textOf(step["call"] ?? "")})`;
            const told = error instanceof Error ? error.message : String(error);
            throw Object.assign(new Error(`${where}: ${told}`), { cause: error });
          }
        }
      }
    } finally {
      for (const { close } of opened.values()) close();
    }
  }
}

/** Runs a step, again and again if it says that it need not go well at once. */
async function inTime(step: Mapping, caller: Caller, variables: Variables): Promise<void> {
  const ends = performance.now() + countOf(step["eventually"] ?? 0) * 1_000;
  for (;;) {
    try {
      await run(step, caller, variables);
      return;
    } catch (error) {
      if (error instanceof CaseError || performance.now() >= ends) throw error;
    }
    await sleep(EVENTUALLY_PAUSE_MS);
  }
}

async function run(step: Mapping, caller: Caller, variables: Variables): Promise<void> {
  const outcome = await calling(step, caller, variables);
  if (step["error"] !== undefined) {
    checkError(mappingOf(expand(step["error"], variables)), outcome);
    return;
  }
  if (outcome.reason !== "") {
    const { reason, facts, message } = outcome;
    throw new CaseFailed(`refused: ${reason} ${compact(facts)} ${message}`);
  }
  const problems = differences(expand(step["expect"] ?? {}, variables), outcome.answer);
  if (problems.length > 0) {
    const told = problems.slice(0, PROBLEMS_SHOWN_MAX);
    throw new CaseFailed(["the answer differs", ...told].join("\n  "));
  }
  save(mappingOf(step["save"] ?? {}), outcome.answer, variables);
}

function save(names: Mapping, answer: Value, variables: Variables): void {
  for (const [name, path] of Object.entries(names)) variables.set(name, at(answer, textOf(path)));
}

async function calling(step: Mapping, caller: Caller, variables: Variables): Promise<Outcome> {
  const method = methodOf(textOf(step["call"] ?? ""));
  const named = Object.entries(mappingOf(expand(step["metadata"] ?? {}, variables)));
  const headers = Object.fromEntries(named.map(([name, value]) => [name, textOf(value)]));
  if (step["conversation"] !== undefined) {
    const turns = listOf(step["conversation"]).map(mappingOf);
    return caller.converse(method, turns, headers, variables, (names, answer) =>
      save(names, answer, variables),
    );
  }
  const written = step["stop_at"];
  const stopAt = written === undefined ? undefined : expand(written, variables);
  if (step["request_hex"] !== undefined) {
    const bytes = bytesOf(textOf(step["request_hex"]));
    return caller.call(method, [bytes], headers, stopAt);
  }
  const requests = listOf(step["requests"] ?? [step["request"] ?? {}]);
  const bytes = requests.map((request) => encoded(method, request, variables));
  return caller.call(method, bytes, headers, stopAt);
}

function checkError(expected: Mapping, outcome: Outcome): void {
  const { reason, facts, message, answer } = outcome;
  if (reason === "") {
    const wanted = textOf(expected["reason"] ?? "");
    throw new CaseFailed(`expected ${wanted}, got an answer: ${shown(answer)}`);
  }
  const problems = differences(expected["reason"] ?? "$any", reason, "reason");
  problems.push(...differences(expected["facts"] ?? {}, facts, "facts"));
  for (const hidden of listOf(expected["hidden"] ?? [])) {
    const text = textOf(hidden);
    if ([message, ...Object.values(facts)].some((told) => textOf(told).includes(text))) {
      problems.push(`'${text}' must not stand in the error`);
    }
  }
  if (expected["sent"] !== undefined) {
    problems.push(...differences(expected["sent"], answer, "sent"));
  }
  if (problems.length === 0) return;
  const told = `it was ${reason} ${compact(facts)}: ${message}`;
  throw new CaseFailed(["the error differs", ...problems, told].join("\n  "));
}
