// Reads what an exported file says of itself; onnxruntime-web loads the graph but does not show its metadata.

const FORMAT = "1";
const METADATA_FIELD = 14; // `metadata_props` of ModelProto in onnx.proto; entries hold key = 1 and value = 2

/**
 * Read the model's description.
 * @param {Uint8Array} bytes content of an exported file.
 * @returns {{phrases: string[], language: string, sampleRate: number, hopSamples: number, frameShiftMs: number,
 *   receptiveFieldMs: number, policies: Object<string, object>, figures: Object<string, object>, licence: string}}
 * @throws {Error} the file is no ONNX file, or not one of ours; the message says what is missing.
 */
export function readInfo(bytes) {
  const stored = readMetadata(bytes);
  if (!stored.has("wakeword_format")) {
    throw new Error("This is not one of our models: its metadata lacks 'wakeword_format'.");
  }
  if (stored.get("wakeword_format") !== FORMAT) {
    const found = stored.get("wakeword_format");
    throw new Error(`The model has format ${found}, this page reads ${FORMAT}; export it again.`);
  }
  const text = (key) => {
    if (!stored.has(key)) throw new Error(`This is not one of our models: its metadata lacks '${key}'.`);
    return stored.get(key);
  };
  const number = (key) => {
    const value = Number(text(key));
    if (!(value > 0 && value < Infinity)) throw new Error(`The model's metadata is broken: ${key} is '${text(key)}'.`);
    return value;
  };
  const json = (key, otherwise) => {
    try {
      return JSON.parse(otherwise === undefined ? text(key) : (stored.get(key) ?? otherwise));
    } catch (problem) {
      if (!(problem instanceof SyntaxError)) throw problem;
      throw new Error(`The model's metadata is broken: '${key}' is no JSON; export it again.`);
    }
  };
  const info = {
    phrases: json("phrases"),
    language: text("language"),
    sampleRate: number("sample_rate"),
    hopSamples: number("hop_samples"),
    frameShiftMs: number("frame_shift_ms"),
    receptiveFieldMs: number("receptive_field_ms"),
    policies: json("policy", "{}"),
    figures: json("figures", "{}"),
    licence: stored.get("licence") ?? "unknown",
  };
  const missing = info.phrases.find((phrase) => !(phrase in info.policies));
  if (missing !== undefined) {
    throw new Error(`The model holds no detection policy for '${missing}'; run the export stage.`);
  }
  return info;
}

/** Return an ONNX file's metadata, a Map from key to value; throws an Error where the file is none. */
export function readMetadata(bytes) {
  const text = new TextDecoder("utf-8");
  const metadata = new Map();
  let fields = 0;
  for (const [field, content] of delimitedFields(bytes)) {
    fields += 1;
    if (field !== METADATA_FIELD) continue;
    const entry = new Map(delimitedFields(content));
    metadata.set(text.decode(entry.get(1)), text.decode(entry.get(2)));
  }
  if (!fields) throw new Error("This is no ONNX file.");
  return metadata;
}

/** Yield number and content of each length-delimited field of a protobuf message. */
function* delimitedFields(bytes) {
  let at = 0;
  const fail = () => {
    throw new Error("This is no ONNX file, or only a part of one.");
  };
  const varint = () => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 70; scale *= 128) {
      if (at >= bytes.length) fail();
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    return fail();
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, wireType] = [Math.floor(tag / 8), tag % 8];
    if (field === 0) fail();
    if (wireType === 0) {
      varint();
    } else if (wireType === 2) {
      const length = varint();
      if (at + length > bytes.length) fail();
      yield [field, bytes.subarray(at, at + length)];
      at += length;
    } else if (wireType === 1 || wireType === 5) {
      at += wireType === 1 ? 8 : 4;
      if (at > bytes.length) fail();
    } else {
      fail();
    }
  }
}
