/** Decimal numbers of JSON, with all of their digits. */

const FORM = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
// Beyond this distance of exponents a sum would have that many digits, which nobody wants.
const SHIFT_MAX = 20_000;

/**
 * A decimal number, exact: a JSON number with a fraction or an exponent, kept as it was written.
 *
 * JavaScript's numbers are binary and cannot hold `0.1`; sums of cents go wrong with them. Adding,
 * subtracting, multiplying and comparing are exact here at any length. `text` is the number as it
 * was written, trailing zeros included, and that is what is written again.
 */
export class Decimal {
  /** The number as it was written. */
  readonly text: string;
  #parts: { readonly digits: bigint; readonly exponent: number } | undefined;

  private constructor(text: string) {
    this.text = text;
  }

  /**
   * Makes one of its text, of an integer, or of another one. A number with a fraction is taken as
   * the shortest text that stands for it: `0.1` is exactly a tenth.
   *
   * @throws RangeError it is no finite decimal number.
   */
  static of(value: DecimalLike): Decimal {
    if (value instanceof Decimal) return value;
    const text = String(value);
    if (!FORM.test(text)) throw new RangeError(`${text} is no decimal number`);
    return new Decimal(text.replace(/^(-?)0+(?=\d)/, "$1"));
  }

  get #value(): { readonly digits: bigint; readonly exponent: number } {
    if (this.#parts === undefined) {
      const [, sign = "", whole = "", fraction = "", exponent = "0"] = FORM.exec(this.text) ?? [];
      this.#parts = {
        digits: BigInt(`${sign}${whole}${fraction}`),
        exponent: Number(exponent) - fraction.length,
      };
    }
    return this.#parts;
  }

  /** Both numbers as whole numbers of the same power of 10. */
  static #aligned(a: Decimal, b: Decimal): [bigint, bigint, number] {
    const [left, right] = [a.#value, b.#value];
    const exponent = Math.min(left.exponent, right.exponent);
    const shift = Math.max(left.exponent, right.exponent) - exponent;
    if (shift <= SHIFT_MAX) return [scaled(left, exponent), scaled(right, exponent), exponent];
    // A zero lends its places only to what is near.
    if (left.digits === 0n) return [0n, right.digits, right.exponent];
    if (right.digits === 0n) return [left.digits, 0n, left.exponent];
    throw new RangeError(`${a.text} and ${b.text} are too far apart`);
  }

  static #make(digits: bigint, exponent: number): Decimal {
    if (!Number.isSafeInteger(exponent)) throw new RangeError("the exponent is too large");
    // Without an exponent, a payload of a few bytes would become a text of many million zeros.
    if (exponent > 0 || exponent < -SHIFT_MAX) return new Decimal(`${digits}e${exponent}`);
    if (exponent === 0) return new Decimal(String(digits));
    const sign = digits < 0n ? "-" : "";
    const text = String(digits < 0n ? -digits : digits).padStart(1 - exponent, "0");
    return new Decimal(`${sign}${text.slice(0, exponent)}.${text.slice(exponent)}`);
  }

  /** The sum. */
  plus(other: DecimalLike): Decimal {
    const [a, b, exponent] = Decimal.#aligned(this, Decimal.of(other));
    return Decimal.#make(a + b, exponent);
  }

  /** The difference. */
  minus(other: DecimalLike): Decimal {
    const [a, b, exponent] = Decimal.#aligned(this, Decimal.of(other));
    return Decimal.#make(a - b, exponent);
  }

  /** The product. */
  times(other: DecimalLike): Decimal {
    const [a, b] = [this.#value, Decimal.of(other).#value];
    return Decimal.#make(a.digits * b.digits, a.exponent + b.exponent);
  }

  /** Below 0: this one is smaller; 0: they are equal; above 0: it is larger. */
  compare(other: DecimalLike): number {
    const that = Decimal.of(other);
    const [ours, theirs] = [sign(this.#value.digits), sign(that.#value.digits)];
    if (ours !== theirs || ours === 0) return ours - theirs;
    // The place of the first digit decides, if it differs, however far the numbers are apart.
    const difference = magnitude(this.#value) - magnitude(that.#value);
    if (difference !== 0) return difference * ours;
    const exponent = Math.min(this.#value.exponent, that.#value.exponent);
    const [a, b] = [scaled(this.#value, exponent), scaled(that.#value, exponent)];
    return a < b ? -1 : a > b ? 1 : 0;
  }

  /** Whether they are the same number: `1.50` equals `1.5`. */
  equals(other: DecimalLike): boolean {
    return this.compare(other) === 0;
  }

  /** The nearest JavaScript number; most decimals have none of their own. */
  toNumber(): number {
    return Number(this.text);
  }

  /** The number as it was written. */
  toString(): string {
    return this.text;
  }

  /** So that `JSON.stringify` does not write an object; `encodeJson` writes the number. */
  toJSON(): string {
    return this.text;
  }

  /** Refuses arithmetic of JavaScript, which would round. */
  [Symbol.toPrimitive](hint: string): string {
    if (hint === "string") return this.text;
    throw new TypeError("JavaScript would round a Decimal: use plus, minus, times, compare");
  }
}

/** What stands for a decimal number. */
export type DecimalLike = Decimal | bigint | number | string;

function scaled(value: { digits: bigint; exponent: number }, exponent: number): bigint {
  if (value.digits === 0n) return 0n;
  return value.digits * 10n ** BigInt(value.exponent - exponent);
}

function magnitude(value: { digits: bigint; exponent: number }): number {
  const digits = value.digits < 0n ? -value.digits : value.digits;
  return String(digits).length + value.exponent;
}

function sign(value: bigint): number {
  return value < 0n ? -1 : value > 0n ? 1 : 0;
}
