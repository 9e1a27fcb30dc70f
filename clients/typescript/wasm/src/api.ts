/** What the package offers, wherever it runs. */

export { FoldError } from "./errors.js";
export type { FoldEvent, Json, NewEvent, RecordedEvent, Time } from "./events.js";
export type { ModuleSource } from "./engine.js";
export { compileFold, type Fold } from "./fold.js";
export type { FoldRun, RunOptions, StartState } from "./run.js";
export { FoldState } from "./state.js";
