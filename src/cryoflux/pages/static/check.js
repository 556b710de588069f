// Checks a log in the browser, with what every browser has: SHA-256, Ed25519, integers of any size.
// It takes the exact signed bytes from the server and believes nothing that the server says about them.
// Each check below is numbered as it is shown. One that could not be made is open, never passed.

const IN_TOTO = "application/vnd.in-toto+json";
const TYPES = "https://cryoflux.dev/";
const KNOWN = new Set(["intent/v1", "intent/v2", "receipt/v1", "receipt/v2", "head/v1", "session/v1", "fork/v1",
  "judgement/v1", "key-root/v1", "key-rotation/v1", "key-revocation/v1", "node/v1", "guest-holdout/v1", "offer/v1",
  "round-intent/v1", "round/v1", "opening/v1", "recall/v1", "contract/v1", "contract-accept/v1", "contract-look/v1",
  "contract-result/v1"]);
const ZEROS = "0".repeat(64);
const SPKI = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]; // before a key (RFC 8410)
const MOST_NAMED = 5;
const MOST_ENTRIES = 1_000_000; // more are for `cryoflux verify`
const MOST_MORE = 10_000; // entries that a run may add while this goes on
const MOST_BYTES = 8_000_000; // of one answer
const ANSWER_MS = 120_000;
const BIG = /^(0|[1-9][0-9]{0,77})$/;
const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// ---- bytes

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (a, b) => a.length === b.length && a.every((byte, place) => byte === b[place]);

const join = (...parts) => joined(parts);

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function toBase64(bytes) {
  let raw = "";
  for (let at = 0; at < bytes.length; at += 32768) raw += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return btoa(raw);
}

// Base64 in its one spelling; null for any other.
function fromBase64(said) {
  try {
    const bytes = Uint8Array.from(atob(said), (char) => char.charCodeAt(0));
    return toBase64(bytes) === said ? bytes : null;
  } catch {
    return null;
  }
}

const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const keyIdOf = async (raw) => hex(await sha256(join(new Uint8Array(SPKI), raw)));

// ---- Ed25519: keys and points under which anybody can sign, or that have another spelling, are refused

const WEAK = [
  /^0[01]0{60}[08]0$/,
  /^ecf{60}[7f]f$/,
  /^c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03[7f]a$/,
  /^26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc[08]5$/,
  /^e[def]f{60}[7f]f$/,
  /^f.f{60}[7f]f$/,
];
const weak = (raw) => WEAK.some((pattern) => pattern.test(hex(raw)));

class Keys {
  constructor() {
    this.imported = new Map();
    this.able = null; // whether this browser checks Ed25519 at all
  }

  async probe() {
    // RFC 8032, 7.1, test 1: a browser that calls a true signature false, or a false one true, checks nothing.
    const raw = fromBase64("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    const signed = fromBase64(
      "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==",
    );
    try {
      const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
      const good = await crypto.subtle.verify("Ed25519", key, signed, new Uint8Array(0));
      const bad = await crypto.subtle.verify("Ed25519", key, signed, new Uint8Array(1));
      this.able = good && !bad;
    } catch {
      this.able = false;
    }
  }

  async verifies(raw, signature, message) {
    if (raw.length !== 32 || signature.length !== 64 || weak(raw) || weak(signature.subarray(0, 32))) return false;
    const name = hex(raw);
    if (!this.imported.has(name)) {
      this.imported.set(name, await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]));
    }
    return crypto.subtle.verify("Ed25519", this.imported.get(name), signature, message);
  }
}

// ---- the tree of RFC 6962, as the roots of its perfect subtrees

class Tree {
  constructor() {
    this.peaks = [];
    this.size = 0;
  }

  async add(leaf) {
    let carry = leaf;
    for (let place = this.size; place & 1; place = Math.floor(place / 2)) carry = await node(this.peaks.pop(), carry);
    this.peaks.push(carry);
    this.size += 1;
  }

  async root() {
    if (!this.size) return sha256(new Uint8Array(0));
    let root = this.peaks.at(-1);
    for (let at = this.peaks.length - 2; at >= 0; at -= 1) root = await node(this.peaks[at], root);
    return root;
  }
}

const node = (left, right) => sha256(join(new Uint8Array([1]), left, right));

// ---- the signed head: a C2SP signed note

function readNote(bytes) {
  let said;
  try {
    said = text.decode(bytes);
  } catch {
    return null;
  }
  const cut = said.indexOf("\n\n");
  const lines = said.slice(0, cut + 1).split("\n").slice(0, -1);
  const root = lines.length > 2 ? fromBase64(lines[2]) : null;
  if (cut < 0 || !root || root.length !== 32 || !/^(0|[1-9][0-9]{0,14})$/.test(lines[1])) return null;
  const signatures = said.slice(cut + 2).split("\n").slice(0, -1).map((line) => {
    const found = /^— (\S+) ([A-Za-z0-9+/=]+)$/.exec(line);
    const bytes = found && fromBase64(found[2]);
    return bytes && { name: found[1], id: bytes.subarray(0, 4), signature: bytes.subarray(4) };
  });
  if (!signatures.length || signatures.some((one) => !one)) return null;
  return { text: said.slice(0, cut + 1), origin: lines[0], size: Number(lines[1]), root, signatures };
}

const noteKeyId = async (name, raw) =>
  (await sha256(join(utf8.encode(`${name}\n`), new Uint8Array([1]), raw))).subarray(0, 4);

// ---- one numbered check

class Check {
  constructor(number, name) {
    Object.assign(this, { number, name, bad: [], open: [], good: "", count: 0 });
  }

  fail(where, what) {
    this.bad.push(`${where}: ${what}`);
  }

  get status() {
    if (this.bad.length) return "fail";
    if (this.open.length) return "unknown";
    return this.good ? "ok" : "nothing";
  }

  get detail() {
    const said = this.bad.length ? this.bad : this.open;
    if (!said.length) return this.good || "there was nothing to check";
    const more = said.length > MOST_NAMED ? `; and ${said.length - MOST_NAMED} more` : "";
    return said.slice(0, MOST_NAMED).join("; ") + more;
  }
}

// ---- an entry, read from its exact bytes

// The one spelling of a document (RFC 8785), which knows whole numbers alone. JSON.parse rounds what has more than
// 53 bits, and takes the last of two fields of one name: neither is what was signed, and this spelling shows it.
function canonical(value) {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new Error("has a number whose digits a browser does not keep");
    return JSON.stringify(value);
  }
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

function readEntry(bytes) {
  const document = JSON.parse(text.decode(bytes));
  const signed = document.signatures?.[0];
  const again = JSON.stringify({
    payload: document.payload,
    payloadType: document.payloadType,
    signatures: [{ keyid: signed?.keyid, sig: signed?.sig }],
  });
  if (!same(utf8.encode(again), bytes)) throw new Error("is not an envelope in its one spelling");
  if (document.payloadType !== IN_TOTO) throw new Error("holds a payload of another type");
  const payload = fromBase64(document.payload);
  const signature = fromBase64(signed.sig);
  if (!payload || !signature || signature.length !== 64) throw new Error("has base64 in a spelling of its own");
  const said = JSON.parse(text.decode(payload));
  if (!same(utf8.encode(canonical(said)), payload)) throw new Error("holds a payload that is not in its one spelling");
  const type = String(said.predicateType ?? "");
  const whole = said.predicate && typeof said.predicate === "object" && Array.isArray(said.subject);
  if (!type.startsWith(TYPES) || !whole) throw new Error("says nothing that is known here");
  const form = type.slice(TYPES.length);
  const kind = form.split("/")[0];
  return { payload, signature, keyid: String(signed.keyid), kind, known: KNOWN.has(form), said: said.predicate, subject: said.subject };
}

function pae(payload) {
  return join(utf8.encode(`DSSEv1 ${IN_TOTO.length} ${IN_TOTO} ${payload.length} `), payload);
}

// ---- sums

// A screen says no sum of differences; an evaluation has to.
function sumsComplaint(sums, count, what, needsDelta) {
  const base = sums.baseLossSum ?? sums.baseLossNanoNatSum;
  const fresh = sums.newLossSum ?? sums.newLossNanoNatSum;
  const squared = sums.deltaSquaredSum ?? sums.deltaSquaredNanoNatSum;
  const delta = sums.deltaSum ?? sums.deltaNanoNatSum;
  if (![base, fresh, count].every(Number.isSafeInteger) || count < 1) return `${what}: sums are no integers`;
  if (typeof squared !== "string" || !BIG.test(squared)) return `${what}: Σδ² is missing, or no integer`;
  if (needsDelta && !Number.isSafeInteger(delta)) return `${what}: Σδ is missing, or no integer`;
  const difference = BigInt(base) - BigInt(fresh);
  if (delta !== undefined && BigInt(delta) !== difference) return `${what}: Σδ is not base less new`;
  if (difference * difference > BigInt(count) * BigInt(squared)) return `${what}: Σδ² is too small for Σδ`;
  const hits = sums.hits ?? hitsOfOld(sums);
  if (hits && hits.new - hits.base !== hits.gained - hits.lost) return `${what}: hits do not add up`;
  return "";
}

// Before hits were a part of their own, they stood beside the sums.
function hitsOfOld({ baseCorrect, newCorrect, gained, lost }) {
  return baseCorrect === undefined ? null : { base: baseCorrect, new: newCorrect, gained, lost };
}

function energyComplaint(energy) {
  const ends = [energy.loMicrojoules, energy.microjoules, energy.hiMicrojoules];
  if (!ends.every(Number.isSafeInteger)) return "joules are no integers";
  if (!(ends[0] <= ends[1] && ends[1] <= ends[2])) return "joules lie outside their range";
  const phases = energy.phases ?? [];
  for (const name of phases.length ? ["loMicrojoules", "microjoules", "hiMicrojoules"] : []) {
    const sum = phases.reduce((all, phase) => all + BigInt(phase[name]), 0n);
    if (sum !== BigInt(energy[name])) return "phases do not add up to the joules charged";
  }
  return partsComplaint(energy, energy.parts ?? []);
}

// What each meter charged, where more than one did: the coordinator's part first, then one of each worker.
function partsComplaint(energy, parts) {
  if (!parts.length) return "";
  const names = parts.map((part) => part.worker);
  if (names.length < 2 || names[0] !== "" || names.some((name, i) => i && !(names[i - 1] < name)))
    return "parts are not the coordinator's and then those of workers by name, each once";
  for (const name of ["loMicrojoules", "microjoules", "hiMicrojoules", "reservedMicrojoules", "cpuMicroseconds"]) {
    const sum = parts.reduce((all, part) => all + BigInt(part[name]), 0n);
    if (sum !== BigInt(energy[name])) return "parts do not add up to what was charged and reserved";
  }
  return energy.settlement ? "a sum has a statement of one meter" : "";
}

// ---- who may sign what

class Signers {
  constructor(receipt) {
    Object.assign(this, { receipt, root: null, last: receipt?.id ?? "", used: new Set(receipt ? [receipt.id] : []) });
  }

  // The key that has to have signed an entry; null where none may.
  due(entry) {
    const byRoot = entry.kind === "key-rotation" || entry.kind === "key-revocation";
    return byRoot ? this.root : this.receipt;
  }

  // What an entry about keys changes from the next entry on; what is wrong with it, or nothing.
  async apply(entry) {
    const said = entry.said;
    const named = said.root ?? said.successor;
    const raw = named ? fromBase64(String(named.ed25519)) : null;
    if (named && (!raw || raw.length !== 32 || weak(raw) || (await keyIdOf(raw)) !== named.keyid)) {
      return "brings a key that is none, or has another id";
    }
    const about = entry.subject.filter((one) => one.name !== "log-public-key.der").map((one) => one.digest?.sha256);
    if (about.length !== 1 || about[0] !== (named?.keyid ?? said.revoked)) return "its subject is another key";
    if (entry.kind === "key-root") {
      if (this.root || named.keyid === this.receipt?.id) return "names a root key that the log cannot have";
      this.root = { id: named.keyid, raw };
    } else if (entry.kind === "key-rotation") {
      if (said.retired !== this.last) return "retires a key that is not the last one";
      if (this.used.has(named.keyid) || named.keyid === this.root?.id) return "names a key again";
      this.receipt = { id: named.keyid, raw };
      this.last = named.keyid;
      this.used.add(named.keyid);
    } else {
      if (!this.used.has(said.revoked)) return "revokes a key that never signed here";
      if (this.receipt?.id === said.revoked) this.receipt = null;
    }
    return "";
  }
}

// ---- all of it

export async function checkLog(source, { known = "", progress = () => {} } = {}) {
  const names = ["bytes", "order", "tree and signed head", "signature of the head", "signatures of entries",
    "announced and recorded", "sums", "what you know"];
  const checks = names.map((name, place) => new Check(place + 1, name));
  const [form, order, tree, headSigned, signed, pairs, sums, told] = checks;
  const keys = new Keys();
  await keys.probe();
  const head = await source.head();
  const note = readNote(head.checkpoint);
  const log = { leaves: new Tree(), rootThen: null, last: ZEROS, logKey: "", fork: false };
  const open = new Map();
  const receiptKey = head.keys.receipt.length === 32 ? head.keys.receipt : null;
  const signers = new Signers(receiptKey && { id: await keyIdOf(receiptKey), raw: receiptKey });
  const first = signers.receipt?.id ?? "";
  const counts = { receipts: 0, rounds: 0, unchecked: 0, verified: 0 };
  const total = Math.max(head.entries, note?.size ?? 0);
  const most = Math.min(total + MOST_MORE, MOST_ENTRIES);

  try {
    for await (const bytes of source.entries()) {
      const index = log.leaves.size;
      if (index >= most) {
        form.fail("the server", `goes on with entries after ${index}, beyond ${most < MOST_ENTRIES
          ? `the ${total} that it has by its own word` : "what a browser checks: that is for cryoflux verify"}`);
        break;
      }
      const leaf = await sha256(join(new Uint8Array([0]), bytes));
      await log.leaves.add(leaf);
      if (index + 1 === note?.size) log.rootThen = await log.leaves.root();
      await one(bytes, index, hex(leaf));
      log.last = hex(leaf);
      if (index % 64 === 0) progress(index, total);
    }
  } catch (error) {
    form.fail(`entry ${log.leaves.size}`, error.message);
  }
  const size = log.leaves.size;
  progress(size, total);

  async function one(bytes, index, leaf) {
    let entry;
    try {
      entry = readEntry(bytes);
    } catch (error) {
      form.fail(`entry ${index}`, error instanceof SyntaxError || error instanceof TypeError
        ? "cannot be read" : error.message);
      return;
    }
    const where = `entry ${index} (${entry.kind})`;
    if (!entry.known) form.open.push(`${where} is of a form that is not known here: what it says was not checked`);
    if (entry.said.sequence !== index) order.fail(where, `says that it is number ${entry.said.sequence}`);
    if (entry.said.prev !== log.last) order.fail(where, "names another entry before it");
    if (!index) log.logKey = entry.subject.find((one) => one.name === "log-public-key.der")?.digest?.sha256 ?? "";
    log.fork ||= entry.kind === "fork";
    await signature(entry, where);
    account(entry, where, leaf);
  }

  async function signature(entry, where) {
    const due = signers.due(entry);
    if (!due && !receiptKey) return;
    if (!due || entry.keyid !== due.id) {
      signed.fail(where, due ? `names key ${entry.keyid.slice(0, 16)}…, not ${due.id.slice(0, 16)}…`
        : "no key may sign it here");
    } else if (!keys.able) counts.unchecked += 1;
    else if (await keys.verifies(due.raw, entry.signature, pae(entry.payload))) counts.verified += 1;
    else signed.fail(where, "the signature does not match the payload");
    if (entry.kind.startsWith("key-")) {
      const wrong = await signers.apply(entry);
      if (wrong) signed.fail(where, wrong);
    }
  }

  function account(entry, where, leaf) {
    const said = entry.said;
    const id = said.task?.id ?? said.id; // of an attempt, or of a round
    if (entry.kind === "intent" || entry.kind === "round-intent") open.set(leaf, { id, where });
    if (entry.kind === "receipt" || entry.kind === "round") {
      counts[entry.kind === "round" ? "rounds" : "receipts"] += 1;
      const opened = open.get(said.intent);
      if (!opened) pairs.fail(where, "ends no attempt that was announced");
      else if (opened.id !== id) pairs.fail(where, "ends an attempt of another name");
      open.delete(said.intent);
    }
    try {
      const found = [];
      if (said.evaluation) found.push(sumsComplaint(said.evaluation, said.evaluation.read ?? said.holdout?.count, "Δ", true));
      if (said.training?.screen) found.push(sumsComplaint(said.training.screen, said.training.screen.count, "screen", false));
      if ((entry.kind === "receipt" || entry.kind === "round") && !said.energy) found.push("says no joules");
      if (entry.kind === "receipt" && said.outcome === "accepted" && !said.evaluation) found.push("was kept, and says no losses");
      if (said.energy) found.push(energyComplaint(said.energy));
      sums.count += found.length;
      for (const wrong of found) if (wrong) sums.fail(where, wrong);
    } catch {
      sums.fail(where, "its numbers cannot be read");
    }
  }

  form.good = size ? `${size} entries, each in its one spelling` : "";
  order.good = size ? `${size} entries, numbered from 0, each naming the hash of the one before` : "";
  await judgeTree();
  await judgeHead();
  judgeSignatures();
  judgePairs();
  if (sums.count) sums.good = `${sums.count} sums of losses and joules come out`;
  await judgeKnown();

  async function judgeTree() {
    if (!note) return tree.fail("the signed head", "is missing, or no signed note: entries may be missing at the end");
    if (size < note.size) {
      return tree.fail("the log", `the signed head covers ${note.size} entries, and only ${size} are here`);
    }
    const root = note.size ? log.rootThen : await sha256(new Uint8Array(0));
    if (!root || !same(root, note.root)) return tree.fail("the tree", "its root is not the one that was signed");
    if (size > note.size) tree.open.push(`${size - note.size} entries at the end are under no signed head yet`);
    tree.good = `the hashes of ${note.size} entries give the root ${toBase64(root)}, which is the signed one`;
  }

  async function judgeHead() {
    const raw = head.keys.log;
    if (!note || raw.length !== 32) return headSigned.fail("the signed head", "there is no head, or no log key, to check");
    const origin = `cryoflux.dev/${first.slice(0, 16)}`;
    if (!first || note.origin !== origin) headSigned.fail("the signed head", `is of log ${note.origin}, not ${origin}`);
    const id = await noteKeyId(note.origin, raw);
    const by = note.signatures.filter((one) => one.name === note.origin && same(one.id, id));
    if (!by.length) return headSigned.fail("the signed head", "is signed by another key than the log key");
    if (log.logKey && log.logKey !== (await keyIdOf(raw))) {
      return headSigned.fail("the log key", "is another one than the first entry vouches for");
    }
    if (!log.logKey && size) headSigned.open.push("the first entry vouches for no log key, as in older logs");
    if (!keys.able) return headSigned.open.push("this browser cannot check Ed25519");
    for (const one of by) {
      if (!(await keys.verifies(raw, one.signature, utf8.encode(note.text)))) {
        return headSigned.fail("the signed head", "its signature does not match its text");
      }
    }
    headSigned.good = `${note.origin}, ${note.size} entries, by the key that the first entry vouches for`;
  }

  function judgeSignatures() {
    if (!receiptKey) return signed.open.push("the server shows no receipt key");
    if (counts.unchecked) signed.open.push(`${counts.unchecked} not checked: this browser cannot check Ed25519`);
    const more = signers.used.size > 1 ? `, and ${signers.used.size - 1} that followed by rotation` : "";
    if (counts.verified) signed.good = `${counts.verified} by key ${first.slice(0, 16)}…, which the server brings${more}`;
    const missed = size - counts.verified - counts.unchecked;
    if (missed && !signed.bad.length) signed.open.push(`${missed} could not be read`);
  }

  function judgePairs() {
    for (const { where } of open.values()) pairs.open.push(`${where} has no receipt: its run goes on, or has died`);
    const rounds = counts.rounds ? ` and ${counts.rounds} rounds` : "";
    if (counts.receipts) pairs.good = `${counts.receipts} receipts${rounds}, each ends what was announced before it`;
  }

  async function judgeKnown() {
    const said = known.trim();
    if (!said) {
      told.open.push("nothing was given: whose log this is, this browser does not know");
      return;
    }
    const own = { "the receipt key": first, "the first 16 digits of it": first.slice(0, 16),
      "the log’s name": note?.origin ?? "", "the root": note ? toBase64(note.root) : "",
      "the root in hexadecimal": note ? hex(note.root) : "", "the last entry": log.last,
      "the log key": head.keys.log.length ? await keyIdOf(head.keys.log) : "" };
    const match = Object.entries(own).find(([, value]) => value && value === said.toLowerCase())
      ?? Object.entries(own).find(([, value]) => value && value === said);
    if (match) {
      told.good = `it is ${match[0]} of this log`;
      return;
    }
    const earlier = readNote(utf8.encode(said.endsWith("\n") ? said : `${said}\n`));
    if (earlier) return judgeEarlier(earlier);
    told.fail("what you gave", "is neither a key, the name nor the head of this log");
  }

  async function judgeEarlier(earlier) {
    if (earlier.size > size) return told.fail("your head", `covers ${earlier.size} entries; here are ${size}`);
    if (earlier.origin !== note?.origin) return told.fail("your head", `is of another log, ${earlier.origin}`);
    const then = new Tree();
    for await (const bytes of source.entries()) {
      if (then.size === earlier.size) break;
      await then.add(await sha256(join(new Uint8Array([0]), bytes)));
    }
    if (!same(await then.root(), earlier.root)) return told.fail("your head", "this log does not continue it");
    told.good = `this log continues the head of ${earlier.size} entries that you know`;
  }

  return { checks, size, able: keys.able, fork: log.fork };
}

// ---- from the server

// A server may send without end, or not at all: both have one.
async function answerOf(url) {
  try {
    const wanted = { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(ANSWER_MS) };
    const answer = await fetch(url, wanted);
    const bytes = await bytesOf(answer);
    if (!answer.ok) throw new Error(`the server cannot show it (${answer.status}): ${said(bytes)}`);
    return { bytes, count: answer.headers.get("X-Entries") };
  } catch (error) {
    if (error.name !== "TimeoutError") throw error;
    throw new Error(`the server did not end its answer within ${ANSWER_MS / 1000} s`);
  }
}

async function bytesOf(answer) {
  const parts = [];
  let size = 0;
  const reader = answer.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    parts.push(read.value);
    size += read.value.length;
    if (size > MOST_BYTES) {
      reader.cancel();
      throw new Error(`the server’s answer has more than ${MOST_BYTES / 1e6} MB, and was not read on`);
    }
  }
  return joined(parts);
}

function said(bytes) {
  const page = new DOMParser().parseFromString(new TextDecoder().decode(bytes), "text/html");
  return page.querySelector("h1")?.textContent ?? "no reason given";
}

export function fromServer(headUrl, entriesUrl) {
  return {
    async head() {
      const found = JSON.parse(text.decode((await answerOf(headUrl)).bytes));
      const bytes = (encoded) => fromBase64(String(encoded)) ?? new Uint8Array(0);
      const keys = { receipt: bytes(found.keys.receipt), log: bytes(found.keys.log) };
      return { checkpoint: bytes(found.checkpoint), keys, entries: Number(found.entries) || 0 };
    },
    async *entries() {
      for (let from = 0; ; ) {
        const answer = await answerOf(`${entriesUrl}?from=${from}`);
        const all = answer.bytes;
        const count = Number(answer.count);
        if (answer.count === null || !Number.isSafeInteger(count) || count < 0) throw new Error("the server does not say how many it sends");
        if (!count) return;
        let at = 0;
        for (let place = 0; place < count; place += 1) {
          const end = all.indexOf(10, at);
          if (end < 0) throw new Error("the answer was cut off");
          yield all.subarray(at, end);
          at = end + 1;
        }
        if (at !== all.length) throw new Error("has a line break in it, which no envelope has");
        from += count;
      }
    },
  };
}

// ---- the page

const MARKS = { ok: "✓", fail: "✗", unknown: "?", nothing: "–" };
const WORDS = { ok: "holds", fail: "fails", unknown: "open", nothing: "nothing to check" };

function element(name, words, kind) {
  const made = document.createElement(name);
  if (words) made.textContent = words;
  if (kind) made.className = kind;
  return made;
}

function verdictOf({ checks, size }) {
  const failed = checks.filter((check) => check.status === "fail").length;
  const left = checks.filter((check) => check.status === "unknown").length;
  if (failed) return `✗ It does not hold: ${failed} of ${checks.length} checks failed.`;
  if (!size) return "There is nothing to check yet.";
  if (left) {
    return `Nothing wrong was found; ${left} of ${checks.length} questions ${left === 1 ? "stays" : "stay"} open (?).`;
  }
  return `✓ All ${checks.length} checks hold, for ${size} entries.`;
}

function show(result, where, command) {
  const list = element("ol", "", "checks");
  for (const check of result.checks) {
    const row = element("li", "", `check ${check.status}`);
    const sign = element("span", MARKS[check.status], "sign");
    sign.setAttribute("aria-hidden", "true");
    const words = element("div");
    words.append(element("strong", check.name), " ", element("span", WORDS[check.status], "soft"),
      element("br"), check.detail);
    row.append(sign, element("span", String(check.number), "number"), words);
    list.append(row);
  }
  const parts = [element("h3", verdictOf(result)), list];
  if (!result.able) parts.push(element("p", `This browser cannot check signatures (Ed25519). Type: ${command}`, "banner"));
  const fork = result.fork ? "That it goes on from another log was not followed. " : "";
  parts.push(element("p", `${fork}Decisions, versions, files and losses were not checked here; whose key it is, only you know.`,
    "caption"));
  where.replaceChildren(...parts);
}

function begin(form) {
  const result = document.getElementById("check-result");
  const progress = document.getElementById("check-progress");
  const command = form.dataset.command;
  form.hidden = false;
  if (!globalThis.crypto?.subtle) {
    form.querySelector("button").disabled = true;
    const why = `A browser does this only for pages over https, or from this very machine. Type: ${command}`;
    result.replaceChildren(element("p", why, "banner"));
    return;
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    result.replaceChildren();
    try {
      const source = fromServer(form.dataset.head, form.dataset.entries);
      const known = document.getElementById("known").value;
      const tell = (done, total) => {
        progress.textContent = `${done} of ${total} entries`;
      };
      show(await checkLog(source, { known, progress: tell }), result, command);
    } catch (error) {
      result.replaceChildren(element("p", `It could not be checked: ${error.message}. Type: ${command}`, "banner"));
    }
    button.removeAttribute("aria-disabled");
  });
}

// While the server verifies, its result is fetched now and then.
async function follow() {
  const part = document.querySelector('[data-live="verdict"][data-running="yes"]');
  if (!part) return;
  await new Promise((done) => {
    setTimeout(done, 2000);
  });
  try {
    const answer = await fetch(location.href);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const name of ["verdict", "steps"]) {
      const here = document.querySelector(`[data-live="${name}"]`);
      const there = fresh.querySelector(`[data-live="${name}"]`);
      if (here && there) here.replaceWith(document.adoptNode(there));
      else if (there) document.querySelector('[data-live="verdict"]').after(document.adoptNode(there));
    }
  } catch {
    return;
  }
  follow();
}

const form = globalThis.document?.getElementById("check-form");
if (form) {
  begin(form);
  follow();
}
