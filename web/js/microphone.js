// The microphone as a stream of 16 kHz mono blocks.

import { Resampler } from "./resample.js";

const SAMPLE_RATE = 16_000;

/**
 * Open the microphone.
 * @param {(samples: Float32Array) => void} onSamples gets each block at 16 kHz.
 * @param {() => void} onEnd is called when the device goes away.
 * @returns {Promise<{label: string, close: () => void}>}
 * @throws {Error} in words for the person who wants to listen.
 */
export async function openMicrophone(onSamples, onEnd) {
  if (!navigator.mediaDevices) {
    throw new Error("The browser gives the microphone only to pages from https:// or from this computer (127.0.0.1).");
  }
  const stream = await requested();
  let graph;
  try {
    graph = await connected(stream);
  } catch (problem) {
    stop(stream);
    throw problem;
  }
  const resampler = new Resampler(graph.context.sampleRate);
  graph.capture.port.onmessage = ({ data }) => onSamples(resampler.process(data));
  const [track] = stream.getAudioTracks();
  track.onended = onEnd;
  const close = () => {
    track.onended = null;
    graph.capture.port.onmessage = null;
    stop(stream);
    return graph.context.close();
  };
  return { label: track.label, close };
}

async function requested() {
  // Models are trained on what a microphone hears, not on what a telephone call makes of it.
  const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (problem) {
    const reasons = {
      NotAllowedError: "The microphone was not allowed. Allow it in the browser's settings for this page.",
      NotFoundError: "No microphone was found.",
      NotReadableError: "The microphone is in use by another program, or the system keeps it back.",
    };
    throw new Error(reasons[problem.name] ?? `The microphone cannot be used: ${problem.message}`);
  }
}

/** Connect the stream to a capture node at 16 kHz, or at the device's own rate where the browser insists on that. */
async function connected(stream) {
  try {
    return await connectedAt(stream, { sampleRate: SAMPLE_RATE });
  } catch (problem) {
    if (problem.name !== "NotSupportedError") throw problem;
    return connectedAt(stream, {});
  }
}

async function connectedAt(stream, options) {
  const context = new AudioContext(options);
  try {
    const source = context.createMediaStreamSource(stream);
    await context.audioWorklet.addModule(new URL("./capture-worklet.js", import.meta.url));
    const mono = { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" };
    const capture = new AudioWorkletNode(context, "capture", mono);
    source.connect(capture);
    await context.resume();
    return { context, capture };
  } catch (problem) {
    await context.close();
    throw problem;
  }
}

function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
