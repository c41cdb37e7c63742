// Let the model of the page write in the browser. Nothing is loaded before a button is pressed.
const demo = document.getElementById("demo");
const part = (name) => document.getElementById(`demo-${name}`);
const END_OF_LINE = "<eos>";

const say = (message) => {
  part("status").textContent = message;
};

// Files of one build belong together: the key keeps the browser's cache from mixing two.
const address = (name) => new URL(`${demo.dataset.folder}${name}?v=${demo.dataset.key}`, location).href;

async function load(name) {
  const response = await fetch(address(name));
  if (!response.ok) throw new Error(`${name}: the server answered ${response.status}`);
  const chunks = [];
  const reader = response.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    chunks.push(read.value);
    part("progress").value += read.value.length;
  }
  return new Blob(chunks);
}

async function unpacked(blob) {
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  const isPacked = first === 0x1f && second === 0x8b; // some servers unpack .gz on the way
  const stream = isPacked ? blob.stream().pipeThrough(new DecompressionStream("gzip")) : blob.stream();
  return new Response(stream).arrayBuffer();
}

const json = async (blob) => JSON.parse(await blob.text());

const openSession = async (ort, blob) =>
  ort.InferenceSession.create(await blob.arrayBuffer(), { executionProviders: ["wasm"] });

let failures = 0;

async function loadModel() {
  const [binary, file, words, expected, ort] = await Promise.all([
    load("onnxruntime.wasm.gz"),
    load("model.onnx"),
    load("vocabulary.json").then(json),
    load("expected.json").then(json),
    // A browser does not try an address again from which it could not load a module.
    import(address("onnxruntime.mjs") + (failures ? `&try=${failures}` : "")),
  ]);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked(binary);
  const session = await openSession(ort, file);
  return { ort, session, words, expected, index: new Map(words.map((word, token) => [word, token])) };
}

// The state that a text begins with: zeros for a batch of one.
function initialState({ ort, session }) {
  const zeros = (name) => {
    const { shape } = session.inputMetadata.find((input) => input.name === name);
    const sizes = shape.map((size) => (typeof size === "number" ? size : 1));
    return new ort.Tensor("float32", new Float32Array(sizes.reduce((one, other) => one * other)), sizes);
  };
  return { hidden: zeros("hidden"), cell: zeros("cell") };
}

// Read some tokens; return the probability of each word after them, and the state to continue with.
async function read({ ort, session, words }, tokens, state) {
  const input = new ort.Tensor("int64", BigInt64Array.from(tokens, BigInt), [tokens.length, 1]);
  const output = await session.run({ tokens: input, ...state });
  const last = output.logits.data.subarray(-words.length);
  return { probabilities: softmax(last), state: { hidden: output.hidden_out, cell: output.cell_out } };
}

function softmax(logits) {
  const largest = logits.reduce((one, other) => Math.max(one, other));
  const powers = Float64Array.from(logits, (logit) => Math.exp(logit - largest));
  const sum = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / sum);
}

const mostProbable = (probabilities) => probabilities.indexOf(Math.max(...probabilities));

// Draw a random number for a word of the vocabulary, from a number from 0 to 1; the same as in Python.
function uniform(number, token) {
  let bits = (Math.floor(number * 2 ** 32) + Math.imul(token, 0x9e3779b9)) >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (((bits ^ (bits >>> 16)) >>> 0) + 0.5) / 2 ** 32;
}

// Each word waits a random time, on average the shorter the more probable it is; the first one is drawn.
// So two models that find words about equally probable draw the same word.
function drawn(probabilities, number) {
  let [first, shortest] = [0, Infinity];
  probabilities.forEach((probability, token) => {
    const wait = -Math.log(uniform(number, token)) / probability;
    if (wait < shortest) [first, shortest] = [token, wait];
  });
  return first;
}

// Punctuation marks are words of their own, as in the text that the model was trained on.
function split(text, index) {
  const pieces = text.trim().split(/\s+/);
  const parts = (piece) => piece.match(/[\p{L}\p{N}_]+|([^\p{L}\p{N}_\s])\1*/gu) ?? [];
  return pieces.flatMap((piece) => (index.has(piece) ? [piece] : parts(piece)));
}

// The words that share the longest beginning with an unknown one, for a reader to try.
function similar(word, words) {
  const sought = word.toLowerCase();
  const shared = (other) => {
    let length = 0;
    while (length < sought.length && sought[length] === other[length]) length += 1;
    return length - Math.abs(other.length - sought.length) / 100;
  };
  const scored = words.map((other) => [shared(other.toLowerCase()), other]);
  return scored.filter(([score]) => score > 0.9).sort(([one], [other]) => other - one).slice(0, 3).map(([, other]) => other);
}

function describeUnknown(word, words) {
  const near = similar(word, words).map((other) => `“${other}”`);
  const hint = near.length ? `Try ${near.join(" or ")}.` : "Try another word.";
  return `The model knows ${words.length.toLocaleString("en")} words, and “${word}” is not one of them. ${hint}`;
}

const asText = (words) =>
  words.join(" ").split(END_OF_LINE).map((line) => line.trim()).join("\n");

function addRow(word, probability, milliseconds) {
  const row = part("words").insertRow();
  const header = document.createElement("th");
  header.scope = "row";
  header.textContent = word;
  row.append(header);
  row.insertCell().textContent = probability < 0.0005 ? "< 0.1%" : `${(100 * probability).toFixed(1)}%`;
  row.insertCell().textContent = `${milliseconds.toFixed(1)} ms`;
}

function drawBar(place, probability) {
  const bar = part("bars").children[place];
  bar.setAttribute("y", 25 - 25 * probability);
  bar.setAttribute("height", 25 * probability);
}

const turn = () => new Promise((resolve) => setTimeout(resolve)); // for the page to show each word

// Write a word for each number; `choose` picks a token from the probabilities and the number.
async function write(model, { beginning, choose, numbers }, name) {
  const shown = [...beginning];
  const written = [];
  const element = part(`${name}text`);
  let tokens = beginning.map((word) => model.index.get(word));
  let state = initialState(model);
  element.setAttribute("aria-busy", "true"); // it is read out when it is complete
  part(`${name}source`).firstElementChild.textContent = `${name ? "float32" : "int8"}, written just now in this browser:`;
  for (const number of numbers) {
    const start = performance.now();
    const step = await read(model, tokens, state);
    const milliseconds = performance.now() - start;
    const token = choose(step.probabilities, number);
    ({ state } = step);
    tokens = [token];
    shown.push(model.words[token]);
    written.push({ token, probability: step.probabilities[token], milliseconds });
    element.textContent = asText(shown);
    if (!name && part("words")) {
      addRow(model.words[token], step.probabilities[token], milliseconds);
      drawBar(written.length - 1, step.probabilities[token]);
    }
    await turn();
  }
  element.setAttribute("aria-busy", "false");
  return written;
}

const firstDifference = (one, other) => one.findIndex(({ token }, place) => token !== other[place].token);

// Python's words are known for one beginning, with the random numbers of the build.
function compareWithPython(written, expected) {
  const place = firstDifference(written, expected);
  return place < 0
    ? "They are the same words that Python’s ONNX Runtime wrote when this site was built."
    : `From word ${place + 1} on they differ from those that Python’s ONNX Runtime wrote when this site was built.`;
}

// Mark the first word in which a text differs from the other one.
function markWord(element, words, place) {
  const mark = document.createElement("mark");
  mark.textContent = words[place] === END_OF_LINE ? "↵" : words[place];
  const before = asText(words.slice(0, place));
  const after = asText(words.slice(place + 1));
  const gap = words[place] === END_OF_LINE ? "\n" : after.startsWith("\n") ? "" : " ";
  element.replaceChildren(before, before.endsWith("\n") ? "" : " ", mark, gap, after);
}

const quoted = (word) => (word === END_OF_LINE ? "a new line" : `“${word}”`);

// Show where int8 and float32 part; both wrote from the same beginning with the same numbers.
function showParting(int8, float32) {
  const place = firstDifference(int8, float32);
  if (place < 0) {
    part("parting").textContent = `int8 and float32 wrote the same ${int8.length} words.`;
    return;
  }
  const { beginning } = latest;
  const words = [int8, float32].map((written) => written.map(({ token }) => model.words[token]));
  words.forEach((one, number) => {
    markWord(part(number ? "float-text" : "text"), [...beginning, ...one], beginning.length + place);
  });
  const [one, other] = words.map((written) => quoted(written[place]));
  const same = place === 1 ? "first word is" : `first ${place} words are`;
  const start = place ? `The ${same} the same. Then` : "They differ from the first word on:";
  part("parting").textContent = `${start} int8 wrote ${one}, and float32 wrote ${other}.`;
}

let model = null;
let floatModel = null;
let latest = null; // what was written last, and how
let isBusy = false;
let draws = 0;

async function writeInFloats() {
  const { choice, isKnown, written } = latest;
  let float32 = isKnown ? model.expected.float32[choice] : null;
  if (floatModel) {
    float32 = await write(floatModel, latest, "float-");
    demo.writtenInFloats = float32;
  } else if (float32) {
    part("float-text").textContent = asText([...latest.beginning, ...float32.map(({ word }) => word)]);
    part("float-source").firstElementChild.textContent = "float32, written in Python when this site was built:";
  }
  if (float32) {
    showParting(written, float32);
  } else {
    part("float-text").textContent = "";
    part("float-source").firstElementChild.textContent = "float32:";
    part("parting").textContent = "Press “Compare with float32” to see what float32 writes.";
  }
}

async function respond() {
  if (!model) {
    say("The model is not loaded yet: press the button first.");
    return;
  }
  const beginning = split(part("beginning").value, model.index);
  const unknown = beginning.find((word) => !model.index.has(word));
  if (unknown !== undefined || !beginning.length) {
    say(beginning.length ? describeUnknown(unknown, model.words) : "Type at least one word.");
    part("beginning").setAttribute("aria-invalid", "true");
    for (const name of ["", "float-"]) part(`${name}text`).textContent = ""; // it continued other words
    part("source").firstElementChild.textContent = "int8:";
    part("float-source").firstElementChild.textContent = "float32:";
    part("parting").textContent = "";
    part("beginning").focus();
    return;
  }
  part("beginning").removeAttribute("aria-invalid");
  const { expected } = model;
  const choice = new FormData(demo.querySelector("form")).get("choice");
  const isDrawn = choice === "drawn";
  // The first draw uses the build's random numbers if the words are the build's, every other one its own.
  const isKnown = beginning.join(" ") === expected.beginning.join(" ") && (!isDrawn || draws === 0);
  if (isDrawn) draws += 1;
  const numbers = isKnown ? expected.numbers : expected.numbers.map(() => Math.random());
  latest = { beginning, choice, isKnown, numbers, choose: isDrawn ? drawn : mostProbable };
  say("Writing…");
  part("words")?.replaceChildren();
  const written = await write(model, latest, "");
  latest.written = written;
  demo.written = written; // for those who use the browser's own tools
  if (part("float-text")) await writeInFloats();
  const times = written.map(({ milliseconds }) => milliseconds).sort((one, other) => one - other);
  const speed = Math.round(1000 / times[Math.floor(times.length / 2)]);
  for (const shown of document.querySelectorAll(".smallport-speed")) shown.textContent = `${speed} words`;
  say(`${written.length} words at ${speed} words per second. ${isKnown ? compareWithPython(written, expected[choice]) : ""}`.trim());
}

// Show the progress of loading, then leave the keyboard's focus on the button that writes.
async function loading(bytes, work) {
  part("progress").hidden = false;
  part("progress").value = 0;
  part("progress").max = bytes;
  say("Loading…");
  try {
    await work();
    part("write").hidden = false;
    part("write").focus();
  } finally {
    part("progress").hidden = true;
  }
}

async function start() {
  try {
    await loading(part("progress").max, async () => {
      model = await loadModel();
    });
  } catch (error) {
    failures += 1;
    throw error;
  }
  part("load").hidden = true;
  if (part("compare")) part("compare").hidden = false;
  say("The model is ready.");
}

async function compareInFloats() {
  const button = part("compare");
  await loading(Number(button.dataset.bytes), async () => {
    floatModel = { ...model, session: await openSession(model.ort, await load("float32.onnx")) };
  });
  button.hidden = true;
  if (latest) await writeInFloats();
  say(latest ? "float32 has written, too." : "float32 is ready, too.");
}

// One thing at a time. Buttons stay enabled: a disabled one would lose the keyboard's focus.
async function alone(work) {
  if (isBusy) return;
  isBusy = true;
  try {
    await work();
  } catch (error) {
    say(`That did not work: ${error.message}. Try again, or use another browser.`);
  } finally {
    isBusy = false;
  }
}

if (demo) {
  part("load").addEventListener("click", () => alone(start));
  part("compare")?.addEventListener("click", () => alone(compareInFloats));
  demo.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    alone(respond);
  });
}
