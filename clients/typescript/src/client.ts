/** The client. */

import { AggregateCalls } from "./aggregates.js";
import { Connection } from "./connection.js";
import { type ClientOptions, Settings } from "./settings.js";

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
  /**
   * @param target `host:port`, or another form of gRPC's targets.
   * @throws InsecureConnection a token would travel in plain text to another machine.
   * @throws InvalidValue the target is no address, or the token cannot be sent.
   */
  constructor(target: string, options: ClientOptions = {}) {
    super(new Connection(new Settings(target, options)));
  }

  /** Ends the connection. Calls under way fail; closing twice is allowed. */
  close(): void {
    this.connection.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
