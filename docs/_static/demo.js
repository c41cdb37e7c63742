// Let the int8 model of the page write in the browser. Nothing is loaded before the button is pressed.
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

let failures = 0;

async function loadModel() {
  const [binary, model, words, expected, ort] = await Promise.all([
    load("onnxruntime.wasm.gz"),
    load("model.onnx"),
    load("vocabulary.json").then(json),
    load("expected.json").then(json),
    // Browsers keep it in mind when they could not load a module from an address.
    import(address("onnxruntime.mjs") + (failures ? `&try=${failures}` : "")),
  ]);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked(binary);
  const session = await ort.InferenceSession.create(await model.arrayBuffer(), {
    executionProviders: ["wasm"],
  });
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

// Read some tokens; return how probable each word is after them, and the state to go on with.
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

// The word at which the sum of the probabilities passes a number from 0 to 1.
function drawn(probabilities, number) {
  let sum = 0;
  const token = probabilities.findIndex((probability) => (sum += probability) > number);
  return token < 0 ? probabilities.length - 1 : token;
}

// Punctuation marks are words of their own, as in the text that the model learned.
function split(text, index) {
  const pieces = text.trim().split(/\s+/);
  const parts = (piece) => piece.match(/[\p{L}\p{N}_]+|([^\p{L}\p{N}_\s])\1*/gu) ?? [];
  return pieces.flatMap((piece) => (index.has(piece) ? [piece] : parts(piece)));
}

// Words that begin most like an unknown one, for a reader to try.
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
  row.insertCell().textContent = probability < 0.0005 ? "< 0.1 %" : `${(100 * probability).toFixed(1)} %`;
  row.insertCell().textContent = `${milliseconds.toFixed(1)} ms`;
}

function drawBar(place, probability) {
  const bar = part("bars").children[place];
  bar.setAttribute("y", 25 - 25 * probability);
  bar.setAttribute("height", 25 * probability);
}

const turn = () => new Promise((resolve) => setTimeout(resolve)); // for the page to show each word

// Write as many words as the build did; `choose` picks a token from the probabilities at a place.
async function write(model, beginning, choose) {
  const shown = [...beginning];
  const written = [];
  let tokens = beginning.map((word) => model.index.get(word));
  let state = initialState(model);
  part("text").setAttribute("aria-busy", "true"); // it is read out when it is whole
  part("source").firstElementChild.textContent = "Written just now, in this browser:";
  part("words").replaceChildren();
  for (let place = 0; place < model.expected.numbers.length; place += 1) {
    const start = performance.now();
    const step = await read(model, tokens, state);
    const milliseconds = performance.now() - start;
    const token = choose(step.probabilities, place);
    ({ state } = step);
    tokens = [token];
    shown.push(model.words[token]);
    written.push({ token, probability: step.probabilities[token], milliseconds });
    part("text").textContent = asText(shown);
    addRow(model.words[token], step.probabilities[token], milliseconds);
    drawBar(place, step.probabilities[token]);
    await turn();
  }
  part("text").setAttribute("aria-busy", "false");
  return written;
}

// What Python wrote is known for one beginning, with the random numbers of the build.
function compare(written, expected) {
  const other = written.findIndex(({ token }, place) => token !== expected[place].token);
  return other < 0
    ? "They are the same words that Python’s ONNX Runtime wrote when this site was built."
    : `From word ${other + 1} on they are others than Python’s ONNX Runtime wrote when this site was built.`;
}

let model = null;
let isBusy = false;
let draws = 0;

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
    part("beginning").focus();
    return;
  }
  part("beginning").removeAttribute("aria-invalid");
  const { expected } = model;
  const choice = new FormData(demo.querySelector("form")).get("choice");
  const isDrawn = choice === "drawn";
  // The first draw takes the build's random numbers, every other one its own.
  const number = isDrawn && draws++ === 0 ? (place) => expected.numbers[place] : () => Math.random();
  const isKnown = beginning.join(" ") === expected.beginning.join(" ") && (!isDrawn || draws === 1);
  const choose = isDrawn ? (found, place) => drawn(found, number(place)) : mostProbable;
  say("Writing…");
  const written = await write(model, beginning, choose);
  demo.written = written; // for those who look with the browser's own tools
  const times = written.map(({ milliseconds }) => milliseconds).sort((one, other) => one - other);
  const median = times[Math.floor(times.length / 2)].toFixed(1);
  say(
    `${written.length} words, ${median} milliseconds a word. ${isKnown ? compare(written, expected[choice]) : ""}`.trim(),
  );
}

async function start() {
  part("progress").hidden = false;
  part("progress").value = 0;
  say("Loading…");
  try {
    model = await loadModel();
    part("load").hidden = true;
    part("write").hidden = false;
    part("write").focus();
    say("The model is ready.");
  } catch (error) {
    failures += 1;
    throw error;
  } finally {
    part("progress").hidden = true;
  }
}

// One thing at a time. Buttons stay enabled: a disabled one would lose the keyboard's focus.
async function alone(work) {
  if (isBusy) return;
  isBusy = true;
  try {
    await work();
  } catch (error) {
    say(`That did not work: ${error.message}. Try again, or in another browser.`);
  } finally {
    isBusy = false;
  }
}

if (demo) {
  part("load").addEventListener("click", () => alone(start));
  demo.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    alone(respond);
  });
}
