/** From a failed gRPC call to an error of the client, and whether to try again. */

import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status as GrpcStatus, type ServiceError } from "@grpc/grpc-js";

import { ConnectionFailed, EventfoldError, UnexpectedAnswer } from "./errors.js";
import {
  DeadlineExceeded,
  ERRORS_BY_REASON,
  OutcomeUnknown,
  PermissionDenied,
  ShuttingDown,
  StateNotCarried,
  StorageUnavailable,
  Unauthenticated,
} from "./generated/errors.js";
import { Code } from "./generated/google/rpc/code_pb.js";
import { type ErrorInfo, ErrorInfoSchema } from "./generated/google/rpc/error_details_pb.js";
import { type Status, StatusSchema } from "./generated/google/rpc/status_pb.js";

/** What may be repeated after a failure. */
export type Safety =
  /** Changes nothing: repeat whenever the server or the connection was unavailable. */
  | "read"
  /** Idempotent by its event ids: the same, also when the outcome is unknown. */
  | "append"
  /** Repeat only if the server said that nothing was stored. */
  | "write";

/** How often a call is made, at most. */
export const ATTEMPTS_MAX = 5;

const BACKOFF_FIRST_MS = 50;
const BACKOFF_MAX_MS = 2_000;
const CONFLICT_FIRST_MS = 5;
const CONFLICT_MAX_MS = 250;
const DETAILS = "grpc-status-details-bin";
const DOMAIN = "eventfold";

// Codes that say nothing sure about an append when an earlier attempt may have been stored.
const UNSURE_CODES = new Set([
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "RESOURCE_EXHAUSTED",
  "CANCELLED",
  "INTERNAL",
  "UNKNOWN",
]);

function infoOf(status: Status): ErrorInfo | undefined {
  for (const detail of status.details) {
    const info = anyUnpack(detail, ErrorInfoSchema);
    if (info?.domain === DOMAIN) return info;
  }
  return undefined;
}

function ofCatalogue(info: ErrorInfo, message: string, code: string): EventfoldError {
  const known = Object.hasOwn(ERRORS_BY_REASON, info.reason);
  if (!known) return new EventfoldError(info.reason, code, message, info.metadata);
  const reason = info.reason as keyof typeof ERRORS_BY_REASON;
  return new ERRORS_BY_REASON[reason](message, info.metadata);
}

/** The error of a part of an answer. */
export function errorOfStatus(status: Status): EventfoldError {
  const code = Code[status.code] ?? "UNKNOWN";
  const info = infoOf(status);
  if (info !== undefined) return ofCatalogue(info, status.message, code);
  return new EventfoldError("UNKNOWN", code, status.message);
}

/** The `google.rpc.Status` of a call that failed; undefined: it has none of eventfold. */
export function statusOfCall(error: ServiceError): Status | undefined {
  const [details] = error.metadata?.get(DETAILS) ?? [];
  if (!(details instanceof Uint8Array)) return undefined;
  try {
    const status = fromBinary(StatusSchema, details);
    return infoOf(status) === undefined ? undefined : status;
  } catch {
    return undefined;
  }
}

/** The error of a failed call: that of the catalogue, or one of the connection. */
export function errorOfCall(
  error: ServiceError,
  target: string,
  timeoutMs: number,
  safety: Safety,
): EventfoldError {
  const code = GrpcStatus[error.code] ?? "UNKNOWN";
  const status = statusOfCall(error);
  const failure =
    status === undefined
      ? ofConnection(code, error.details, target, timeoutMs, safety)
      : ofCatalogue(infoOf(status) as ErrorInfo, status.message || error.details, code);
  failure.cause = error;
  return failure;
}

function ofConnection(
  code: string,
  text: string,
  target: string,
  timeoutMs: number,
  safety: Safety,
): EventfoldError {
  switch (code) {
    case "DEADLINE_EXCEEDED":
      return noAnswer(timeoutMs, safety);
    case "UNAVAILABLE":
      // What HTTP/2 says of a peer that speaks something else, such as HTTP/1.1 or TLS.
      if (text.includes("Last error: Protocol error")) {
        return new UnexpectedAnswer(`${target} does not speak gRPC: ${text}`, { target }, code);
      }
      return new ConnectionFailed(`${target}: ${text}`, { target });
    case "CANCELLED":
      return new ConnectionFailed(`${target}: ${text || code}`, { target });
    case "UNAUTHENTICATED":
      return new Unauthenticated(text);
    case "PERMISSION_DENIED":
      return new PermissionDenied(text);
    default: {
      const message = `${target} answered ${code} without a reason of eventfold: ${text}`;
      return new UnexpectedAnswer(message, { target }, code);
    }
  }
}

/** The error of a call whose deadline passed without a word of the server. */
export function noAnswer(timeoutMs: number, safety: Safety): EventfoldError {
  const text = `no answer within ${timeoutMs / 1000} s`;
  if (safety === "read") {
    return new DeadlineExceeded(text, { deadline_ms: String(Math.round(timeoutMs)) });
  }
  // DEADLINE_EXCEEDED of the server means "surely not stored", which is not known here.
  return new OutcomeUnknown(`${text}; it may be stored or not, and may be repeated`);
}

/** Whether the same request may be sent again, and has a chance to succeed. */
export function isRetryable(error: EventfoldError, safety: Safety): boolean {
  if (safety !== "write") return error.code === "UNAVAILABLE";
  return error instanceof StorageUnavailable || error instanceof ShuttingDown;
}

/** Whether the failed attempt may have changed something. */
export function mayBeDone(error: EventfoldError): boolean {
  return error instanceof OutcomeUnknown || error instanceof ConnectionFailed;
}

/**
 * The error to throw after the last attempt: "nothing was stored" of that one says nothing about
 * the attempts before it.
 */
export function finalError(
  error: EventfoldError,
  safety: Safety,
  wasUnsure: boolean,
): EventfoldError {
  const unsure = UNSURE_CODES.has(error.code) && !mayBeDone(error);
  if (safety === "read" || !wasUnsure || !unsure) return error;
  const unknown = new OutcomeUnknown(
    `an attempt broke, and its repetition failed with ${error}; the same events may be ` +
      "appended again",
    error.facts,
  );
  unknown.cause = error;
  return unknown;
}

/**
 * Milliseconds to wait after so many failures in a row: between half and all of a doubling pause,
 * so that clients that failed together do not come back together.
 */
export function backoffMs(failures: number): number {
  const pause = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** (failures - 1));
  return pause * (0.5 + Math.random() / 2);
}

/** Milliseconds to wait before deciding again: any part of a doubling pause. */
export function conflictPauseMs(conflicts: number): number {
  return Math.random() * Math.min(CONFLICT_MAX_MS, CONFLICT_FIRST_MS * 2 ** conflicts);
}

/** The error of handlers that passed over the opening event of a stream. */
export function notOpened(stream: string, predecessor: string): StateNotCarried {
  return new StateNotCarried(
    `no handler takes the event that opened ${stream}, which carries states of folds alone`,
    { stream, problem: "not_carried", predecessor },
  );
}
