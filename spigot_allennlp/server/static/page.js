"use strict";

const element = (id) => document.getElementById(id);
const radios = [...document.querySelectorAll("input[name=picture]")];
let output = null;

async function parse(sentence) {
  element("error").textContent = "";
  element("status").textContent = "Parsing …";
  element("submit").disabled = true;
  try {
    output = await request(sentence);
    showResult();
    element("status").textContent = "Parsed.";
  } catch (error) {
    element("result").hidden = true;
    element("status").textContent = "";
    element("error").textContent = error.message;
  } finally {
    element("submit").disabled = false;
  }
}

async function request(sentence) {
  let response;
  try {
    response = await fetch("predict?pictures=true", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ sentence }),
    });
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const body = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
  if (!response.ok) {
    throw new Error(body.request_id ? `${body.error} (request ${body.request_id})` : body.error);
  }
  return body;
}

function showResult() {
  element("result").hidden = false;
  for (const radio of radios) {
    radio.disabled = !(radio.value in output.pictures);
  }
  const chosen = radios.find((radio) => radio.checked && !radio.disabled) ?? radios.find((radio) => !radio.disabled);
  if (chosen) {
    chosen.checked = true;
  }
  element("label").hidden = !output.label;
  if (output.label) {
    const probability = output.probabilities?.[output.label];
    const share = probability === undefined ? "" : ` (${Math.round(100 * probability)} %)`;
    element("label").textContent = `Label: ${output.label}${share}`;
  }
  const { pictures, ...rest } = output;
  element("json").textContent = JSON.stringify(rest, null, 1);
  showPicture();
}

function showPicture() {
  const chosen = radios.find((radio) => radio.checked && !radio.disabled);
  element("picture").hidden = !chosen;
  if (chosen) {
    const svg = new DOMParser().parseFromString(output.pictures[chosen.value], "image/svg+xml").documentElement;
    element("picture").replaceChildren(document.adoptNode(svg));
    element("picture").setAttribute("aria-label", describe(chosen.value));
  }
  showHint();
}

function showHint() {
  const { scrollWidth, clientWidth } = element("picture");
  element("hint").hidden = scrollWidth <= clientWidth;
}

/** The arcs of a picture in words, for those who do not see it. */
function describe(kind) {
  const word = (position) => (position === 0 ? "ROOT" : output.tokens[position - 1]);
  if (kind === "tree") {
    const arcs = output.heads.map((head, i) => `${word(i + 1)}: ${output.head_tags?.[i] ?? "modifier"} of ${word(head)}`);
    return `Tree. ${arcs.join("; ")}.`;
  }
  const arcs = output.arcs.map(([predicate, argument, label]) => `${word(argument)}: ${label} of ${word(predicate)}`);
  const tops = output.tops.map(word).join(", ") || "none";
  return `Graph. ${arcs.join("; ") || "No arcs"}. Tops: ${tops}.`;
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  parse(element("sentence").value);
});
for (const button of document.querySelectorAll("#examples button")) {
  button.addEventListener("click", () => {
    element("sentence").value = button.textContent;
    parse(button.textContent);
  });
}
for (const radio of radios) {
  radio.addEventListener("change", showPicture);
}
new ResizeObserver(showHint).observe(element("picture"));
