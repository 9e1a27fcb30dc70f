/** Goal: a consumer keeps its books whatever becomes of a delivery, without a server. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { InvalidValue } from "@eventfold/client";
import {
  type ConsumeRequest,
  ConsumeRequestSchema,
  type ConsumeResponse,
  ConsumeResponseSchema,
  SettleAction,
} from "@eventfold/client/stubs";
import { internal } from "./support.js";

const { Desk } = await internal<typeof import("../dist/desk.js")>("desk.js");
const { Consumer } = await internal<typeof import("../dist/consumer.js")>("consumer.js");
type ConsumerOf = ConstructorParameters<typeof Consumer>[0];

const FAILED_PRECONDITION = 9;
const EXTENSION = { action: SettleAction.EXTEND, reason: "", delayMs: undefined };

/** A message with one event of a stream for each position. */
function delivered(positions: readonly bigint[], ackTimeoutMs = 30_000): ConsumeResponse {
  return create(ConsumeResponseSchema, {
    started: { session: 1n, settings: { ackTimeout: durationFromMs(ackTimeoutMs) } },
    events: positions.map((position) => ({ position, stream: `s-${position}`, version: 1n })),
    leases: [...positions],
    attempts: positions.map(() => 1),
  });
}

function begun(ackTimeoutMs?: number) {
  const desk = new Desk("g", "", 10);
  desk.receive(delivered([1n, 2n], ackTimeoutMs));
  desk.nextMessage();
  const first = desk.next();
  assert.ok(first !== undefined && "event" in first && desk.begin(first));
  return { desk, first };
}

test("what was lost in hand keeps nothing else from being extended", async () => {
  const { desk, first } = begun(60);
  desk.settle(first, EXTENSION);
  const [sent] = desk.nextMessage()?.settlements ?? [];
  const outcome = { case: "refused", value: { code: FAILED_PRECONDITION } } as const;
  const answers = [{ number: sent?.number ?? 0n, outcome }];
  desk.receive(create(ConsumeResponseSchema, { answers }));
  assert.equal(first.state, "lost");
  await new Promise((resolve) => setTimeout(resolve, 80));
  desk.waitMs();
  const [extension] = desk.nextMessage()?.settlements ?? [];
  assert.deepEqual([extension?.action, extension?.positions], [SettleAction.EXTEND, [2n]]);
});

test("a delay that cannot be sent changes nothing, and a fraction is rounded", () => {
  const { desk, first } = begun();
  const retry = (delayMs: number): void =>
    desk.settle(first, { action: SettleAction.RETRY, reason: "", delayMs });
  for (const delayMs of [-1, NaN, Infinity, 86_400_001]) {
    assert.throws(() => retry(delayMs), InvalidValue);
    assert.equal(first.state, "in hand");
  }
  retry(1_500.7);
  const message = create(ConsumeRequestSchema, desk.nextMessage());
  toBinary(ConsumeRequestSchema, message);
  assert.deepEqual(message.settlements[0]?.delay, durationFromMs(1_501));
});

/** A connection on which a group delivers two events, and answers what is settled. */
function served(sent: ConsumeRequest[]): ConsumerOf {
  let wake = (): void => undefined;
  let isOver = false;
  const due = [delivered([1n, 2n])];
  const call = {
    send(bytes: Uint8Array) {
      const message = fromBinary(ConsumeRequestSchema, bytes);
      sent.push(message);
      const answers = message.settlements.map(({ number }) => ({
        number,
        outcome: { case: "settled", value: {} } as const,
      }));
      if (answers.length > 0) due.push(create(ConsumeResponseSchema, { answers }));
      wake();
    },
    end() {
      isOver = true;
      wake();
    },
    cancel: () => call.end(),
  };
  async function* answers(): AsyncGenerator<ConsumeResponse> {
    while (!isOver || due.length > 0) {
      const next = due.shift();
      if (next !== undefined) yield next;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  }
  return {
    settings: { timeoutMs: 1_000, target: "t" },
    timeoutMs: () => 1_000,
    session: () => ({ call, answers: answers() }),
    decoded: (_: unknown, message: unknown) => message,
  } as unknown as ConsumerOf;
}

test("what onError throws ends the consumer, and what is in hand is settled", async () => {
  const sent: ConsumeRequest[] = [];
  const consumer = new Consumer(served(sent), "g", {});
  const fault = new Error("the log is full");
  const handler = async (delivery: { readonly event: { readonly position: bigint } }) => {
    const isFirst = delivery.event.position === 1n;
    await new Promise((resolve) => setTimeout(resolve, isFirst ? 10 : 60));
    if (isFirst) throw new RangeError("once");
  };
  const onError = (): never => {
    throw fault;
  };
  const running = consumer.run(handler, { concurrency: 2, onError });
  await assert.rejects(running, (error) => error === fault);
  const settled = sent.flatMap(({ settlements }) => settlements);
  const told = settled.map(({ action, positions }) => [action, ...positions]);
  assert.deepEqual(told, [[SettleAction.RETRY, 1n], [SettleAction.ACK, 2n]]);
});

test("closing lets run settle what it has in hand", async () => {
  const sent: ConsumeRequest[] = [];
  const consumer = new Consumer(served(sent), "g", {});
  const handler = () => new Promise<void>((resolve) => setTimeout(resolve, 50));
  const running = consumer.run(handler, { concurrency: 2 });
  await new Promise((resolve) => setTimeout(resolve, 10));
  await consumer.close();
  await running;
  const settled = sent.flatMap(({ settlements }) => settlements);
  assert.deepEqual(settled.flatMap(({ positions }) => positions), [1n, 2n]);
});
