// What all modules use: addresses of the site, words for counts, announcements, and other pages of the site.

// The address of a path of the site, which may be mounted below a path. This file is in /static/.
export const at = (path) => new URL(`..${path}`, import.meta.url);

export const noun = (n, one) => `${one}${n === "1" || n === 1 ? "" : "s"}`;
export const plural = (n, one) => `${n} ${noun(n, one)}`;
export const capped = (count) => (count >= 100 ? "99+" : count);

// Announces a text to screen readers.
const announcer = document.body.appendChild(document.createElement("div"));
announcer.className = "sr";
announcer.setAttribute("role", "status");
export const announce = (text) => { announcer.textContent = text; };

// Tells everybody of a failure, for some seconds.
let warned = 0;
export const warn = (text) => {
  announce(text);
  announcer.className = "warning";
  clearTimeout(warned);
  warned = setTimeout(() => { announcer.className = "sr"; }, 8000);
};

// Another page of the site. Throws if the response is an error or a redirect, for example to the sign-in page.
export const load = async (url) => {
  const response = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-cache" });
  if (!response.ok || response.redirected) throw new Error(`${url}: ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
};

export const focusOn = (element) => {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
};

// The title, without a number of new tweets before it.
export let title = document.title;
document.addEventListener("timelinechange", () => { title = document.title; });

// The same page again, or its next one.
export const fetchPage = async (url) => {
  const page = await load(url);
  if (page.title !== title) throw new Error(`${url} has another title`); // for example after signing out
  return page;
};
