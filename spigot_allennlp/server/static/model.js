/** What the page says of the model. */

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

/** Whether heads may be kept and forbidden: only where a tree is parsed. */
export const takesConstraints = (description) => CONSTRAINED.includes(description.model);

/** How an archive is called beside others. */
export const nameOf = ({ archive, method }) => [archive, method].filter(Boolean).join(", ");

/** Shows the descriptions in a list. */
export function showModels(list, descriptions) {
  const entries = descriptions.flatMap((description) => [
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
  ]);
  list.replaceChildren(
    ...entries
      .filter(([, text]) => text)
      .map(([name, text]) => {
        const entry = document.createElement("div");
        entry.appendChild(document.createElement("dt")).textContent = name;
        entry.appendChild(document.createElement("dd")).textContent = text;
        return entry;
      }),
  );
}

function withOptions(type, options = {}) {
  const others = Object.entries(options).filter(([name, value]) => name !== "type" && typeof value !== "object");
  const text = others.map(([name, value]) => `${name} ${value}`).join(", ");
  return type && (text ? `${type} (${text})` : type);
}
