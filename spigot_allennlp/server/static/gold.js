/** Sentences with gold structures, from what a user pastes. */

import { convert } from "./requests.js";

const MOST = 50;

/**
 * @param {string} text CoNLL-U, SDP or JSON lines
 * @returns {Promise<object[]>} the sentences, as outputs are
 */
export async function readGold(text) {
  const sentences = (await convert(text, "json")).split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (!sentences.length || sentences.length > MOST) {
    throw new Error(`Expected from 1 to ${MOST} sentences with gold structures, found ${sentences.length}.`);
  }
  return sentences.map((sentence) => {
    // Heads that are not known are nothing to compare with.
    if (sentence.heads?.includes(null)) delete sentence.heads;
    return sentence;
  });
}

/** What is parsed of a gold sentence: its tokens, with tags and lemmas where it has some. */
export function inputOf(gold) {
  const object = { tokens: gold.tokens };
  for (const [column, values] of [["tags", isEmpty(gold.tags) ? gold.upos : gold.tags], ["lemmas", gold.lemmas]]) {
    if (!isEmpty(values)) object[column] = values;
  }
  return object;
}

const isEmpty = (values) => !values || values.every((value) => value === "_");
