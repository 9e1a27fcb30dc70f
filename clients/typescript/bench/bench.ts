/**
 * What the client costs: appends, reads and hydrations over one connection, one at a time.
 *
 *     node build/bench/bench.js ADDRESS SECONDS
 *
 * Prints one JSON object. Each figure has a share of the seconds, a fifth of it to warm up.
 */

import { randomUUID } from "node:crypto";
import { argv } from "node:process";

import { Client, foldFile, type NewEvent } from "@eventfold/client";

const FOLD = new URL("../../../../examples/bank/account.fold.yaml", import.meta.url);
const FIGURES = 5;
// The data of an event has about 200 bytes.
const NOTE = "x".repeat(170);

const deposit = (): NewEvent => ({ type: "MoneyDeposited", data: { amount: 1, note: NOTE } });

/** Milliseconds of each call, in rising order, after warming up. */
async function measured(seconds: number, call: () => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  const begin = performance.now();
  const warm = begin + seconds * 200;
  const end = begin + seconds * 1_000;
  for (let now = begin; now < end; ) {
    await call();
    const after = performance.now();
    if (now >= warm) times.push(after - now);
    now = after;
  }
  return times.sort((a, b) => a - b);
}

const median = (times: number[]): number => rounded(times[times.length >> 1] ?? NaN);

const rounded = (value: number): number => Math.round(value * 1_000) / 1_000;

async function filled(client: Client, count: number): Promise<string> {
  const id = randomUUID();
  const events = Array.from({ length: count }, deposit);
  await client.append(`bench-${id}`, events, { expectedVersion: 0, timeoutMs: 60_000 });
  return id;
}

async function main(address: string, seconds: number): Promise<void> {
  using client = new Client(address);
  const fold = await foldFile(FOLD);
  const share = seconds / FIGURES;
  let [stream, version] = ["", 100];
  const appends = await measured(share, async () => {
    if (version === 100) [stream, version] = [`bench-${randomUUID()}`, 0];
    await client.append(stream, [deposit()], { expectedVersion: version });
    version += 1;
  });
  const total = appends.reduce((sum, time) => sum + time, 0);
  const figures: Record<string, number | string> = {
    client: "typescript",
    append_per_s: rounded((appends.length * 1_000) / total),
  };
  for (const count of [100, 1_000]) {
    const id = await filled(client, count);
    const reads = await measured(share, async () => {
      let read = 0;
      // What a program does with events is to look at their data.
      for await (const event of client.read(`bench-${id}`)) read += event.data["amount"] as number;
      if (read !== count) throw new Error(`read ${read} of ${count} events`);
    });
    figures[`read_${count}_ms`] = median(reads);
    const hydrations = await measured(share, async () => {
      const { state } = await client.hydrate<{ balance: number }>("bench", id, { fold });
      if (state.balance !== count) throw new Error(`folded ${state.balance} of ${count}`);
    });
    figures[`hydrate_${count}_ms`] = median(hydrations);
  }
  console.log(JSON.stringify(figures));
}

await main(argv[2] ?? "127.0.0.1:4141", Number(argv[3] ?? 20));
