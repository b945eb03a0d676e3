import { POLL_SECONDS } from "./news.js";
import { at, capped } from "./page.js";

// People to follow, in the right column of wide screens.

const suggestions = document.querySelector("[data-suggestions]");

if (suggestions?.parentElement.checkVisibility?.()) {
  fetch(suggestions.dataset.suggestions, { headers: { Accept: "text/html" } })
    .then((response) => (response.ok && !response.redirected ? response.text() : ""))
    .then((text) => {
      const { body } = new DOMParser().parseFromString(text, "text/html");
      suggestions.append(...body.children);
      suggestions.hidden = !suggestions.childElementCount;
    })
    .catch(() => { /* no suggestions */ });
}

// The number of mentions since this browser last showed the page of mentions; at most one request in half a minute.

const timeline = document.querySelector("[data-poll]");
const mentions = document.querySelector("[data-mentions]");

if (mentions) {
  const key = `${at("/").pathname.slice(1)}mentions ${mentions.dataset.mentions}`;
  const show = (count) => {
    if (!count) return;
    const number = document.createElement("span");
    number.className = "number";
    number.textContent = capped(count);
    const words = number.appendChild(document.createElement("span"));
    words.className = "sr";
    words.textContent = " new";
    mentions.append(" ", number);
  };
  if (timeline && location.pathname === at("/mentions").pathname) {
    localStorage.setItem(key, new URLSearchParams(timeline.dataset.poll.split("?")[1]).get("since"));
    sessionStorage.removeItem(key);
  } else {
    const known = JSON.parse(sessionStorage.getItem(key)) ?? { date: 0 };
    if (Date.now() - known.date < POLL_SECONDS * 1000) {
      show(known.count);
    } else {
      const since = localStorage.getItem(key) ?? 0;
      fetch(at(`/newer?timeline=mentions&since=${since}`), { headers: { Accept: "application/json" } })
        .then((response) => (response.ok ? response.json() : { count: 0 }))
        .then(({ count }) => {
          sessionStorage.setItem(key, JSON.stringify({ count, date: Date.now() }));
          show(count);
        })
        .catch(() => { /* no number */ });
    }
  }
}
