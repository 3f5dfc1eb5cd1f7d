// SPDX-License-Identifier: Apache-2.0
// web.js in a real browser, in a page of another origin than the server's. Answers questions, one line of JSON each: {ask, …} calls that function of the page with the rest.
//
//   node browser.js CHROMIUM PAGE URL KEY CONTEXT
const { chromium } = require("playwright-core");
const { createInterface } = require("node:readline");

const [chromiumPath, pageUrl, url, key, context] = process.argv.slice(2);

async function main() {
    const browser = await chromium.launch({ executablePath: chromiumPath, args: process.getuid() === 0 ? ["--no-sandbox"] : [] });
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(String(error)));
    await page.goto(pageUrl);
    const answer = (value) => console.log(JSON.stringify(value));
    answer(await page.evaluate(([url, key, context]) => window.serin.start(url, key, context), [url, key, JSON.parse(context)]));
    for await (const line of createInterface({ input: process.stdin })) {
        const { ask, ...question } = JSON.parse(line);
        answer(await page.evaluate(([name, question]) => window.serin[name](question), [ask, question]));
    }
    await browser.close();
}

main();
