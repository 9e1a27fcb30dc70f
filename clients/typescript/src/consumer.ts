/** Consuming the events of a group: an iterator that settles, and survives breaks. */

import type { Connection } from "./connection.js";
import { ConsumeSession } from "./consuming.js";
import { Desk, isOpen, isUnsettled, type Item, type Lost } from "./desk.js";
import { type EventfoldError, InvalidValue } from "./errors.js";
import type { RecordedEvent } from "./events.js";
import { SettleAction } from "./generated/eventfold/v1/consumer_groups_pb.js";
import { Closing, type ReconnectOptions, Reconnects } from "./reconnects.js";

const CONFIRM_MS = 30_000;
const UNDER_WAY_MAX = 10_000;

/** How to consume. */
export interface ConsumeOptions extends ReconnectOptions {
  /** Name of the consumer, for people who look at the group. Default: empty. */
  readonly consumer?: string;
  /** Most events that it has at hand, 1 to 10,000: its credits. Default: 100. */
  readonly underWay?: number;
  /** Called with a delivery that was settled too late: it is delivered again. */
  readonly onLost?: (delivery: Delivery, error: EventfoldError) => void;
}

/**
 * An event that a consumer has, until it settles it.
 *
 * `ack`, `retry`, `park` and `skip` settle it, once; they do not wait for the server. What is
 * settled too late comes to `onLost` of the consumer; `confirm` waits for the answer.
 */
export class Delivery {
  readonly #session: ConsumeSession;
  readonly #item: Item;

  /** @internal */
  constructor(session: ConsumeSession, item: Item) {
    this.#session = session;
    this.#item = item;
  }

  /** The event. */
  get event(): RecordedEvent {
    return this.#item.event;
  }

  /** Which delivery of it this is, from 1. */
  get attempt(): number {
    return this.#item.attempt;
  }

  /** Whether it can be settled: it is not yet, and its lease is not known to be lost. */
  get isOpen(): boolean {
    return isOpen(this.#item);
  }

  /** @internal Whether nobody has settled it, be it lost or not. */
  get isUnsettled(): boolean {
    return isUnsettled(this.#item);
  }

  /** Whether a retry parked it because its attempts are used up; known after `confirm`. */
  get wasParked(): boolean {
    return this.#item.wasParked;
  }

  #settle(action: SettleAction, reason = "", delayMs?: number): void {
    this.#session.settle(this.#item, { action, reason, delayMs });
  }

  /** It is handled: the group never delivers it again. */
  ack(): void {
    this.#settle(SettleAction.ACK);
  }

  /**
   * It failed, and is delivered again; parked when its attempts are used up. The later events of
   * its stream that are here go back with it. `delayMs`: milliseconds to wait, up to 24 h; default:
   * as the settings of the group say. `reason`: for people who look at parked events.
   */
  retry(options: { readonly delayMs?: number; readonly reason?: string } = {}): void {
    this.#settle(SettleAction.RETRY, options.reason, options.delayMs);
  }

  /** It is set aside, until somebody replays or purges it. */
  park(reason = ""): void {
    this.#settle(SettleAction.PARK, reason);
  }

  /** It is not to be handled: the group never delivers it again. */
  skip(): void {
    this.#settle(SettleAction.SKIP);
  }

  /** It takes longer: it stays here for another `ackTimeout` from now. */
  extend(): void {
    this.#settle(SettleAction.EXTEND);
  }

  /**
   * Waits until the server has settled it, which is on disk then.
   *
   * @throws LeaseLost it was settled too late, and is delivered again.
   * @throws ConnectionFailed the connection broke; it is settled, or delivered again.
   * @throws OutcomeUnknown no answer came in time.
   */
  async confirm(timeoutMs = CONFIRM_MS): Promise<void> {
    if (this.isOpen) throw new Error("settle the delivery before asking what became of it");
    await this.#session.outcome(this.#item, timeoutMs);
  }

  /** @internal Notes that somebody handles it from now on; false: it was lost before. */
  begin(): boolean {
    return this.#session.begin(this.#item);
  }
}

/**
 * A consumer of a group; used once, in one of two ways. By hand:
 *
 * ```ts
 * for await (const delivery of client.consume("mailer")) {
 *   await mailer.send(delivery.event);
 *   delivery.ack();
 * }
 * ```
 *
 * Or with a function, for several events at once: `run`. When the connection breaks, the consumer
 * connects again by itself. What was in hand is then delivered again, here or elsewhere: at least
 * once. Leaving the loop gives back at once what is not settled.
 */
export class Consumer implements AsyncIterable<Delivery>, AsyncDisposable {
  readonly #reconnects: Reconnects;
  readonly #closing = new Closing();
  #session: ConsumeSession | undefined;
  #isUsed = false;
  // Whether `run` has deliveries in hand that the loop does not know of.
  #isRunning = false;
  // Whether the loop waits for the next delivery, and so can end the session.
  #isWaiting = false;
  #ending: Promise<void> | undefined;

  /** Made by `consume`. */
  constructor(
    private readonly connection: Connection,
    private readonly group: string,
    private readonly options: ConsumeOptions,
  ) {
    const { underWay = 100 } = options;
    if (!Number.isInteger(underWay) || underWay < 1 || underWay > UNDER_WAY_MAX) {
      throw new InvalidValue(`it is 1 to ${UNDER_WAY_MAX} events, not ${underWay}`, "underWay");
    }
    this.#reconnects = new Reconnects(connection.timeoutMs(options.timeoutMs), options);
  }

  /** Number of the session, as `groups.get` lists it; 0n: there is none at the moment. */
  get session(): bigint {
    return this.#session?.desk.session ?? 0n;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Delivery, void, undefined> {
    for await (const delivery of this.#incoming()) if (delivery.begin()) yield delivery;
  }

  /**
   * Hands each delivery to a function, until the consumer is closed.
   *
   * Events of a stream are handled one after the other, others at once, at most `concurrency` of
   * them (default: 1). When the function returns, its event is acknowledged, unless it settled it;
   * when it throws, the event is retried, and `onError` is told. What `onError` throws ends the
   * consumer: what is in hand is handled to its end, and `run` fails with it.
   */
  async run(
    handler: (delivery: Delivery) => Promise<void> | void,
    options: {
      readonly concurrency?: number;
      readonly onError?: (error: unknown, delivery: Delivery) => void;
    } = {},
  ): Promise<void> {
    const { concurrency = 1 } = options;
    if (!(concurrency >= 1)) throw new RangeError("concurrency must be at least 1");
    let fault: { readonly error: unknown } | undefined;
    const lanes = new Map<string, Delivery[]>();
    const running = new Map<string, Promise<void>>();
    const begin = (): void => {
      for (const [stream, lane] of lanes) {
        if (running.size >= concurrency) return;
        const delivery = running.has(stream) ? undefined : lane.shift();
        if (delivery === undefined) continue;
        if (lane.length === 0) lanes.delete(stream);
        const fail = (error: unknown): void => {
          fault ??= { error };
          lanes.clear();
          this.#stop();
        };
        const job = this.#handle(handler, delivery, options.onError).catch(fail).then(() => {
          running.delete(stream);
          begin();
        });
        running.set(stream, job);
      }
    };
    this.#isRunning ||= !this.#isUsed;
    for await (const delivery of this.#incoming(async () => {
      lanes.clear();
      await Promise.all(running.values());
    })) {
      if (fault !== undefined) continue;
      const { stream } = delivery.event;
      const lane = lanes.get(stream) ?? [];
      lane.push(delivery);
      lanes.set(stream, lane);
      begin();
    }
    if (fault !== undefined) throw (fault as { readonly error: unknown }).error;
  }

  async #handle(
    handler: (delivery: Delivery) => Promise<void> | void,
    delivery: Delivery,
    onError: ((error: unknown, delivery: Delivery) => void) | undefined,
  ): Promise<void> {
    // It may have gone back with an earlier one of its stream while it waited.
    if (!delivery.begin()) return;
    try {
      await handler(delivery);
      // Also what is lost: the desk then knows that nobody has it in hand any more.
      if (delivery.isUnsettled) delivery.ack();
    } catch (error) {
      // Its text may hold personal data, and a reason is kept beside the log.
      const reason = error instanceof Error ? error.name : typeof error;
      if (delivery.isUnsettled) delivery.retry({ reason });
      onError?.(error, delivery);
    }
  }

  /**
   * Ends the session: what is settled is sent and answered, and the rest goes to other consumers at
   * once. The event in hand is handled to its end, and the loop then ends as if there were no more;
   * so does `run`, which is not waited for.
   */
  async close(): Promise<void> {
    this.#stop();
    if (this.#isWaiting && !this.#isRunning) await this.#end();
  }

  #stop(): void {
    this.#closing.set();
    this.#session?.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Deliveries that nobody handles yet; `settled` waits until those in hand are. */
  async *#incoming(settled?: () => Promise<void>): AsyncGenerator<Delivery, void, undefined> {
    if (this.#isUsed) throw new Error("a consumer is used once, and in one way");
    this.#isUsed = true;
    const { signal } = this.options;
    try {
      while (!this.#closing.isSet) {
        this.#reconnects.begin();
        const session = this.#open();
        try {
          yield* this.#deliveries(session);
          return;
        } catch (error) {
          if (this.#closing.isSet) return;
          signal?.throwIfAborted();
          session.cancel();
          if (session.wasUseful) this.#reconnects.heard(true);
          await this.#closing.pause(this.#reconnects.pauseMs(error), signal);
        }
      }
    } finally {
      this.#session?.stop();
      await settled?.();
      await this.#end();
    }
  }

  #open(): ConsumeSession {
    const { consumer = "", underWay = 100, signal } = this.options;
    const desk = new Desk(this.group, consumer, underWay);
    this.#session = new ConsumeSession(this.connection, desk, signal);
    return this.#session;
  }

  async *#deliveries(session: ConsumeSession): AsyncGenerator<Delivery, void, undefined> {
    for (;;) {
      this.#isWaiting = true;
      let found: Item | Lost | undefined;
      try {
        found = await session.next();
      } finally {
        this.#isWaiting = false;
      }
      if (found === undefined) return;
      this.#reconnects.heard(session.wasUseful);
      if ("lost" in found) this.#tell(session, found);
      else yield new Delivery(session, found);
    }
  }

  #end(): Promise<void> {
    const session = this.#session;
    this.#closing.set();
    if (session === undefined) return Promise.resolve();
    this.#ending ??= session.end(this.connection.settings.timeoutMs).then(() => {
      for (let lost = session.desk.next(); lost !== undefined; lost = session.desk.next()) {
        if ("lost" in lost) this.#tell(session, lost);
      }
    });
    return this.#ending;
  }

  #tell(session: ConsumeSession, lost: Lost): void {
    this.options.onLost?.(new Delivery(session, lost.lost), lost.error);
  }
}
