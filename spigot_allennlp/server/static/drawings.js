/** From what a model answers to what is drawn. */

const LEAST_WEIGHT = 0.05;

/** Whether what went forward is a mixture of structures, and not one. */
export function isMixture(output) {
  return (output.arc_weights ?? []).some((cell) => cell.at(-1) < 0.995);
}

/** What there is to see of an output: "tree", "graph" or none of them. */
export function structuresOf(output) {
  return ["tree", "graph"].filter((name) => (name === "tree" ? "heads" : "arcs") in output);
}

/**
 * The parameters of a picture, as the server takes them.
 * @param {object} output of a sentence
 * @param {object} view
 * @param {"both" | "tree" | "graph"} view.shown
 * @param {boolean} view.asRead whether a mixture is drawn, and not its best structure
 * @param {boolean} view.nextHeads whether the next best heads are drawn too
 * @param {boolean} view.tags whether tags are
 * @param {number} view.width
 * @param {object} [other] what it is compared with: `output`, `meanings` if they are not those of gold,
 *   and whether it `hidesMissed`
 * @param {number[]} [emphasis] a share for each token
 */
export function drawingOf(output, view, other, emphasis) {
  const structures = structuresOf(output).filter((name) => view.shown === "both" || view.shown === name);
  const sides = structures.map((name) => (name === "tree" ? treeOf : graphOf)(output, view, other));
  if (!sides.length && "selected" in output) {
    sides.push({ arcs: [], marked: output.selected, mark: "chosen" });
  }
  const drawing = { tokens: output.tokens, max_width: Math.max(200, Math.floor(view.width)) };
  if (sides[0]) drawing.above = sides[0];
  if (sides[1]) drawing.below = sides[1];
  if (other?.meanings) drawing.meanings = other.meanings;
  if (output.latent_labels) drawing.tags = output.latent_labels.map(String);
  else if (view.tags) drawing.tags = output.tags;
  if (emphasis) {
    const most = Math.max(...emphasis, 1e-9);
    drawing.emphasis = emphasis.map((share) => share / most);
  }
  return drawing;
}

/** How much of another output this one has, in words. */
export function shared(output, other) {
  const texts = [];
  if (output.heads && other.heads) {
    texts.push(`${other.heads.filter((head, at) => head === output.heads[at]).length} of ${other.heads.length} heads`);
  }
  if (output.arcs && other.arcs) {
    const own = new Set(output.arcs.map(String));
    texts.push(`${other.arcs.filter((arc) => own.has(String(arc))).length} of ${other.arcs.length} arcs`);
  }
  return texts.join(", ");
}

function treeOf(output, view, other) {
  const compared = other?.output.heads;
  if (view.asRead && !compared && isMixture(output) && output.arc_weights[0].length === 3) {
    return mixtureOf(output.arc_weights, output);
  }
  const side = { heads: output.heads };
  if (output.head_tags) side.head_tags = output.head_tags;
  if (output.head_probabilities) side.weights = output.head_probabilities.map(atMostOne);
  if (compared) {
    side.gold_heads = compared;
    if (output.head_tags && other.output.head_tags) side.gold_tags = other.output.head_tags;
    side.hides_missed = other.hidesMissed ?? false;
  }
  if (view.nextHeads && output.next_heads) {
    const next = output.next_heads
      .map((head, index) => ({ arc: [head, index + 1, ""], weight: output.next_head_probabilities[index] }))
      .filter(({ arc, weight }) => arc[0] > 0 && weight >= 0.01);
    side.possible = next.map(({ arc, weight }) => [arc[0], arc[1], percent(weight)]);
    side.possible_weights = next.map(({ weight }) => atMostOne(weight));
  }
  return side;
}

function mixtureOf(cells, output) {
  const seen = cells.filter((cell) => cell[2] >= LEAST_WEIGHT);
  const arcs = seen.filter(([, head]) => head > 0);
  return {
    arcs: arcs.map(([modifier, head]) => [head, modifier, labelOf(output, modifier, head)]),
    weights: arcs.map((cell) => atMostOne(cell[2])),
    marked: seen.filter(([, head]) => head === 0).map(([modifier]) => modifier),
    mark: "root",
  };
}

function labelOf(output, modifier, head) {
  return output.heads[modifier - 1] === head ? (output.head_tags?.[modifier - 1] ?? "") : "";
}

function graphOf(output, view, other) {
  const compared = other?.output.arcs;
  if (view.asRead && !compared && isMixture(output) && output.arc_weights[0].length === 4) {
    const seen = output.arc_weights.filter((cell) => cell[3] >= LEAST_WEIGHT);
    const arcs = seen.filter(([predicate]) => predicate > 0);
    return {
      arcs: arcs.map(([predicate, argument, label]) => [predicate, argument, label]),
      weights: arcs.map((cell) => atMostOne(cell[3])),
      marked: [...new Set(seen.filter(([predicate]) => predicate === 0).map(([, argument]) => argument))],
    };
  }
  const side = { arcs: output.arcs, marked: output.tops };
  if (output.arc_probabilities) side.weights = output.arc_probabilities.map(atMostOne);
  if (compared) {
    side.gold_arcs = compared;
    side.gold_marked = other.output.tops ?? [];
    side.hides_missed = other.hidesMissed ?? false;
  }
  return side;
}

/** A share in words. */
export function percent(share) {
  return `${(100 * share).toFixed(share < 0.995 && share >= 0.0995 ? 0 : 1).replace(/\.0$/, "")} %`;
}

const atMostOne = (number) => Math.min(number, 1);
