// Keeps a page live: hears of what is new, asks for the same page again, and puts in what has changed.
// Everything here can fail; the page is whole without it.

const body = document.body;
const main = document.getElementById("main");
const offline = document.getElementById("offline");
const said = document.getElementById("said");
const AGAIN_MS = 5000;
let tag = null;
let place = null;
let asked = false;
let asking = false;
let events = null;
let timer = null;
let over = false;

async function refresh() {
  if (asking) {
    asked = true;
    return;
  }
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 200) {
      tag = answer.headers.get("ETag");
      replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
    if (!over) say(trouble(answer.status));
  } catch {
    // the stream says when the server is back
  } finally {
    asking = false;
    if (asked) {
      asked = false;
      setTimeout(refresh, 500);
    }
  }
}

function trouble(status) {
  if (status === 200 || status === 304) return "";
  if (status === 401) return "The server asks for its token: open the address that it has printed. What is shown is as of before.";
  return `The server cannot make this page now (${status}). What is shown is as of before.`;
}

function say(what) {
  said.hidden = !what;
  if (said.textContent !== what) said.textContent = what;
}

const named = (page) => [...page.querySelectorAll("[data-live]")].map((part) => part.dataset.live);

function replace(fresh) {
  const freshMain = fresh.getElementById("main");
  if (!freshMain) return;
  if (named(main).join() !== named(freshMain).join()) {
    // Another set of parts, such as after the first attempt: all of it is new.
    const kept = [...freshMain.children].filter((child) => child.id !== "offline" && child.id !== "said");
    keeping(main, () => main.replaceChildren(offline, said, ...kept.map((child) => document.adoptNode(child))));
  } else {
    for (const part of freshMain.querySelectorAll("[data-live]")) swap(part);
  }
  const footer = fresh.querySelector("footer");
  if (footer) document.querySelector("footer")?.replaceWith(document.adoptNode(footer));
}

function swap(part) {
  const here = main.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
  if (!here || "own" in here.dataset || here.outerHTML === part.outerHTML || typing(here)) return;
  keeping(here, () => {
    const put = document.adoptNode(part);
    here.replaceWith(put);
    return put;
  });
}

// Somebody writes or chooses there: it is put in later.
const typing = (here) => document.activeElement?.matches("input, select, textarea") && here.contains(document.activeElement);

// What somebody has opened, scrolled or reached by keyboard stays so.
function keeping(here, exchange) {
  const focused = here.contains(document.activeElement) ? way(document.activeElement, here) : null;
  const open = [...here.querySelectorAll("details[open]")].map((one) => way(one, here));
  const scrolled = [...here.querySelectorAll("*")]
    .filter((one) => one.scrollTop || one.scrollLeft)
    .map((one) => [way(one, here), one.scrollLeft, one.scrollTop]);
  const put = exchange() ?? here;
  for (const one of open) found(one, put)?.setAttribute("open", "");
  for (const [one, left, top] of scrolled) found(one, put)?.scrollTo(left, top);
  if (focused) found(focused, put)?.focus({ preventScroll: true });
}

// How an element is found again in a newer form: by its address or name, or else by its place.
function way(one, root) {
  for (const name of ["id", "href", "name", "data-key"]) {
    const value = one.getAttribute(name);
    if (value) return `${one.localName}[${name}="${CSS.escape(value)}"]`;
  }
  const peers = [...root.querySelectorAll(one.localName)];
  return [one.localName, peers.indexOf(one)];
}

const found = (how, root) => (typeof how === "string" ? root.querySelector(how) : root.querySelectorAll(how[0])[how[1]]);

function listen() {
  clearTimeout(timer);
  if (events || over) return;
  const since = place ?? `${body.dataset.size}.${document.getElementById("watts")?.dataset.since ?? ""}`;
  let lost = false;
  events = new EventSource(`${body.dataset.events}?since=${encodeURIComponent(since)}`);
  events.addEventListener("open", () => {
    offline.hidden = true;
    if (lost) refresh();
    lost = false;
  });
  events.addEventListener("error", () => {
    lost = true;
    if (over) return close();
    offline.hidden = false;
    if (events?.readyState === EventSource.CLOSED) {
      // It was refused, and a browser does not ask again by itself: the page says why.
      close();
      timer = setTimeout(listen, AGAIN_MS);
      refresh();
    }
  });
  const heard = (kind, then) =>
    events.addEventListener(kind, (event) => {
      place = event.lastEventId;
      then(JSON.parse(event.data));
    });
  // Of another state that lies there by now nothing is kept, neither a picture of watts.
  heard("log", (log) => (log.anew ? location.reload() : refresh()));
  heard("activity", () => document.querySelector("[data-now]") && refresh());
  heard("power", (power) => document.dispatchEvent(new CustomEvent("cryoflux-power", { detail: power })));
  heard("ended", async (end) => {
    if (end.closing) {
      over = true;
      close();
      offline.hidden = true;
      say(end.closing);
    }
    await refresh();
  });
}

function close() {
  events?.close();
  events = null;
}

// A tab that nobody sees holds no connection: a browser has six of them for a site.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    clearTimeout(timer);
    close();
  } else if (!over) {
    listen();
    refresh();
  }
});
listen();
