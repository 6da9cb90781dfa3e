// Consensus, execute, an error with its details, and the health check, by grpc-js.
// usage: node client.js PROTO_DIR ADDRESS  -> one JSON object on standard output
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [protoDir, address] = process.argv.slice(2);
const load = (file) =>
  grpc.loadPackageDefinition(
    loader.loadSync(file, {
      includeDirs: [protoDir, `${protoDir}/vendor`],
      keepCase: true,
      defaults: true,
      longs: Number,
    }),
  );
const credentials = grpc.credentials.createInsecure();
const consensus = new (load("trading/v1/consensus.proto").trading.v1.ConsensusService)(address, credentials);
const trade = new (load("trading/v1/trade.proto").trading.v1.TradeService)(address, credentials);

const deadline = () => ({ deadline: Date.now() + 10_000 });
const call = (client, method, request) =>
  new Promise((resolve, reject) => {
    client[method](request, deadline(), (error, answer) => (error ? reject(error) : resolve(answer)));
  });

async function main() {
  const features = { mom_20: 1.2, rv_5: 0.8, rsi_14: 62 };
  const decision = await call(consensus, "GetConsensus", { symbol: "BTCUSDT", features });
  const order = { symbol: "BTCUSDT", side: "buy", qty_usd: 2000, confidence: 0.9 };
  const executed = await call(trade, "Execute", { ...order, idempotency_key: `node-${process.pid}-${Date.now()}` });
  const refused = await call(trade, "Execute", { ...order, confidence: 0.1 }).catch((error) => ({
    code: error.code,
    http_status: error.metadata.get("x-http-status")[0],
    has_details: error.metadata.get("grpc-status-details-bin")[0].includes("LOW_CONFIDENCE"),
  }));
  console.log(JSON.stringify({ decision, executed, refused }));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
