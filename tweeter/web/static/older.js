import { announce, fetchPage, focusOn } from "./page.js";
import { decorate } from "./tweets.js";

// Appends the next page to a list. Returns its new items.
const loadOlder = async (link) => {
  const list = link.closest("nav").previousElementSibling;
  const page = await fetchPage(link.href);
  const known = new Set(Array.from(list.querySelectorAll("[data-tweet-id]"), (tweet) => tweet.dataset.tweetId));
  const kind = ["[data-people]", "[data-notices]"].find((each) => list.matches(each)) ?? "[data-timeline]";
  const found = [...(page.querySelector(kind)?.children ?? [])];
  const more = found.filter((item) => !known.has(item.dataset.tweetId));
  if (!more.length && page.querySelector("a[data-older]")) throw new Error("open the page to see why it is empty");
  list.append(...more);
  decorate();
  const next = page.querySelector("a[data-older]");
  const what = kind === "[data-timeline]" ? "more tweets" : "more";
  if (next) {
    link.href = next.getAttribute("href");
  } else {
    const end = document.createElement("p");
    end.className = "end";
    end.textContent = "That is all.";
    link.closest("nav").replaceWith(end);
  }
  announce(`${more.length} ${what}${next ? "" : ". That is all."}`);
  return more;
};

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-older]");
  if (!link?.closest("nav").previousElementSibling) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  if (link.hasAttribute("aria-busy")) return;
  link.setAttribute("aria-busy", "true");
  try {
    const more = await loadOlder(link);
    if (more.length) focusOn(more[0]);
  } catch {
    location.assign(link.href);
  } finally {
    link.removeAttribute("aria-busy");
  }
});

// The place in a list of tweets. Browsers keep no page for signed-in users, so Back and Reload load it again: the same
// tweet appears at the same place, and the pages up to it are loaded again.

const place = `place ${location.pathname}${location.search}`;
const tweets = () => [...document.querySelectorAll("[data-timeline] > [data-tweet-id]")];

if (tweets().length) {
  history.scrollRestoration = "manual";
  addEventListener("pagehide", () => {
    const first = scrollY > 0 && tweets().find((tweet) => tweet.getBoundingClientRect().bottom > 0);
    if (!first) return sessionStorage.removeItem(place);
    const { top } = first.getBoundingClientRect();
    sessionStorage.setItem(place, JSON.stringify({ id: first.dataset.tweetId, top, shown: tweets().length }));
  });
  const kept = JSON.parse(sessionStorage.getItem(place));
  const [entry] = performance.getEntriesByType("navigation");
  if (kept && !location.hash && ["back_forward", "reload"].includes(entry?.type)) {
    const find = () => tweets().find((tweet) => tweet.dataset.tweetId === kept.id);
    try {
      let link = document.querySelector("a[data-older]");
      while (!find() && link && tweets().length < kept.shown) {
        await loadOlder(link);
        link = document.querySelector("a[data-older]");
      }
      announce("");
    } catch { /* the page stays at what is loaded */ }
    const found = find();
    if (found) scrollBy({ top: found.getBoundingClientRect().top - kept.top, behavior: "instant" });
  }
}
