// A subscriber's place on disk: a journal of what was received, and a small file that says up to where the relay's last point stands in it.
//
//   journal.jsonl   a line for each event, gap and answer, in the order they came
//   place.json      the last resume point: token, number, relay_id, the filter it is good for, and how long the journal was there
//
// These are two writes, and a process may die between any two. So the journal always goes first: place.json names a length that the journal has
// reached for good. What stands behind that length was received behind the point, and is read back from there: that is `received`, which the relay is told so
// that none of it comes again. A line that was cut short was not received.
import fs from "node:fs";
import path from "node:path";

/** The larger of two 64-bit numbers. They are strings in JSON and BigInts here: a Number is exact up to 2^53 only. */
const larger = (one, other) => (one > other ? one : other);

export class Place {
  #folder;
  #journal;
  #bytes = 0;

  /** The last resume point, null before the first: {token, number, relay_id, filter, journal_bytes}. */
  point = null;
  /** The subscription's last number, of an event or a gap. */
  number = 0n;
  /** Behind the point: the highest sequence, and the highest number of a source's loss. */
  received = { sequence: 0n, sourceGap: 0n };

  /** Opens the folder, as a subscriber that died at any moment left it. */
  constructor(folder) {
    this.#folder = folder;
    fs.mkdirSync(folder, { recursive: true });
    const name = path.join(folder, "place.json");
    if (fs.existsSync(name)) this.#at(JSON.parse(fs.readFileSync(name, "utf8")));
    this.#journal = fs.openSync(path.join(folder, "journal.jsonl"), "a+");
    this.#readBack();
  }

  /** Whether the journal holds lines that no point vouches for: they cannot be gone on from. */
  get isAbandoned() {
    return this.point === null && this.#bytes > 0;
  }

  #at(point) {
    this.point = point;
    this.number = BigInt(point.number);
    this.received = { sequence: 0n, sourceGap: 0n };
  }

  #readBack() {
    const from = this.point?.journal_bytes ?? 0;
    const size = fs.fstatSync(this.#journal).size;
    if (size < from) throw new Error(`journal.jsonl has ${size} bytes, place.json says that it had ${from}`);
    const tail = Buffer.alloc(size - from);
    for (let read = 0; read < tail.length; ) read += fs.readSync(this.#journal, tail, read, tail.length - read, from + read);
    const whole = tail.lastIndexOf("\n") + 1;
    fs.ftruncateSync(this.#journal, from + whole);
    this.#bytes = from + whole;
    if (this.point === null) return;
    for (const line of tail.toString("utf8", 0, whole).split("\n")) if (line) this.#note(JSON.parse(line));
  }

  #note(line) {
    if (line.kind === "event") {
      this.number = BigInt(line.number);
      this.received.sequence = larger(this.received.sequence, BigInt(line.sequence));
    } else if (line.kind === "gap") {
      if (line.to_number) this.number = BigInt(line.to_number);
      this.received.sequence = larger(this.received.sequence, BigInt(line.last_sequence ?? 0));
      this.received.sourceGap = larger(this.received.sourceGap, BigInt(line.source_gap ?? 0));
    } else if (line.kind === "anew") {
      this.forget();
    }
  }

  /** Writes lines to the journal. They survive this process from here on, and the machine from the next point on. */
  write(lines) {
    this.#append(Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
    for (const line of lines) this.#note(line);
  }

  #append(data) {
    for (let written = 0; written < data.length; ) written += fs.writeSync(this.#journal, data, written);
    this.#bytes += data.length;
  }

  /** Keeps a resume point: first the journal on disk, then place.json as a whole, in one step. */
  keep(point) {
    fs.fsyncSync(this.#journal);
    this.#at({ ...point, journal_bytes: this.#bytes });
    const name = path.join(this.#folder, "place.json");
    const beside = fs.openSync(`${name}.new`, "w");
    fs.writeSync(beside, JSON.stringify(this.point));
    fs.fsyncSync(beside);
    fs.closeSync(beside);
    fs.renameSync(`${name}.new`, name);
    const folder = fs.openSync(this.#folder, "r");
    fs.fsyncSync(folder); // or the machine may come back with the name still that of the file before
    fs.closeSync(folder);
  }

  /** There is no point to go on from: numbers begin anew. */
  forget() {
    fs.rmSync(path.join(this.#folder, "place.json"), { force: true });
    this.point = null;
    this.number = 0n;
    this.received = { sequence: 0n, sourceGap: 0n };
  }
}
