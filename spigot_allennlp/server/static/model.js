/** What the page says of the model. */

import { listOf } from "./list.js";

const CONSTRAINED = ["spigot_dependency_parser", "spigot_syntactic_then_semantic"];

/** The descriptions of all archives that are served; of each also where it is, `base`. */
export async function describe() {
  const first = { base: "", ...(await get("")) };
  const others = await Promise.all((first.others ?? []).map(async (base) => ({ base, ...(await get(base)) })));
  return [first, ...others];
}

async function get(base) {
  const response = await fetch(`${base}model`);
  return response.ok ? response.json() : {};
}

/**
 * Waits until a model that is being loaded is warm.
 * @param {() => void} waiting is called if it is not
 */
export async function ready(bases, waiting) {
  for (const base of bases) {
    // Any other answer, or none, is for the request to tell of that has waited.
    while ((await fetch(`${base}ready`).catch(() => null))?.status === 503) {
      waiting();
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

/** Whether heads may be kept and forbidden: only where a tree is parsed. */
export const takesConstraints = (description) => CONSTRAINED.includes(description.model);

/** How an archive is called beside others. */
export const nameOf = ({ archive, method }) => [archive, method].filter(Boolean).join(", ");

/** Shows the descriptions, each in a list. */
export function showModels(parent, descriptions) {
  parent.replaceChildren(
    ...descriptions.map((description) => listOf(entriesOf(description).filter(([, text]) => text))),
  );
}

const entriesOf = (description) => [
  ["Archive", description.archive],
  ["Model", description.model],
  ["Method", withOptions(description.method, description.options)],
  ["Structure", description.structure && withOptions(description.structure.type, description.structure)],
  [
    "Labels",
    Object.entries(description.label_names ?? {})
      .map(([label, name]) => `${label} is ${name}`)
      .join(", "),
  ],
];

function withOptions(type, options = {}) {
  const others = Object.entries(options).filter(([name, value]) => name !== "type" && typeof value !== "object");
  const text = others.map(([name, value]) => `${name} ${value}`).join(", ");
  return type && (text ? `${type} (${text})` : type);
}
