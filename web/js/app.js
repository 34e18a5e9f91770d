// The page: a model from a file or from ?model=URL, the microphone, and what is heard.

import { loadDetector } from "./detector.js";
import { feed } from "./listening.js";
import { openMicrophone } from "./microphone.js";
import * as view from "./view.js";

const RUNTIME = new URL("../vendor/ort.wasm.bundle.min.mjs", import.meta.url);
const RUNTIME_CODE = new URL("../vendor/ort-wasm-simd-threaded.wasm", import.meta.url);
const button = document.getElementById("listen");
const modelCard = document.getElementById("model");
const chooser = document.getElementById("file");

let runtime = null;
let detector = null;
let phrases = null;
let listening = null;

/** While a model is loaded, the microphone opened or the last sound scored, nothing of that may begin again. */
function showBusy(busy) {
  chooser.disabled = busy;
  button.disabled = busy || !detector;
}

async function loadRuntime() {
  try {
    const ort = await import(RUNTIME);
    ort.env.wasm.wasmPaths = { wasm: RUNTIME_CODE.href };
    ort.env.wasm.numThreads = 1; // more would ask for a server with special headers, and the model is small
    return ort;
  } catch (problem) {
    throw new Error(`onnxruntime-web cannot be loaded (${problem.message}); run 'make web' where the page lies.`);
  }
}

async function useModel(name, read) {
  await stop();
  showBusy(true);
  view.showProblem(null);
  view.showStatus("Loading the model …");
  try {
    const bytes = await read();
    runtime ??= await loadRuntime();
    const loaded = await loadDetector(runtime, bytes);
    await detector?.release();
    detector = loaded;
    view.showModel(name, detector.info);
    phrases = view.showPhrases(detector.info);
  } catch (problem) {
    view.showProblem(problem.message);
  }
  showBusy(false);
  view.showStatus(detector ? "Ready." : "Choose a model first.");
}

async function fetched(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Error(`${url} cannot be fetched; a model's address must be on this page's own server.`);
  }
  if (!response.ok) throw new Error(`${url} cannot be fetched: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

function useFile(file) {
  if (file && !chooser.disabled) useModel(file.name, async () => new Uint8Array(await file.arrayBuffer()));
}

async function start() {
  showBusy(true);
  view.showProblem(null);
  detector.reset();
  phrases.clear();
  const feeding = feed(detector, show, fail);
  try {
    const microphone = await openMicrophone(
      (samples) => {
        view.showLevel(samples);
        feeding.push(samples);
      },
      () => fail(new Error("The microphone was disconnected.")),
    );
    listening = { microphone, feeding };
    view.showStatus(microphone.label ? `Listening: ${microphone.label}` : "Listening");
    button.textContent = "Stop";
  } catch (problem) {
    await feeding.stop();
    view.showProblem(problem.message);
  }
  showBusy(false);
}

async function stop() {
  if (!listening) return;
  const { microphone, feeding } = listening;
  listening = null;
  showBusy(true);
  view.showStatus("Stopping …");
  try {
    await microphone.close();
    await feeding.stop();
  } finally {
    view.showLevel(null);
    view.showStatus("Ready.");
    button.textContent = "Start";
    showBusy(false);
  }
}

function show(heard) {
  phrases.push(heard);
  heard.detections.forEach(view.showDetection);
}

async function fail(problem) {
  view.showProblem(problem.message);
  await stop();
}

function acceptDrops() {
  const over = (inside) => (event) => {
    event.preventDefault();
    modelCard.classList.toggle("dropping", inside);
  };
  modelCard.addEventListener("dragover", over(true));
  modelCard.addEventListener("dragleave", over(false));
  modelCard.addEventListener("drop", over(false));
  modelCard.addEventListener("drop", (event) => useFile(event.dataTransfer.files[0]));
}

button.addEventListener("click", () => (listening ? stop() : start()));
document.getElementById("clear").addEventListener("click", view.clearDetections);
chooser.addEventListener("change", () => {
  useFile(chooser.files[0]);
  chooser.value = ""; // so that the same file can be chosen again after another export
});
acceptDrops();

const address = new URLSearchParams(location.search).get("model");
if (address) useModel(address.split("/").at(-1), () => fetched(new URL(address, location.href)));
