// SPDX-License-Identifier: Apache-2.0
// OpenFeature's server SDK with its OFREP provider: answers questions, one line of JSON each, {kind, key, default, context} -> the details of the evaluation.
//
//   node provider.js URL KEY
const { OpenFeature } = require("@openfeature/server-sdk");
const { OFREPProvider } = require("@openfeature/ofrep-provider");
const { createInterface } = require("node:readline");

const [url, key] = process.argv.slice(2);

async function main() {
    const provider = new OFREPProvider({ baseUrl: url, headers: [["Authorization", `Bearer ${key}`]] });
    await OpenFeature.setProviderAndWait(provider);
    const client = OpenFeature.getClient();
    const ask = {
        boolean: client.getBooleanDetails.bind(client),
        string: client.getStringDetails.bind(client),
        number: client.getNumberDetails.bind(client),
        object: client.getObjectDetails.bind(client),
    };
    for await (const line of createInterface({ input: process.stdin })) {
        const { kind, key, default: value, context } = JSON.parse(line);
        console.log(JSON.stringify(await ask[kind](key, value, context)));
    }
}

main();
