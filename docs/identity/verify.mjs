// The identity texts and ids of docs/identity.md in JavaScript, with nothing but Node: a port to start from, and a check of
// vectors.json that shares no code with the registry.
//
//     node docs/identity/verify.mjs [vectors.json]
//
// An instrument is in the JSON form of alphapulse.api.instrument.v1.Instrument, with the field names of the proto.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const VERSION = "ap1";
const STRENGTH = ["ISIN", "FIGI", "CUSIP", "SEDOL"];
const LEVELS = ["INSTRUMENT", "COMPOSITE", "LISTING"];
const SYMBOLS = ["TICKER", "EXCHANGE_SYMBOL"];

const bare = (name, prefix) => name.slice(prefix.length);
const schemeOf = (one) => bare(one.scheme, "IDENTIFIER_SCHEME_");
const ascii = (left, right) => (left < right ? -1 : left > right ? 1 : 0);
const capitals = (text = "") => text.replace(/[a-z]/g, (letter) => letter.toUpperCase());

/** Each byte of the UTF-8 form outside 0x21-0x7E, and % | =, as %XX. */
export function escape(text) {
  let escaped = "";
  for (const byte of new TextEncoder().encode(text)) {
    const plain = byte >= 0x21 && byte <= 0x7e && !"%|=".includes(String.fromCharCode(byte));
    escaped += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

const join = (...parts) => [VERSION, ...parts.map(escape)].join("|");

/** A Decimal message as a plain number without exponent and without trailing zeros; empty where there is none. */
export function plain(decimal) {
  if (decimal === undefined) return "";
  let mantissa = BigInt(decimal.mantissa ?? 0);
  let exponent = decimal.exponent ?? 0;
  if (mantissa === 0n) return "0";
  while (mantissa % 10n === 0n) {
    mantissa /= 10n;
    exponent += 1;
  }
  const sign = mantissa < 0n ? "-" : "";
  const digits = (mantissa < 0n ? -mantissa : mantissa).toString();
  if (exponent >= 0) return sign + digits + "0".repeat(exponent);
  const padded = digits.padStart(1 - exponent, "0");
  return `${sign}${padded.slice(0, exponent)}.${padded.slice(exponent)}`;
}

const instant = (time) => time.replace(/\.\d+Z$/, "Z");
const day = (time) => time.slice(0, 10);
const address = (chain, text) => (chain.startsWith("eip155:") ? text.toLowerCase() : text);
const idText = (text = "") => text.toLowerCase();

function securityParts(identifiers) {
  for (const scheme of STRENGTH) {
    const same = identifiers.filter((one) => schemeOf(one) === scheme);
    const first = same.filter((one) => !one.beside);
    const held = (first.length ? first : same)
      .map((one) => [LEVELS.indexOf(bare(one.level, "IDENTIFIER_LEVEL_")), one.value.trim().toUpperCase()])
      .sort((left, right) => left[0] - right[0] || ascii(left[1], right[1]));
    if (held.length) return [scheme.toLowerCase(), held[0][1]];
  }
  const [first] = identifiers
    .filter((one) => SYMBOLS.includes(schemeOf(one)) && one.venue)
    .map((one) => [SYMBOLS.indexOf(schemeOf(one)), one.valid_from ? day(one.valid_from) : "", capitals(one.venue), one.value])
    .sort((left, right) => left[0] - right[0] || ascii(left[1], right[1]) || ascii(left[2], right[2]) || ascii(left[3], right[3]));
  const [, from, venue, symbol] = first;
  return ["venue_ticker", venue, symbol, ...(from ? [from] : [])];
}

function tokenName(chain, text) {
  if (text.includes(":")) return `${chain}/${address(chain, text)}`;
  return `${chain}/${chain.startsWith("eip155:") ? "erc20" : "token"}:${address(chain, text)}`;
}

function parts(kind, details, identifiers) {
  const payoff = details.inverse ? "inverse" : "linear";
  const size = plain(details.contract_size);
  switch (kind) {
    case "currency":
      return [bare(details.kind, "CURRENCY_KIND_").toLowerCase(), capitals(details.code)];
    case "fx_pair":
    case "spot_pair":
      return [idText(details.base_id), idText(details.quote_id)];
    case "token":
      return [tokenName(details.chain, details.address)];
    case "pool":
      return [details.chain, address(details.chain, details.address), String(details.fee_pips ?? 0)];
    case "lp_token":
      return [idText(details.pool_id), details.chain, address(details.chain, details.address)];
    case "future":
      return [
        ...[idText(details.underlying_id), capitals(details.venue), capitals(details.series), instant(details.expiry)],
        ...[idText(details.settlement_id), size, payoff],
      ];
    case "perpetual":
      return [idText(details.underlying_id), idText(details.settlement_id), capitals(details.venue), size, payoff];
    case "option": {
      const symbols = identifiers.filter((one) => schemeOf(one) === "OCC").map((one) => one.value.toUpperCase()).sort(ascii);
      const root = capitals(details.series) || (symbols.length ? symbols[0].slice(0, 6).trimEnd() : "");
      return [
        ...[idText(details.underlying_id), instant(details.expiry), plain(details.strike)],
        ...[bare(details.right, "OPTION_RIGHT_").toLowerCase(), bare(details.style, "EXERCISE_STYLE_").toLowerCase()],
        ...[capitals(details.venue), idText(details.settlement_id), ...(root ? [root] : [])],
      ];
    }
    case "synthetic":
      return [details.name];
    default:
      return securityParts(identifiers);
  }
}

/** The identity text of an instrument. */
export function instrumentText(instrument) {
  const kind = bare(instrument.asset_class, "ASSET_CLASS_").toLowerCase();
  return join(kind, ...parts(kind, instrument[kind], instrument.identifiers ?? []));
}

/** The identity text of a listing. */
export const listingText = (one) => join("listing", capitals(one.venue), one.symbol, idText(one.instrument_id));

/** The id of an identity text, as text. A digest whose first 8 bytes are zero is skipped by going to the next salt. */
export function mint(text, salt = 0) {
  for (; ; salt += 1) {
    const digest = createHash("sha256").update(salt ? `${text}|salt=${salt}` : text).digest("hex");
    if (!digest.startsWith("0".repeat(16))) return digest.slice(0, 32);
  }
}

/** The number of a source. */
export function sourceNumber(name) {
  const digest = createHash("sha256").update(`source:${name}`).digest();
  for (let at = 0; at < 32; at += 4) if (digest.readUInt32BE(at)) return digest.readUInt32BE(at);
}

const file = process.argv[2] ?? new URL("vectors.json", import.meta.url);
const { vectors, sources } = JSON.parse(readFileSync(file, "utf8"));
const wrong = [];
for (const one of vectors) {
  const text = one.kind === "listing" ? listingText(one.listing) : instrumentText(one.instrument);
  const id = mint(text, one.salt);
  const key = BigInt(`0x${id.slice(0, 16)}`).toString();
  for (const [field, made] of Object.entries({ text, id, key })) {
    if (made !== one[field]) wrong.push(`${one.case}: ${field} is ${one[field]}, made ${made}`);
  }
}
for (const one of sources) {
  if (sourceNumber(one.name) !== one.number) wrong.push(`source ${one.name}: ${one.number}, made ${sourceNumber(one.name)}`);
}
for (const line of wrong) console.error(line);
console.log(`${vectors.length} vectors and ${sources.length} sources, ${wrong.length} wrong`);
process.exitCode = wrong.length ? 1 : 0;
