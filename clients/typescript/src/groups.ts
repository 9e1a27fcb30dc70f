/** Consumer groups: making them, and how they are doing. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";

import type { Connection } from "./connection.js";
import { RecordedEvent } from "./events.js";
import {
  ConsumerGroups,
  type Group,
  type GroupSettingsSchema,
  type GroupStartSchema,
  type GroupStatus,
  OnPark,
  type ParkedEvent as WireParked,
} from "./generated/eventfold/v1/consumer_groups_pb.js";
import { paged } from "./paging.js";
import { type CallOptions, checkMs } from "./settings.js";
import { known } from "./states.js";
import {
  type SourceOptions,
  sourceToWire,
  type StartOptions,
  startToWire,
} from "./subscription.js";

// What a message can hold; how long each may be is the server's to say.
const DURATION_MS_MAX = 315_576_000_000_000;

/** How a group delivers; what is left out has its default. */
export interface GroupOptions {
  /** Milliseconds that events may take until their stream goes elsewhere. Default: 30,000. */
  readonly ackTimeoutMs?: number;
  /** Deliveries after which an event that failed is parked. Default: 10. */
  readonly attemptsMax?: number;
  /** Milliseconds before the second attempt. Default: 1,000. */
  readonly retryInitialMs?: number;
  /** What the wait is multiplied with for each further attempt. Default: 2. */
  readonly retryFactor?: number;
  /** Longest wait in milliseconds. Default: 60,000. */
  readonly retryMaxMs?: number;
  /** What a parked event does to the later ones of its stream. Default: it holds them back. */
  readonly onPark?: "hold back" | "let pass";
  /** True: events are delivered without regard for the order in streams. Default: false. */
  readonly unordered?: boolean;
}

/** A group to be made: which events, how, and from where on (default: the beginning). */
export interface CreateGroupOptions extends SourceOptions, StartOptions, CallOptions {
  readonly settings?: GroupOptions;
}

/** An event that a group has set aside. */
export interface ParkedEvent {
  readonly event: RecordedEvent;
  /** Attempts, cause, reason, and whether it holds back the later events of its stream. */
  readonly about: WireParked;
}

function settingsToWire(settings: GroupOptions): MessageInitShape<typeof GroupSettingsSchema> {
  const { onPark } = settings;
  const duration = (name: "ackTimeoutMs" | "retryInitialMs" | "retryMaxMs") => {
    const ms = settings[name];
    return ms === undefined ? undefined : durationFromMs(checkMs(ms, name, DURATION_MS_MAX));
  };
  const ackTimeout = duration("ackTimeoutMs");
  const retryInitial = duration("retryInitialMs");
  const retryMax = duration("retryMaxMs");
  return {
    ...(ackTimeout === undefined ? {} : { ackTimeout }),
    ...(retryInitial === undefined ? {} : { retryInitial }),
    ...(retryMax === undefined ? {} : { retryMax }),
    attemptsMax: settings.attemptsMax ?? 0,
    retryFactor: settings.retryFactor ?? 0,
    ...(onPark === undefined
      ? {}
      : { onPark: onPark === "hold back" ? OnPark.HOLD_BACK : OnPark.LET_PASS }),
    unordered: settings.unordered ?? false,
  };
}

function groupStart(options: StartOptions): MessageInitShape<typeof GroupStartSchema> | undefined {
  const start = startToWire(options);
  if (start.case === undefined) return undefined;
  return { kind: start } as MessageInitShape<typeof GroupStartSchema>;
}

/** The calls of the service `ConsumerGroups`, but for consuming. */
export class GroupCalls {
  constructor(private readonly connection: Connection) {}

  /**
   * Creates a group. The same again changes nothing.
   *
   * @throws GroupExists there is one of this name with another source or other settings.
   */
  async create(
    name: string,
    options: CreateGroupOptions = {},
  ): Promise<{ group: Group; created: boolean }> {
    const start = groupStart(options);
    const request = {
      name,
      source: sourceToWire(options),
      settings: settingsToWire(options.settings ?? {}),
      ...(start === undefined ? {} : { start }),
    };
    const { createGroup } = ConsumerGroups.method;
    const answer = await this.connection.unary(createGroup, request, options, "write");
    return { group: known(answer.group), created: answer.created };
  }

  /** A group, how far it is, and who consumes it. */
  async get(
    name: string,
    options: CallOptions = {},
  ): Promise<{ group: Group; status: GroupStatus }> {
    const { getGroup } = ConsumerGroups.method;
    const answer = await this.connection.unary(getGroup, { name }, options);
    return { group: known(answer.group), status: known(answer.status) };
  }

  /** Groups in byte order of their names. */
  list(options: CallOptions & { readonly pageSize?: number } = {}): AsyncGenerator<Group> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const { listGroups } = ConsumerGroups.method;
      const page = await this.connection.unary(listGroups, { pageSize, pageToken }, options);
      return [page.groups, page.nextPageToken];
    });
  }

  /** Deletes a group with its progress and its parked events. */
  async delete(name: string, options: CallOptions = {}): Promise<void> {
    await this.connection.unary(ConsumerGroups.method.deleteGroup, { name }, options, "write");
  }

  /** Lets a group begin anew somewhere in the log; a start is required. */
  async reset(name: string, options: StartOptions & CallOptions): Promise<Group> {
    const start = groupStart(options);
    const request = { name, ...(start === undefined ? {} : { start }) };
    const { resetGroup } = ConsumerGroups.method;
    return known((await this.connection.unary(resetGroup, request, options, "write")).group);
  }

  /** Parked events in order of position. */
  listParked(
    group: string,
    options: CallOptions & { readonly pageSize?: number } = {},
  ): AsyncGenerator<ParkedEvent> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { group, pageSize, pageToken };
      const page = await this.connection.unary(ConsumerGroups.method.listParked, request, options);
      const parked = page.events.map((event, index) => ({
        event: new RecordedEvent(event),
        about: known(page.parked[index]),
      }));
      return [parked, page.nextPageToken];
    });
  }

  /** Delivers parked events again, at these positions or all; answers how many. */
  async replayParked(
    group: string,
    positions: readonly bigint[] | "all",
    options: CallOptions = {},
  ): Promise<bigint> {
    const request = { group, ...chosen(positions) };
    const { replayParked } = ConsumerGroups.method;
    return (await this.connection.unary(replayParked, request, options, "write")).replayed;
  }

  /** Gives parked events up, at these positions or all; answers how many. */
  async purgeParked(
    group: string,
    positions: readonly bigint[] | "all",
    options: CallOptions = {},
  ): Promise<bigint> {
    const request = { group, ...chosen(positions) };
    const { purgeParked } = ConsumerGroups.method;
    return (await this.connection.unary(purgeParked, request, options, "write")).purged;
  }
}

function chosen(positions: readonly bigint[] | "all"): { positions: bigint[]; all: boolean } {
  return positions === "all"
    ? { positions: [], all: true }
    : { positions: [...positions], all: false };
}
