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

/** One SVG document that has the given ones below each other. */
export function stack(documents) {
  if (documents.length === 1) return documents[0];
  const pictures = documents.map((text) => new DOMParser().parseFromString(text, "image/svg+xml").documentElement);
  const outer = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  let [width, height] = [0, 0];
  for (const picture of pictures) {
    picture.setAttribute("y", height);
    width = Math.max(width, Number(picture.getAttribute("width")));
    height += Number(picture.getAttribute("height"));
    outer.appendChild(picture);
  }
  outer.setAttribute("width", width);
  outer.setAttribute("height", height);
  outer.setAttribute("viewBox", `0 0 ${width} ${height}`);
  return new XMLSerializer().serializeToString(outer);
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
