// SPDX-License-Identifier: Apache-2.0
// A flag for a percentage of users, evaluated by a library as its documentation says: in the process, from data that it was given, without events or network.
// The users, the batches and the warm-up are those of bench-flags; the time told is the median over the batches.
//
// Usage: node evaluate.js unleash|flagd|growthbook|launchdarkly        prints JSON
const USERS = 1024, BATCH = 64, BATCHES = 2048;
const FLAG = "web_search";

function users(keyName) {
  return Array.from({ length: USERS }, (_, i) => ({
    [keyName]: `user-${String((i * 7919) % 1000000).padStart(6, "0")}`, plan: i % 4 ? "pro" : "free", country: "CH",
  }));
}

const silent = { error() {}, warn() {}, info() {}, debug() {} };

// Each gives { contexts, evaluate, close }; `evaluate` answers whether the flag is on, or a promise of it.
const libraries = {
  async unleash() {
    const { Unleash, InMemStorageProvider } = require("unleash-client");
    const flag = {
      name: FLAG, type: "release", enabled: true, impressionData: false, variants: [],
      strategies: [{ name: "flexibleRollout", constraints: [], parameters: { rollout: "20", stickiness: "userId", groupId: FLAG } }],
    };
    const client = new Unleash({
      appName: "bench", url: "http://127.0.0.1:9/", refreshInterval: 0, disableMetrics: true, skipInstanceCountWarning: true,
      storageProvider: new InMemStorageProvider(), bootstrap: { data: [flag] },
    });
    client.on("error", () => {}).on("warn", () => {}); // nobody listens at that address: it keeps what it was given
    await new Promise((resolve) => client.once("ready", resolve));
    const contexts = users("userId").map(({ userId, ...properties }) => ({ userId, properties }));
    return { contexts, evaluate: (context) => client.isEnabled(FLAG, context), close: () => client.destroy() };
  },

  flagd() {
    const { FlagdCore } = require("@openfeature/flagd-core");
    const core = new FlagdCore(undefined, silent);
    core.setConfigurations(JSON.stringify({ flags: { [FLAG]: {
      state: "ENABLED", defaultVariant: "off", variants: { on: true, off: false }, targeting: { fractional: [["on", 20], ["off", 80]] } } } }));
    const evaluate = (context) => core.resolveBooleanEvaluation(FLAG, false, context, silent).value;
    return { contexts: users("targetingKey"), evaluate, close() {} };
  },

  growthbook() {
    const { GrowthBookClient } = require("@growthbook/growthbook");
    const client = new GrowthBookClient().initSync({ payload: { features: { [FLAG]: {
      defaultValue: false, rules: [{ force: true, coverage: 0.2, hashAttribute: "id" }] } } } });
    const contexts = users("id").map((attributes) => ({ attributes }));
    return { contexts, evaluate: (context) => client.isOn(FLAG, context), close: () => client.destroy() };
  },

  async launchdarkly() {
    const { init } = require("@launchdarkly/node-server-sdk");
    const { TestData } = require("@launchdarkly/node-server-sdk/integrations");
    const data = new TestData();
    data.usePreconfiguredFlag({
      key: FLAG, version: 1, on: true, variations: [true, false], offVariation: 1, salt: "salt", rules: [], targets: [], prerequisites: [],
      fallthrough: { rollout: { variations: [{ variation: 0, weight: 20000 }, { variation: 1, weight: 80000 }] } },
    });
    const client = init("sdk-key", { updateProcessor: data.getFactory(), sendEvents: false, diagnosticOptOut: true, logger: silent });
    await client.waitForInitialization({ timeout: 10 });
    const contexts = users("key").map((user) => ({ kind: "user", ...user }));
    return { contexts, evaluate: (context) => client.boolVariation(FLAG, context, false), close: () => client.close() };
  },
};

// Two loops that differ in one word: to wait for what is there already would be charged to who answers at once.
async function batch(library, from, waits) {
  let on = 0;
  if (waits) for (let i = 0; i < BATCH; i++) on += await library.evaluate(library.contexts[(from + i) % USERS]);
  else for (let i = 0; i < BATCH; i++) on += library.evaluate(library.contexts[(from + i) % USERS]);
  return on;
}

async function run(library) {
  const waits = library.evaluate(library.contexts[0]) instanceof Promise;
  const times = [];
  let on = 0;
  for (let b = 0; b < BATCHES; b++) {
    const start = process.hrtime.bigint();
    on += await batch(library, b * BATCH, waits);
    times.push(Number(process.hrtime.bigint() - start) / BATCH);
  }
  const share = on / (BATCH * BATCHES);
  if (share < 0.15 || share > 0.25) throw new Error(`the flag is on for ${share} of the users, not for a fifth`);
  return times.sort((a, b) => a - b)[BATCHES >> 1];
}

async function main(name) {
  const library = await libraries[name]();
  await run(library); // until it is compiled as well as it will be
  const evaluate_ns = await run(library);
  await library.close();
  console.log(JSON.stringify({ evaluate_ns: Math.round(evaluate_ns * 10) / 10 }));
}

main(process.argv[2]);
