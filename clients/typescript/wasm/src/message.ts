/**
 * Writes events as the message in which the core reads them: `events` of a `ReadResponse` of
 * `proto/eventfold/v1/event_store.proto`. One message holds many, and crosses into the module once.
 */

import { invalidValue } from "./errors.js";
import type { Json, RecordedEvent, Time } from "./events.js";

const VARINT = 0;
const DELIMITED = 2;
/** Enough for any varint, and for the length of an event, whose place is kept free. */
const LENGTH_BYTES = 5;
const VARINT_BYTES = 10;
/** Texts up to here are written letter by letter, which is faster than a call. */
const SHORT_TEXT = 64;

const encoder = new TextEncoder();

export class Message {
  #bytes = new Uint8Array(16 * 1024);
  #length = 0;

  /** Bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** What was written; valid until more is. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
  }

  /** Adds an event; after an error nothing of it is there. */
  add(event: RecordedEvent): void {
    const before = this.#length;
    try {
      const start = this.#begin(1);
      this.#event(event);
      this.#end(start);
    } catch (error) {
      this.#length = before;
      throw error;
    }
  }

  #event(event: RecordedEvent): void {
    this.#text(1, event.id, "id");
    this.#text(2, event.stream, "stream");
    this.#text(3, event.type, "type");
    this.#number(4, event.version, "version");
    this.#number(5, event.position, "position");
    const { recordedAt = 0n } = event;
    this.#time(6, recordedAt, "recordedAt");
    this.#time(7, event.occurredAt ?? recordedAt, "occurredAt");
    this.#text(8, event.writer, "writer");
    this.#json(9, event.data, "data");
    this.#json(10, event.metadata ?? "", "metadata");
    this.#texts(11, event.tags, "tags");
    this.#number(12, event.flags ?? 0, "flags");
    this.#text(13, event.copiedFrom ?? "", "copiedFrom");
    this.#text(14, event.cancels ?? "", "cancels");
    this.#number(16, event.deleted === true ? 1 : 0, "deleted");
    this.#texts(17, event.erasedPaths, "erasedPaths");
    this.#texts(18, event.withheldPaths, "withheldPaths");
  }

  /** Begins a field whose length is told at its end. */
  #begin(field: number): number {
    this.#key(field, DELIMITED);
    this.#room(LENGTH_BYTES);
    this.#length += LENGTH_BYTES;
    return this.#length;
  }

  #end(start: number): void {
    let rest = this.#length - start;
    for (let place = start - LENGTH_BYTES; place < start; place += 1) {
      this.#bytes[place] = place + 1 < start ? (rest & 0x7f) | 0x80 : rest;
      rest >>>= 7;
    }
  }

  #time(field: number, time: Time, name: string): void {
    const whole = typeof time === "bigint" || time instanceof Date ? timestamp(time, name) : time;
    const start = this.#begin(field);
    this.#number(1, whole.seconds, name);
    this.#number(2, whole.nanos, name);
    this.#end(start);
  }

  #json(field: number, text: Json, name: string): void {
    if (typeof text === "string") {
      this.#text(field, text, name);
      return;
    }
    if (!(text instanceof Uint8Array)) {
      throw invalidValue(name, `${name} must be JSON text: bytes, or a string`);
    }
    if (text.length > 0) this.#delimited(field, text);
  }

  #texts(field: number, texts: readonly string[] | undefined, name: string): void {
    // An empty pointer leads to the whole, so that empty texts of lists are written too.
    for (const text of texts ?? []) this.#text(field, text, name, true);
  }

  #text(field: number, text: string, name: string, always = false): void {
    if (typeof text !== "string") throw invalidValue(name, `${name} must be a string`);
    if (text.length === 0 && !always) return;
    if (text.length <= SHORT_TEXT && this.#ascii(field, text)) return;
    if (!text.isWellFormed()) throw invalidValue(name, `${name} holds a lone surrogate`);
    this.#delimited(field, encoder.encode(text));
  }

  /** Writes a short text, if all of it is ASCII. */
  #ascii(field: number, text: string): boolean {
    const before = this.#length;
    this.#key(field, DELIMITED);
    this.#room(1 + text.length);
    const bytes = this.#bytes;
    let place = this.#length;
    bytes[place++] = text.length;
    for (let index = 0; index < text.length; index += 1) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) {
        this.#length = before;
        return false;
      }
      bytes[place++] = code;
    }
    this.#length = place;
    return true;
  }

  #delimited(field: number, bytes: Uint8Array): void {
    this.#key(field, DELIMITED);
    this.#varint(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #number(field: number, value: bigint | number, name: string): void {
    const whole = typeof value === "bigint" || Number.isSafeInteger(value);
    if (!whole) throw invalidValue(name, `${name} must be a whole number`);
    if (typeof value === "bigint" && BigInt.asIntN(64, value) !== value) {
      throw invalidValue(name, `${name} is out of range`);
    }
    // `0n == 0`, and both are left out.
    if (value == 0) return;
    this.#key(field, VARINT);
    this.#varint(value);
  }

  #key(field: number, wire: number): void {
    this.#varint((field << 3) | wire);
  }

  #varint(value: bigint | number): void {
    this.#room(VARINT_BYTES);
    if (typeof value === "number" && value >= 0 && value < 0x80) {
      this.#bytes[this.#length++] = value;
      return;
    }
    let rest = Number(value);
    if (rest < 0 || !Number.isSafeInteger(rest)) {
      this.#long(BigInt.asUintN(64, BigInt(value)));
      return;
    }
    while (rest > 0x7f) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  #long(value: bigint): void {
    let rest = value;
    while (rest > 0x7fn) {
      this.#bytes[this.#length++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#length++] = Number(rest);
  }

  #room(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }
}

function timestamp(time: bigint | Date, name: string): { seconds: bigint; nanos: number } {
  if (time instanceof Date && Number.isNaN(time.getTime())) {
    throw invalidValue(name, `${name} is no time`);
  }
  const micros = typeof time === "bigint" ? time : BigInt(time.getTime()) * 1000n;
  const rest = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n;
  return { seconds: (micros - rest) / 1_000_000n, nanos: Number(rest) * 1000 };
}
