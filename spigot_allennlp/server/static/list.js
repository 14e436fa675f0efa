/** A list of names and what they stand for. */

/**
 * @param {[string, string][]} entries
 * @returns {HTMLDListElement}
 */
export function listOf(entries) {
  const list = document.createElement("dl");
  for (const [name, text] of entries) {
    const entry = list.appendChild(document.createElement("div"));
    entry.appendChild(document.createElement("dt")).textContent = name;
    entry.appendChild(document.createElement("dd")).textContent = text;
  }
  return list;
}
