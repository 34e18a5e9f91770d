// From 16 kHz samples to detections: an exported file in onnxruntime-web, and its policies.

import { readInfo } from "./metadata.js";
import { PolicyState } from "./policy.js";

const LONGEST_CALL_S = 1;

/**
 * Load a model.
 * @param {object} ort the onnxruntime-web module, so that the page and the tests can each load it their way.
 * @param {Uint8Array} bytes content of an exported file.
 * @returns {Promise<Detector>}
 * @throws {Error} it is none of our models; the message says why.
 */
export async function loadDetector(ort, bytes) {
  const info = readInfo(bytes);
  let session;
  try {
    session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  } catch (problem) {
    throw new Error(`The model cannot be loaded: ${problem.message ?? problem}`);
  }
  const states = session.inputMetadata.find((port) => port.name === "state")?.shape.at(-1);
  if (!states || !session.inputNames.includes("audio") || !session.outputNames.includes("scores")) {
    throw new Error(`This is not one of our models: it takes ${session.inputNames} and gives ${session.outputNames}.`);
  }
  const hops = Math.ceil(info.receptiveFieldMs / info.frameShiftMs);
  const silence = new ort.Tensor("float32", new Float32Array(hops * info.hopSamples), [1, hops * info.hopSamples]);
  const zeros = new ort.Tensor("float32", new Float32Array(states), [1, states]);
  const { next_state: start } = await session.run({ audio: silence, state: zeros });
  return new Detector(ort, session, info, start);
}

/** Listens to one stream for the phrases of one model. One call of `process` must end before the next begins. */
export class Detector {
  constructor(ort, session, info, start) {
    this.info = info;
    this._ort = ort;
    this._session = session;
    this._start = start;
    this.reset();
  }

  /** Begin a new stream, as if silence had preceded it: forget the audio, and count time from 0 again. */
  reset() {
    this._state = this._start;
    this._rest = new Float32Array(0);
    this.policies = this.info.phrases.map((name) => new PolicyState(this.info.policies[name], this.info.frameShiftMs));
  }

  /** Free the model's memory; the detector cannot be used any more. */
  release() {
    return this._session.release();
  }

  /**
   * Take the next samples of the stream.
   * @param {Float32Array} samples at 16 kHz, any number of them, full scale at 1.
   * @returns {Promise<{scores: Float32Array[], smoothed: number[][], detections: {phrase: string, timeS: number,
   *   score: number}[]}>} for each completed frame the scores and the smoothed scores of all phrases, and what was
   *   detected, in order.
   */
  async process(samples) {
    const { hopSamples: hop, phrases, sampleRate } = this.info;
    const longest = Math.max(Math.floor((LONGEST_CALL_S * sampleRate) / hop), 1) * hop;
    const joined = new Float32Array(this._rest.length + samples.length);
    joined.set(this._rest);
    joined.set(samples.map(bounded), this._rest.length);
    const whole = joined.length - (joined.length % hop);
    this._rest = joined.slice(whole);
    const heard = { scores: [], smoothed: [], detections: [] };
    for (let first = 0; first < whole; first += longest) {
      const audio = joined.subarray(first, Math.min(first + longest, whole));
      const flat = await this._run(audio);
      for (let row = 0; row < flat.length; row += phrases.length) {
        this._judge(flat.slice(row, row + phrases.length), heard);
      }
    }
    return heard;
  }

  async _run(audio) {
    const feeds = { audio: new this._ort.Tensor("float32", audio, [1, audio.length]), state: this._state };
    const { scores, next_state: state } = await this._session.run(feeds);
    this._state = state;
    return scores.data;
  }

  _judge(scores, heard) {
    heard.scores.push(scores);
    const events = this.policies.map((policy, column) => policy.next(scores[column]));
    heard.smoothed.push(this.policies.map((policy) => policy.smoothed));
    events.forEach((event, column) => {
      if (event) heard.detections.push({ phrase: this.info.phrases[column], timeS: event.timeS, score: event.score });
    });
  }
}

/** A bad sample must not poison the state: it must be a number within full scale. */
function bounded(sample) {
  return Number.isNaN(sample) ? 0 : Math.min(Math.max(sample, -1), 1);
}
