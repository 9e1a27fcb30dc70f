// node bench/fold.mjs [EVENTS..]: folds the events of a bank account, and prints JSON. Beside the
// module stands what one writes by hand: JSON.parse, and sums of doubles, which are not exact.

import { randomUUID } from "node:crypto";

import { compileFold } from "../dist/node.js";

const ACCOUNT = `
fold: account
initial: {open: false, owner: null, balance: 0, count: 0}
handlers:
  AccountOpened:
    open: true
    owner: "event.owner"
  MoneyDeposited:
    balance: "state.balance + event.amount"
    count: "state.count + 1"
  MoneyWithdrawn:
    balance: "state.balance - event.amount"
    count: "state.count + 1"
`;
const ROUNDS = 15;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const HANDLERS = {
  AccountOpened: (state, event) => ({ ...state, open: true, owner: event.owner }),
  MoneyDeposited: (state, event) => ({
    ...state, balance: state.balance + event.amount, count: state.count + 1,
  }),
  MoneyWithdrawn: (state, event) => ({
    ...state, balance: state.balance - event.amount, count: state.count + 1,
  }),
};

function bank(count) {
  return Array.from({ length: count }, (_, index) => {
    const [type, data] = index === 0
      ? ["AccountOpened", { owner: "u-1" }]
      : [index % 3 ? "MoneyDeposited" : "MoneyWithdrawn", { amount: (index % 997) / 100 }];
    return {
      id: randomUUID(),
      stream: "account-1",
      type,
      version: BigInt(index + 1),
      position: BigInt(index + 1),
      recordedAt: { seconds: 1700000000n + BigInt(index), nanos: 0 },
      writer: "bank",
      data: encoder.encode(JSON.stringify(data)),
      metadata: new Uint8Array(),
      tags: [],
    };
  });
}

function byHand(events) {
  let state = { open: false, owner: null, balance: 0, count: 0 };
  for (const { type, data } of events) {
    state = HANDLERS[type]?.(state, JSON.parse(decoder.decode(data))) ?? state;
  }
  return state;
}

/** The median of some rounds, in microseconds; the first ones only warm up. */
function measured(work) {
  const times = [];
  for (let round = -5; round < ROUNDS; round += 1) {
    const start = performance.now();
    work();
    if (round >= 0) times.push(performance.now() - start);
  }
  return Math.round(1000 * times.sort((a, b) => a - b)[ROUNDS >> 1]);
}

const fold = compileFold(ACCOUNT);
const counts = process.argv.slice(2).map(Number);
const figures = (counts.length > 0 ? counts : [1000, 10000]).map((count) => {
  const events = bank(count);
  if (fold.fold(events).value.count !== byHand(events).count) throw new Error("they differ");
  return {
    events: count,
    wasm_us: measured(() => fold.fold(events)),
    javascript_us: measured(() => byHand(events)),
  };
});
console.log(JSON.stringify(figures));
