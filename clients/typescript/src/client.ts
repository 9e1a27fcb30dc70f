/** The client. */

import type { DescService } from "@bufbuild/protobuf";

import { AggregateCalls } from "./aggregates.js";
import { Connection } from "./connection.js";
import { type ConsumeOptions, Consumer } from "./consumer.js";
import { DeletionCalls, LinkCalls } from "./deletion.js";
import { streamName } from "./events.js";
import { GroupCalls } from "./groups.js";
import type { JsonValue } from "./json.js";
import { ErasureCalls, PrivacyRuleCalls, SubjectCalls } from "./privacy.js";
import { ProjectionCalls } from "./projections.js";
import { type ClientOptions, Settings } from "./settings.js";
import type { HistoricState } from "./states.js";
import { type Stub, stubOf } from "./stub.js";
import { type SubscribeOptions, Subscription } from "./subscription.js";
import { watched, type WatchOptions } from "./watch.js";

/**
 * A client of an eventfold server. It connects with its first call, and again by itself.
 *
 * ```ts
 * using client = new Client("127.0.0.1:4141");
 * await client.append("account-1", [{ type: "MoneyDeposited", data: { amount: 100 } }], {
 *   expectedVersion: 0,
 * });
 * ```
 */
export class Client extends AggregateCalls implements Disposable {
  /** Consumer groups: making them, and how they are doing; `consume` consumes. */
  readonly groups: GroupCalls;
  /** Projections: putting them, rebuilding, querying. */
  readonly projections: ProjectionCalls;
  /** Which values of events are personal. */
  readonly privacy: PrivacyRuleCalls;
  /** Erasing subjects, receipts, legal holds. */
  readonly erasures: ErasureCalls;
  /** What is stored of subjects, and their keys. */
  readonly subjects: SubjectCalls;
  /** Deleting streams. */
  readonly deletion: DeletionCalls;
  /** Which stream belongs to which. */
  readonly links: LinkCalls;

  /**
   * @param target `host:port`, or another form of gRPC's targets.
   * @throws InsecureConnection a token would travel in plain text to another machine.
   * @throws InvalidValue the target is no address, or the token cannot be sent.
   */
  constructor(target: string, options: ClientOptions = {}) {
    super(new Connection(new Settings(target, options)));
    this.groups = new GroupCalls(this.connection);
    this.projections = new ProjectionCalls(this.connection);
    this.privacy = new PrivacyRuleCalls(this.connection);
    this.erasures = new ErasureCalls(this.connection);
    this.subjects = new SubjectCalls(this.connection);
    this.deletion = new DeletionCalls(this.connection);
    this.links = new LinkCalls(this.connection);
  }

  /**
   * Follows the log, categories or a stream: first what is stored, then what is appended. It
   * begins with the first event unless `place` or another start is named, and survives breaks.
   *
   * @throws StoreIncarnationChanged the log is not the one of the place or the token, or it lost
   * its tail meanwhile; both agree up to `commonPosition`.
   * @throws FilterFailed, MappingFailed an event; what was before it was delivered.
   * @throws PositionAhead, VersionAhead the start is beyond the head + 1.
   */
  subscribe(options: SubscribeOptions = {}): Subscription {
    return new Subscription(this.connection, options);
  }

  /** Consumes the events of a group: each at least once, those of a stream in order. */
  consume(group: string, options: ConsumeOptions = {}): Consumer {
    return new Consumer(this.connection, group, options);
  }

  /** The state of an aggregate, and then its state after each further event; survives breaks. */
  watch<T = JsonValue>(
    category: string,
    id: string,
    options: WatchOptions<T>,
  ): AsyncGenerator<HistoricState<T>, void, undefined> {
    return watched(this.connection, streamName(category, id), options);
  }

  /**
   * The calls of any service of the protos, with the token, the deadline and the errors of this
   * client: `client.stub(Transforms).startTransform({ source })`. The services and messages are
   * those of `@eventfold/client/stubs`.
   */
  stub<S extends DescService>(service: S): Stub<S> {
    return stubOf(this.connection, service);
  }

  /** Ends the connection. Calls under way fail; closing twice is allowed. */
  close(): void {
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
