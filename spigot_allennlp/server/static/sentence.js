/** A sentence of the result: its pictures, what is known of the chosen word, and what a user changes. */

import { drawingOf, structuresOf } from "./drawings.js";
import { save, stack } from "./downloads.js";
import { enliven } from "./pictures/picture.js";
import { draw, Latest, Superseded } from "./requests.js";
import { readTokens, showTokens } from "./tokens.js";
import { factsAbout, nameLabel } from "./words.js";

const CHANGES = ["as before", "new", "gone"];
const ARCHIVES = ["in both", "only here", "only in the other"];

export class Sentence {
  /**
   * @param {object} output
   * @param {object} options
   * @param {object} [options.gold] an output that this one is compared with
   * @param {{name: string, output: object}[]} options.archives the first is the one of `output`
   * @param {object} options.labelNames
   * @param {boolean} options.takesConstraints whether heads may be kept and forbidden
   * @param {() => object} options.view what is shown, see `drawingOf`, and `compare`
   * @param {(object: object) => Promise<object[]>} options.predict
   */
  constructor(output, options) {
    this.output = output;
    this.options = options;
    this.#original = output;
    this.#known = this.#wanted = { heads: output.tokens.map(() => null), forbidden: [] };
    this.element = document.getElementById("sentence-template").content.firstElementChild.cloneNode(true);
    this.#find(".title").textContent = output.text ?? output.tokens.join(" ");
    this.#find(".count").addEventListener("click", () => this.#toggleCounting());
    this.#find(".svg").addEventListener("click", () => save("picture.svg", stack(this.#svgs), "image/svg+xml"));
    this.#find(".free").addEventListener("click", () => this.#change({ heads: this.#wanted.heads.map(() => null), forbidden: [] }));
    this.#find(".keep").addEventListener("click", () => this.#keep(this.output.heads[this.#chosen - 1]));
    this.#find(".forbid").addEventListener("click", () => this.#forbid());
    this.#find(".head").addEventListener("change", (event) => this.#keep(event.target.value === "" ? null : Number(event.target.value)));
    this.#find(".parse").addEventListener("click", () => this.#parseTokens());
    showTokens(this.#find("tbody"), output);
    this.#showLabel();
  }

  output;
  #original;
  #known; // what the output keeps and forbids
  #wanted; // and what is asked for, which may still be on its way
  #chosen = null;
  #shares = null;
  #svgs = [];
  #drawing = new Latest();
  #asking = new Latest();
  #counting = new Latest();

  #find(selector) {
    return this.element.querySelector(selector);
  }

  get #isChanged() {
    return this.#known.forbidden.length > 0 || this.#known.heads.some((head) => head !== null);
  }

  /** What is drawn: for each picture a caption, an output and what it is compared with. */
  #pictures() {
    const { gold, archives, view } = this.options;
    if (this.#isChanged) {
      return [{ output: this.output, other: { output: this.#original, meanings: CHANGES } }];
    }
    const { compare } = view();
    if (compare === "gold" && gold) {
      return [{ output: this.output, other: { output: gold } }];
    }
    if (compare.startsWith("archive-") && archives.length > 1) {
      const pair = [archives[0], archives[Number(compare.slice("archive-".length))]];
      return pair.map(({ name, output }, index) => ({
        caption: name,
        output,
        other: { output: pair[1 - index].output, meanings: ARCHIVES, hidesMissed: true },
      }));
    }
    return [{ output: this.output }];
  }

  /** Draws again, after something has changed. */
  async redraw() {
    const pictures = this.#pictures();
    const parent = this.#find(".pictures");
    parent.classList.toggle("pair", pictures.length > 1);
    const width = parent.clientWidth / (parent.clientWidth > 900 ? pictures.length : 1) - 20;
    const view = { ...this.options.view(), width };
    try {
      const svgs = await this.#drawing.run((signal) =>
        Promise.all(
          pictures.map(({ output, other }) => draw(drawingOf(output, view, other, this.#emphasis()), { signal })),
        ),
      );
      this.#svgs = svgs;
      parent.replaceChildren(...svgs.map((svg, index) => this.#figure(svg, pictures[index].caption)));
      this.#showWide();
      this.#markChosen();
    } catch (error) {
      this.#tell(error);
    }
  }

  #figure(text, caption) {
    const svg = document.adoptNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement);
    enliven(svg, (position) => this.#choose(position));
    const figure = document.createElement("figure");
    if (caption) {
      figure.appendChild(document.createElement("figcaption")).textContent = caption;
    }
    const frame = figure.appendChild(document.createElement("div"));
    frame.className = "picture";
    frame.appendChild(svg);
    return figure;
  }

  #showWide() {
    const frames = [...this.element.querySelectorAll(".picture")];
    this.#find(".wide").hidden = !frames.some((frame) => frame.scrollWidth > frame.clientWidth);
  }

  #emphasis() {
    return this.#shares && (this.#shares.length === 1 ? this.#shares[0] : this.#shares[(this.#chosen ?? 1) - 1]);
  }

  #choose(position) {
    this.#chosen = position;
    this.#showChosen();
    if (this.#shares?.length > 1) {
      this.redraw();
    }
  }

  #showChosen() {
    this.#markChosen();
    if (this.#chosen === null) return;
    const facts = factsAbout(this.output, this.#chosen, this.#known, this.#emphasis());
    const list = document.createElement("dl");
    for (const [name, text] of facts) {
      const entry = list.appendChild(document.createElement("div"));
      entry.appendChild(document.createElement("dt")).textContent = name;
      entry.appendChild(document.createElement("dd")).textContent = text;
    }
    this.#find(".about").replaceChildren(list);
    this.#find(".controls").hidden = !(this.options.takesConstraints && "heads" in this.output);
    const heads = ["", 0, ...this.output.tokens.map((_, index) => index + 1).filter((at) => at !== this.#chosen)];
    const kept = this.#wanted.heads[this.#chosen - 1];
    this.#find(".head").replaceChildren(
      ...heads.map((head) => {
        const text = head === "" ? "as predicted" : head === 0 ? "ROOT" : `${head} ${this.output.tokens[head - 1]}`;
        return new Option(text, head, false, head === (kept ?? ""));
      }),
    );
  }

  #markChosen() {
    for (const word of this.element.querySelectorAll(".pictures .word")) {
      word.classList.toggle("chosen", Number(word.dataset.word) === this.#chosen);
    }
  }

  #keep(head) {
    const heads = this.#wanted.heads.with(this.#chosen - 1, head);
    const forbidden = this.#wanted.forbidden.filter(([modifier, other]) => modifier !== this.#chosen || other !== head);
    return this.#change({ heads, forbidden });
  }

  #forbid() {
    const head = this.output.heads[this.#chosen - 1];
    const heads = this.#wanted.heads.with(this.#chosen - 1, null);
    return this.#change({ heads, forbidden: [...this.#wanted.forbidden, [this.#chosen, head]] });
  }

  async #change(wanted) {
    this.#wanted = wanted;
    const { tokens, tags, lemmas } = this.#original;
    const object = { tokens, tags, lemmas, heads: wanted.heads, forbidden_arcs: wanted.forbidden };
    try {
      const [output] = await this.#asking.run((signal) => this.options.predict(object, ["scores", "arc_weights"], signal));
      this.#known = wanted;
      this.#setOutput(output);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  /** Where nothing else is on its way, what is known is all that is wanted. */
  #giveUp(error) {
    if (!(error instanceof Superseded)) {
      this.#wanted = this.#known;
      this.#showChosen();
    }
    this.#tell(error);
  }

  #setOutput(output) {
    this.output = output;
    this.#counting.end(); // which is of the output before
    this.#shares = null;
    this.#find(".count").setAttribute("aria-pressed", "false");
    this.#find(".fault").textContent = "";
    this.#find(".free").hidden = !this.#isChanged;
    this.#showLabel();
    this.#showChosen();
    this.options.changed?.();
    return this.redraw();
  }

  async #toggleCounting() {
    const button = this.#find(".count");
    try {
      if (this.#shares) {
        this.#shares = null;
      } else {
        const { tokens, tags, lemmas } = this.output;
        const object = { tokens, tags, lemmas };
        if (this.#isChanged) Object.assign(object, { heads: this.#known.heads, forbidden_arcs: this.#known.forbidden });
        const [{ saliency }] = await this.#counting.run((signal) => this.options.predict(object, ["saliency"], signal));
        this.#shares = saliency;
      }
      button.setAttribute("aria-pressed", String(this.#shares !== null));
      this.#showChosen();
      this.redraw();
    } catch (error) {
      this.#tell(error);
    }
  }

  async #parseTokens() {
    try {
      const object = readTokens(this.#find("tbody"));
      const [output] = await this.#asking.run((signal) => this.options.predict(object, ["scores", "arc_weights"], signal));
      this.#original = output;
      this.#known = this.#wanted = { heads: output.tokens.map(() => null), forbidden: [] };
      showTokens(this.#find("tbody"), output);
      this.#chosen = null;
      this.#find(".about").replaceChildren();
      this.#find(".controls").hidden = true;
      this.options.gold = undefined;
      this.options.archives = [];
      this.#find(".title").textContent = output.tokens.join(" ");
      this.#setOutput(output);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #showLabel() {
    this.#find(".verdict").hidden = !("label" in this.output);
    if ("label" in this.output) {
      this.#find(".verdict").textContent = nameLabel(this.output, this.options.labelNames);
    }
    this.#find(".count").hidden = !structuresOf(this.output).length && !("label" in this.output);
  }

  #tell(error) {
    if (!(error instanceof Superseded)) {
      this.#find(".fault").textContent = error.message;
    }
  }
}
