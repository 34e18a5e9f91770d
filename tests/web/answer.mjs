// Runs the page's modules for the tests: takes a JSON request on standard input and prints a JSON answer.
// Numbers come and go as base64 of little-endian float64, which holds NaN and infinities too.

import { readFileSync } from "node:fs";

const web = new URL("../../web/", import.meta.url);
const imported = (name) => import(new URL(`js/${name}.js`, web));
const decode = (text) => new Float64Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);
const encode = (values) => Buffer.from(Float64Array.from(values).buffer).toString("base64");
const bytesOf = (text) => Uint8Array.from(Buffer.from(text, "base64"));

function* chunks(values, sizes) {
  let at = 0;
  for (const size of [...sizes, values.length]) yield values.slice(at, (at += size));
}

const answers = {
  async policy({ cases }) {
    const { PolicyState } = await imported("policy");
    return cases.map(({ policy, frame_shift_ms: shift, scores }) => {
      const state = new PolicyState(policy, shift);
      const events = [];
      const smoothed = [];
      for (const score of decode(scores)) {
        const event = state.next(score);
        if (event) events.push([event.frame, event.timeS, event.score]);
        smoothed.push(state.smoothed);
      }
      return { events, smoothed: encode(smoothed) };
    });
  },
  async refused({ policies }) {
    const { PolicyState } = await imported("policy");
    return policies.map((policy) => {
      try {
        new PolicyState(policy, 20);
        return null;
      } catch (problem) {
        return problem.message;
      }
    });
  },
  async resample({ cases }) {
    const { Resampler } = await imported("resample");
    return cases.map(({ rate, samples, sizes }) => {
      const resampler = new Resampler(rate);
      const given = Float32Array.from(decode(samples));
      return encode([...chunks(given, sizes)].flatMap((part) => [...resampler.process(part)]));
    });
  },
  async info({ files }) {
    const { readInfo } = await imported("metadata");
    return files.map((file) => {
      try {
        return readInfo(bytesOf(file));
      } catch (problem) {
        return { problem: problem.message };
      }
    });
  },
  async detect({ model, cases }) {
    const ort = await import(new URL("vendor/ort.wasm.bundle.min.mjs", web));
    ort.env.wasm.wasmBinary = readFileSync(new URL("vendor/ort-wasm-simd-threaded.wasm", web));
    ort.env.wasm.numThreads = 1;
    const { loadDetector } = await imported("detector");
    const detector = await loadDetector(ort, bytesOf(model));
    const results = [];
    for (const { samples, sizes } of cases) {
      detector.reset();
      const scores = [];
      const detections = [];
      for (const part of chunks(Float32Array.from(decode(samples)), sizes)) {
        const heard = await detector.process(part);
        scores.push(...heard.scores.flatMap((row) => [...row]));
        detections.push(...heard.detections);
      }
      results.push({ scores: encode(scores), detections });
    }
    return results;
  },
};

const { question, ...request } = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(await answers[question](request)));
