/** What is asked of the server. */

/** What is asked for beside the prediction, to draw it. */
export const EXPLAIN = ["scores", "arc_weights"];

/** An answer that does not count any more, as something else was asked since. */
export class Superseded extends Error {}

/**
 * Asks for one thing at a time: what is asked later ends what was asked before, whose answer, if it comes all the same,
 * is not taken.
 */
export class Latest {
  #number = 0;
  #controller = new AbortController();

  /**
   * @param {(signal: AbortSignal) => Promise<T>} ask
   * @returns {Promise<T>} rejected with `Superseded` where something was asked since
   */
  async run(ask) {
    this.end();
    const number = this.#number;
    try {
      const answer = await ask(this.#controller.signal);
      if (number === this.#number) {
        return answer;
      }
    } catch (error) {
      if (number === this.#number) {
        throw error;
      }
    }
    throw new Superseded();
  }

  /** Ends what was asked before, if anything was. */
  end() {
    this.#controller.abort();
    this.#controller = new AbortController();
    this.#number += 1;
  }
}

/**
 * Posts to the server.
 * @param {string} path
 * @param {string} body
 * @param {{signal?: AbortSignal, seconds?: number}} options `seconds`: how long to wait
 * @returns {Promise<Response>} one that is all right
 */
export async function post(path, body, { signal, seconds = 30 } = {}) {
  const late = AbortSignal.timeout(1000 * seconds);
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
  } catch (error) {
    if (signal?.aborted) {
      throw new Superseded();
    }
    throw new Error(late.aborted ? `No answer came within ${seconds} seconds.` : "The server cannot be reached.");
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({ error: `The server answered ${response.status}.` }));
    throw new Error(answer.request_id ? `${answer.error} (request ${answer.request_id})` : answer.error);
  }
  return response;
}

/** The outputs of all sentences of some input objects, in their order. */
export async function predict(base, objects, options) {
  const response = await post(`${base}predict_batch`, JSON.stringify(objects), options);
  return (await response.json()).flatMap((answer) => answer.sentences ?? [answer]);
}

/** A picture, as the text of an SVG document. */
export async function draw(drawing, options) {
  return (await post("draw", JSON.stringify(drawing), options)).text();
}

/** Sentences in another format. */
export async function convert(text, to, source) {
  const query = new URLSearchParams(source ? { to, source } : { to });
  return (await post(`convert?${query}`, text)).text();
}
