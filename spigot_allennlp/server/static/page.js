/** The page: from a text, or sentences, to the result. */

import { saveSentences } from "./downloads.js";
import { isMixture, structuresOf } from "./drawings.js";
import { inputOf, readGold } from "./gold.js";
import { describe, nameOf, ready, showModels, takesConstraints } from "./model.js";
import { EXPLAIN, Latest, predict, Superseded } from "./requests.js";
import { Sentence } from "./sentence.js";

const element = (id) => document.getElementById(id);
const radios = [...document.querySelectorAll("input[name=shown]")];
const asking = new Latest();
const link = new URLSearchParams(location.search);
let descriptions = [{ base: "" }];
let sentences = [];
let compared = null; // what the user has chosen to compare with

const described = describe().then((found) => {
  descriptions = found;
  showModels(element("model"), found);
  showExamples(found[0].examples ?? []);
}, tell);

/** When all models are warm. */
const loaded = described.then(async () => {
  const bases = descriptions.map(({ base }) => base);
  await ready(bases, () => {
    element("status").textContent = "The model is being loaded …";
  });
  element("status").textContent = "";
});

/** Parses input objects, and shows what comes back. */
async function parse(objects, title, golds = []) {
  element("error").textContent = "";
  element("result").classList.add("faded");
  await loaded;
  element("status").textContent = "Parsing …";
  try {
    const results = await asking.run((signal) => predictAll(objects, signal));
    showResult(results, golds, title);
    element("status").textContent = results[0].length === 1 ? "Parsed." : `Parsed ${results[0].length} sentences.`;
  } catch (error) {
    if (!(error instanceof Superseded)) {
      element("result").hidden = true;
      element("status").textContent = "";
      tell(error);
    }
  }
}

/** The outputs of all archives; of those after the first, for the tokens of the first. */
async function predictAll(objects, signal) {
  const [first, ...others] = descriptions;
  const outputs = await predictBy(first)(objects, EXPLAIN, signal);
  const tagged = outputs.map(({ tokens, tags, lemmas }) => ({ tokens, tags, lemmas }));
  return [outputs, ...(await Promise.all(others.map((other) => predictBy(other)(tagged, EXPLAIN, signal))))];
}

/** How an archive is asked. */
const predictBy =
  ({ base, timeout }) =>
  (objects, explain, signal) =>
    predict(base, objects.map((object) => ({ ...object, explain })), { signal, seconds: (timeout ?? 30) + 2 });

function showResult([outputs, ...others], golds, title) {
  const [first] = descriptions;
  sentences = outputs.map(
    (output, index) =>
      new Sentence(output, {
        gold: golds[index],
        archives: [outputs, ...others].map((found, at) => ({
          name: nameOf(descriptions[at]),
          output: found[index],
          predict: predictBy(descriptions[at]),
        })),
        labelNames: first.label_names,
        takesConstraints: takesConstraints(first),
        view,
        changed: showJson,
      }),
  );
  element("result").hidden = false;
  element("result").classList.remove("faded");
  element("stale").hidden = true;
  element("result-title").textContent = `Result: ${title}${outputs.length > 1 ? `, ${outputs.length} sentences` : ""}`;
  showChoices(outputs, golds);
  element("sentences").replaceChildren(...sentences.map((sentence) => sentence.element));
  showJson();
  redraw();
}

/** Offers what there is to choose from, and nothing else. */
function showChoices(outputs, golds) {
  const structures = new Set(outputs.flatMap(structuresOf));
  for (const radio of radios) {
    radio.disabled = radio.value === "both" ? structures.size < 2 : !structures.has(radio.value);
  }
  element("shown").hidden = structures.size < 2;
  element("legend").hidden = !structures.size;
  element("stages").textContent = stagesOf(structures, outputs.some((output) => "label" in output));
  if (radios.some((radio) => radio.checked && radio.disabled)) {
    (radios.find((radio) => !radio.disabled) ?? radios[0]).checked = true;
  }
  element("as-read-label").hidden = !outputs.some(isMixture);
  element("next-heads-label").hidden = !outputs.some((output) => "next_heads" in output);
  const choices = [["", "nothing"]];
  if (golds.length) choices.push(["gold", "gold"]);
  descriptions.slice(1).forEach((other, index) => choices.push([`archive-${index + 1}`, nameOf(other)]));
  const before = golds.length ? "gold" : compared;
  element("compare").replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
  element("compare").value = choices.some(([value]) => value === before) ? before : choices.at(-1)[0];
  element("compare-label").hidden = choices.length < 2;
  element("downloads").querySelector("[data-format=sdp]").hidden = !structures.has("graph");
  element("downloads").querySelector("[data-format=conllu]").hidden = !structures.size;
}

/** What is chosen on the way, and what is predicted from it. */
function stagesOf(structures, hasLabel) {
  if (structures.size === 2) {
    return "Above the words is the tree that the model chose on its way, below them the graph that it predicts from it.";
  }
  return hasLabel ? `The ${[...structures].join()} is what the model chose on its way, and the label is predicted from it.` : "";
}

function showJson() {
  const outputs = sentences.map((sentence) => sentence.output);
  element("json").textContent = JSON.stringify(outputs.length === 1 ? outputs[0] : outputs, null, 1);
}

/** What is to be seen, as the user has chosen. */
function view() {
  return {
    shown: radios.find((radio) => radio.checked).value,
    asRead: element("as-read").checked,
    nextHeads: element("next-heads").checked,
    tags: element("tags").checked,
    compare: element("compare").value,
  };
}

let width = 0; // what was drawn for

function redraw() {
  width = element("sentences").clientWidth;
  sentences.forEach((sentence) => sentence.redraw());
}

function showExamples(examples) {
  element("examples").replaceChildren(
    ...examples.map((example) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dir = "auto";
      button.textContent = example.sentence ?? example.tokens.join(" ");
      button.addEventListener("click", () => {
        element("text").value = button.textContent;
        remember(button.textContent, true);
        parse([example], button.textContent);
      });
      const item = document.createElement("li");
      item.appendChild(button);
      return item;
    }),
  );
}

function parseText() {
  const text = element("text").value.trim();
  const isOne = element("one").checked;
  if (text) {
    remember(text, isOne);
    parse([isOne ? { sentence: text } : { text }], text.length > 80 ? `${text.slice(0, 80)} …` : text);
  }
}

/** Has the address say what is parsed. */
function remember(text, isOne) {
  const query = new URLSearchParams(isOne ? { text, one: "1" } : { text });
  history.replaceState(null, "", `?${query}`);
  element("permalink").href = `?${query}`;
  element("permalink").hidden = false;
}

async function parseGold() {
  try {
    const golds = await readGold(element("gold-text").value);
    history.replaceState(null, "", location.pathname); // An address has no gold structures.
    element("permalink").hidden = true;
    await parse(golds.map(inputOf), "compared with gold", golds);
  } catch (error) {
    tell(error);
  }
}

function tell(error) {
  element("error").textContent = error.message;
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  parseText();
});
element("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    element("form").requestSubmit();
  }
});
element("text").addEventListener("input", () => {
  element("result").classList.add("faded");
  element("stale").hidden = false;
});
element("gold-parse").addEventListener("click", parseGold);
element("gold-file").addEventListener("change", async (event) => {
  element("gold-text").value = (await event.target.files[0]?.text()) ?? "";
});
element("downloads").addEventListener("click", (event) => {
  const { format } = event.target.dataset;
  if (format) {
    saveSentences(sentences.map((sentence) => sentence.output), format).catch(tell);
  }
});
for (const input of document.querySelectorAll("#view input, #view select")) {
  input.addEventListener("change", redraw);
}
element("compare").addEventListener("change", (event) => {
  compared = event.target.value;
});
new ResizeObserver(() => {
  // Not for each pixel that a window grows by.
  if (Math.abs(element("sentences").clientWidth - width) > 20) {
    redraw();
  }
}).observe(element("sentences"));
if (link.get("text")) {
  element("text").value = link.get("text");
  element("one").checked = link.has("one");
  parseText();
}
