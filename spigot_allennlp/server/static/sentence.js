/** A sentence of the result: its pictures, what is known of the chosen word, and what a user changes. */

import { drawingOf, shared, structuresOf } from "./drawings.js";
import { save, stack } from "./downloads.js";
import { enliven } from "./pictures/picture.js";
import { listOf } from "./list.js";
import { draw, EXPLAIN, Latest, Superseded } from "./requests.js";
import { readTokens, showTokens } from "./tokens.js";
import { factsAbout, nameLabel } from "./words.js";

const CHANGES = ["as before", "new", "gone"];
const ARCHIVES = ["in both", "only here", "only in the other"];

/** No head is kept or forbidden. */
const free = ({ tokens }) => ({ heads: tokens.map(() => null), forbidden: [] });

export class Sentence {
  /**
   * @param {object} output
   * @param {object} options
   * @param {object} [options.gold] an output that this one is compared with
   * @param {{name: string, output: object, predict: (objects: object[], explain: string[], signal: AbortSignal) =>
   *   Promise<object[]>}[]} options.archives the first is the one of `output`
   * @param {object} options.labelNames
   * @param {boolean} options.takesConstraints whether heads may be kept and forbidden
   * @param {() => object} options.view what is shown, see `drawingOf`, and `compare`
   */
  constructor(output, options) {
    this.output = output;
    this.options = options;
    this.#original = output;
    this.#known = this.#wanted = free(output);
    this.element = document.getElementById("sentence-template").content.firstElementChild.cloneNode(true);
    this.#find(".title").textContent = output.text ?? output.tokens.join(" ");
    this.#find(".count").addEventListener("click", () => this.#toggleCounting());
    this.#find(".svg").addEventListener("click", () => save("picture.svg", stack(this.#svgs), "image/svg+xml"));
    this.#find(".free").addEventListener("click", () => this.#change(free(this.output)));
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
  #shares = null; // of each archive
  #svgs = [];
  #drawing = new Latest();
  #asking = new Latest();
  #counting = new Latest();

  #find(selector) {
    return this.element.querySelector(selector);
  }

  get #isFixed() {
    return this.#known.forbidden.length > 0 || this.#known.heads.some((head) => head !== null);
  }

  get #isChanged() {
    return this.#isFixed || ["tags", "lemmas"].some((column) => `${this.output[column]}` !== `${this.#original[column]}`);
  }

  /** What is drawn: for each picture a caption, an output and what it is compared with. */
  #pictures() {
    const { gold, archives, view } = this.options;
    if (this.#isChanged) {
      const caption = `As before the change: ${shared(this.output, this.#original)}`;
      return [{ caption, output: this.output, other: { output: this.#original, meanings: CHANGES } }];
    }
    const { compare } = view();
    if (compare === "gold" && gold) {
      return [{ caption: `As in gold: ${shared(this.output, gold)}`, output: this.output, other: { output: gold } }];
    }
    if (compare.startsWith("archive-") && archives.length > 1) {
      const pair = [0, Number(compare.slice("archive-".length))].map((at) => ({ at, ...archives[at] }));
      return pair.map(({ at, name, output }, index) => ({
        at,
        name,
        caption: `${name}; as the other has it: ${shared(output, pair[1 - index].output)}`,
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
          pictures.map(({ at, output, other }) => draw(drawingOf(output, view, other, this.#emphasis(at)), { signal })),
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

  #emphasis(archive = 0) {
    const shares = this.#shares?.[archive];
    return shares && (shares.length === 1 ? shares[0] : shares[(this.#chosen ?? 1) - 1]);
  }

  #choose(position) {
    this.#chosen = position;
    this.#showChosen();
    if (this.#shares?.some((shares) => shares.length > 1)) {
      this.redraw();
    }
  }

  #showChosen() {
    this.#markChosen();
    if (this.#chosen === null) return;
    this.#find(".about").replaceChildren(...this.#pictures().map((picture) => this.#facts(picture)));
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

  #facts({ at, name, output }) {
    const facts = factsAbout(output, this.#chosen, this.#known, this.#emphasis(at));
    return listOf(name ? [["Archive", name], ...facts] : facts);
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

  /** Parses again, under what is wanted of the heads, perhaps with other tags and lemmas; tells whether it could. */
  async #change(wanted, { tokens, tags, lemmas } = this.output) {
    this.#wanted = wanted;
    try {
      const [output] = await this.#ask({ tokens, tags, lemmas, ...this.#constraints(wanted) });
      this.#known = wanted;
      this.#setOutput(output);
      return true;
    } catch (error) {
      this.#giveUp(error);
      return false;
    }
  }

  #constraints({ heads, forbidden }) {
    return this.options.takesConstraints ? { heads, forbidden_arcs: forbidden } : {};
  }

  #ask(object) {
    const [{ predict }] = this.options.archives;
    return this.#asking.run((signal) => predict([object], EXPLAIN, signal));
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
    this.#find(".free").hidden = !this.#isFixed;
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
        const object = { tokens, tags, lemmas, ...(this.#isFixed && this.#constraints(this.#known)) };
        const archives = this.#isChanged ? this.options.archives.slice(0, 1) : this.options.archives;
        this.#shares = await this.#counting.run((signal) =>
          Promise.all(archives.map(async ({ predict }) => (await predict([object], ["saliency"], signal))[0].saliency)),
        );
      }
      button.setAttribute("aria-pressed", String(this.#shares !== null));
      this.#showChosen();
      this.redraw();
    } catch (error) {
      this.#tell(error);
    }
  }

  async #parseTokens() {
    const object = readTokens(this.#find("tbody"));
    if (`${object.tokens}` === `${this.output.tokens}`) {
      if (await this.#change(this.#wanted, object)) showTokens(this.#find("tbody"), this.output);
      return;
    }
    try {
      const [output] = await this.#ask(object);
      this.#original = output;
      this.#known = this.#wanted = free(output);
      showTokens(this.#find("tbody"), output);
      this.#chosen = null;
      this.#find(".about").replaceChildren();
      this.#find(".controls").hidden = true;
      this.options.gold = undefined;
      this.options.archives = this.options.archives.slice(0, 1);
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
