import { readAfterActs } from "./acts.js";
import { announce, capped, fetchPage, focusOn, noun, title } from "./page.js";
import { decorate } from "./tweets.js";

// New tweets. A site with streams says when there is one; without a stream the page polls, and most responses are 304.
// Hidden tabs do neither: a browser keeps few connections to a site.

let timeline = document.querySelector("[data-poll]");
const live = "live" in document.body.dataset;
export const POLL_SECONDS = Number(document.body.dataset.pollSeconds ?? 30); // 1 with the lab
const news = new Set(); // ids of entries, from the stream and from polls

const showNews = (count) => {
  const button = document.querySelector(".news") ?? document.createElement("button");
  const words = `${capped(count)} new ${noun(count, "tweet")}`;
  if (button.textContent === words) return;
  button.type = "button";
  button.className = "news";
  button.textContent = words;
  timeline.before(button);
  document.title = `(${capped(count)}) ${title}`;
  announce(words);
};

const hideNews = () => {
  document.querySelector(".news")?.remove();
  document.title = title;
};

const loadNews = async () => {
  try {
    let shown = [];
    const page = await readAfterActs(() => {
      shown = [...news];
      return fetchPage(timeline.dataset.page);
    });
    const fresh = page.querySelector("[data-poll]");
    timeline.replaceChildren(...fresh.children);
    timeline.dataset.poll = fresh.dataset.poll;
    const pager = page.querySelector(".pager");
    const old = document.querySelector(".pager, .end");
    if (pager && old) old.replaceWith(pager);
    else if (pager) timeline.after(pager);
    for (const id of shown) news.delete(id);
    hideNews();
    if (news.size) showNews(news.size);
    decorate();
    if (timeline.firstElementChild) focusOn(timeline.firstElementChild);
    window.scrollTo({ top: 0 });
  } catch {
    location.assign(timeline.dataset.page);
  }
};

let waiting = 0;
let stream = null;
const poll = async () => {
  clearTimeout(waiting);
  if (!timeline || document.hidden) return;
  let again = POLL_SECONDS;
  try {
    const url = timeline.dataset.poll;
    const response = await fetch(`${url}${live ? "&ids=1" : ""}`, { headers: { Accept: "application/json" } });
    if (response.status === 401) { // signed out: stop polling
      stream?.close();
      return;
    }
    if (response.ok) {
      const { count, ids = [] } = await response.json();
      if (url === timeline?.dataset.poll) { // otherwise the page has loaded what the response counts
        for (const id of ids) news.add(id);
        if (live ? news.size : count) showNews(live ? news.size : count);
      }
      if (stream?.readyState === EventSource.OPEN) again *= 10; // events may be lost
    } else {
      again *= 4;
    }
  } catch {
    again *= 4;
  }
  clearTimeout(waiting);
  waiting = setTimeout(poll, again * 1000);
  if (stream?.readyState === EventSource.CLOSED) listen(); // the site or Pushpin did not answer
};
// For what a page that was just loaded lacks: it may lag behind by a second.
const pollSoon = () => {
  clearTimeout(waiting);
  waiting = setTimeout(poll, 1500);
};
const listen = () => {
  stream?.close();
  stream = null;
  if (!timeline || !live || document.hidden) return;
  stream = new EventSource(timeline.dataset.poll.replace("/newer?", "/live?"));
  stream.addEventListener("open", pollSoon); // for what came before, also after a lost connection
  stream.addEventListener("update", ({ data }) => { news.add(data); showNews(news.size); });
  stream.addEventListener("delete", ({ data }) => {
    if (!news.delete(data)) return;
    if (news.size) showNews(news.size);
    else hideNews();
  });
};
document.addEventListener("visibilitychange", () => { listen(); poll(); });
document.addEventListener("timelinechange", () => { // a block began or ended
  timeline = document.querySelector("[data-poll]");
  news.clear();
  hideNews();
  listen();
  pollSoon();
});
document.addEventListener("click", (event) => {
  if (event.target.closest(".news")) loadNews().then(() => { if (live) pollSoon(); });
});
addEventListener("pagehide", () => stream?.close());
waiting = setTimeout(poll, POLL_SECONDS * 1000);
listen();
