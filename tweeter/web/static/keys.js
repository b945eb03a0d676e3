import { announce } from "./page.js";

// Keys, while no field has the focus: "/" for the search box, "n" for a new tweet or a reply; "j" and "k" for the next and
// the previous tweet; there "l" likes, "t" reposts and "r" replies. The settings turn them off in this browser.

const KEYS = "keys"; // in localStorage: "off", or nothing
const keysChoice = document.querySelector("[data-keys]");
if (keysChoice) {
  const box = keysChoice.querySelector("input");
  box.checked = localStorage.getItem(KEYS) !== "off";
  box.addEventListener("change", () => {
    if (box.checked) localStorage.removeItem(KEYS);
    else localStorage.setItem(KEYS, "off");
    announce(`Keys are ${box.checked ? "on" : "off"}`);
  });
  keysChoice.hidden = false;
}

const focusField = () => { if (location.hash === "#message") document.querySelector("#message")?.focus(); };
focusField();

const reply = (tweet) => {
  location.assign(tweet.querySelector("a.reply").href.replace("#reply", "#message"));
  focusField(); // if the form is on this page
};

// The tweet that has the focus, or contains what has it.
const current = () => document.activeElement?.closest("article.tweet");

const goBy = (by) => {
  const all = [...document.querySelectorAll("article.tweet")];
  const top = document.querySelector(".bar").getBoundingClientRect().bottom;
  const inView = all.findIndex((tweet) => tweet.getBoundingClientRect().bottom > top);
  const next = all[current() ? all.indexOf(current()) + by : inView];
  next?.focus({ preventScroll: true });
  next?.scrollIntoView({ block: "nearest" });
};

const KEYS_OF_TWEETS = {
  j: () => goBy(1),
  k: () => goBy(-1),
  l: () => current()?.querySelector("button.like")?.click(),
  t: () => current()?.querySelector("button.repost")?.click(),
  r: () => { if (current()) reply(current()); },
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (localStorage.getItem(KEYS) === "off") return;
  if (Object.hasOwn(KEYS_OF_TWEETS, event.key)) {
    KEYS_OF_TWEETS[event.key]();
    return;
  }
  const key = `[aria-keyshortcuts="${event.key === "/" || event.key === "n" ? event.key : ""}"]`;
  const target = [...document.querySelectorAll(key)].find((element) => element.checkVisibility?.() ?? true);
  if (!target) return;
  event.preventDefault();
  if (target.href) target.click();
  else target.focus();
});
