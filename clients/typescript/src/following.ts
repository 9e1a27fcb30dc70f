/** Where a subscription stands, so that a broken one goes on without gap or repetition. */

import { clone } from "@bufbuild/protobuf";

import { RecordedEvent } from "./events.js";
import {
  FrameKind as WireKind,
  type SubscribeRequest,
  SubscribeRequestSchema,
  type SubscribeResponse,
} from "./generated/eventfold/v1/subscriptions_pb.js";
import { logChanged } from "./reader.js";

/**
 * How far a reader of the log is, and the proof that it was this very log. Keep it in the same
 * transaction as what the events led to, and begin the next subscription with it.
 */
export interface Place {
  /** Everything at or below this position was taken. 0n: nothing. */
  readonly position: bigint;
  /** The token of the newest frame that was taken whole; empty: there is none. */
  readonly resumeToken: Uint8Array;
  /** The position that the token stands for, at most `position`; 0n: not known. */
  readonly tokenPosition: bigint;
  /** Id of the event at `position`, where the token stands for an earlier position. */
  readonly eventId?: string | undefined;
}

/** What a frame of a subscription says. */
export type FrameKind =
  /** Here are events. */
  | "events"
  /** The filter hid everything up to `position`: it is worth to keep the place. */
  | "checkpoint"
  /** The head was reached: from here on events come as they are appended. */
  | "caught up"
  /** The reader was slower than the writers; stored pages come until the next `caught up`. */
  | "fell behind"
  /** Nothing happened for 10 s. */
  | "heartbeat";

/** A part of a subscription: some events, or news of how far it is. */
export interface Frame {
  readonly kind: FrameKind;
  readonly events: readonly RecordedEvent[];
  /** Everything up to here was looked at, and what passed the filter was delivered. */
  readonly position: bigint;
  /** Stands for `position` on this very log. */
  readonly resumeToken: Uint8Array;
  /** Head of the log as the server knew it. */
  readonly head: bigint;
}

const KINDS: Partial<Record<WireKind, FrameKind>> = {
  [WireKind.EVENTS]: "events",
  [WireKind.CAUGHT_UP]: "caught up",
  [WireKind.FELL_BEHIND]: "fell behind",
  [WireKind.HEARTBEAT]: "heartbeat",
};

/** Nothing was taken. */
export const BEGINNING: Place = {
  position: 0n,
  resumeToken: new Uint8Array(),
  tokenPosition: 0n,
};

/**
 * Follows a subscription: what was taken, and what to ask for when the call breaks.
 *
 * The server gives a token for each frame. Inside of a frame, the place is the token of the frame
 * before with the id of the last event that was taken: a broken call begins again at that token,
 * what was taken already is passed by, and the id is compared in passing.
 */
export class Following {
  // All before the frame under way.
  #base: Place;
  #frame: Frame | undefined;
  // Events of the frame under way that were handed out.
  #taken = 0;
  // Whether the event that the place names has to be seen yet.
  #isUnproven = false;
  #isDoubtful = false;
  head = 0n;
  isCaughtUp = false;

  constructor(
    private readonly first: SubscribeRequest,
    place: Place,
  ) {
    this.#base = place;
  }

  /** How far the reader is; an event is taken as soon as it was handed out. */
  get place(): Place {
    const [frame, base] = [this.#frame, this.#base];
    if (frame === undefined) return base;
    if (this.#taken < frame.events.length) {
      const last = frame.events[this.#taken - 1];
      if (last === undefined) return base;
      return { ...base, position: last.position, eventId: last.id };
    }
    if (frame.resumeToken.length === 0) return base;
    const { position, resumeToken } = frame;
    return { position, resumeToken, tokenPosition: position };
  }

  /** The request for what is still to come. */
  request(): SubscribeRequest {
    this.#settle();
    this.isCaughtUp = false;
    const base = this.#base;
    this.#isUnproven = base.eventId !== undefined;
    const request = clone(SubscribeRequestSchema, this.first);
    if (base.resumeToken.length > 0) {
      request.start = { case: "resumeToken", value: base.resumeToken };
    } else if (base.eventId !== undefined) {
      // With the event itself, to compare it.
      request.start = { case: "fromPosition", value: base.position };
    } else if (base.position > 0n) {
      request.start = { case: "fromPosition", value: base.position + 1n };
    }
    return request;
  }

  #settle(): void {
    this.#base = this.place;
    this.#frame = undefined;
    this.#taken = 0;
  }

  /** The frame that came; undefined: all of it was taken before. */
  accept(message: SubscribeResponse): Frame | undefined {
    this.#settle();
    const base = this.#base;
    const events: RecordedEvent[] = [];
    for (const one of message.events) {
      if (one.position > base.position) events.push(new RecordedEvent(one));
      else if (one.position === base.position) this.#pass(new RecordedEvent(one));
    }
    if (message.head > this.head) this.head = message.head;
    const isOld = message.position < base.position && events.length === 0;
    const isCaughtUp = message.kind === WireKind.CAUGHT_UP;
    // At the head, what did not come by does not come any more.
    this.#isDoubtful = this.#isUnproven && (!isOld || isCaughtUp);
    if (isOld) return undefined;
    // What is true of a checkpoint is true of all frames.
    let kind: FrameKind = KINDS[message.kind] ?? "checkpoint";
    if (kind === "events" && events.length === 0) kind = "checkpoint";
    if (kind === "caught up") this.isCaughtUp = true;
    if (kind === "fell behind") this.isCaughtUp = false;
    const { position, resumeToken, head } = message;
    return { kind, events, position, resumeToken, head };
  }

  #pass(event: RecordedEvent): void {
    if (this.#isUnproven) this.prove(event);
  }

  /**
   * The place whose event did not come by, though it should have: it has to be looked up, for the
   * filter may hide what it let pass before.
   */
  get doubtful(): Place | undefined {
    return this.#isDoubtful ? this.#base : undefined;
  }

  /** Compares the event at the place with what is stored now; undefined: no such event. */
  prove(event: RecordedEvent | undefined): void {
    const base = this.#base;
    if (event?.id !== base.eventId || event?.position !== base.position) throw this.changed();
    this.#isUnproven = this.#isDoubtful = false;
  }

  /** The error of a log that lost what was taken. */
  changed(): Error {
    return logChanged(this.#base.position, this.#base.tokenPosition);
  }

  /** Hands out a frame: so many of its events, or the whole. */
  take(frame: Frame, events = frame.events.length): void {
    this.#frame = frame;
    this.#taken = events;
  }
}
