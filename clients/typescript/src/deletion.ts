/** Deleting streams, and the links by which streams belong to others. */

import type { Connection } from "./connection.js";
import { type ExpectedVersion, expectedToWire } from "./events.js";
import {
  type DeletedStream,
  Deletion,
  type DeletionJob,
  type DeletionPlan,
} from "./generated/eventfold/v1/deletion_pb.js";
import {
  type Link,
  LinkPolicy,
  type LinkRule,
  Links,
} from "./generated/eventfold/v1/links_pb.js";
import { paged } from "./paging.js";
import type { CallOptions } from "./settings.js";
import { known } from "./states.js";

type Paging = CallOptions & { readonly pageSize?: number };

/** What becomes of a stream when its owner is deleted. */
export type Policy = "cascade" | "restrict" | "detach";

const POLICIES: Record<Policy, LinkPolicy> = {
  cascade: LinkPolicy.CASCADE,
  restrict: LinkPolicy.RESTRICT,
  detach: LinkPolicy.DETACH,
};

/** What a rule of links says: links stand in events, or follow from equal ids. */
export type LinkBy =
  | {
      readonly eventType: string;
      readonly pointer: string;
      /** Category of the owner, whose id stands there. Default: a whole stream name does. */
      readonly ownerCategory?: string;
    }
  | { readonly category: string; readonly of: string };

/** The calls of the service `Deletion`. */
export class DeletionCalls {
  constructor(private readonly connection: Connection) {}

  /** What a deletion would do; changes nothing. */
  async plan(stream: string, options: CallOptions = {}): Promise<DeletionPlan> {
    const { planDelete } = Deletion.method;
    return known((await this.connection.unary(planDelete, { stream }, options)).plan);
  }

  /**
   * Deletes a stream and what goes with it: data, metadata and tags of its events. It cannot be
   * taken back. `get` shows how far the job is.
   *
   * @throws VersionConflict, DeletionRestricted, DeletionPlanMoved, LegalHold
   */
  async delete(
    stream: string,
    options: CallOptions & {
      readonly expectedVersion: ExpectedVersion;
      /** Why, for people; it is stored: no place for personal data. */
      readonly reason: string;
      /** Digest of the plan that was agreed to. Default: whatever it is. */
      readonly planDigest?: string;
    },
  ): Promise<DeletionJob> {
    const { reason, planDigest = "" } = options;
    const expectedVersion = expectedToWire(options.expectedVersion);
    const request = { stream, expectedVersion, reason, planDigest };
    const { deleteStream } = Deletion.method;
    return known((await this.connection.unary(deleteStream, request, options, "write")).deletion);
  }

  /** A job. */
  async get(deletionId: string, options: CallOptions = {}): Promise<DeletionJob> {
    const { getDeletion } = Deletion.method;
    return known((await this.connection.unary(getDeletion, { deletionId }, options)).deletion);
  }

  /** The streams that a job deletes, in byte order. */
  listStreams(deletionId: string, options: Paging = {}): AsyncGenerator<DeletedStream> {
    const { pageSize = 100 } = options;
    return paged(async (pageToken) => {
      const request = { deletionId, pageSize, pageToken };
      const page = await this.connection.unary(Deletion.method.getDeletion, request, options);
      return [page.streams, page.nextPageToken];
    });
  }

  /** Jobs, the newest first. */
  list(options: Paging & { readonly stream?: string } = {}): AsyncGenerator<DeletionJob> {
    const { stream = "", pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { stream, pageSize, pageToken };
      const page = await this.connection.unary(Deletion.method.listDeletions, request, options);
      return [page.deletions, page.nextPageToken];
    });
  }
}

/** The calls of the service `Links`. */
export class LinkCalls {
  constructor(private readonly connection: Connection) {}

  /** Stores a rule under its name, in place of the one before. */
  async putRule(
    name: string,
    by: LinkBy,
    policy: Policy,
    options: CallOptions = {},
  ): Promise<{ rule: LinkRule; begins: boolean }> {
    const link =
      "eventType" in by
        ? ({
            case: "byEvent",
            value: {
              eventType: by.eventType,
              pointer: by.pointer,
              category: by.ownerCategory ?? "",
            },
          } as const)
        : ({ case: "byCategory", value: { category: by.category, of: by.of } } as const);
    const request = { rule: { name, link, policy: POLICIES[policy] } };
    const { putLinkRule } = Links.method;
    const answer = await this.connection.unary(putLinkRule, request, options, "append");
    return { rule: known(answer.rule), begins: answer.begins };
  }

  /** Drops a rule and the links that followed from it. */
  async dropRule(name: string, options: CallOptions = {}): Promise<void> {
    await this.connection.unary(Links.method.dropLinkRule, { name }, options, "write");
  }

  /** Rules in byte order of their names. */
  listRules(options: Paging = {}): AsyncGenerator<LinkRule> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { pageSize, pageToken };
      const page = await this.connection.unary(Links.method.listLinkRules, request, options);
      return [page.rules, page.nextPageToken];
    });
  }

  /** Links a stream to its owner by hand. */
  async put(
    stream: string,
    owner: string,
    policy: Policy,
    options: CallOptions = {},
  ): Promise<void> {
    const request = { stream, owner, policy: POLICIES[policy] };
    await this.connection.unary(Links.method.putLink, request, options, "append");
  }

  /** Drops a link that was put by hand. */
  async drop(stream: string, owner: string, options: CallOptions = {}): Promise<void> {
    await this.connection.unary(Links.method.dropLink, { stream, owner }, options, "write");
  }

  /** Links in byte order of owner, stream and rule. */
  list(
    options: Paging & { readonly stream?: string; readonly owner?: string } = {},
  ): AsyncGenerator<Link> {
    const { stream = "", owner = "", pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { stream, owner, pageSize, pageToken };
      const page = await this.connection.unary(Links.method.listLinks, request, options);
      return [page.links, page.nextPageToken];
    });
  }
}
