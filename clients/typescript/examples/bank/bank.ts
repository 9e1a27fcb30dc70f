/**
 * Two writers withdraw at once: one is refused by the version, and decides again.
 *
 *     make run                                       # in another terminal, at the root
 *     npm run build && npm run build:tests
 *     node build/examples/bank/bank.js HOST:PORT     # default: 127.0.0.1:4141
 */

import { randomUUID } from "node:crypto";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";

import { Client, Decimal, foldFile, type FoldSource, streamName } from "@eventfold/client";

import { account, type Decision, deposit, openAccount, Refused, withdraw } from "./account.js";

const CATEGORY = "account";
// The one that all examples of the bank fold with; seen from where this is compiled to.
const FOLD = new URL("../../../../../examples/bank/account.fold.yaml", import.meta.url);

type Say = (line: string) => void;

/** The bank on a store. */
class Bank {
  constructor(
    private readonly client: Client,
    private readonly fold: FoldSource,
    private readonly say: Say,
  ) {}

  /** Reads the account, decides, and appends; again from the start if it has moved. */
  async act(id: string, decide: Decision): Promise<void> {
    await this.client.retry(CATEGORY, id, decide, { fold: this.fold, into: account });
  }

  /** The balance as it is now: folded from the events, on the spot. */
  async balance(id: string): Promise<Decimal> {
    const options = { fold: this.fold, into: account };
    return (await this.client.hydrate(CATEGORY, id, options)).state.balance;
  }

  /** Ada and Bo withdraw at the same time, on the same state: who succeeded, and how often. */
  async race(id: string, amount: Decimal): Promise<{ succeeded: number; decisions: number }> {
    let decisions = 0;
    let meet: () => void;
    const both = new Promise<void>((resolve) => (meet = resolve));
    const take = async (name: string): Promise<number> => {
      let calls = 0;
      try {
        await this.client.retry(
          CATEGORY,
          id,
          async (state) => {
            calls += 1;
            decisions += 1;
            const again = calls > 1 ? " decides again:" : "";
            this.say(`  ${name}${again} sees a balance of ${state.balance}`);
            // The first time both decide only when both have read the same state.
            if (decisions === 2) meet();
            await both;
            return withdraw(amount)(state);
          },
          { fold: this.fold, into: account },
        );
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        this.say(`  ${name} gets nothing: ${error.message}`);
        return 0;
      }
      this.say(`  ${name} has ${amount}`);
      return 1;
    };
    const [ada = 0, bo = 0] = await Promise.all(["Ada", "Bo"].map(take));
    return { succeeded: ada + bo, decisions };
  }
}

/** The life of an account, on a stream of its own. */
export async function run(client: Client, say: Say): Promise<void> {
  const bank = new Bank(client, await foldFile(FOLD), say);
  const id = randomUUID();
  await bank.act(id, openAccount("u-1"));
  await bank.act(id, deposit(Decimal.of("100.00")));
  say(`${CATEGORY}-${id} is open, with ${await bank.balance(id)}`);
  for (const amount of ["30.00", "25.50"].map(Decimal.of)) {
    say(`Both withdraw ${amount}:`);
    const { succeeded, decisions } = await bank.race(id, amount);
    const balance = await bank.balance(id);
    say(`  ${succeeded} of 2 succeeded after ${decisions} decisions; the balance is ${balance}`);
  }
  say("What happened, as it will always be told:");
  for await (const event of client.read(streamName(CATEGORY, id))) {
    const data = new TextDecoder().decode(event.dataBytes);
    say(`  ${event.version}  ${event.type.padEnd(14)}  ${data}`);
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  using client = new Client(argv[2] ?? "127.0.0.1:4141");
  await run(client, console.log);
}
