/** Projections: query models that the server keeps. */

import type { Connection } from "./connection.js";
import { integerOf, jsonOf } from "./events.js";
import { converted, type Into } from "./fold.js";
import {
  type Freshness,
  type ParkedKey,
  type Projection,
  type ProjectionRow as WireRow,
  Projections,
  ProjectionSwitch,
  type RetryProjectionResponse,
  type Verification,
  type VerifyProjectionResponse,
} from "./generated/eventfold/v1/projections_pb.js";
import { decodeJson, type JsonObject } from "./json.js";
import { paged } from "./paging.js";
import type { CallOptions } from "./settings.js";
import { known } from "./states.js";
import { lastReport, type ReportOptions } from "./streaming.js";

/** A projection document: its text, YAML 1.2 or JSON, or an object. */
export type ProjectionDocument = { readonly source: string } | object;

/** When a new generation takes the place of the active one. Default: when verified. */
export type SwitchWhen = "verified" | "caught up" | "by hand";

/** Which rows. */
export interface FilterOptions extends CallOptions {
  /** Expression of the filter language that is true of the row. Default: all rows. */
  readonly filter?: string;
  /**
   * Waits, within the timeout, until all events up to this position are in the table: whoever was
   * told of an append sees it. 0, the default: does not wait.
   */
  readonly atLeastPosition?: number | bigint;
}

/** Which rows, in which order. */
export interface QueryOptions<T> extends FilterOptions {
  /**
   * Up to 8 columns, or `key`, `version`, `position`; a leading `-` is descending. Rows without a
   * value come last, either way. Default: by key.
   */
  readonly order?: Iterable<string>;
  /** Columns to return. Default: all. */
  readonly columns?: Iterable<string>;
  /** Rows fetched at once, 1 to 1,000. Default: 100. */
  readonly pageSize?: number;
  /** Makes the user's own type of the columns. Default: the JSON as it came. */
  readonly into?: Into<T>;
}

/** A row. */
export interface Row<T> {
  readonly key: string;
  /** Its columns, with exact numbers. */
  readonly columns: T;
  /** Version, in its stream, of the last event that touched the row. */
  readonly version: bigint;
  /** Position of that event. */
  readonly position: bigint;
  /** The message that came, with the bytes of the columns. */
  readonly message: WireRow;
}

/** A page of rows, and how fresh it is. */
export interface RowPage<T> {
  readonly rows: Row<T>[];
  readonly nextPageToken: string;
  readonly freshness: Freshness;
}

const SWITCHES: Record<SwitchWhen, ProjectionSwitch> = {
  verified: ProjectionSwitch.WHEN_VERIFIED,
  "caught up": ProjectionSwitch.WHEN_CAUGHT_UP,
  "by hand": ProjectionSwitch.BY_HAND,
};

const switchOf = (when: SwitchWhen | undefined): ProjectionSwitch =>
  when === undefined ? ProjectionSwitch.UNSPECIFIED : SWITCHES[when];

const numberOf = (generation: number | bigint | undefined): bigint =>
  integerOf(generation ?? 0, "generation");

function sourceOf(document: ProjectionDocument): string {
  if ("source" in document && typeof document.source === "string") return document.source;
  return new TextDecoder().decode(jsonOf(document, "document"));
}

interface Named extends CallOptions {
  /** Number of the generation. Default: as the server says, the newest or the active one. */
  readonly generation?: number | bigint;
}

/** The calls of the service `Projections`. */
export class ProjectionCalls {
  constructor(private readonly connection: Connection) {}

  /**
   * Registers a projection under the name that its document carries. Another document begins a new
   * generation, which is built while queries see the old one.
   *
   * @throws InvalidProjection it does not compile; the facts have line, column and excerpt.
   */
  async put(
    document: ProjectionDocument,
    options: CallOptions & { readonly switch?: SwitchWhen; readonly inPlace?: boolean } = {},
  ): Promise<{ projection: Projection; generation: bigint; created: boolean }> {
    const request = {
      source: sourceOf(document),
      switch: switchOf(options.switch),
      inPlace: options.inPlace ?? false,
    };
    const { putProjection } = Projections.method;
    const answer = await this.connection.unary(putProjection, request, options, "write");
    const { generation, created } = answer;
    return { projection: known(answer.projection), generation, created };
  }

  /** A projection with its generations and how far they are. */
  async get(name: string, options: CallOptions = {}): Promise<Projection> {
    const { getProjection } = Projections.method;
    return known((await this.connection.unary(getProjection, { name }, options)).projection);
  }

  /** Projections in byte order of their names. */
  list(options: CallOptions & { readonly pageSize?: number } = {}): AsyncGenerator<Projection> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { pageSize, pageToken };
      const { listProjections } = Projections.method;
      const page = await this.connection.unary(listProjections, request, options);
      return [page.projections, page.nextPageToken];
    });
  }

  /** Begins a new generation of the document that was put last; answers its number. */
  async rebuild(
    name: string,
    options: CallOptions & { readonly switch?: SwitchWhen } = {},
  ): Promise<bigint> {
    const request = { name, switch: switchOf(options.switch) };
    const { rebuildProjection } = Projections.method;
    return (await this.connection.unary(rebuildProjection, request, options, "write")).generation;
  }

  /** Compares a generation with a fold from scratch, on a sample of `keys` keys (default: 100). */
  async verify(
    name: string,
    options: ReportOptions<VerifyProjectionResponse> & Named & { readonly keys?: number } = {},
  ): Promise<Verification> {
    const { keys = 0 } = options;
    const request = { name, generation: numberOf(options.generation), keys };
    const { verifyProjection } = Projections.method;
    const last = await lastReport(this.connection, verifyProjection, request, options);
    return known(last.verification);
  }

  /** Lets queries see another generation. Default: the newest. */
  async switch(name: string, options: Named = {}): Promise<Projection> {
    const request = { name, generation: numberOf(options.generation) };
    const { switchProjection } = Projections.method;
    const answer = await this.connection.unary(switchProjection, request, options, "write");
    return known(answer.projection);
  }

  /** Drops a generation, or, without one, the whole projection. */
  async drop(name: string, options: Named = {}): Promise<void> {
    const request = { name, generation: numberOf(options.generation) };
    await this.connection.unary(Projections.method.dropProjection, request, options, "write");
  }

  /** Goes on after a failure: with these parked keys, or all. */
  async retry(
    name: string,
    options: Named & { readonly keys?: Iterable<string> } = {},
  ): Promise<RetryProjectionResponse> {
    const keys = [...(options.keys ?? [])];
    const request = { name, generation: numberOf(options.generation), keys };
    return this.connection.unary(Projections.method.retryProjection, request, options, "write");
  }

  /** Parked keys of a generation in byte order. */
  listParkedKeys(
    name: string,
    options: Named & { readonly pageSize?: number } = {},
  ): AsyncGenerator<ParkedKey> {
    const { pageSize = 0 } = options;
    return paged(async (pageToken) => {
      const request = { name, generation: numberOf(options.generation), pageSize, pageToken };
      const { listParkedKeys } = Projections.method;
      const page = await this.connection.unary(listParkedKeys, request, options);
      return [page.keys, page.nextPageToken];
    });
  }

  /**
   * The rows that pass a filter, page after page. Each page is consistent in itself.
   *
   * @throws InvalidExpression the filter.
   * @throws ProjectionNotFound, ProjectionNotReady, ProjectionStopped, DeadlineExceeded
   */
  query<T = JsonObject>(name: string, options: QueryOptions<T> = {}): AsyncGenerator<Row<T>> {
    return paged(async (pageToken) => {
      const page = await this.queryPage(name, options, pageToken);
      return [page.rows, page.nextPageToken];
    });
  }

  /** One page of rows, and how fresh they are. Default of `pageToken`: the first. */
  async queryPage<T = JsonObject>(
    name: string,
    options: QueryOptions<T> = {},
    pageToken = "",
  ): Promise<RowPage<T>> {
    const request = {
      name,
      filter: options.filter ?? "",
      order: Array.from(options.order ?? [], (column) => ({
        column: column.replace(/^-/, ""),
        descending: column.startsWith("-"),
      })),
      columns: [...(options.columns ?? [])],
      atLeastPosition: integerOf(options.atLeastPosition ?? 0, "atLeastPosition"),
      pageSize: options.pageSize ?? 0,
      pageToken,
    };
    const { queryProjection } = Projections.method;
    const page = await this.connection.unary(queryProjection, request, options);
    const rows = page.rows.map((message) => {
      const { key, version, position } = message;
      const columns = converted(decodeJson(message.columns), options.into, "row");
      return { key, columns, version, position, message };
    });
    return { rows, nextPageToken: page.nextPageToken, freshness: known(page.freshness) };
  }

  /** How many rows pass a filter. */
  async count(
    name: string,
    options: FilterOptions = {},
  ): Promise<{ rows: bigint; freshness: Freshness }> {
    const request = {
      name,
      filter: options.filter ?? "",
      atLeastPosition: integerOf(options.atLeastPosition ?? 0, "atLeastPosition"),
    };
    const { countProjection } = Projections.method;
    const answer = await this.connection.unary(countProjection, request, options);
    return { rows: answer.rows, freshness: known(answer.freshness) };
  }
}
