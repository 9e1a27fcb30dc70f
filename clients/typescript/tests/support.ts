/** Servers for tests, which may do them any harm: tests/clients/servers.py hands them out. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const VARIABLE = "EVENTFOLD_CLIENT_SERVERS";

/** A module of the client that it does not export. */
export async function internal<M>(file: string): Promise<M> {
  return (await import(pathToFileURL(resolve("dist", file)).href)) as M;
}

/** What a line is answered with. */
export interface Told {
  readonly address: string;
  readonly number: number;
  readonly authority: string;
}

/** What one connection asks for; all of it ends with it. */
export class World implements Disposable {
  readonly #lines: AsyncIterator<string>;

  private constructor(private readonly socket: Socket) {
    this.#lines = createInterface({ input: socket })[Symbol.asyncIterator]();
  }

  static async begin(): Promise<World> {
    const desk = process.env[VARIABLE];
    assert.ok(desk, `run by: python -m tests.clients.servers COMMAND, which sets ${VARIABLE}`);
    const [host, port] = desk.split(":");
    const socket = connect(Number(port), host);
    await once(socket, "connect");
    return new World(socket);
  }

  /** Asks for something. */
  async ask(line: string): Promise<Told> {
    this.socket.write(`${line}\n`);
    const { value } = await this.#lines.next();
    const told = JSON.parse(value as string) as Told & { error?: string };
    assert.equal(told.error, undefined);
    return told;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** The error that a call fails with, which has to be one of the class. */
export async function failing<E extends Error>(
  call: Promise<unknown>,
  // Constructors of errors take many things.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  kind: new (...args: any[]) => E,
): Promise<E> {
  let found: unknown;
  try {
    found = await call;
  } catch (error) {
    assert.ok(error instanceof kind, `expected ${kind.name}, got ${String(error)}`);
    return error;
  }
  return assert.fail(`expected ${kind.name}, got an answer: ${String(found)}`);
}

/** Waits until something is true, at most a minute. */
export async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await check())) {
    assert.ok(performance.now() < deadline, `it did not come true: ${check.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** A fold of accounts, with exact numbers. */
export const ACCOUNT = {
  fold: "account",
  initial: { balance: 0, count: 0 },
  handlers: {
    MoneyDeposited: { balance: "state.balance + event.amount", count: "state.count + 1" },
    MoneyWithdrawn: { balance: "state.balance - event.amount", count: "state.count + 1" },
    AccountDeleted: "delete",
  },
} as const;
