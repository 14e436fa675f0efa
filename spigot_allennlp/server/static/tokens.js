/** The table of a sentence's tokens, tags and lemmas, which a user may change. */

const COLUMNS = [
  ["tokens", "Token"],
  ["tags", "Tag"],
  ["lemmas", "Lemma"],
];

/** Fills the table. */
export function showTokens(body, output) {
  body.replaceChildren(
    ...output.tokens.map((_, index) => {
      const row = document.createElement("tr");
      const position = row.appendChild(document.createElement("th"));
      position.scope = "row";
      position.textContent = index + 1;
      for (const [column, name] of COLUMNS) {
        const input = row.appendChild(document.createElement("td")).appendChild(document.createElement("input"));
        input.type = "text";
        input.value = output[column]?.[index] ?? "";
        input.dataset.column = column;
        input.dir = "auto";
        input.spellcheck = false;
        input.setAttribute("aria-label", `${name} ${index + 1}`);
      }
      return row;
    }),
  );
}

/** What stands there, as an input object. A row without a token is left out; a column with a gap is the tagger's. */
export function readTokens(body) {
  const rows = [...body.rows].map((row) =>
    Object.fromEntries([...row.querySelectorAll("input")].map((input) => [input.dataset.column, input.value.trim()])),
  );
  const kept = rows.filter((row) => row.tokens);
  const object = {};
  for (const [column] of COLUMNS) {
    const values = kept.map((row) => row[column]);
    if (column === "tokens" || values.every((value) => value)) object[column] = values;
  }
  return object;
}
