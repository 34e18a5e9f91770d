// When scores become a detection: the same rules, on the same grid, as src/wakeword/detection/policy.py, which explains
// them. Sums of up to 4096 scores in whole steps of 2^-40 are exact in a double, so nothing drifts here either.

const STEPS = 2 ** 40;
const LONGEST = 4096; // frames
const LONGEST_REFRACTORY_MS = 3_600_000;

/** A detector of one phrase in the middle of a stream. */
export class PolicyState {
  /**
   * @param {{threshold: number, release: number, smoothing_frames: number, votes: number, votes_window: number,
   *   refractory_ms: number}} policy as the model's metadata holds it.
   * @param {number} frameShiftMs time from one score to the next; score i (from 0) is at (i + 1) * frameShiftMs.
   * @throws {Error} a value is out of range; the message names the field.
   */
  constructor(policy, frameShiftMs) {
    check(policy);
    this.policy = policy;
    this.frames = 0;
    this.smoothed = 0;
    this._frameShiftMs = frameShiftMs;
    this._threshold = toSteps(policy.threshold);
    this._release = toSteps(policy.release);
    this._refractory = Math.ceil(policy.refractory_ms / frameShiftMs - 1e-9);
    this._recent = new Float64Array(policy.smoothing_frames);
    this._sum = 0;
    this._armed = true;
    this._votes = [];
    this._earliest = 0;
  }

  /** Take the next score and return the event that fires there, or null; `smoothed` then holds the smoothed score. */
  next(score) {
    const smoothed = this._smooth(score);
    const { votes, votes_window: window } = this.policy;
    const frame = this.frames++;
    if (!this._armed && smoothed < this._release) this._armed = true;
    if (this._armed && smoothed >= this._threshold) this._votes.push(frame);
    while (this._votes.length && this._votes[0] <= frame - window) this._votes.shift();
    if (!this._armed || this._votes.length < votes || frame < this._earliest) return null;
    this._armed = false;
    this._votes = [];
    this._earliest = frame + this._refractory;
    return { frame, timeS: ((frame + 1) * this._frameShiftMs) / 1000, score: this.smoothed };
  }

  /** Return the moving average in whole steps. */
  _smooth(score) {
    const length = this._recent.length;
    const place = this.frames % length;
    const steps = toSteps(score);
    this._sum += steps - this._recent[place];
    this._recent[place] = steps;
    const mean = Math.floor(this._sum / length);
    this.smoothed = mean / STEPS;
    return mean;
  }
}

/** Clip to 0..1 and round to whole steps, halves to even; what is not finite counts as 0. */
function toSteps(score) {
  if (!Number.isFinite(score)) return 0;
  const scaled = Math.min(Math.max(score, 0), 1) * STEPS;
  return scaled + 2 ** 52 - 2 ** 52; // a double of that size has no room for halves
}

function check(policy) {
  for (const name of ["threshold", "release"]) {
    const value = policy[name];
    if (typeof value !== "number" || !(value >= 1 / STEPS && value <= 1)) {
      throw new Error(`The policy's ${name} is ${value}; it must be a number above 0 and at most 1.`);
    }
  }
  if (policy.release > policy.threshold) {
    throw new Error(`The policy's release is ${policy.release}; it must not exceed its threshold, ${policy.threshold}.`);
  }
  const limits = {
    smoothing_frames: [1, LONGEST],
    votes_window: [1, LONGEST],
    votes: [1, policy.votes_window],
    refractory_ms: [0, LONGEST_REFRACTORY_MS],
  };
  for (const [name, [low, high]] of Object.entries(limits)) {
    const value = policy[name];
    if (!Number.isInteger(value) || value < low || value > high) {
      throw new Error(`The policy's ${name} is ${value}; it must be a whole number from ${low} to ${high}.`);
    }
  }
}
