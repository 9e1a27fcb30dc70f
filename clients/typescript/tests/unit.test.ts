/** Goal: numbers stay exact and settings are safe, without a server. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  Client,
  Decimal,
  decodeJson,
  encodeJson,
  ERRORS_BY_REASON,
  EventfoldError,
  InsecureConnection,
  InvalidValue,
  VERSION,
  VersionConflict,
} from "@eventfold/client";

const text = (value: unknown): string => new TextDecoder().decode(encodeJson(value));

test("json keeps every number as it was written", () => {
  for (const written of [
    "9007199254740993",
    "-12345678901234567890123",
    "0.1",
    "100.00",
    "1e400",
    "-1.50E-7",
    "12345678901234567890.123456789",
    "-0.0",
    "1e5",
  ]) {
    assert.equal(text(decodeJson(`{"n":${written}}`)), `{"n":${written}}`);
    assert.equal(text(decodeJson(`[${written},1]`)), `[${written},1]`);
  }
});

test("json numbers have the types that hold them", () => {
  assert.deepEqual(decodeJson("[1,-7,9007199254740991]"), [1, -7, 9007199254740991]);
  assert.deepEqual(decodeJson("[9007199254740992,1]"), [9007199254740992n, 1]);
  const [tenth] = decodeJson("[0.10]") as [Decimal];
  assert.ok(tenth instanceof Decimal);
  assert.ok(tenth.equals("0.1"));
});

test("json takes what has a form and names the place of what has none", () => {
  assert.equal(
    text({ a: undefined, b: new Date(0), c: Decimal.of("1.50"), d: 2n ** 64n, e: [null, true] }),
    '{"b":"1970-01-01T00:00:00.000Z","c":1.50,"d":18446744073709551616,"e":[null,true]}',
  );
  assert.equal(text(new TextEncoder().encode('{"as":"it is"}')), '{"as":"it is"}');
  for (const [value, path] of [
    [{ a: [{ b: NaN }] }, "a[0].b"],
    [{ a: "\ud800" }, "a"],
    [{ f: () => 1 }, "f"],
    [{ n: 2 ** 60 }, "n"],
    [{ m: new Map() }, "m"],
  ] as const) {
    assert.throws(
      () => encodeJson(value),
      (error) => error instanceof InvalidValue && error.path === path,
    );
  }
  assert.throws(() => decodeJson('{"a":'), InvalidValue);
  assert.deepEqual(Object.keys(decodeJson('{"__proto__":{"x":1.5}}') as object), ["__proto__"]);
});

test("decimals are exact", () => {
  const cents = Decimal.of("0.1").plus("0.2");
  assert.equal(cents.text, "0.3");
  assert.equal(Decimal.of("100.00").minus("30.005").text, "69.995");
  assert.equal(Decimal.of("-0.05").times("0.5").text, "-0.025");
  assert.equal(Decimal.of("1.10").text, "1.10");
  assert.ok(Decimal.of("1.10").equals("1.1"));
  assert.ok(Decimal.of("1e400").compare("9e399") > 0);
  assert.ok(Decimal.of("-3").compare("2") < 0);
  assert.ok(Decimal.of("9007199254740993").compare(9007199254740992n) > 0);
  assert.throws(() => Number(Decimal.of("1.5")), TypeError);
  assert.throws(() => Decimal.of("NaN"), RangeError);
  assert.throws(() => Decimal.of("1e100000").plus("1e-100000"), RangeError);
  // A payload may hold them, and they must not cost what their places say.
  assert.equal(Decimal.of("0e-99999999").plus("1.50").text, "1.50");
  assert.equal(Decimal.of("1.50").minus("0e99999999").text, "1.50");
  assert.equal(Decimal.of("0e-99999999").plus("0e-99999999").text, "0e-99999999");
  assert.equal(Decimal.of("2e-99999999").times(3).text, "6e-99999999");
  assert.equal(Decimal.of("0.00").plus("1").text, "1.00");
  assert.throws(() => Decimal.of(`1e${"9".repeat(400)}`).plus(0), RangeError);
});

test("a token travels in plain text only on this machine", () => {
  const elsewhere = ["db.example:1", "10.0.0.7:1", "[2001:db8::1]:1", "127.example:1"];
  // Lists of addresses, of which one is elsewhere.
  elsewhere.push("ipv6:[::1]:1,[2001:db8::1]:1", "ipv4:127.0.0.1:1,10.0.0.7:1");
  for (const target of [...elsewhere, "[::1].example:1"]) {
    assert.throws(() => new Client(target, { token: "t" }), InsecureConnection);
  }
  const here = ["localhost:1", "127.0.0.9:1", "[::1]:1", "dns:127.0.0.1:1", "unix:/x"];
  for (const target of [...here, "ipv4:127.0.0.1:1,127.0.0.2:1"]) {
    new Client(target, { token: "t" }).close();
  }
  new Client("db.example:4141", { token: "t", insecure: true }).close();
  new Client("db.example:4141", { token: "t", tls: true }).close();
});

test("settings that cannot be are refused", () => {
  assert.throws(() => new Client(""), InvalidValue);
  assert.throws(() => new Client("localhost:1", { timeoutMs: 0 }), InvalidValue);
  assert.throws(() => new Client("localhost:1", { token: "a\nb" }), InvalidValue);
  assert.throws(() => new Client("localhost:1", { tls: "no certificate" }), InvalidValue);
});

test("every reason has a class with its facts", () => {
  assert.ok(Object.keys(ERRORS_BY_REASON).length > 80);
  for (const [reason, kind] of Object.entries(ERRORS_BY_REASON)) {
    const error = new kind("m", {});
    assert.ok(error instanceof EventfoldError);
    assert.deepEqual([error.reason, error.constructor.name], [reason, error.name]);
  }
  const conflict = new VersionConflict("m", { actual: "9007199254740993", expected: "exists" });
  assert.deepEqual([conflict.actual, conflict.expected], [9007199254740993n, "exists"]);
  assert.equal(new VersionConflict("m").actual, undefined);
});

test("the version is that of the package", () => {
  const told = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  assert.equal(VERSION, told.version);
});
