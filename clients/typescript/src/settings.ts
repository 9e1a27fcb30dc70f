/** How a client connects: the target, TLS, the token, deadlines. */

import { X509Certificate } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";

import { InsecureConnection, InvalidValue } from "./errors.js";

/** How a client connects. All of it may be left out. */
export interface ClientOptions {
  /** Sent as `authorization: Bearer` with every call. Default: none. */
  readonly token?: string;
  /**
   * True: TLS with the authorities of the system; a text or bytes: with these, in PEM. False, the
   * default: plain text.
   */
  readonly tls?: boolean | string | Uint8Array;
  /** Milliseconds for a call with its repetitions. Default: 10,000. */
  readonly timeoutMs?: number;
  /** True: a token may travel in plain text to another machine. Default: false. */
  readonly insecure?: boolean;
}

/** What may be said of each call. */
export interface CallOptions {
  /**
   * Milliseconds for the call with its repetitions; of a read, in which something new has to come.
   * Default: that of the client.
   */
  readonly timeoutMs?: number;
  /** Ends the call when it is aborted: the call then fails with the reason of the signal. */
  readonly signal?: AbortSignal;
}

const TIMEOUT_MS = 10_000;
// What setTimeout takes.
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/** Whether a target stays on this machine. */
export function isLoopback(target: string): boolean {
  if (/^unix(-abstract)?:/.test(target)) return true;
  // A target may name several addresses, and a token goes to any of them.
  return target.replace(/^(dns|ipv4|ipv6):/, "").split(",").every(isLoopbackAddress);
}

function isLoopbackAddress(part: string): boolean {
  const address = part.replace(/^.*\//, "");
  const bracketed = /^\[([^\]]*)\](:\d*)?$/.exec(address)?.[1];
  const bare = isIPv6(address) ? address : address.replace(/:\d*$/, "");
  const host = bracketed ?? bare;
  if (host === "localhost") return true;
  return isIPv4(host) ? host.startsWith("127.") : /^(0*:)*:?0*1$/.test(host) && isIPv6(host);
}

/** A timeout in milliseconds, checked. */
export function checkTimeout(ms: number, name = "timeoutMs"): number {
  if (!(ms > 0 && ms <= TIMEOUT_MS_MAX)) {
    throw new InvalidValue(`a timeout is milliseconds above 0, not ${ms}`, name);
  }
  return ms;
}

/** Whole milliseconds, which is what requests have, of what may be a fraction. */
export function checkMs(ms: number, name: string, msMax: number): number {
  if (!(ms >= 0 && ms <= msMax)) {
    throw new InvalidValue(`it is 0 to ${msMax} milliseconds, not ${ms}`, name);
  }
  return Math.round(ms);
}

function checkAuthorities(pem: Buffer): Buffer {
  try {
    new X509Certificate(pem);
    return pem;
  } catch (error) {
    const failure = new InvalidValue("the authorities are no certificates in PEM", "tls");
    throw Object.assign(failure, { cause: error });
  }
}

/** All that a client knows about its connection, checked. */
export class Settings {
  readonly token: string | undefined;
  readonly authorities: Buffer | null | undefined;
  readonly timeoutMs: number;

  /**
   * @throws InsecureConnection the token would travel in plain text to another machine.
   * @throws InvalidValue the target is no address, or the token cannot be sent.
   */
  constructor(
    readonly target: string,
    options: ClientOptions,
  ) {
    const { token, tls = false } = options;
    if (target === "" || /\s/.test(target)) {
      throw new InvalidValue(`${JSON.stringify(target)} is no address`, "target");
    }
    if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
      throw new InvalidValue("a token holds visible ASCII characters alone", "token");
    }
    if (token !== undefined && tls === false && !isLoopback(target) && !options.insecure) {
      throw new InsecureConnection(
        `the token would travel in plain text to ${target}; use tls, or insecure: true if ` +
          "something else protects the way there",
        { target },
      );
    }
    this.token = token;
    this.timeoutMs = checkTimeout(options.timeoutMs ?? TIMEOUT_MS);
    if (tls === true) this.authorities = null;
    else if (tls !== false) this.authorities = checkAuthorities(Buffer.from(tls));
  }

  /** Whether the connection is encrypted. */
  get isTls(): boolean {
    return this.authorities !== undefined;
  }
}
