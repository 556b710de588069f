// Keeps a page live: hears of what is new, asks for the same page again, and puts in what has changed.
// Everything here can fail; the page is whole without it.

const body = document.body;
const offline = document.getElementById("offline");
let tag = null;
let asked = false;
let asking = false;
let events = null;

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

function replace(fresh) {
  const focused = document.activeElement?.closest("[data-live]");
  const where = document.activeElement?.getAttribute("href");
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const here = document.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
    if (here && here.outerHTML !== part.outerHTML) {
      here.replaceWith(document.adoptNode(part));
      if (here === focused && where) {
        part.querySelector(`[href="${CSS.escape(where)}"]`)?.focus({ preventScroll: true });
      }
    }
  }
  const footer = fresh.querySelector("footer");
  if (footer) document.querySelector("footer")?.replaceWith(document.adoptNode(footer));
}

function listen() {
  if (events) return;
  events = new EventSource(`${body.dataset.events}?since=${encodeURIComponent(body.dataset.size)}`);
  events.addEventListener("open", () => {
    offline.hidden = true;
  });
  events.addEventListener("error", () => {
    offline.hidden = false;
  });
  events.addEventListener("log", (event) => {
    body.dataset.size = event.lastEventId;
    refresh();
  });
}

// A tab that nobody sees holds no connection: a browser has six of them for a site.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    events?.close();
    events = null;
  } else {
    listen();
    refresh();
  }
});
listen();
