/** The generated stubs, with the token, the deadline and the errors of the client. */

import {
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import { type Connection, encoded } from "./connection.js";
import type { Safety } from "./failures.js";
import type { CallOptions } from "./settings.js";

// Of these, and of no others, it is known that they change nothing.
const READS =
  /^(Get|List|Read|Find|Plan|Check|Try|Query|Count|Hydrate|Explain|Verify|Digest)(?=[A-Z]|$)/;
// They change nothing either; no stream is repeated here, but its deadline is no doubt.
const STREAMED_READS = /^(Subscribe|Watch|ExportSubject)$/;

/** Whether a call may be repeated. Appends may not: their ids may have been left to the server. */
export function safetyOf(method: DescMethod): Safety {
  return READS.test(method.name) || STREAMED_READS.test(method.name) ? "read" : "write";
}

/** A call, as a function. */
type Call<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
      : M extends DescMethodBiDiStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageInitShape<I>>,
            options?: CallOptions,
          ) => AsyncIterable<MessageShape<O>>
        : never;

/**
 * The calls of a service, with plain messages.
 *
 * Calls with one answer have the timeout of the client, and are repeated as far as that is safe.
 * Those that stream have a timeout only if one is named, and are one attempt.
 */
export type Stub<S extends DescService> = {
  readonly [K in keyof S["method"]]: Call<S["method"][K]>;
};

/** Makes the stub of a service. */
export function stubOf<S extends DescService>(connection: Connection, service: S): Stub<S> {
  const calls = Object.entries(service.method).map(([name, method]) => [
    name,
    callOf(connection, method),
  ]);
  return Object.freeze(Object.fromEntries(calls)) as Stub<S>;
}

type AnyUnary = DescMethodUnary<DescMessage, DescMessage>;
type AnyStream = DescMethodServerStreaming<DescMessage, DescMessage>;

function callOf(connection: Connection, method: DescMethod): unknown {
  switch (method.methodKind) {
    case "unary":
      return (request: MessageInitShape<DescMessage>, options?: CallOptions) =>
        connection.unary(method as AnyUnary, request, options, safetyOf(method));
    case "server_streaming":
      return (request: MessageInitShape<DescMessage>, options?: CallOptions) =>
        streamed(connection, method as AnyStream, request, options ?? {});
    default:
      return (requests: AsyncIterable<MessageInitShape<DescMessage>>, options?: CallOptions) =>
        conversation(connection, method, requests, options ?? {});
  }
}

/** Begins with the first message that is asked for: a call that nobody reads is none. */
async function* streamed(
  connection: Connection,
  method: AnyStream,
  request: MessageInitShape<DescMessage>,
  options: CallOptions,
): AsyncGenerator<MessageShape<DescMessage>, void, undefined> {
  yield* connection.stream(method, request, options, safetyOf(method));
}

async function* conversation(
  connection: Connection,
  method: DescMethod,
  requests: AsyncIterable<MessageInitShape<DescMessage>>,
  options: CallOptions,
): AsyncGenerator<MessageShape<DescMessage>, void, undefined> {
  const { call, answers } = connection.session(method, options, undefined, safetyOf(method));
  const source = requests[Symbol.asyncIterator]();
  let isOver = false;
  let fault: { readonly error: unknown } | undefined;
  const faultOf = (): { readonly error: unknown } | undefined => fault;
  const send = async (): Promise<void> => {
    while (!isOver) {
      const next = await source.next();
      if (isOver) return;
      if (next.done) return call.end();
      call.send(encoded(method.input, next.value));
      await call.drained();
    }
  };
  void send().catch((error: unknown) => {
    fault = { error };
    call.cancel();
  });
  try {
    for await (const bytes of answers) yield connection.decoded(method.output, bytes);
  } catch (error) {
    throw faultOf()?.error ?? error;
  } finally {
    isOver = true;
    // Not waited for: a generator that waits for its next request comes to it only after that.
    void (async () => source.return?.())().catch(() => undefined);
  }
  const late = faultOf();
  if (late !== undefined) throw late.error;
}
