/** What an account decides: from its state to events, or a refusal. Needs no store to be tested. */

import { Decimal, type DecimalLike, type JsonValue, type NewEvent } from "@eventfold/client";

/** The state of an account, as `examples/bank/account.fold.yaml` folds it. */
export interface Account {
  readonly isOpen: boolean;
  readonly balance: Decimal;
}

/** Makes an account of the JSON that the fold gives. */
export function account(state: JsonValue): Account {
  const { open, balance } = state as { open: boolean; balance: DecimalLike };
  return { isOpen: open, balance: Decimal.of(balance) };
}

/** From the state to the events that follow from it. */
export type Decision = (account: Account) => NewEvent[];

/** The rules of the bank forbid it. */
export class Refused extends Error {}

/** Opens the account; one that is open stays as it is. */
export function openAccount(owner: string): Decision {
  return ({ isOpen }) => (isOpen ? [] : [{ type: "AccountOpened", data: { owner } }]);
}

/** Puts money in. */
export function deposit(amount: Decimal): Decision {
  return (account) => {
    check(account, amount);
    return [{ type: "MoneyDeposited", data: { amount } }];
  };
}

/** Takes money out, if the balance allows it. */
export function withdraw(amount: Decimal): Decision {
  return (account) => {
    check(account, amount);
    if (amount.compare(account.balance) > 0) {
      throw new Refused(`the balance is ${account.balance}, which is less than ${amount}`);
    }
    return [{ type: "MoneyWithdrawn", data: { amount } }];
  };
}

function check({ isOpen }: Account, amount: Decimal): void {
  if (!isOpen) throw new Refused("the account is not open");
  if (amount.compare(0) <= 0) throw new Refused(`an amount is above 0, not ${amount}`);
}
