import { announce, at, focusOn, load, noun, warn } from "./page.js";
import { decorate } from "./tweets.js";

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

// Reads a page that has all acts. It reads again after a click in between, because the page may be from before it.
export const readAfterActs = async (read) => {
  let page, turn;
  do {
    await Promise.all(Array.from(acts.values(), ({ sent }) => sent));
    turn = settling;
    page = await read();
  } while (turn !== settling);
  return page;
};
