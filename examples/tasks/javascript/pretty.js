// Prints each of its arguments, which are JSON, with its keys in order and its parts on lines of their own.

import { getArguments } from "wasi:cli/environment@0.2.0";
import { getStdout } from "wasi:cli/stdout@0.2.0";

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

// The runtime has no console and no TextEncoder: text goes out as the bytes of its UTF-8.
function print(text) {
  const bytes = unescape(encodeURIComponent(text + "\n"));
  getStdout().blockingWriteAndFlush(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
}

export const run = {
  run() {
    for (const argument of getArguments().slice(1)) print(JSON.stringify(sorted(JSON.parse(argument)), null, 2));
  },
};
