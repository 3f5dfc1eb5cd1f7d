// SPDX-License-Identifier: Apache-2.0
// What runs in the page: OpenFeature's web SDK with its OFREP provider. browser.js calls it.
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

const changes = []; // when the provider said that something is new, and what

function ask({ kind, key, default: value }) {
    const client = OpenFeature.getClient();
    const ways = {
        boolean: () => client.getBooleanDetails(key, value),
        string: () => client.getStringDetails(key, value),
        number: () => client.getNumberDetails(key, value),
        object: () => client.getObjectDetails(key, value),
    };
    return ways[kind]();
}

window.serin = {
    async start(url, key, context) {
        const provider = new OFREPWebProvider({
            baseUrl: url,
            cacheMode: "disabled",
            pollInterval: 0, // what is new comes over the event stream or not at all
            headers: [["Authorization", `Bearer ${key}`]],
        });
        OpenFeature.addHandler(ProviderEvents.ConfigurationChanged, ({ flagsChanged }) => changes.push({ at: Date.now(), flags: flagsChanged }));
        await OpenFeature.setContext(context);
        try {
            await OpenFeature.setProviderAndWait(provider);
        } catch (error) {
            return String(error);
        }
        return "";
    },
    ask,
    async askAs(question) {
        await OpenFeature.setContext(question.context);
        return ask(question);
    },
    /* The details once they are of another value than `not`, with the time when they were seen. */
    async wait(question) {
        for (;;) {
            const said = ask(question);
            if (said.value !== question.not) return { ...said, at: Date.now(), changes };
            await new Promise((resolve) => setTimeout(resolve, 5));
        }
    },
};
