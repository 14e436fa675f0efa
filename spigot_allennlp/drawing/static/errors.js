// The page of errors: which sentences are shown, and in which order. It follows picture.js in one script.
const figures = [...document.querySelectorAll("figure")].map((element, place) => ({
  element,
  place,
  items: [...element.querySelectorAll("li")],
}));
document.querySelectorAll(".picture svg").forEach((svg) => enliven(svg));

function choose() {
  const boxes = [...document.querySelectorAll("#controls input[type=checkbox]")];
  const kinds = boxes.filter((box) => box.checked).map((box) => box.value);
  const text = document.getElementById("text").value.trim().toLowerCase();
  const frequency = Object.fromEntries(boxes.map((box, index) => [box.value, index]));
  for (const figure of figures) {
    // A sentence without a prediction has no errors to choose by, and is always shown.
    for (const item of figure.items) {
      item.hidden = !kinds.includes(item.dataset.kind) || !item.textContent.toLowerCase().includes(text);
    }
    figure.chosen = figure.items.filter((item) => !item.hidden);
    figure.element.hidden = figure.items.length > 0 && figure.chosen.length === 0;
  }
  const kindOf = (figure) => Math.min(...figure.chosen.map((item) => frequency[item.dataset.kind]), boxes.length);
  const keys = {
    place: () => 0,
    most: (figure) => -figure.chosen.length,
    kind: (figure) => kindOf(figure),
  };
  const key = keys[document.getElementById("order").value];
  const sorted = figures.toSorted((one, other) => key(one) - key(other) || one.place - other.place);
  document.querySelector("main").append(...sorted.map((figure) => figure.element));
  const shown = figures.filter((figure) => !figure.element.hidden).length;
  document.getElementById("found").textContent = `${shown} of ${figures.length} sentences are shown.`;
}

const controls = document.getElementById("controls");
if (controls) {
  controls.addEventListener("input", choose);
  controls.addEventListener("submit", (event) => event.preventDefault());
  choose();
}
