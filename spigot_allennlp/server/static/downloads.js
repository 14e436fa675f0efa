/** Files for the user to keep. */

import { convert } from "./requests.js";

/** Saves text as a file. */
export function save(name, text, type = "text/plain") {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Saves sentences in a format. */
export async function saveSentences(outputs, format) {
  const lines = outputs.map((output) => `${JSON.stringify(output)}\n`).join("");
  if (format === "json") {
    save("sentences.jsonl", lines, "application/json");
  } else {
    save(`sentences.${format}`, await convert(lines, format, "json"));
  }
}
