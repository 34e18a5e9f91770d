// Brings a stream of any sample rate to 16 kHz, for browsers whose audio cannot run at that rate.

const SAMPLE_RATE = 16_000;
const ZERO_CROSSINGS = 64;
const STOPBAND_DB = 80;
const LARGEST_STEP = 1000; // beyond, filters are interpolated: one each would take seconds to make
const POSITIONS = 512; // halfway between two of them, a straight line is 1e-5 off at most

/** Resamples one mono stream by a Kaiser-windowed sinc, as src/wakeword/runtime/resample.py does. */
export class Resampler {
  /** @param {number} rate of the input, a whole number of Hz. */
  constructor(rate) {
    if (!Number.isInteger(rate) || rate < 1000 || rate > 768_000) {
      throw new Error(`The sample rate is ${rate} Hz; rates from 1000 to 768000 can be resampled.`);
    }
    const shared = divisor(SAMPLE_RATE, rate);
    this._up = SAMPLE_RATE / shared;
    this._down = rate / shared;
    this._half = Math.ceil(ZERO_CROSSINGS * Math.max(1, rate / SAMPLE_RATE));
    const bandwidth = Math.min(1, SAMPLE_RATE / rate);
    this._interpolated = this._down > LARGEST_STEP;
    const [parts, count] = this._interpolated ? [POSITIONS, POSITIONS + 1] : [this._up, this._up];
    this._filters = Array.from({ length: count }, (_, part) => filter(part / parts, this._half, bandwidth));
    this._held = new Float32Array(this._half - 1);
    this._phase = 0; // of the next output, in 1 / up of an input sample from the start of `held`
  }

  /** Take the next samples, a Float32Array, and return the output that they complete. */
  process(samples) {
    if (this._up === this._down) return samples;
    const joined = new Float32Array(this._held.length + samples.length);
    joined.set(this._held);
    joined.set(samples, this._held.length);
    const taps = 2 * this._half;
    const output = [];
    for (; Math.floor(this._phase / this._up) + taps <= joined.length; this._phase += this._down) {
      const start = Math.floor(this._phase / this._up);
      output.push(this._weighted(joined, start, taps));
    }
    const used = Math.min(Math.floor(this._phase / this._up), joined.length);
    this._held = joined.slice(used);
    this._phase -= used * this._up;
    return Float32Array.from(output);
  }

  _weighted(joined, start, taps) {
    const phase = this._phase % this._up;
    let sum = 0;
    if (!this._interpolated) {
      const weights = this._filters[phase];
      for (let tap = 0; tap < taps; tap++) sum += weights[tap] * joined[start + tap];
      return sum;
    }
    const place = Math.floor((phase * POSITIONS) / this._up);
    const share = (phase * POSITIONS) / this._up - place;
    const [before, after] = [this._filters[place], this._filters[place + 1]];
    for (let tap = 0; tap < taps; tap++) sum += (before[tap] * (1 - share) + after[tap] * share) * joined[start + tap];
    return sum;
  }
}

function divisor(a, b) {
  return b === 0 ? a : divisor(b, a % b);
}

/** Return the low-pass filter for an output that lies `offset` of a sample after an input. */
function filter(offset, half, bandwidth) {
  // Kaiser's design formulas (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3).
  const beta = 0.1102 * (STOPBAND_DB - 8.7);
  const transition = (STOPBAND_DB - 7.95) / (14.36 * 2 * ZERO_CROSSINGS);
  const cutoff = bandwidth * (1 - transition);
  const weights = Float64Array.from({ length: 2 * half }, (_, index) => {
    const distance = index - (half - 1) - offset;
    const window = bessel(beta * Math.sqrt(Math.max(1 - (distance / half) ** 2, 0))) / bessel(beta);
    const angle = Math.PI * cutoff * distance;
    return (angle === 0 ? 1 : Math.sin(angle) / angle) * window;
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return Float32Array.from(weights, (weight) => weight / sum);
}

/** The modified Bessel function of the first kind and order 0, by its power series. */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let order = 1; term > 1e-12 * sum; order++) {
    term *= (x / (2 * order)) ** 2;
    sum += term;
  }
  return sum;
}
