/** Goal: answers of many messages end with what ended them, without a server. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Duplex, PassThrough } from "node:stream";
import { test } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Client,
  ConnectionFailed,
  EventNotFound,
  InvalidValue,
  OutcomeUnknown,
  StoreIncarnationChanged,
  VersionAhead,
} from "@eventfold/client";
import { EventStore, Subscriptions, WatchResponseSchema } from "@eventfold/client/stubs";
import { failing, internal } from "./support.js";

const transport = await internal<typeof import("../dist/transport.js")>("transport.js");
const { stubOf } = await internal<typeof import("../dist/stub.js")>("stub.js");
const { watched } = await internal<typeof import("../dist/watch.js")>("watch.js");
type Connected = Parameters<typeof watched>[0];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function all<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of messages) found.push(one);
  return found;
}

test("a stream of a stub tells its error also to who iterates it late", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  const client = new Client(`127.0.0.1:${port}`);
  const events = client.stub(Subscriptions).subscribe({}, { timeoutMs: 5_000 });
  await pause(100);
  await failing(all(events), ConnectionFailed);
  client.close();
});

test("messages that are iterated late end with what broke them", async () => {
  const call = Object.assign(new PassThrough({ objectMode: true }), { cancel: () => undefined });
  const messages = new transport.Incoming(call as never, undefined, undefined);
  const fault = new Error("it broke");
  // As gRPC does it.
  call.push(null);
  call.emit("error", fault);
  await pause(10);
  await assert.rejects(all(messages), (error) => error === fault);
});

test("waiting for room leaves no listeners behind", async () => {
  const duplex = new Duplex({ highWaterMark: 1, read: () => undefined, write: () => undefined });
  const call = Object.assign(duplex, { cancel: () => undefined });
  const session = new transport.Session(call as never);
  const before = ["drain", "close", "error", "status"].map((name) => call.listenerCount(name));
  for (let n = 0; n < 3; n++) {
    session.send(new Uint8Array(2));
    const room = session.drained();
    call.emit("drain");
    await room;
  }
  const after = ["drain", "close", "error", "status"].map((name) => call.listenerCount(name));
  assert.deepEqual(after, before);
});

type AppendRequest = MessageInitShape<typeof EventStore.method.appendSession.input>;

/** A session whose server answers so many messages, and then OK. */
function conversing(answers: number, lastMs: number) {
  const told = { sent: 0, isCancelled: false };
  async function* incoming(): AsyncGenerator<unknown> {
    for (let n = 0; n < answers; n++) yield n;
    await pause(lastMs);
  }
  const call = {
    send: () => (told.sent += 1),
    drained: () => Promise.resolve(),
    end: () => undefined,
    cancel: () => (told.isCancelled = true),
  };
  const connection = {
    session: () => ({ call, answers: incoming() }),
    decoded: (_: unknown, message: unknown) => message,
  } as unknown as Connected;
  return { told, stub: stubOf(connection, EventStore) };
}

test("a conversation ends when the server ends it, whatever the requests do", async () => {
  async function* idle(): AsyncGenerator<AppendRequest> {
    yield {};
    await new Promise(() => undefined);
  }
  const { stub } = conversing(2, 10);
  assert.equal((await all(stub.appendSession(idle()))).length, 2);
});

test("a conversation that is left draws no more requests", async () => {
  let drawn = 0;
  async function* endless(): AsyncGenerator<AppendRequest> {
    for (; ; drawn++) {
      await pause(1);
      yield {};
    }
  }
  const { stub } = conversing(2, 10);
  for await (const _ of stub.appendSession(endless())) break;
  await pause(10);
  const before = drawn;
  await pause(30);
  assert.equal(drawn, before);
});

test("what the requests fail with is thrown though the server said OK", async () => {
  const fault = new Error("no more");
  // eslint-disable-next-line require-yield
  async function* broken(): AsyncGenerator<AppendRequest> {
    throw fault;
  }
  const { stub, told } = conversing(0, 10);
  await assert.rejects(all(stub.appendSession(broken())), (error) => error === fault);
  assert.ok(told.isCancelled);
});

test("a streamed write whose deadline passes may have been done", async () => {
  const sockets: Socket[] = [];
  const server = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = new Client(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  await failing(client.privacy.put({ source: "" }, { timeoutMs: 200 }), OutcomeUnknown);
  client.close();
  server.close();
  for (const socket of sockets) socket.destroy();
});

/** A store whose watch brings these messages, one call after the other. */
function watching(calls: (Error | MessageInitShape<typeof WatchResponseSchema>)[][], found: Error) {
  async function* stream(): AsyncGenerator<unknown> {
    for (const one of calls.shift() ?? [new InvalidValue("there is no further call")]) {
      if (one instanceof Error) throw one;
      yield create(WatchResponseSchema, one);
    }
  }
  const connection = {
    settings: { target: "t" },
    timeoutMs: () => 1_000,
    stream,
    unary: () => Promise.reject(found),
  } as unknown as Connected;
  return all(watched(connection, "s-1", { fold: "f" }));
}

test("a watch notices that the log lost its tail", async () => {
  const state = { version: 3n, position: 7n, eventId: "a", state: new Uint8Array([123, 125]) };
  const gone = new EventNotFound("gone");
  for (const second of [
    [{ states: [] }],
    [new VersionAhead("ahead")],
    [{ states: [{ ...state, eventId: "b" }] }],
    [{ states: [{ ...state, version: 2n }] }],
  ]) {
    const states = watching([[{ states: [state] }], second], gone);
    const changed = await failing(states, StoreIncarnationChanged);
    assert.equal(changed.facts["token_position"], "7");
  }
});
