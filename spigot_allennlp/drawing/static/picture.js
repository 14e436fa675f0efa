/**
 * A picture that answers: a word that is pointed at or has the focus lights up its arcs, and can be chosen with a click or
 * the Enter key. The arrow keys go from word to word, so that a picture is one stop of the Tab key.
 */

/**
 * Makes a picture of the package answer.
 * @param {SVGElement} svg
 * @param {(position: number, arc: SVGElement | null) => void} [choose] told of the word, from 1, and the arc that led to it
 */
export function enliven(svg, choose = () => {}) {
  const words = [...svg.querySelectorAll(".word")];
  const arcs = [...svg.querySelectorAll(".arc")];
  svg.setAttribute("role", "group");
  svg.setAttribute("aria-label", describe(svg, arcs));
  // What the label says, a picture need not say again.
  svg.querySelectorAll(":scope > .legend").forEach((entry) => entry.setAttribute("aria-hidden", "true"));

  const light = (isLit) => {
    const lit = arcs.filter(isLit);
    svg.classList.toggle("lighting", lit.length > 0);
    arcs.forEach((arc) => arc.classList.toggle("lit", lit.includes(arc)));
  };
  const lightWord = (word) => light((arc) => [arc.dataset.source, arc.dataset.target].includes(word.dataset.word));
  const focused = () => words.find((word) => word === document.activeElement);
  const rest = () => (focused() ? lightWord(focused()) : light(() => false));

  words.forEach((word, index) => {
    word.setAttribute("role", "button");
    word.setAttribute("tabindex", index === 0 ? "0" : "-1");
    word.setAttribute("aria-label", nameWord(word, arcs));
    word.addEventListener("pointerenter", () => lightWord(word));
    word.addEventListener("pointerleave", rest);
    word.addEventListener("focus", () => lightWord(word));
    word.addEventListener("blur", () => light(() => false));
    word.addEventListener("click", () => choose(Number(word.dataset.word), null));
    word.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(Number(word.dataset.word), null);
      } else if (event.key in STEPS) {
        event.preventDefault();
        const back = svg.getAttribute("direction") === "rtl" ? -1 : 1;
        const step = event.key.startsWith("Arrow") ? STEPS[event.key] * back : STEPS[event.key];
        moveTo(words, word, Math.min(Math.max(index + step, 0), words.length - 1));
      }
    });
  });
  arcs.forEach((arc) => {
    // An arc that goes over several lines of words is one all the same.
    const same = (other) => ["source", "target", "side"].every((key) => other.dataset[key] === arc.dataset[key]);
    arc.addEventListener("pointerenter", () => light(same));
    arc.addEventListener("pointerleave", rest);
    arc.addEventListener("click", () => choose(Number(arc.dataset.target), arc));
  });
}

const STEPS = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };

function moveTo(words, from, index) {
  from.setAttribute("tabindex", "-1");
  words[index].setAttribute("tabindex", "0");
  words[index].focus();
}

const titleOf = (element) => element.querySelector(":scope > title")?.textContent ?? "";

function describe(svg, arcs) {
  const titles = new Set(arcs.map(titleOf));
  const marks = [...svg.querySelectorAll(".mark")].map(
    (mark) => `${mark.textContent}: ${mark.parentNode.querySelector(".form").textContent}`,
  );
  return [titleOf(svg), ...marks, ...titles].join("; ");
}

function nameWord(word, arcs) {
  const own = arcs.filter((arc) => arc.dataset.target === word.dataset.word).map(titleOf);
  const texts = [...word.querySelectorAll("text")];
  // As what is seen: words with spaces between them.
  texts.forEach((text) => text.after(" "));
  return [texts.map((text) => text.textContent).join(" "), ...new Set(own)].join("; ");
}
