/** What goes wrong with a fold. */

/**
 * A refusal, with a reason of eventfold's catalogue and its facts: those that the server gives.
 * Branch on the reason, never on the message.
 *
 * `BUG` is a panic of the core. The module goes on with a new instance, in which folds compile
 * themselves anew; runs that were under way are lost, and give `BUG` too.
 */
export class FoldError extends Error {
  /** Name of the reason, such as `FOLD_FAILED`. */
  readonly reason: string;
  /** The facts of the reason by name, the most telling first. No value of a payload is in them. */
  readonly facts: Readonly<Record<string, string>>;

  constructor(
    reason: string,
    message: string,
    facts: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = "FoldError";
    this.reason = reason;
    this.facts = facts;
  }
}

/** The error for a value that cannot be folded, found before the core sees it. */
export function invalidValue(path: string, problem: string): FoldError {
  return new FoldError("INVALID_VALUE", problem, { path, problem });
}
