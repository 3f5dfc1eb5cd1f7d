// SPDX-License-Identifier: Apache-2.0
// Reads lines {"rule": …, "data": …} and writes what json-logic-js makes of each: the result as JSON, or "throws …".
"use strict";
const lines = require("node:readline").createInterface({ input: process.stdin });
const logic = require("json-logic-js");

// Meant, here and below: only what JSON has is an attribute. A text has no members there, and neither have lists and objects those of JavaScript.
const lookUp = (data, name) => (typeof data === "object" && data !== null && Object.hasOwn(data, name) && !(Array.isArray(data) && name === "length") ? data[name] : undefined);
logic.add_operation("var", function (path, fallback) {
  const missing = fallback === undefined ? null : fallback;
  if (path === undefined || path === "" || path === null) return this;
  let data = this;
  for (const name of String(path).split(".")) {
    data = lookUp(data, name);
    if (data === undefined) return missing;
  }
  return data;
});

// Meant: UTF-8 cannot write half of a character, so a cut through one leaves it out.
const half = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
logic.add_operation("substr", (source, start, length) => {
  const text = String(source);
  const rest = text.substr(start);
  return (length < 0 ? rest.substr(0, rest.length + length) : text.substr(start, length)).replace(half, "");
});

const plain = (key, value) => (typeof value === "number" && !Number.isFinite(value) ? String(value) : value);

const answer = ({ rule, data }) => {
  try {
    const result = logic.apply(rule, data);
    return JSON.stringify(result === undefined ? null : result, plain);
  } catch (error) {
    return `throws ${error.name}`;
  }
};

lines.on("line", (line) => process.stdout.write(answer(JSON.parse(line)) + "\n"));
