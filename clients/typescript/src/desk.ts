/** What a session of a consumer has in hand, and what it owes the server. No I/O. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";

import { ConnectionFailed, type EventfoldError } from "./errors.js";
import { RecordedEvent } from "./events.js";
import { errorOfStatus } from "./failures.js";
import { LeaseLost } from "./generated/errors.js";
import {
  type ConsumeRequestSchema,
  type ConsumeResponse,
  type GroupSettings,
  GroupSettingsSchema,
  OnPark,
  SettleAction,
  type SettleAnswer,
  type SettlementSchema,
} from "./generated/eventfold/v1/consumer_groups_pb.js";
import { checkMs } from "./settings.js";

// Acks wait so long for company, unless the consumer waits too: one message for many costs both
// sides less, and one that is lost with the session is delivered again.
const ACK_DELAY_MS = 10;
// A settlement that the storage refused is sent again after so long.
const REPEAT_MS = 250;
const UNANSWERED_MS = 30_000;
const POSITIONS_MAX = 10_000;
const DELAY_MS_MAX = 86_400_000;
const REASON_CHARACTERS_MAX = 1_024;

type ConsumeRequestInit = MessageInitShape<typeof ConsumeRequestSchema>;
type SettlementInit = MessageInitShape<typeof SettlementSchema>;

/** A delivered event. */
export interface Item {
  readonly event: RecordedEvent;
  readonly lease: bigint;
  readonly attempt: number;
  /** When the lease began, or was extended, by the clock of this process. */
  touched: number;
  state: "waiting" | "in hand" | "settling" | "settled" | "lost";
  error: EventfoldError | undefined;
  wasParked: boolean;
  /** Who waits for it to be settled. */
  readonly waiters: ((error: EventfoldError | undefined) => void)[];
}

/** A delivery that was settled too late, or not at all. */
export interface Lost {
  readonly lost: Item;
  readonly error: EventfoldError;
}

/** How to settle. */
export interface Settling {
  readonly action: SettleAction;
  readonly reason: string;
  readonly delayMs: number | undefined;
}

interface Batch {
  readonly settling: Settling;
  readonly items: Item[];
  /** When it was sent, or is to be sent again. */
  readonly at: number;
}

/** Whether it can be settled. */
export function isOpen(item: Item): boolean {
  return item.state === "waiting" || item.state === "in hand";
}

/** Whether nobody has settled it, be it lost or not. */
export function isUnsettled(item: Item): boolean {
  return isOpen(item) || item.state === "lost";
}

function tell(item: Item): void {
  for (const waiter of item.waiters.splice(0)) waiter(item.error);
}

/** What one session has of the events of a group. */
export class Desk {
  session = 0n;
  #start: { group: string; consumer: string } | undefined;
  #creditsDue: number;
  #number = 0n;
  #settings: GroupSettings = create(GroupSettingsSchema);
  #waiting: Item[] = [];
  // By position, in the order of delivery.
  readonly #open = new Map<bigint, Item>();
  readonly #inHand = new Set<Item>();
  #lost: Lost[] = [];
  readonly #due = new Map<string, Batch>();
  #dueSince: number | undefined;
  #repeated: Batch[] = [];
  readonly #sent = new Map<bigint, Batch>();
  #isUrgent = false;
  #isStarving = false;
  #isStopping = false;
  #isClosing = false;

  constructor(
    private readonly group: string,
    consumer: string,
    private readonly creditsMax: number,
  ) {
    this.#start = { group, consumer };
    this.#creditsDue = creditsMax;
  }

  // What comes.

  /** Takes what the server sent; says whether it was of use to the group's work. */
  receive(message: ConsumeResponse): boolean {
    if (message.started !== undefined) {
      this.session = message.started.session;
      this.#settings = message.started.settings ?? this.#settings;
    }
    const now = performance.now();
    for (const [index, event] of message.events.entries()) {
      const item: Item = {
        event: new RecordedEvent(event),
        lease: message.leases[index] ?? 0n,
        attempt: message.attempts[index] ?? 1,
        touched: now,
        state: "waiting",
        error: undefined,
        wasParked: false,
        waiters: [],
      };
      this.#open.set(event.position, item);
      if (!this.#isStopping) this.#waiting.push(item);
    }
    for (const answer of message.answers) this.#answer(answer);
    return message.events.length > 0 || message.answers.length > 0;
  }

  #answer(answer: SettleAnswer): void {
    const batch = this.#sent.get(answer.number);
    if (batch === undefined) return;
    this.#sent.delete(answer.number);
    const isExtension = batch.settling.action === SettleAction.EXTEND;
    const { outcome } = answer;
    const error = outcome.case === "refused" ? errorOfStatus(outcome.value) : undefined;
    if (error?.code === "UNAVAILABLE" && !isExtension) {
      this.#repeated.push({ ...batch, at: performance.now() + REPEAT_MS });
      return;
    }
    const late = new Set(answer.refusedPositions);
    const parked = new Set(outcome.case === "settled" ? outcome.value.parked : []);
    for (const item of batch.items) {
      const { position } = item.event;
      if (error !== undefined && (late.size === 0 || late.has(position))) {
        this.#lose(item, error);
      } else if (isExtension) {
        item.touched = performance.now();
      } else {
        item.wasParked = parked.has(position);
        item.state = "settled";
        tell(item);
      }
    }
  }

  #lose(item: Item, error: EventfoldError): void {
    const wasWaiting = item.state === "waiting";
    this.#forget(item);
    item.state = "lost";
    item.error = error;
    tell(item);
    if (!wasWaiting) this.#lost.push({ lost: item, error });
  }

  /** It is not under way any more, and makes room for another one. */
  #forget(item: Item): void {
    if (this.#open.get(item.event.position) !== item) return;
    this.#open.delete(item.event.position);
    this.#creditsDue += 1;
  }

  // What goes.

  /** The next delivery, or one that was lost; undefined: there is none yet. */
  next(): Item | Lost | undefined {
    const lost = this.#lost.shift();
    if (lost !== undefined) return lost;
    for (let item = this.#waiting.shift(); item !== undefined; item = this.#waiting.shift()) {
      if (!isOpen(item)) continue;
      this.#isStarving = false;
      return item;
    }
    this.#isStarving = true;
    return undefined;
  }

  /** Notes that somebody handles it from now on; false: it was lost before. */
  begin(item: Item): boolean {
    if (item.state !== "waiting") return false;
    item.state = "in hand";
    this.#inHand.add(item);
    // What it waited here is not to be missing for its handling.
    if (performance.now() - item.touched > this.#ackTimeoutMs / 3) {
      this.settle(item, { action: SettleAction.EXTEND, reason: "", delayMs: undefined });
    }
    return true;
  }

  /**
   * Settles a delivery with the next message; one that is lost comes to nothing.
   *
   * @throws InvalidValue the delay cannot be sent; the delivery stays as it was.
   */
  settle(item: Item, { action, reason: told, delayMs }: Settling): void {
    // All that can be refused comes first: what fails with a message takes the acks in it along.
    const reason = told.slice(0, REASON_CHARACTERS_MAX);
    const delay = delayMs === undefined ? undefined : checkMs(delayMs, "delayMs", DELAY_MS_MAX);
    if (action !== SettleAction.EXTEND) this.#inHand.delete(item);
    if (item.state === "lost") return;
    if (!isOpen(item)) throw new Error(`event ${item.event.position} is settled already`);
    const key = JSON.stringify([action, reason, delay]);
    const settling = { action, reason, delayMs: delay };
    const batch = this.#due.get(key) ?? { settling, items: [], at: 0 };
    batch.items.push(item);
    this.#due.set(key, batch);
    if (action === SettleAction.EXTEND) {
      item.touched = performance.now();
      this.#isUrgent = true;
      return;
    }
    item.state = "settling";
    this.#forget(item);
    if (action === SettleAction.ACK) {
      this.#dueSince ??= performance.now();
      return;
    }
    this.#isUrgent = true;
    const holdsBack = this.#settings.onPark !== OnPark.LET_PASS;
    if (action === SettleAction.RETRY || (action === SettleAction.PARK && holdsBack)) {
      this.#giveBack(item);
    }
  }

  /** Drops the later events of a stream that goes back with one of them. */
  #giveBack(first: Item): void {
    if (this.#settings.unordered) return;
    for (const item of [...this.#open.values()]) {
      if (item.event.stream === first.event.stream && item.lease === first.lease) {
        this.#lose(item, new LeaseLost("an earlier event of its stream was given back"));
      }
    }
  }

  /** Tells what becomes of a delivery; its ack waits for no company. */
  watch(item: Item, waiter: (error: EventfoldError | undefined) => void): void {
    item.waiters.push(waiter);
    if (item.error !== undefined || item.state === "settled") tell(item);
    this.#isUrgent = true;
  }

  get #ackTimeoutMs(): number {
    const timeout = this.#settings.ackTimeout;
    return (timeout && durationMs(timeout)) || Infinity;
  }

  /**
   * Extends the leases of what waits here; returns when to look again. It waits because of this
   * process, not because of a handler; one that hangs is told by the lease of what it has in hand,
   * and then nothing is extended.
   */
  #extendWaiting(now: number): number {
    const third = this.#ackTimeoutMs / 3;
    for (const item of this.#inHand) {
      // A loop that passes over what is lost never settles it; that says nothing of the others.
      if (item.state === "lost") this.#inHand.delete(item);
      else if (now - item.touched > 3 * third) return now + third;
    }
    const busy = new Set(Array.from(this.#inHand, (item) => item.lease));
    let soonest = now + third;
    for (const item of this.#open.values()) {
      if (item.state !== "waiting" || busy.has(item.lease)) continue;
      if (now - item.touched >= third) {
        this.settle(item, { action: SettleAction.EXTEND, reason: "", delayMs: undefined });
      }
      soonest = Math.min(soonest, item.touched + third);
    }
    return soonest;
  }

  /** All that is due; undefined: nothing is. */
  nextMessage(): ConsumeRequestInit | undefined {
    const now = performance.now();
    if (this.#start === undefined && !this.#isDue(now)) return undefined;
    const again = this.#repeated.filter((batch) => batch.at <= now);
    this.#repeated = this.#repeated.filter((batch) => batch.at > now);
    const settlements = [...this.#due.values(), ...again].flatMap(({ settling, items }) => {
      const parts: SettlementInit[] = [];
      for (let first = 0; first < items.length; first += POSITIONS_MAX) {
        parts.push(this.#settlement(now, settling, items.slice(first, first + POSITIONS_MAX)));
      }
      return parts;
    });
    const start = this.#start;
    const credits = this.#isStopping ? 0 : this.#creditsDue;
    this.#creditsDue -= credits;
    this.#start = undefined;
    this.#due.clear();
    this.#dueSince = undefined;
    this.#isUrgent = false;
    if (start === undefined && settlements.length === 0 && credits === 0) return undefined;
    return { settlements, credits, ...(start === undefined ? {} : { start }) };
  }

  #settlement(now: number, settling: Settling, items: Item[]): SettlementInit {
    const number = ++this.#number;
    this.#sent.set(number, { settling, items, at: now });
    return {
      number,
      action: settling.action,
      reason: settling.reason,
      positions: items.map((item) => item.event.position),
      leases: items.map((item) => item.lease),
      ...(settling.delayMs === undefined ? {} : { delay: durationFromMs(settling.delayMs) }),
    };
  }

  #isDue(now: number): boolean {
    if (this.#isUrgent || this.#repeated.some((batch) => batch.at <= now)) return true;
    const waits = this.#isStarving || this.#isStopping;
    if (!this.#isStopping && this.#creditsDue > (waits ? 0 : Math.floor(this.creditsMax / 4))) {
      return true;
    }
    if (this.#dueSince === undefined) return false;
    return this.#isStopping || now - this.#dueSince >= ACK_DELAY_MS;
  }

  /** Milliseconds until something may be due though nothing happens; undefined: never. */
  waitMs(): number | undefined {
    const now = performance.now();
    const times = this.#repeated.map((batch) => batch.at);
    if (this.#open.size > 0 && !this.#isStopping) times.push(this.#extendWaiting(now));
    if (this.#isUrgent) return 0;
    if (this.#dueSince !== undefined) times.push(this.#dueSince + ACK_DELAY_MS);
    for (const batch of this.#sent.values()) times.push(batch.at + UNANSWERED_MS);
    const soonest = Math.min(...times);
    return soonest === Infinity ? undefined : Math.max(0, soonest - now);
  }

  /** Whether the server has left something unanswered for too long. */
  get isStuck(): boolean {
    const now = performance.now();
    return [...this.#sent.values()].some((batch) => now - batch.at > UNANSWERED_MS);
  }

  // The end.

  /** Nothing more is handed out; what is in hand can still be settled. */
  stop(): void {
    this.#isStopping = true;
    this.#waiting = [];
  }

  /** What was settled until now is the last. */
  close(): void {
    this.stop();
    this.#isClosing = true;
  }

  /** Whether the last has been sent. */
  get isFinished(): boolean {
    return this.#isClosing && this.#due.size === 0 && this.#repeated.length === 0;
  }

  /** The session is over: nothing of it can be settled any more. */
  fail(): void {
    const text = "the session broke before the answer came; the event may be delivered again";
    const settling = (batches: Iterable<Batch>): Item[] =>
      [...batches].flatMap((batch) => batch.items).filter((item) => item.state === "settling");
    for (const item of settling(this.#sent.values())) this.#lose(item, new ConnectionFailed(text));
    for (const item of settling([...this.#due.values(), ...this.#repeated])) {
      this.#lose(item, this.#broken(item));
    }
    for (const item of this.#open.values()) {
      item.state = "lost";
      item.error = this.#broken(item);
      tell(item);
    }
    this.#open.clear();
    this.#waiting = [];
    this.#due.clear();
    this.#repeated = [];
    this.#sent.clear();
  }

  #broken(item: Item): LeaseLost {
    return new LeaseLost("the session broke, and the event is delivered again", {
      group: this.group,
      position: String(item.event.position),
      lease: String(item.lease),
    });
  }
}
