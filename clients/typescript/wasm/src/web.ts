/** The entry for browsers, and for whatever else fetches. */

import { load, type ModuleSource } from "./engine.js";

export * from "./api.js";

/**
 * Loads the module; to be awaited before the first fold. Further calls wait for the first.
 *
 * @param source address or bytes of `eventfold_wasm_bg.wasm`, or the compiled module. Default: the
 *   file beside this one.
 */
export function init(source?: ModuleSource | Promise<Response>): Promise<void> {
  return load(source ?? new URL("eventfold_wasm_bg.wasm", import.meta.url));
}
