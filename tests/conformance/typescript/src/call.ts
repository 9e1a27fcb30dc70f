/** Calls by descriptors, over the connection of the client and with its errors. */

import {
  CaseError,
  compact,
  countOf,
  isMapping,
  type Mapping,
  mappingOf,
  type Reason,
  textOf,
  type Value,
} from "./cases.js";
import {
  type Connection,
  createRegistry,
  type DescMessage,
  type DescMethod,
  errorOfStatus,
  EventfoldError,
  type ProtoJson,
  stubs,
} from "./client.js";
import { differences, shown } from "./compare.js";
import { expand, type Variables } from "./expand.js";

const DEADLINE_MS = 30_000;
const DETAILS_BYTES_MAX = 4_096;
const CONTRACT = "eventfold.v1.";

/** The server did not do what the case expects. */
export class CaseFailed extends Error {}

// All that is exported and describes something: no proto is named here.
const REGISTRY = createRegistry(
  ...Object.values(stubs).flatMap((one) =>
    typeof one === "object" && one !== null && "kind" in one && one.kind !== "file" ? [one] : [],
  ),
);

/** What a call gave: an answer, or the reason and the facts of an error. */
export interface Outcome {
  readonly answer: Value;
  readonly reason: string;
  readonly facts: Mapping;
  readonly message: string;
}

/** The descriptor of a call `Service.Method`. */
export function methodOf(name: string): DescMethod {
  const [service = "", method = ""] = name.split(".");
  const found = REGISTRY.getService(CONTRACT + service)?.methods.find((one) => one.name === method);
  if (found === undefined) throw new CaseError(`no call is known as ${name}`);
  return found;
}

/** Integers that a number would round are texts in JSON of protobuf, which may have them so. */
function plain(value: Value): ProtoJson {
  if (typeof value === "bigint") {
    return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  }
  if (Array.isArray(value)) return value.map(plain);
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** The bytes of a request as the case writes it, expanded. */
export function encoded(method: DescMethod, written: Value, variables: Variables): Uint8Array {
  const expanded = expand(written, variables);
  try {
    const message = stubs.fromJson(method.input, plain(expanded), { registry: REGISTRY });
    return stubs.toBinary(method.input, message);
  } catch (error) {
    throw new CaseError(`the request is not ${method.input.name}: ${String(error)}`);
  }
}

/** Makes the calls of one server. */
export class Caller {
  constructor(
    private readonly connection: Connection,
    private readonly reasons: ReadonlyMap<string, Reason>,
  ) {}

  /**
   * Makes a call with the bytes of requests: one of them, or any number where the method takes a
   * stream. Answers are read to their end, or to the first that is as `stopAt` says.
   */
  async call(
    method: DescMethod,
    requests: Uint8Array[],
    headers: Record<string, string>,
    stopAt: Value | undefined,
  ): Promise<Outcome> {
    const attempt = { timeoutMs: DEADLINE_MS, metadata: headers };
    const [request] = requests;
    const takesMany = method.methodKind === "bidi_streaming";
    if (request === undefined || (requests.length !== 1 && !takesMany)) {
      if (!takesMany) throw new CaseError(`${method.name} takes one request`);
    }
    const parts: Mapping[] = [];
    try {
      if (method.methodKind === "unary") {
        const bytes = await this.connection.attempt(method, request as Uint8Array, attempt);
        return answered(this.#json(method.output, bytes));
      }
      const answers = takesMany
        ? this.#sent(method, requests, attempt)
        : this.connection.streamBytes(method, request as Uint8Array, attempt);
      let isStopped = false;
      for await (const bytes of answers) {
        const part = this.#json(method.output, bytes);
        parts.push(part);
        isStopped = stopAt !== undefined && differences(stopAt, part).length === 0;
        if (isStopped) break;
      }
      if (stopAt !== undefined && !isStopped) {
        throw new CaseFailed(`the call ended before ${compact(stopAt)} had come`);
      }
    } catch (error) {
      return { ...this.#failed(error), answer: merged(method, parts, false) };
    }
    return answered(merged(method, parts, true));
  }

  #sent(method: DescMethod, requests: Uint8Array[], attempt: object): AsyncIterable<Uint8Array> {
    const { call, answers } = this.connection.session(method, attempt);
    for (const request of requests) call.send(request);
    call.end();
    return answers;
  }

  /** Makes a call in which what is sent depends on what came; see docs/conformance.md. */
  async converse(
    method: DescMethod,
    turns: Mapping[],
    headers: Record<string, string>,
    variables: Variables,
    save: (names: Mapping, answer: Value) => void,
  ): Promise<Outcome> {
    const attempt = { timeoutMs: DEADLINE_MS, metadata: headers };
    const { call, answers } = this.connection.session(method, attempt);
    const messages = answers[Symbol.asyncIterator]();
    const parts: Mapping[] = [];
    const receive = async (): Promise<boolean> => {
      const next = await messages.next();
      if (!next.done) parts.push(this.#json(method.output, next.value));
      return !next.done;
    };
    try {
      for (const turn of turns) {
        if (turn["send"] !== undefined) call.send(encoded(method, turn["send"], variables));
        const wanted = mappingOf(turn["receive"] ?? {});
        while (isLacking(merged(method, parts, false), wanted)) {
          if (!(await receive())) {
            throw new CaseFailed(`the call ended before ${compact(wanted)} had come`);
          }
        }
        if (turn["save"] !== undefined) {
          save(mappingOf(turn["save"]), merged(method, parts, false));
        }
      }
      call.end();
      while (await receive());
    } catch (error) {
      return { ...this.#failed(error), answer: merged(method, parts, false) };
    } finally {
      call.cancel();
      await messages.return();
    }
    return answered(merged(method, parts, true));
  }

  /** A message as protobuf JSON with the names of the proto. */
  #json(type: DescMessage, bytes: Uint8Array): Mapping {
    const message = this.connection.decoded(type, bytes);
    const options = { useProtoFieldName: true, registry: REGISTRY };
    return mappingOf(this.#withErrors(stubs.toJson(type, message, options)));
  }

  /** The value with each `google.rpc.Status` in it checked, and as cases see it. */
  #withErrors(value: Value): Value {
    if (Array.isArray(value)) return value.map((item) => this.#withErrors(item));
    if (!isMapping(value)) return value;
    const details = value["details"];
    if (Array.isArray(details) && details.some((one) => isMapping(one) && "@type" in one)) {
      const options = { registry: REGISTRY };
      const { reason, facts, message } = this.#told(
        stubs.fromJson(stubs.StatusSchema, plain(value), options),
      );
      return { reason, facts, message };
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, this.#withErrors(item)]),
    );
  }

  /** Reads the error of the client, and checks it against the status of the call. */
  #failed(error: unknown): Outcome {
    if (!(error instanceof EventfoldError)) throw error;
    const cause = error.cause as
      | { code?: number; details?: string; metadata?: { get(name: string): unknown[] } }
      | undefined;
    const [details] = cause?.metadata?.get("grpc-status-details-bin") ?? [];
    if (!(details instanceof Uint8Array)) {
      throw new CaseFailed(`an error without details: ${String(error)}`);
    }
    const status = stubs.fromBinary(stubs.StatusSchema, details);
    if (status.code !== cause?.code || status.message !== cause.details) {
      throw new CaseFailed(`the status is not that of the call: ${String(error)}`);
    }
    const outcome = this.#told(status);
    const found = [error.reason, error.code, error.message, compact({ ...error.facts })];
    const code = this.reasons.get(outcome.reason)?.code;
    const wanted = [outcome.reason, code, outcome.message, compact(outcome.facts)];
    if (String(found) !== String(wanted)) {
      throw new CaseFailed(`the client says ${found}, and the server said ${wanted}`);
    }
    return outcome;
  }

  /** What a status says; checks what is true of every error, wherever it stands. */
  #told(status: stubs.Status): Outcome {
    const code = stubs.Code[status.code] ?? String(status.code);
    const told = `${code}: ${status.message}`;
    const size = stubs.toBinary(stubs.StatusSchema, status).length;
    if (size > DETAILS_BYTES_MAX) throw new CaseFailed(`a status of ${size} bytes: ${told}`);
    const [detail, ...rest] = status.details;
    if (detail?.typeUrl !== "type.googleapis.com/google.rpc.ErrorInfo" || rest.length > 0) {
      throw new CaseFailed(`details that are not one ErrorInfo: ${told}`);
    }
    const info = stubs.fromBinary(stubs.ErrorInfoSchema, detail.value);
    const known = this.reasons.get(info.reason);
    if (info.domain !== "eventfold" || known === undefined) {
      throw new CaseFailed(`a reason outside the catalogue: ${info.domain} ${info.reason}`);
    }
    if (code !== known.code) {
      throw new CaseFailed(`${info.reason} goes with ${known.code}: ${told}`);
    }
    const unknown = Object.keys(info.metadata).filter((fact) => !known.facts.includes(fact));
    if (unknown.length > 0) {
      throw new CaseFailed(`facts of ${info.reason} outside the catalogue: ${unknown}`);
    }
    if (status.message === "") throw new CaseFailed(`the status has no message: ${told}`);
    const error = errorOfStatus(status);
    if (error.reason !== info.reason) throw new CaseFailed(`the client says ${error.reason}`);
    const { reason, metadata } = info;
    return { answer: null, reason, facts: { ...metadata }, message: status.message };
  }
}

function answered(answer: Value): Outcome {
  return { answer, reason: "", facts: {}, message: "" };
}

function isLacking(answer: Mapping, wanted: Mapping): boolean {
  return Object.entries(wanted).some(([name, count]) => {
    const found = answer[name];
    if (!Array.isArray(found)) throw new CaseError(`the answer has no list ${name} to receive`);
    return found.length < countOf(count);
  });
}

/**
 * All messages of a stream as one: lists joined, else what the last one says, and how many they
 * were. A stream that broke off is not whole: it has no last message.
 */
function merged(method: DescMethod, parts: Mapping[], isWhole: boolean): Mapping {
  const last = parts.at(-1);
  const answer: Mapping = { messages: parts.length };
  for (const { name, fieldKind } of method.output.fields) {
    if (name === "end" || name === "done") {
      const marked = parts.filter((part) => name in part);
      const isRight = isWhole ? marked.length === 1 && marked[0] === last : marked.length === 0;
      const told = `\`${name}\` must stand in the last message, and only there`;
      if (!isRight) throw new CaseFailed(told);
    }
    if (fieldKind === "list") {
      answer[name] = parts.flatMap((part) => part[name] ?? []) as Value[];
    } else if (last !== undefined && last[name] !== undefined) {
      answer[name] = last[name];
    }
  }
  // Answers of these come in no order that a case could name.
  const sort = (list: string, key: (one: Mapping) => string): void => {
    (answer[list] as Mapping[]).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  };
  if (method.name === "HydrateMany") {
    sort("streams", (one) => Buffer.from(textOf(one["stream"] ?? "")).toString("hex"));
  }
  if (method.name === "AppendSession") {
    sort("answers", (one) => textOf(one["number"] ?? "0").padStart(20, "0"));
  }
  return answer;
}

/** A value of an answer by names of fields and indexes of lists. */
export function at(answer: Value, path: string): Value {
  let found: Value | undefined = answer;
  for (const part of path.split(".")) {
    if (Array.isArray(found)) found = found[Number(part)];
    else found = isMapping(found) ? found[part] : undefined;
    if (found === undefined) throw new CaseFailed(`the answer has no ${path} to save`);
  }
  return found as Value;
}

export { shown };
