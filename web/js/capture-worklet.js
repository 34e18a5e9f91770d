// Runs in the audio thread: gathers the microphone's samples into blocks and hands them to the page.

const BLOCK_S = 0.08;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this._block = new Float32Array(Math.round(BLOCK_S * sampleRate));
    this._filled = 0;
  }

  process([channels]) {
    const samples = channels[0];
    if (!samples) return true; // nothing is connected at the moment
    for (let taken = 0; taken < samples.length; ) {
      const part = samples.subarray(taken, taken + this._block.length - this._filled);
      this._block.set(part, this._filled);
      taken += part.length;
      this._filled += part.length;
      if (this._filled === this._block.length) {
        this.port.postMessage(this._block, [this._block.buffer]);
        this._block = new Float32Array(Math.round(BLOCK_S * sampleRate));
        this._filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
