// A subscriber of the relay that misses nothing: killed at any moment and started again it goes on where it stopped. Written from docs/relay.md, with
// public packages alone.
//
//   node relay.js --relay HOST:PORT --protos FOLDER --folder FOLDER --filter FILE [--heartbeat-ms 1000] [--partition K/N]
//
// FILE holds a SubscriptionFilter as JSON, such as {"venues": ["KRAKEN"], "event_types": ["EVENT_TYPE_QUOTE"]}. SIGHUP has it read again, and the
// subscription changed while it runs. Where relays divide the market, run one for each partition, over a folder of its own: K/N is the RELAY_PARTITION
// of the relay. What comes is written to FOLDER/journal.jsonl; place.js tells how, and what else lies there.
import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { Place } from "./place.js";

const ID = 1;
const RETRY_MS = 500;
const SILENT_HEARTBEATS = 3;
const CANNOT_RESUME = ["NO_EVENT_LOG", "RESUME_TOKEN_INVALID", "RESUME_TOKEN_TOO_OLD"];

/** What the relay sent breaks its own promises. */
class Fault extends Error {}

class Subscriber {
  #client;
  #place;
  #readFilter;
  #heartbeatMs;
  #partition;
  #call = null;
  #pause = RETRY_MS / 10;
  #silence = null;
  #welcome = null;
  /** The filter the relay holds, the one it was asked for and has not answered yet, and the one that is wanted. */
  #inForce = null;
  #asked = null;
  #wanted;
  /** The life of the relay that events are of. */
  #life;

  constructor(client, place, readFilter, heartbeatMs, partition) {
    this.#client = client;
    this.#place = place;
    this.#readFilter = readFilter;
    this.#heartbeatMs = heartbeatMs;
    this.#partition = partition;
    this.#wanted = readFilter();
    this.#life = place.point?.relay_id ?? "";
    if (place.isAbandoned) place.write([{ kind: "anew", reason: "NO_POINT" }]);
  }

  connect() {
    const call = this.#client.Subscribe();
    this.#call = call;
    this.#welcome = this.#inForce = this.#asked = null;
    call.on("data", (message) => {
      if (this.#call === call) this.#take(message);
    });
    call.on("error", (error) => this.#lost(call, error.details || error.message));
    call.on("end", () => this.#lost(call, "the relay ended the stream"));
    this.#heard();
    const hello = { name: "node example", heartbeat_interval_ms: this.#heartbeatMs };
    call.write({ hello: { ...hello, ...(this.#partition && { partition: this.#partition }) } });
  }

  #lost(call, reason) {
    if (this.#call !== call) return;
    this.#call = null;
    clearTimeout(this.#silence);
    console.error(`not connected to the relay: ${reason}`);
    setTimeout(() => this.connect(), this.#pause);
    this.#pause = Math.min(2 * this.#pause, 10 * RETRY_MS);
  }

  /** A relay that sends nothing, not even heartbeats, is not there, whatever the connection says. */
  #heard() {
    clearTimeout(this.#silence);
    const call = this.#call;
    this.#silence = setTimeout(() => call.cancel(), Math.max(SILENT_HEARTBEATS * this.#heartbeatMs, 5_000));
  }

  #take(message) {
    this.#heard();
    const [kind] = Object.keys(message);
    if (kind === "welcome") this.#greeted(message.welcome);
    else if (kind === "acknowledged") this.#acknowledged(message.acknowledged);
    else if (kind === "refused") this.#refused(message.refused.error);
    else if (kind === "ended") this.#ended(message.ended.error);
    else if (kind === "delivery") this.#delivered(message.delivery);
    else if (kind === "gap") this.#gap(message.gap);
    else if (kind === "resume") this.#point(message.resume);
    else if (kind === "heartbeat") this.#reached(message.heartbeat.last_numbers?.[ID]);
    // Whatever else there is, now or in a later version, is no matter of completeness.
  }

  #greeted(welcome) {
    this.#welcome = welcome;
    this.#pause = RETRY_MS / 10;
    this.#begin();
  }

  /** Goes on from the last point with the filter it is good for; without a point, from now on. */
  #begin() {
    const { point, number, received } = this.#place;
    if (point === null) {
      this.#put(this.#wanted);
      return;
    }
    this.#put(point.filter, {
      resume_token: point.token,
      received_number: String(number),
      received_sequence: String(received.sequence),
      received_source_gap: String(received.sourceGap),
    });
  }

  #put(filter, start) {
    this.#asked = filter;
    this.#call.write({ put: { subscription_id: ID, filter, ...(start && { start }) } });
  }

  /** Has the subscription changed to what is wanted, one change at a time. */
  #change() {
    if (this.#asked === null && this.#inForce !== null && !same(this.#inForce, this.#wanted)) this.#put(this.#wanted);
  }

  #acknowledged(answer) {
    this.#inForce = this.#asked;
    this.#asked = null;
    const life = this.#life || this.#welcome.relay_id;
    this.#place.write([{ kind: "acknowledged", life, from_sequence: answer.from_sequence, filter: this.#inForce }]);
    this.#change();
  }

  /** Too slow for the relay's memory: its log has what follows. */
  #ended(error) {
    console.error(`goes on from the log, ${error.reason}: ${error.message}`);
    this.#inForce = null;
    this.#begin();
  }

  #refused(error) {
    const text = `${error.reason}: ${error.message}`;
    if (error.reason === "SUBSCRIBER_TOO_SLOW") return; // a change that crossed the end: it is made once the subscription has resumed
    if (this.#inForce !== null) {
      console.error(`the filter stays as it is, ${text}`);
      this.#wanted = this.#inForce;
      this.#asked = null;
    } else if (error.reason === "UNAVAILABLE") {
      const call = this.#call;
      setTimeout(() => this.#call === call && this.#begin(), RETRY_MS); // the log cannot be read now
    } else if (this.#place.point !== null && CANNOT_RESUME.includes(error.reason)) {
      this.#startAnew(error);
    } else {
      throw new Fault(text);
    }
  }

  /** What came since the last point is lost, and the journal says so. The relay may know a later place to go on from. */
  #startAnew(error) {
    const { filter } = this.#place.point;
    const oldest = error.metadata?.oldest_token;
    this.#life = "";
    if (oldest) {
      this.#place.write([{ kind: "lost", reason: error.reason }]);
      this.#put(filter, { resume_token: oldest, received_number: String(this.#place.number) });
    } else {
      this.#place.write([{ kind: "anew", reason: error.reason }]);
      this.#put(this.#wanted);
    }
  }

  #delivered(delivery) {
    const events = Object.entries(delivery.batch ?? {}).flatMap(([list, rows]) => rows.map((row) => ({ list, ...row })));
    // Numbers follow the sequence, over the lists of all types.
    events.sort((one, other) => (BigInt(one.sequence) < BigInt(other.sequence) ? -1 : 1));
    if (events.length !== delivery.count) throw new Fault("events of a type that these protos do not know: take newer ones");
    const first = BigInt(delivery.first_number);
    this.#expect(first);
    const life = this.#life || this.#welcome.relay_id;
    this.#place.write(
      events.map((event, k) => ({ kind: "event", number: String(first + BigInt(k)), life, ...event })),
    );
  }

  #gap(gap) {
    if (gap.from_number) this.#expect(BigInt(gap.from_number));
    this.#place.write([{ kind: "gap", life: this.#life || this.#welcome.relay_id, ...gap }]);
  }

  #point(point) {
    this.#reached(point.number);
    this.#life = point.relay_id;
    const { resume_token: token, relay_id } = point;
    this.#place.keep({ token, number: String(point.number ?? 0), relay_id, filter: this.#inForce });
  }

  #expect(number) {
    const next = this.#place.number + 1n;
    if (number !== next) throw new Fault(`number ${number} came where ${next} was to come`);
  }

  /** Everything up to this number was sent before. */
  #reached(number) {
    if (BigInt(number ?? 0) > this.#place.number) throw new Fault(`number ${number} was sent and did not come`);
  }

  /** Reads the filter again; one that cannot be read changes nothing. */
  reload() {
    try {
      this.#wanted = this.#readFilter();
    } catch (error) {
      console.error(`the filter stays as it is: ${error.message}`);
      return;
    }
    this.#change();
  }
}

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);

const { values: options } = parseArgs({
  options: {
    relay: { type: "string", default: "127.0.0.1:50061" },
    protos: { type: "string", default: "proto" },
    folder: { type: "string" },
    filter: { type: "string" },
    "heartbeat-ms": { type: "string", default: "1000" },
    partition: { type: "string", default: "0/1" },
  },
});
const [, index, count] = /^(\d+)\/(\d+)$/.exec(options.partition)?.map(Number) ?? [];
if (!(index < count)) {
  console.error(`--partition ${options.partition}: K/N, K from 0 to N - 1`);
  process.exit(2);
}
for (const name of ["folder", "filter"]) {
  if (options[name] === undefined) {
    console.error(`--${name} is missing; the head of relay.js says what there is`);
    process.exit(2);
  }
}
const api = grpc.loadPackageDefinition(
  protoLoader.loadSync("alphapulse/api/relay/v1/relay_service.proto", {
    includeDirs: [path.resolve(options.protos)],
    keepCase: true,
    longs: String,
    enums: String,
  }),
).alphapulse.api.relay.v1;
const client = new api.RelayService(options.relay, grpc.credentials.createInsecure(), {
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.max_receive_message_length": -1,
});
const readFilter = () => JSON.parse(fs.readFileSync(options.filter, "utf8"));
const partition = count > 1 ? { index, count } : null;
const subscriber = new Subscriber(client, new Place(options.folder), readFilter, Number(options["heartbeat-ms"]), partition);
process.on("SIGHUP", () => subscriber.reload());
process.on("SIGTERM", () => process.exit(0));
process.on("SIGINT", () => process.exit(0));
subscriber.connect();
