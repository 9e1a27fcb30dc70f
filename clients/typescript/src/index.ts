/** The client of eventfold. */

export type {
  Aggregate,
  Decide,
  DecideOn,
  Handlers,
  Initial,
  ReadAggregateOptions,
  RetryOptions,
} from "./aggregates.js";
export { Client } from "./client.js";
export { type ConsumeOptions, type Consumer, type Delivery } from "./consumer.js";
export { Decimal, type DecimalLike } from "./decimal.js";
export type { LinkBy, Policy } from "./deletion.js";
export * from "./errors.js";
export {
  type ExpectedVersion,
  type NewEvent,
  newEvent,
  newId,
  RecordedEvent,
  streamName,
} from "./events.js";
export {
  type FoldDocument,
  foldFile,
  type FoldLike,
  type FoldSource,
  Hydrated,
  type Into,
  type StandardSchema,
} from "./fold.js";
export type { Frame, FrameKind, Place } from "./following.js";
export * from "./generated/errors.js";
export type { CreateGroupOptions, GroupOptions, ParkedEvent } from "./groups.js";
export { decodeJson, encodeJson, type JsonObject, type JsonValue } from "./json.js";
export type {
  AppendOptions,
  CloseOptions,
  CompensateOptions,
  ListStreamsOptions,
  ReadAllOptions,
  ReadOptions,
  StreamAppend,
} from "./log.js";
export type { Exported, PrivacyDocument, RulesOf } from "./privacy.js";
export type {
  FilterOptions,
  ProjectionDocument,
  QueryOptions,
  Row,
  RowPage,
  SwitchWhen,
} from "./projections.js";
export type { EventReader } from "./reader.js";
export type { Reconnect, ReconnectOptions } from "./reconnects.js";
export type { AppendResult, Copies, Follow, ReadEnd } from "./results.js";
export type { CallOptions, ClientOptions } from "./settings.js";
export type { HistoricState, HydratedMany, HydrateOptions, VersionsOptions } from "./states.js";
export type { ReportOptions } from "./streaming.js";
export type { Stub } from "./stub.js";
export type {
  SourceOptions,
  StartOptions,
  SubscribeOptions,
  Subscription,
} from "./subscription.js";
export { VERSION } from "./version.js";
export type { WatchOptions } from "./watch.js";
