// What the page shows: a model's description, level, scores and detections.

const QUIETEST_DB = -60;
const HISTORY_S = 10;
const MOST_DETECTIONS = 200;

const element = (id) => document.getElementById(id);

/** Show a problem in words, or nothing. */
export function showProblem(text) {
  element("problem").textContent = text ?? "";
  element("problem").hidden = !text;
}

export function showStatus(text) {
  element("status").textContent = text;
}

/** Show what a model says of itself. */
export function showModel(name, info) {
  element("model-name").textContent = name;
  const facts = element("model-facts");
  facts.replaceChildren();
  const fact = (term, description) => {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = term;
    dd.textContent = description;
    facts.append(dt, dd);
  };
  for (const phrase of info.phrases) fact(`“${phrase}”`, measured(info.figures[phrase]));
  fact("Language", info.language);
  fact("Licence", info.licence);
  facts.hidden = false;
}

function measured(figures) {
  const { frr, frr_interval: missed, fah, fah_interval: alarms, keywords, hours } = figures ?? {};
  if (![frr, fah, keywords, hours, ...(missed ?? [NaN]), ...(alarms ?? [NaN])].every(Number.isFinite)) {
    return "not measured";
  }
  const percent = (share) => (100 * share).toFixed(1);
  return (
    `${percent(frr)} % [${missed.map(percent).join(", ")}] of ${keywords} missed; ` +
    `${fah.toFixed(2)} [${alarms.map((rate) => rate.toFixed(2)).join(", ")}] false alarms an hour in ${hours.toFixed(1)} h`
  );
}

/**
 * Make a row for each phrase.
 * @returns {{push: (heard: object) => void, clear: () => void}}
 */
export function showPhrases(info) {
  const rows = info.phrases.map((phrase) => phraseRow(phrase, info.policies[phrase].threshold, info.frameShiftMs));
  element("phrases").replaceChildren(...rows.map((row) => row.root));
  return {
    push(heard) {
      rows.forEach((row, column) => row.push(heard.smoothed.map((scores) => scores[column])));
      for (const { phrase } of heard.detections) rows[info.phrases.indexOf(phrase)].flash();
    },
    clear() {
      rows.forEach((row) => row.clear());
    },
  };
}

function phraseRow(phrase, threshold, frameShiftMs) {
  const root = element("phrase-template").content.firstElementChild.cloneNode(true);
  const part = (selector) => root.querySelector(selector);
  const [bar, canvas, output] = [part(".bar"), part("canvas"), part("output")];
  part(".name").textContent = phrase;
  part(".mark").style.left = `${100 * threshold}%`;
  part(".threshold").textContent = `threshold ${threshold.toFixed(3)}`;
  bar.setAttribute("aria-label", `Score of “${phrase}”, threshold ${threshold.toFixed(3)}`);
  canvas.setAttribute("aria-label", `Score of “${phrase}” over the last ${HISTORY_S} seconds`);
  const frames = Math.round((1000 * HISTORY_S) / frameShiftMs);
  let history = [];
  let drawing = false;

  function draw() {
    drawing = false;
    const last = history.at(-1);
    fill(bar, last ?? 0, (last ?? 0).toFixed(2));
    output.textContent = last === undefined ? "–" : last.toFixed(2);
    drawHistory(canvas, history, frames, threshold);
  }

  function redraw() {
    if (!drawing) requestAnimationFrame(draw);
    drawing = true;
  }

  new ResizeObserver(redraw).observe(canvas);
  return {
    root,
    push(scores) {
      history = history.concat(scores).slice(-frames);
      redraw();
    },
    clear() {
      history = [];
      redraw();
    },
    flash() {
      root.classList.remove("fired");
      void root.offsetWidth; // without a layout in between, the animation would not start again
      root.classList.add("fired");
    },
  };
}

function fill(bar, share, value) {
  bar.firstElementChild.style.clipPath = `inset(0 ${100 * (1 - share)}% 0 0 round 0.375rem)`;
  bar.setAttribute("aria-valuenow", value);
}

function drawHistory(canvas, history, frames, threshold) {
  const ratio = window.devicePixelRatio;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const colours = getComputedStyle(canvas);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const margin = 4;
  const y = (score) => height - margin - score * (height - 2 * margin);
  const x = (index) => width - ((history.length - 1 - index) / (frames - 1)) * width;

  context.strokeStyle = colours.getPropertyValue("--mark");
  context.setLineDash([5, 4]);
  context.beginPath();
  context.moveTo(0, y(threshold));
  context.lineTo(width, y(threshold));
  context.stroke();

  context.strokeStyle = colours.getPropertyValue("--accent");
  context.setLineDash([]);
  context.lineWidth = 2;
  context.lineJoin = "round";
  context.beginPath();
  history.forEach((score, index) => context.lineTo(x(index), y(score)));
  context.stroke();
}

/** Show how loud a block of samples is, or that there is none. */
export function showLevel(samples) {
  if (!samples) {
    fill(element("level"), 0, QUIETEST_DB);
    element("level-value").textContent = "–";
    return;
  }
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / Math.max(samples.length, 1);
  const decibels = Math.max(10 * Math.log10(power), QUIETEST_DB);
  fill(element("level"), 1 - decibels / QUIETEST_DB, decibels.toFixed(0));
  element("level-value").textContent = `${decibels.toFixed(0)} dB`.replace("-", "−");
}

/** Put a detection on top of the list. */
export function showDetection({ phrase, timeS, score }) {
  const item = document.createElement("li");
  Object.assign(item.dataset, { phrase, timeS, score });
  const now = new Date();
  const cells = [
    ["strong", phrase],
    ["time", now.toLocaleTimeString()],
    ["span", `at ${timeS.toFixed(2)} s`],
    ["span", `score ${score.toFixed(3)}`],
  ];
  for (const [name, text] of cells) {
    const cell = document.createElement(name);
    cell.textContent = text;
    item.append(cell);
  }
  item.querySelector("time").dateTime = now.toISOString();
  const list = element("detections");
  list.prepend(item);
  while (list.children.length > MOST_DETECTIONS) list.lastElementChild.remove();
  showWhetherAny();
}

export function clearDetections() {
  element("detections").replaceChildren();
  showWhetherAny();
}

function showWhetherAny() {
  const none = !element("detections").children.length;
  element("nothing").hidden = !none;
  element("clear").disabled = none;
}
