/** What is known of a word, in words. */

import { percent } from "./drawings.js";

/**
 * Facts about a word of a sentence.
 * @param {object} output
 * @param {number} position from 1
 * @param {{heads: (number | null)[], forbidden: number[][]}} known what the user has fixed
 * @param {number[]} [shares] how much each word counts
 * @returns {[string, string][]}
 */
export function factsAbout(output, position, known, shares) {
  const word = (at) => (at === 0 ? "ROOT" : output.tokens[at - 1]);
  const at = position - 1;
  const facts = [["Word", `${word(position)}, ${output.tags?.[at] ?? "no tag"}, ${output.lemmas?.[at] ?? ""}`]];
  if ("heads" in output) {
    const label = output.head_tags ? `${output.head_tags[at]} of ` : "";
    facts.push(["Head", `${label}${word(output.heads[at])}${known.heads[at] == null ? probable(output.head_probabilities?.[at]) : ""}`]);
    if (output.next_heads?.[at] >= 0) {
      facts.push(["Next best", `${word(output.next_heads[at])}${probable(output.next_head_probabilities[at])}`]);
    }
    const read = (output.arc_weights ?? []).filter((cell) => cell.length === 3 && cell[0] === position);
    if (read.some((cell) => cell[2] < 0.995)) {
      facts.push(["Read as", read.map((cell) => `${word(cell[1])} ${percent(cell[2])}`).join(", ")]);
    }
    const forbidden = known.forbidden.filter(([modifier]) => modifier === position).map(([, head]) => word(head));
    if (known.heads[at] != null) facts.push(["Kept", word(known.heads[at])]);
    if (forbidden.length) facts.push(["Forbidden", forbidden.join(", ")]);
  }
  if ("arcs" in output) {
    const arcs = output.arcs.map((arc, index) => ({ arc, probability: output.arc_probabilities?.[index] }));
    const of = arcs.filter(({ arc }) => arc[1] === position);
    const has = arcs.filter(({ arc }) => arc[0] === position);
    if (of.length) {
      facts.push(["Argument", of.map(({ arc, probability }) => `${arc[2]} of ${word(arc[0])}${probable(probability)}`)]);
    }
    if (has.length) {
      facts.push(["Predicate", has.map(({ arc, probability }) => `${arc[2]} ${word(arc[1])}${probable(probability)}`)]);
    }
    const top = output.tops.indexOf(position);
    if (top >= 0) facts.push(["Top", `yes${probable(output.top_probabilities?.[top])}`]);
  }
  if (shares) facts.push(["Share of the gradient", percent(shares[at])]);
  return facts.map(([name, text]) => [name, Array.isArray(text) ? text.join("; ") : text]);
}

const probable = (probability) => (probability === undefined ? "" : ` (${percent(probability)})`);

/** The label of a sentence, by its name where it has one. */
export function nameLabel(output, names) {
  const name = (label) => (names?.[label] ? `${names[label]} (${label})` : label);
  const probability = output.probabilities?.[output.label];
  return `Label: ${name(output.label)}${probability === undefined ? "" : `, ${percent(probability)}`}`;
}
