// Keeps a detector fed: sound arrives whether or not the last of it has been scored.

const SAMPLE_RATE = 16_000;
const MOST_WAITING = 10 * SAMPLE_RATE;

/**
 * Feed a detector with blocks, one call at a time; what arrives meanwhile goes into the next call together.
 * @param {import("./detector.js").Detector} detector
 * @param {(heard: object) => void} onHeard gets what `process` returned.
 * @param {(problem: Error) => void} onProblem is called once, when listening cannot go on.
 * @returns {{push: (samples: Float32Array) => void, stop: () => Promise<void>}}
 */
export function feed(detector, onHeard, onProblem) {
  let waiting = [];
  let stopped = false;
  let running = null;

  async function run() {
    while (waiting.length && !stopped) {
      const samples = joined(waiting);
      waiting = [];
      const heard = await detector.process(samples);
      if (!stopped) onHeard(heard);
    }
  }

  function fail(problem) {
    if (!stopped) onProblem(problem);
    stopped = true;
  }

  function push(samples) {
    if (stopped) return;
    waiting.push(samples);
    if (waiting.reduce((sum, block) => sum + block.length, 0) > MOST_WAITING) {
      fail(new Error("This device is too slow for the model: ten seconds of sound are waiting."));
      return;
    }
    running ??= run()
      .catch(fail)
      .finally(() => {
        running = null;
      });
  }

  async function stop() {
    stopped = true;
    await running;
  }

  return { push, stop };
}

function joined(blocks) {
  if (blocks.length === 1) return blocks[0];
  const all = new Float32Array(blocks.reduce((sum, block) => sum + block.length, 0));
  let at = 0;
  for (const block of blocks) {
    all.set(block, at);
    at += block.length;
  }
  return all;
}
