/** A session of a consumer: what its desk owes is sent, what comes is taken. */

import { type Answers, type Connection, encoded } from "./connection.js";
import type { Desk, Item, Lost, Settling } from "./desk.js";
import { noAnswer } from "./failures.js";
import {
  ConsumeRequestSchema,
  ConsumeResponseSchema,
  ConsumerGroups,
} from "./generated/eventfold/v1/consumer_groups_pb.js";
import { ended } from "./reconnects.js";
import type { Session } from "./transport.js";

/** One call on a group. It begins at once. */
export class ConsumeSession {
  wasUseful = false;
  isOver = false;
  #failure: unknown;
  #isStopping = false;
  #isEnded = false;
  #timer: NodeJS.Timeout | undefined;
  #wakers: (() => void)[] = [];
  readonly #call: Session;

  constructor(
    private readonly connection: Connection,
    readonly desk: Desk,
    signal: AbortSignal | undefined,
  ) {
    const { call, answers } = connection.session(ConsumerGroups.method.consume, { signal });
    this.#call = call;
    void this.#read(answers);
    this.#pump();
  }

  async #read(answers: Answers<Uint8Array>): Promise<void> {
    try {
      for await (const bytes of answers) {
        const message = this.connection.decoded(ConsumeResponseSchema, bytes);
        this.wasUseful = this.desk.receive(message) || this.wasUseful;
        this.#changed();
      }
    } catch (error) {
      this.#failure = error;
    } finally {
      clearTimeout(this.#timer);
      this.isOver = true;
      this.desk.fail();
      this.#wake();
    }
  }

  /** Sends all that is due, and comes back when something may be. */
  #pump(): void {
    clearTimeout(this.#timer);
    if (this.isOver || this.#isEnded) return;
    const message = this.desk.nextMessage();
    if (message !== undefined) this.#call.send(encoded(ConsumeRequestSchema, message));
    if (this.desk.isFinished) {
      this.#isEnded = true;
      this.#call.end();
      return;
    }
    if (this.desk.isStuck) this.#call.cancel();
    const waitMs = this.desk.waitMs();
    if (waitMs !== undefined) this.#timer = setTimeout(() => this.#pump(), Math.ceil(waitMs));
  }

  #changed(): void {
    this.#pump();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#wakers.splice(0)) wake();
  }

  /** Waits until something has changed, at most so long. */
  #change(ms?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
      this.#wakers.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** The next delivery, or one that was lost; undefined: the session was stopped here. */
  async next(): Promise<Item | Lost | undefined> {
    for (;;) {
      const found = this.desk.next();
      if (found !== undefined) return found;
      if (this.#isStopping) return undefined;
      if (this.isOver) throw this.#failure ?? ended(this.connection.settings.target);
      this.#pump();
      await this.#change();
    }
  }

  begin(item: Item): boolean {
    const begun = this.desk.begin(item);
    this.#pump();
    return begun;
  }

  settle(item: Item, settling: Settling): void {
    this.desk.settle(item, settling);
    this.#pump();
  }

  outcome(item: Item, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(noAnswer(timeoutMs, "append")), timeoutMs);
      this.desk.watch(item, (error) => {
        clearTimeout(timer);
        if (error === undefined) resolve();
        else reject(error);
      });
      this.#pump();
    });
  }

  /** Hands nothing out any more. */
  stop(): void {
    this.#isStopping = true;
    this.desk.stop();
    this.#changed();
  }

  /** Sends what is settled, gives back the rest, and waits for the answers. */
  async end(timeoutMs: number): Promise<void> {
    this.stop();
    this.desk.close();
    this.#pump();
    const deadline = performance.now() + timeoutMs;
    while (!this.isOver && performance.now() < deadline) {
      await this.#change(deadline - performance.now());
    }
    if (!this.isOver) this.cancel();
  }

  cancel(): void {
    this.#call.cancel();
  }
}
