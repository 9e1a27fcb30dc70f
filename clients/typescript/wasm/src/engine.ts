/** The module: loaded once, guarded at every call, and made anew after a panic. */

import {
  __wbg_reset_state as resetState,
  default as initLater,
  initSync,
} from "./eventfold_wasm.js";
import { FoldError } from "./errors.js";

/** Where the module comes from: an address, its bytes, or the module that was compiled already. */
export type ModuleSource =
  | string
  | URL
  | Request
  | Response
  | BufferSource
  | WebAssembly.Module;

/** Number of the instance, from 1; 0 before the module is loaded. */
let instance = 0;
let loading: Promise<void> | undefined;
/** Loads the module at once, where that is possible. */
let loader: (() => WebAssembly.Module) | undefined;

/** Says how the module can be loaded without waiting. */
export function loadWith(load: () => WebAssembly.Module): void {
  loader = load;
}

/** Loads the module, unless it is loaded. */
export function load(source: ModuleSource | Promise<Response>): Promise<void> {
  if (instance > 0) return Promise.resolve();
  const begun = async () => {
    try {
      await initLater({ module_or_path: source });
      instance ||= 1;
    } finally {
      // What failed may be tried again.
      loading = undefined;
    }
  };
  loading ??= begun();
  return loading;
}

/** Number of the instance that calls go to; loads the module if it can. */
export function currentInstance(): number {
  if (instance === 0) {
    if (loader === undefined) throw new Error("await init() before the first fold");
    initSync({ module: loader() });
    instance = 1;
  }
  return instance;
}

/** Calls the module. Its refusals become errors, and so do its panics, after which it is new. */
export function call<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (Array.isArray(error)) throw refusal(error as string[]);
    // Memory and locks of the instance are as the panic left them: nothing in it is of use.
    instance += 1;
    resetState();
    throw bug("the core panicked; the console says where", { cause: error });
  }
}

/** The error for what no caller is to blame for. */
export function bug(message: string, options?: ErrorOptions): FoldError {
  return new FoldError("BUG", message, {}, options);
}

/** The error of a reason, a message, and names and values of facts. */
function refusal([reason = "BUG", message = "", ...texts]: string[]): FoldError {
  const facts: Record<string, string> = {};
  for (let index = 0; index + 1 < texts.length; index += 2) {
    facts[texts[index] as string] = texts[index + 1] as string;
  }
  return new FoldError(reason, message, facts);
}
