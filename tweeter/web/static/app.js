// Tweeter works without this file. It adds a character counter, relative times, links to copy, keys, the number of new
// mentions, people to follow, polling for new tweets, acts (reposts, likes, follows, …) without a reload, and older tweets
// that are loaded into the page and are there again after Back.

// The address of a path of the site, which may be mounted below a path. This file is in /static/.
const at = (path) => new URL(`..${path}`, import.meta.url);

const noun = (n, one) => `${one}${n === "1" || n === 1 ? "" : "s"}`;
const plural = (n, one) => `${n} ${noun(n, one)}`;

// Announces a text to screen readers.
const announcer = document.body.appendChild(document.createElement("div"));
announcer.className = "sr";
announcer.setAttribute("role", "status");
const announce = (text) => { announcer.textContent = text; };

// Tells everybody of a failure, for some seconds.
let warned = 0;
const warn = (text) => {
  announce(text);
  announcer.className = "warning";
  clearTimeout(warned);
  warned = setTimeout(() => { announcer.className = "sr"; }, 8000);
};

// The character counter. It counts like the server: cleans the text, then counts grapheme clusters (8 code points each).

const segmenter = "Segmenter" in Intl ? new Intl.Segmenter() : null;
const unwanted = /(?!\n)[\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]/gu;
const unseen = String.raw`[\s\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{M}\u2800\ufffc\u{1d159}\u{13441}\u{13442}]`;
const nothingSeen = new RegExp(`^${unseen}*$`, "u");
const blankLines = new RegExp(`\\n(?:(?:(?!\\n)${unseen})*\\n)+`, "gu");
const blankBeginning = new RegExp(`^${unseen}*\\n`, "u");
const blankEnd = new RegExp(`\\n${unseen}*$`, "u");

const countCharacters = (text) => {
  const clean = text.replace(/\r\n?/g, "\n").replace(/\t/g, " ").normalize("NFC").replace(unwanted, "");
  if (nothingSeen.test(clean)) return 0;
  const kept = clean.replace(blankLines, "\n\n").replace(blankBeginning, "").replace(blankEnd, "").trim();
  const codePoints = [...kept];
  return Math.max([...(segmenter ? segmenter.segment(kept) : codePoints)].length, Math.ceil(codePoints.length / 8));
};

for (const field of document.querySelectorAll("[data-limit]")) {
  const area = field.querySelector("textarea");
  const left = field.querySelector(".left");
  const update = () => {
    const n = Number(field.dataset.limit) - countCharacters(area.value);
    left.firstElementChild.textContent = n;
    left.classList.toggle("few", n >= 0 && n <= 20);
    left.classList.toggle("over", n < 0);
    return n;
  };
  area.addEventListener("input", () => {
    const n = update();
    // Announcing every key press would be too much.
    if (n === 20 || n === 10 || n === 0) announce(`${plural(n, "character")} left`);
    else if (n === -1) announce("Too long");
  });
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) area.form.requestSubmit();
  });
  update();
  left.hidden = false;
}

// Submit each form only once, even if its button is pressed again.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

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

// Acts: reposts and likes, follows, mutes, blocks and entries of lists change at once, wherever they are on the page. If
// the server does not accept one, it is undone. An act is its key, whether it is done or undone, how to show either, and
// the page that tells what the server made of it.

const ACTS = { repost: ["Repost", "Undo repost"], like: ["Like", "Unlike"] };

const isPressed = (button) => button.getAttribute("aria-pressed") === "true";

const showActOnTweet = (id, kind, on) => {
  for (const button of document.querySelectorAll(`[data-tweet-id="${id}"] button.${kind}`)) {
    if (isPressed(button) === on) continue;
    const [name, number, unit] = button.querySelectorAll("span");
    const count = Math.max(0, Number(number.textContent) + (on ? 1 : -1));
    button.setAttribute("aria-pressed", on);
    button.formAction = button.formAction.replace(/[a-z]+$/, `${on ? "un" : ""}${kind}`);
    name.textContent = ACTS[kind][Number(on)];
    number.textContent = count || "";
    unit.textContent = count ? ` ${noun(count, kind)}` : "";
    const tally = document.querySelector(`.tallies a[href$="/tweets/${id}/${kind}s"]`);
    if (!tally) continue;
    tally.parentElement.hidden = !count;
    tally.firstElementChild.textContent = count;
    tally.lastElementChild.textContent = noun(count, kind);
  }
};

const actOnTweet = (button) => {
  if (!button.matches(".act")) return null;
  const id = button.closest("article").dataset.tweetId;
  const kind = button.classList.contains("like") ? "like" : "repost";
  return { key: `${kind} ${id}`, on: !isPressed(button), show: (on) => showActOnTweet(id, kind, on) };
};

const label = (button, verb, outline) => {
  button.firstChild.data = verb[0].toUpperCase() + verb.slice(1);
  button.classList.toggle("outline", outline);
};

const formsOf = (name, kind) =>
  [...document.querySelectorAll(`form:is([action$="/${name}/${kind}"], [action$="/${name}/un${kind}"])`)];

const step = (link, by) => {
  if (!link) return;
  const number = link.firstElementChild;
  const count = Math.max(0, Number(number.textContent.replaceAll(",", "")) + by);
  number.textContent = count.toLocaleString("en-GB");
  if (link.href.endsWith("/followers")) link.lastChild.data = ` ${noun(count, "follower")}`;
};

// What a block hides: on a profile all below its head, on the page of a tweet everything.
const behindBlock = (page) => {
  const all = [...page.querySelector("main").children];
  return all.slice(all.findIndex((element) => element.matches(".profile")) + 1);
};
const isBlocked = (page) => page.querySelector("main > .apart") !== null;
const isAbout = (name) => document.querySelector(`:is(.profile, .apart) form[action*="/${name}/"]`) !== null;

const showActOnPerson = (name, kind, on) => {
  const verb = `${on ? "un" : ""}${kind}`;
  const forms = formsOf(name, kind).filter((form) => !form.getAttribute("action").endsWith(`/${verb}`));
  for (const form of forms) {
    const button = form.querySelector("button");
    form.setAttribute("action", form.getAttribute("action").replace(/[a-z]+$/, verb));
    label(button, verb, on || kind === "mute");
    button.classList.toggle("danger", kind === "block" && !on);
  }
  if (!forms.length) return;
  if (kind === "follow") {
    step(document.querySelector(`.counts a[href$="/${name}/followers"]`), on ? 1 : -1);
    step(document.querySelector('.you .counts a[href$="/following"]'), on ? 1 : -1);
  } else if (kind === "block") {
    const hidden = [...formsOf(name, "follow"), ...(isAbout(name) ? behindBlock(document) : [])];
    for (const element of hidden) element.hidden = !element.hidden;
  }
};

const actOnPerson = (form) => {
  const [, profile, un, kind] = /^(.*\/@\w+)\/(un)?(follow|mute|block)$/.exec(form.getAttribute("action")) ?? [];
  if (!profile) return null;
  const name = profile.split("/").at(-1);
  return { key: `${kind} ${name}`, on: !un, show: (on) => showActOnPerson(name, kind, on), page: profile };
};

const showMember = (form, on) => {
  const button = form.querySelector("button");
  const words = button.querySelector("span");
  label(button, on ? "remove" : "add", on);
  form.elements.action.value = on ? "remove" : "add";
  words.textContent = words.textContent.replace(/ (to|from) /, on ? " from " : " to ");
};

const actOnList = (form) => {
  const list = form.getAttribute("action");
  const { action, username } = form.elements;
  if (!list?.endsWith("/members") || !username) return null;
  const typed = username.value;
  const act = { key: `${list} ${typed}`, on: action.value === "add" };
  if (username.type === "hidden") return { ...act, show: (on) => showMember(form, on) };
  return { ...act, show: (on) => { username.value = on ? "" : typed; }, page: location.href };
};

// What the server says about a request that it does not accept, for example that the author blocked the reader.
const reasonOf = async (response) => {
  const again = "That failed and was undone. Please try again.";
  if (!response || response.status >= 500) return again;
  const page = new DOMParser().parseFromString(await response.text().catch(() => ""), "text/html");
  return page.querySelector(".oops h1 + p, .flash.bad, .error")?.textContent ?? again;
};

// By key: the requests under way, in the order of the clicks, their number, and what the server has. Those of other
// tweets and people do not wait for them, because a page that is left sends no more.
const acts = new Map();
const unsure = new Set(); // the addresses of pages that tell what the server has
let settling = 0;

const load = async (url) => {
  const response = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-cache" });
  if (!response.ok || response.redirected) throw new Error(`${url}: ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
};

const focusOn = (element) => {
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
};

// Takes the buttons and counts from another page that has them.
const showParts = (page) => {
  for (const fresh of page.querySelectorAll("[data-part]")) {
    for (const shown of document.querySelectorAll(`[data-part="${fresh.dataset.part}"]`)) {
      if (shown.textContent.trim() === fresh.textContent.trim()) continue;
      const focused = shown.contains(document.activeElement);
      const part = document.importNode(fresh, true);
      shown.replaceWith(part);
      const button = part.querySelector("button");
      if (focused && button) button.focus();
      else if (focused) focusOn(part.parentElement);
    }
  }
};

const showBehindBlock = (page) => {
  for (const element of behindBlock(document)) element.remove();
  document.querySelector("main").append(...behindBlock(page));
  document.title = page.title;
  decorate();
  document.dispatchEvent(new Event("timelinechange"));
  if (document.activeElement === document.body) focusOn(document.querySelector("h1"));
};

// After the first follow there the home page has tweets.
const emptyHome = () => location.pathname === at("/").pathname && document.querySelector("main .empty");
const showHome = (empty, page) => {
  const tweets = page.querySelector("[data-poll]");
  if (!tweets) return;
  empty.replaceWith(tweets, ...page.querySelectorAll("main .pager"));
  decorate();
  document.dispatchEvent(new Event("timelinechange"));
};

// When all acts are answered, the page shows what the server has. An act since then makes that a later turn's work, also
// if it is answered already: what is loaded may be from before it.
const settle = async () => {
  settling += 1;
  const turn = settling;
  for (const url of unsure) {
    const page = await load(url).catch(() => null);
    const changed = page && isAbout(url.split("/").at(-1)) && isBlocked(page) !== isBlocked(document);
    const empty = emptyHome();
    const whole = (changed || empty) && await load(location.href).catch(() => null);
    if (turn !== settling) return;
    unsure.delete(url);
    if (page) showParts(page);
    if (whole && empty) showHome(empty, whole);
    else if (whole) showBehindBlock(whole);
  }
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const form = button?.form;
  const signedIn = document.forms.act;
  const act = form && signedIn && (actOnTweet(button) ?? actOnPerson(form) ?? actOnList(form));
  if (!act) return;
  event.preventDefault();
  if (!form.reportValidity()) return;
  const { key, on, show, page } = act;
  const url = button.getAttribute("formaction") ?? form.getAttribute("action");
  const request = { method: "POST", headers: { Accept: "application/json" }, redirect: "manual", keepalive: true };
  request.body = new FormData(form);
  const queue = acts.get(key) ?? { sent: Promise.resolve(), requests: 0, done: !on };
  acts.set(key, queue);
  queue.requests += 1;
  settling += 1;
  show(on);
  queue.sent = queue.sent.then(async () => {
    const response = await fetch(url, request).catch(() => null);
    queue.requests -= 1;
    if (!queue.requests) acts.delete(key);
    if (page) unsure.add(page);
    if (response?.ok) {
      queue.done = on;
      if (response.status === 200) announce((await response.json()).message);
    } else {
      if (!queue.requests) show(queue.done); // otherwise a later click decides
      if (response?.type === "opaqueredirect") form.requestSubmit(button); // to the sign-in page, as without a script
      else warn(await reasonOf(response));
    }
    if (!acts.size) await settle();
  });
});

const decorate = () => {
  age();
  addCopyButtons();
  for (const tweet of document.querySelectorAll("article.tweet")) tweet.tabIndex = -1;
};
decorate();
setInterval(() => { if (!document.hidden) age(); }, 30000);

// Fetch a page of tweets and take its articles.

let title = document.title;

const fetchPage = async (url) => {
  const page = await load(url);
  if (page.title !== title) throw new Error(`${url} has another title`); // for example after signing out
  return page;
};

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
      announcer.textContent = "";
    } catch { /* the page stays at what is loaded */ }
    const found = find();
    if (found) scrollBy({ top: found.getBoundingClientRect().top - kept.top, behavior: "instant" });
  }
}

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

// New tweets. A site with streams says when there is one; without a stream the page polls, and most responses are 304.
// Hidden tabs do neither: a browser keeps few connections to a site.

let timeline = document.querySelector("[data-poll]");
const live = "live" in document.body.dataset;
const POLL_SECONDS = Number(document.body.dataset.pollSeconds ?? 30); // 1 with the lab
const news = new Set(); // ids of entries, from the stream and from polls

const showNews = (count) => {
  const button = document.querySelector(".news") ?? document.createElement("button");
  const words = `${count >= 100 ? "99+" : count} new ${count === 1 ? "tweet" : "tweets"}`;
  if (button.textContent === words) return;
  button.type = "button";
  button.className = "news";
  button.textContent = words;
  timeline.before(button);
  document.title = `(${count >= 100 ? "99+" : count}) ${title}`;
  announce(words);
};

const hideNews = () => {
  document.querySelector(".news")?.remove();
  document.title = title;
};

const loadNews = async () => {
  try {
    let shown, page, turn;
    do { // once more after a click in between, because the page may be from before it
      await Promise.all(Array.from(acts.values(), ({ sent }) => sent));
      turn = settling;
      shown = [...news];
      page = await fetchPage(timeline.dataset.page);
    } while (turn !== settling);
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
  title = document.title;
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

const mentions = document.querySelector("[data-mentions]");

if (mentions) {
  const key = `${at("/").pathname.slice(1)}mentions ${mentions.dataset.mentions}`;
  const show = (count) => {
    if (!count) return;
    const number = document.createElement("span");
    number.className = "number";
    number.textContent = count >= 100 ? "99+" : count;
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
