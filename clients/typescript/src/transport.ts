/** Calls over gRPC whose messages are bytes, both ways. */

import * as tls from "node:tls";

import {
  type ClientDuplexStream,
  type ClientReadableStream,
  Client as GrpcClient,
  type ClientOptions as GrpcOptions,
  type CallOptions as GrpcCallOptions,
  Metadata,
  credentials,
} from "@grpc/grpc-js";

import { InvalidValue } from "./errors.js";
import { isLoopback, type Settings } from "./settings.js";
import { VERSION } from "./version.js";

// Pages and states stay under gRPC's default of 4 MiB; one event with all its parts may come close,
// so there is room.
const MESSAGE_BYTES_MAX = 8 << 20;

/** One attempt of a call. */
export interface Attempt {
  /** Milliseconds until it fails; undefined: it has no deadline. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Metadata beside the token. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** What ends an answer that was silent for too long. */
export class Silence extends Error {}

const pass = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** An answer of many messages. */
export class Incoming implements AsyncIterable<Uint8Array> {
  #wasSilent = false;
  // Where nobody iterated yet when it came, the messages just end.
  #failure: Error | undefined;
  readonly #stopListening: () => void;

  constructor(
    protected readonly call:
      | ClientReadableStream<Uint8Array>
      | ClientDuplexStream<Uint8Array, Uint8Array>,
    private readonly signal: AbortSignal | undefined,
    private readonly silenceMs: number | undefined,
  ) {
    // A call may fail with nobody there: before it is iterated, or when it is cancelled.
    call.on("error", (error: Error) => (this.#failure ??= error));
    this.#stopListening = onAbort(signal, () => this.cancel());
  }

  /** Ends the call. */
  cancel(): void {
    this.call.cancel();
  }

  /** The messages; ends the call when it is left. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    const messages = this.call[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.#next(messages);
        this.signal?.throwIfAborted();
        if (next.done) return;
        yield next.value as Uint8Array;
      }
    } finally {
      this.#stopListening();
      this.call.cancel();
    }
  }

  async #next(messages: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    const timer = this.silenceMs && setTimeout(() => this.#fallSilent(), this.silenceMs);
    try {
      const next = await messages.next();
      if (next.done && this.#failure !== undefined) throw this.#failure;
      return next;
    } catch (error) {
      this.signal?.throwIfAborted();
      throw this.#wasSilent ? new Silence() : error;
    } finally {
      clearTimeout(timer);
    }
  }

  #fallSilent(): void {
    this.#wasSilent = true;
    this.cancel();
  }
}

/** A call of many messages both ways. */
export class Session extends Incoming {
  readonly #duplex: ClientDuplexStream<Uint8Array, Uint8Array>;

  constructor(
    duplex: ClientDuplexStream<Uint8Array, Uint8Array>,
    signal?: AbortSignal,
    silenceMs?: number,
  ) {
    super(duplex, signal, silenceMs);
    this.#duplex = duplex;
  }

  /** Sends a message; what cannot be sent any more is dropped, and reading tells why. */
  send(message: Uint8Array): void {
    if (!this.#duplex.writableEnded && !this.#duplex.destroyed) this.#duplex.write(message);
  }

  /** Waits until what was sent has found room. */
  async drained(): Promise<void> {
    if (!this.#duplex.writableNeedDrain || this.#duplex.destroyed) return;
    await new Promise<void>((resolve) => {
      const events = ["drain", "close", "error", "status"];
      const done = (): void => {
        for (const event of events) this.#duplex.off(event, done);
        resolve();
      };
      for (const event of events) this.#duplex.on(event, done);
    });
  }

  /** Says that there is no more to send. */
  end(): void {
    this.#duplex.end();
  }
}

/** The connection to a server, opened with the first call. */
export class Transport {
  readonly #client: GrpcClient;
  readonly #token: string | undefined;
  // gRPC lets calls go on that are under way when their client is closed.
  readonly #calls = new Set<{ cancel(): void }>();

  constructor(settings: Settings) {
    this.#token = settings.token;
    const options: GrpcOptions = {
      "grpc.max_receive_message_length": MESSAGE_BYTES_MAX,
      "grpc.max_send_message_length": -1,
      "grpc.keepalive_time_ms": 60_000,
      "grpc.keepalive_timeout_ms": 20_000,
      "grpc.primary_user_agent": `eventfold-typescript/${VERSION}`,
      "grpc.initial_reconnect_backoff_ms": 50,
      "grpc.min_reconnect_backoff_ms": 50,
      "grpc.max_reconnect_backoff_ms": 5_000,
      // What may be repeated is known here, and only here.
      "grpc.enable_retries": 0,
      "grpc.use_local_subchannel_pool": 1,
      // What stays on this machine needs no proxy, and a token in plain text must not meet one.
      "grpc.enable_http_proxy": isLoopback(settings.target) ? 0 : 1,
    };
    try {
      this.#client = new GrpcClient(settings.target, channelCredentials(settings), options);
    } catch (error) {
      const told = error instanceof Error ? error.message : String(error);
      throw Object.assign(new InvalidValue(told, "target"), { cause: error });
    }
  }

  #metadata(attempt: Attempt): Metadata {
    const metadata = new Metadata();
    if (this.#token !== undefined) metadata.set("authorization", `Bearer ${this.#token}`);
    for (const [name, value] of Object.entries(attempt.metadata ?? {})) metadata.set(name, value);
    return metadata;
  }

  #options(attempt: Attempt): GrpcCallOptions {
    return attempt.timeoutMs === undefined ? {} : { deadline: Date.now() + attempt.timeoutMs };
  }

  #followed<C extends { cancel(): void; once(event: "status", act: () => void): unknown }>(
    call: C,
  ): C {
    this.#calls.add(call);
    call.once("status", () => this.#calls.delete(call));
    return call;
  }

  /** A call with one answer. */
  unary(path: string, request: Uint8Array, attempt: Attempt): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      attempt.signal?.throwIfAborted();
      const [metadata, options] = [this.#metadata(attempt), this.#options(attempt)];
      const done = (error: Error | null, answer?: Uint8Array): void => {
        stopListening();
        if (attempt.signal?.aborted) reject(attempt.signal.reason);
        else if (error !== null) reject(error);
        else resolve(answer as Uint8Array);
      };
      const call = this.#followed(
        this.#client.makeUnaryRequest(
          path, pass, (bytes: Buffer): Uint8Array => bytes, request, metadata, options, done,
        ),
      );
      const stopListening = onAbort(attempt.signal, () => call.cancel());
    });
  }

  /** A call with an answer of many messages. */
  stream(path: string, request: Uint8Array, attempt: Attempt, silenceMs?: number): Incoming {
    attempt.signal?.throwIfAborted();
    const [metadata, options] = [this.#metadata(attempt), this.#options(attempt)];
    const call = this.#client.makeServerStreamRequest(
      path, pass, (bytes: Buffer): Uint8Array => bytes, request, metadata, options,
    );
    return new Incoming(this.#followed(call), attempt.signal, silenceMs);
  }

  /** A call of many messages both ways. */
  session(path: string, attempt: Attempt, silenceMs?: number): Session {
    attempt.signal?.throwIfAborted();
    const [metadata, options] = [this.#metadata(attempt), this.#options(attempt)];
    const call = this.#client.makeBidiStreamRequest(
      path, pass, (bytes: Buffer): Uint8Array => bytes, metadata, options,
    );
    return new Session(this.#followed(call), attempt.signal, silenceMs);
  }

  /** Ends the connection, and all calls. */
  close(): void {
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }
}

function channelCredentials(settings: Settings): ReturnType<typeof credentials.createSsl> {
  if (!settings.isTls) return credentials.createInsecure();
  return credentials.createSsl(settings.authorities ?? systemAuthorities());
}

/** The authorities of the system beside those of Node.js, where it can tell them; null: its own. */
function systemAuthorities(): Buffer | null {
  const told = (tls as { getCACertificates?: (of: string) => string[] }).getCACertificates;
  if (told === undefined) return null;
  return Buffer.from([...told("default"), ...told("system")].join("\n"));
}

function onAbort(signal: AbortSignal | undefined, act: () => void): () => void {
  signal?.addEventListener("abort", act, { once: true });
  return () => signal?.removeEventListener("abort", act);
}
