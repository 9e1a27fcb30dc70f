/** Personal data: rules, keys, subjects, erasures, legal holds. */

import { jsonOf, newId, RecordedEvent } from "./events.js";
import type { Connection } from "./connection.js";
import {
  type ErasureJob,
  type ErasurePlan,
  Erasures,
  type LegalHold,
} from "./generated/eventfold/v1/erasure_pb.js";
import {
  Keys,
  type RotateDataKeyResponse,
  type RotateMasterKeyResponse,
  type Subject,
  type SubjectStatus,
} from "./generated/eventfold/v1/keys_pb.js";
import {
  type CheckPrivacyRulesResponse,
  ExistingValues,
  Privacy,
  type PrivacyRules,
  type PutPrivacyRulesResponse,
} from "./generated/eventfold/v1/privacy_pb.js";
import {
  type ExportedSchema,
  type ExportSubjectResponse,
  type GetPrivacyStatusResponse,
  type SubjectEvents,
  Subjects,
} from "./generated/eventfold/v1/subjects_pb.js";
import { decodeJson, type JsonValue } from "./json.js";
import { paged } from "./paging.js";
import type { CallOptions } from "./settings.js";
import { known } from "./states.js";
import { items, lastReport, type ReportOptions } from "./streaming.js";

/** A privacy document: its text, YAML 1.2 or JSON, or an object. */
export type PrivacyDocument = { readonly source: string } | object;

/** What rules are of: an event type, or a category. */
export type RulesOf = { readonly eventType: string } | { readonly category: string };

type Paging = CallOptions & { readonly pageSize?: number };

function sourceOf(document: PrivacyDocument): string {
  if ("source" in document && typeof document.source === "string") return document.source;
  return new TextDecoder().decode(jsonOf(document, "document"));
}

const ofWire = (of: RulesOf) =>
  "eventType" in of
    ? ({ case: "eventType", value: of.eventType } as const)
    : ({ case: "category", value: of.category } as const);

/** Rules: which values of events are personal. */
export class PrivacyRuleCalls {
  constructor(private readonly connection: Connection) {}

  /**
   * Puts rules in force. Stored events are tried first.
   *
   * @throws PlaintextStored stored events hold plaintext of these fields, and `existing` does not
   * say that this is known.
   * @throws PersonalUndeclared fields would be personal no more, and `undeclare` is not said.
   */
  async put(
    document: PrivacyDocument,
    options: ReportOptions<PutPrivacyRulesResponse> & {
      readonly existing?: "plaintext";
      readonly undeclare?: boolean;
    } = {},
  ): Promise<PutPrivacyRulesResponse> {
    const isKnown = options.existing === "plaintext";
    const request = {
      source: sourceOf(document),
      existing: isKnown ? ExistingValues.PLAINTEXT : ExistingValues.UNSPECIFIED,
      undeclare: options.undeclare ?? false,
    };
    const { putPrivacyRules } = Privacy.method;
    return lastReport(this.connection, putPrivacyRules, request, options, "write");
  }

  /** Says what `put` would do, and tries all stored events; nothing is changed. */
  async check(
    document: PrivacyDocument,
    options: ReportOptions<CheckPrivacyRulesResponse> & { readonly eventsMax?: number } = {},
  ): Promise<CheckPrivacyRulesResponse> {
    const request = { source: sourceOf(document), eventsMax: options.eventsMax ?? 0 };
    return lastReport(this.connection, Privacy.method.checkPrivacyRules, request, options);
  }

  /** Rules; default: those in force. */
  async get(
    of: RulesOf,
    options: CallOptions & { readonly revision?: number } = {},
  ): Promise<PrivacyRules> {
    const request = { of: ofWire(of), revision: options.revision ?? 0 };
    const { getPrivacyRules } = Privacy.method;
    return known((await this.connection.unary(getPrivacyRules, request, options)).rules);
  }

  /** The rules in force: those of event types, then those of categories. */
  list(options: Paging = {}): AsyncGenerator<PrivacyRules> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const { listPrivacyRules } = Privacy.method;
      const page = await this.connection.unary(listPrivacyRules, { pageSize, pageToken }, options);
      return [page.rules, page.nextPageToken];
    });
  }

  /** Takes rules out of force: later values are stored as plaintext. */
  async drop(of: RulesOf, options: CallOptions = {}): Promise<void> {
    const { dropPrivacyRules } = Privacy.method;
    await this.connection.unary(dropPrivacyRules, { of: ofWire(of) }, options, "write");
  }

  /** How personal data fares: subjects, keys, erasures, failed openings. */
  async status(options: CallOptions = {}): Promise<GetPrivacyStatusResponse> {
    return this.connection.unary(Subjects.method.getPrivacyStatus, {}, options);
  }
}

/** Erasures and legal holds. */
export class ErasureCalls {
  constructor(private readonly connection: Connection) {}

  /** What an erasure would do; changes nothing. */
  async plan(subject: string, options: CallOptions = {}): Promise<ErasurePlan> {
    const { planErase } = Erasures.method;
    return known((await this.connection.unary(planErase, { subject }, options)).plan);
  }

  /**
   * Begins to erase a subject; `get` shows how far the job is. It cannot be taken back. The request
   * carries an id, and so is repeated when the connection breaks.
   *
   * @throws LegalHold, DeletionRestricted, ErasurePlanMoved
   */
  async erase(
    subject: string,
    options: CallOptions & {
      /** Why, for people; it is stored: no place for personal data. */
      readonly reason: string;
      /** A UUID that becomes the id of the job. Default: a new one. */
      readonly requestId?: string;
      /** Digest of the plan that was agreed to. Default: whatever it is. */
      readonly planDigest?: string;
    },
  ): Promise<ErasureJob> {
    const { reason, requestId = newId(), planDigest = "" } = options;
    const request = { subject, reason, requestId, planDigest };
    const answer = await this.connection.unary(Erasures.method.erase, request, options, "append");
    return known(answer.erasure);
  }

  /** A job, and its receipt once it is done. */
  async get(
    erasureId: string,
    options: CallOptions = {},
  ): Promise<{ erasure: ErasureJob; receipt: JsonValue | undefined; receiptText: string }> {
    const { getErasure } = Erasures.method;
    const answer = await this.connection.unary(getErasure, { erasureId }, options);
    const { receipt } = answer;
    return {
      erasure: known(answer.erasure),
      receipt: receipt === "" ? undefined : decodeJson(receipt),
      receiptText: receipt,
    };
  }

  /** Jobs, the newest first. */
  list(
    options: Paging & { readonly subject?: string; readonly open?: boolean } = {},
  ): AsyncGenerator<ErasureJob> {
    const { subject = "", open = false, pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { subject, open, pageSize, pageToken };
      const page = await this.connection.unary(Erasures.method.listErasures, request, options);
      return [page.erasures, page.nextPageToken];
    });
  }

  /** Holds a subject or a stream, so that it is neither erased nor deleted. */
  async hold(
    name: string,
    target: { readonly subject: string } | { readonly stream: string },
    reason: string,
    options: CallOptions = {},
  ): Promise<LegalHold> {
    const what =
      "subject" in target
        ? ({ case: "subject", value: target.subject } as const)
        : ({ case: "stream", value: target.stream } as const);
    const request = { name, target: what, reason };
    const { putLegalHold } = Erasures.method;
    return known((await this.connection.unary(putLegalHold, request, options, "write")).hold);
  }

  /** Releases a hold. */
  async release(name: string, options: CallOptions = {}): Promise<void> {
    await this.connection.unary(Erasures.method.releaseLegalHold, { name }, options, "write");
  }

  /** Legal holds in byte order of their names. */
  listHolds(options: Paging = {}): AsyncGenerator<LegalHold> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const { listLegalHolds } = Erasures.method;
      const page = await this.connection.unary(listLegalHolds, { pageSize, pageToken }, options);
      return [page.holds, page.nextPageToken];
    });
  }
}

/** A part of an export: an event, or the schema of the type of later ones. */
export type Exported =
  | { readonly event: RecordedEvent; readonly schema?: undefined }
  | { readonly schema: ExportedSchema; readonly event?: undefined };

/** What is stored of subjects, and their keys. */
export class SubjectCalls {
  constructor(private readonly connection: Connection) {}

  /** In which streams and types events with sealed values of a subject are. */
  find(subject: string, options: Paging = {}): AsyncGenerator<SubjectEvents> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { subject, pageSize, pageToken };
      const page = await this.connection.unary(Subjects.method.findSubject, request, options);
      return [page.events, page.nextPageToken];
    });
  }

  /**
   * All events with sealed values of a subject, opened, in the order of their positions, and the
   * schemas of their types. `linked`: also all events of its own stream and of those linked to it.
   * An export that broke goes on by itself.
   */
  async *export(
    subject: string,
    options: CallOptions & { readonly linked?: boolean; readonly raw?: boolean } = {},
  ): AsyncGenerator<Exported, void, undefined> {
    const { linked = false, raw = false } = options;
    let afterPosition = 0n;
    let isDone = false;
    const types = new Set<string>();
    const progress = {
      request: () => ({ subject, linked, raw, afterPosition }),
      accept: (message: ExportSubjectResponse): Exported[] => {
        isDone ||= message.end !== undefined;
        afterPosition = message.events.at(-1)?.position ?? afterPosition;
        const fresh = message.schemas.filter((schema) => !types.has(schema.eventType));
        for (const schema of fresh) types.add(schema.eventType);
        const events = message.events.map((event) => ({ event: new RecordedEvent(event) }));
        return [...fresh.map((schema) => ({ schema })), ...events];
      },
      finish: () => isDone,
    };
    yield* items(this.connection, Subjects.method.exportSubject, progress, options);
  }

  /** A subject by its name, or by its id. */
  async get(
    by: { readonly name: string } | { readonly subjectId: string },
    options: CallOptions = {},
  ): Promise<Subject> {
    const subject =
      "name" in by
        ? ({ case: "name", value: by.name } as const)
        : ({ case: "subjectId", value: by.subjectId } as const);
    const { getSubject } = Keys.method;
    return known((await this.connection.unary(getSubject, { subject }, options)).subject);
  }

  /** Subjects in the order of their ids. */
  list(
    options: Paging & { readonly status?: SubjectStatus; readonly category?: string } = {},
  ): AsyncGenerator<Subject> {
    const { status, category = "", pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const of = status === undefined ? {} : { status };
      const request = { ...of, category, pageSize, pageToken };
      const page = await this.connection.unary(Keys.method.listSubjects, request, options);
      return [page.subjects, page.nextPageToken];
    });
  }

  /** Lets a subject that was erased have keys again; answers the id that was erased. */
  async readmit(subject: string, options: CallOptions = {}): Promise<string> {
    const { readmitSubject } = Keys.method;
    const answer = await this.connection.unary(readmitSubject, { subject }, options, "write");
    return answer.erasedSubjectId;
  }

  /** Makes a new version of the data key of a subject, or of those of a category. */
  async rotateDataKey(
    of: { readonly subject: string } | { readonly category: string; readonly pageToken?: string },
    options: CallOptions = {},
  ): Promise<RotateDataKeyResponse> {
    const request =
      "subject" in of
        ? { target: { case: "subject", value: of.subject } as const }
        : {
            target: { case: "category", value: of.category } as const,
            pageToken: of.pageToken ?? "",
          };
    return this.connection.unary(Keys.method.rotateDataKey, request, options, "write");
  }

  /** Wraps data keys anew under the newest master key; call it until `done`. */
  async rotateMasterKey(options: CallOptions = {}): Promise<RotateMasterKeyResponse> {
    return this.connection.unary(Keys.method.rotateMasterKey, {}, options);
  }
}
