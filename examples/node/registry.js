// A client of the instrument registry, made at run time from proto/ with public packages alone.
//
//   node registry.js ADDRESS PROTO_FOLDER GOOGLE_PROTO_FOLDER ISIN WRONG_ISIN
//
// Registers a share with ISIN, twice; looks up ISIN, one that nobody bears and one with a wrong digit; tries to register that, too. Prints what
// came of each as JSON. GOOGLE_PROTO_FOLDER holds google/rpc/status.proto and error_details.proto, which decode the details of errors.
import path from "node:path";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const [address, protoFolder, googleFolder, isin, wrongIsin] = process.argv.slice(2);
const options = { keepCase: true, longs: String, enums: String, defaults: false, oneofs: true };

const api = grpc.loadPackageDefinition(
  protoLoader.loadSync("alphapulse/api/instrument/v1/instrument_service.proto", {
    ...options,
    includeDirs: [path.resolve(protoFolder)],
  }),
).alphapulse.api.instrument.v1;
const rpc = protoLoader.loadSync(["google/rpc/status.proto", "google/rpc/error_details.proto"], {
  ...options,
  includeDirs: [path.resolve(googleFolder)],
});

/** The google.rpc.Status a failed call carries, each detail decoded by the type it names. */
function statusOf(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!bytes) return null;
  const status = rpc["google.rpc.Status"].deserialize(bytes);
  const details = {};
  for (const any of status.details ?? []) {
    const name = any.type_url.slice(any.type_url.lastIndexOf("/") + 1);
    const type = rpc[name];
    if (type) details[name.slice("google.rpc.".length)] = type.deserialize(any.value);
  }
  return { code: status.code, message: status.message, details };
}

/** The answer of a unary call, or its error as a plain object. */
function call(client, method, request) {
  const deadline = new Date(Date.now() + 10_000);
  return new Promise((resolve) => {
    client[method](request, new grpc.Metadata(), { deadline }, (error, answer) => {
      resolve(error ? { error: { code: grpc.status[error.code], message: error.details, status: statusOf(error) } } : answer);
    });
  });
}

const share = {
  instrument: {
    asset_class: "ASSET_CLASS_EQUITY",
    name: "Node Example AG",
    source: "node client",
    equity: { currency: "EUR", country: "DE" },
    identifiers: [{ scheme: "IDENTIFIER_SCHEME_ISIN", value: isin }],
  },
  listings: [{ venue: "XETR", symbol: "NODE", currency: "EUR" }],
  write: { actor: "node", request_id: "node-1" },
};

const client = new api.InstrumentService(address, grpc.credentials.createInsecure());
const results = {
  registered: await call(client, "RegisterInstrument", share),
  again: await call(client, "RegisterInstrument", { ...share, write: { actor: "node" } }),
  found: await call(client, "LookupISIN", { isin }),
  unknown: await call(client, "LookupISIN", { isin: "US0378331005" }),
  wrong: await call(client, "LookupISIN", { isin: wrongIsin }),
  refused: await call(client, "RegisterInstrument", {
    ...share,
    instrument: { ...share.instrument, identifiers: [{ scheme: "IDENTIFIER_SCHEME_ISIN", value: wrongIsin }] },
    write: {},
  }),
};
client.close();
console.log(JSON.stringify(results));
