import { announce, plural, warn } from "./page.js";

// Relative times.

const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

const relative = (date, now) => {
  const minutes = Math.floor((now - date) / 60000);
  if (minutes < -1) return dayOfYear.format(date); // a loaded tweet with a future date
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`;
  if (minutes < 7 * 24 * 60) return plural(Math.floor(minutes / 60 / 24), "day");
  return (date.getFullYear() === now.getFullYear() ? day : dayOfYear).format(date);
};

const age = () => {
  const now = new Date();
  for (const time of document.querySelectorAll("article time, .notice time")) {
    const text = relative(new Date(time.dateTime), now);
    if (time.textContent !== text) time.textContent = text;
  }
};

// A button on each tweet that copies its address. Browsers allow that on https and localhost only.

const addCopyButtons = () => {
  if (!navigator.clipboard) return;
  for (const foot of document.querySelectorAll(".tweet-foot:not([data-copy])")) {
    foot.dataset.copy = "";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy link";
    foot.append(" ", button);
  }
};

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button.copy");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.closest("article").querySelector("a.when").href);
    button.textContent = "Copied";
    announce("Link copied");
  } catch {
    warn("The browser did not allow copying");
  }
});

export const decorate = () => {
  age();
  addCopyButtons();
  for (const tweet of document.querySelectorAll("article.tweet")) tweet.tabIndex = -1;
};
decorate();
setInterval(() => { if (!document.hidden) age(); }, 30000);
