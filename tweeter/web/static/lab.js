// The lab works without this file. It shows the progress of jobs and the state of backends without reloading the page.

import { announce, at, focusOn, load } from "./page.js";

const LOOK_MS = 300;
const PATIENCE = 10; // failed looks in a row
const STATE_MS = 1000;

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// Update the running job until it has finished.

const look = async () => {
  const page = await load(at("/lab/progress"));
  for (const kind of ["[data-job]", "[data-outage]"]) {
    const shown = document.querySelector(`${kind}[data-running]`);
    if (!shown) continue;
    const fresh = page.querySelector(kind);
    fresh.querySelector("[data-refresh]")?.parentElement.remove();
    shown.replaceWith(fresh);
    if (!fresh.matches("[data-running]")) announce(fresh.querySelector("h2").textContent);
  }
};

const watch = async () => {
  let failures = 0;
  while (document.querySelector("[data-running]") && failures < PATIENCE) {
    await sleep(LOOK_MS);
    if (document.hidden) continue;
    try {
      await look();
      failures = 0;
    } catch {
      failures += 1;
    }
  }
};

if (document.querySelector("[data-running]")) {
  document.querySelector("[data-refresh]")?.parentElement.remove();
  watch();
}

// Reload the backends when one becomes available or unavailable.

const follow = async () => {
  for (let shown; (shown = document.querySelector("[data-state]")); await sleep(STATE_MS)) {
    if (document.hidden) continue;
    try {
      const response = await fetch(at("/lab/state"), { headers: { Accept: "application/json" } });
      if (response.redirected) return; // signed out
      if (!response.ok) continue;
      const { state, pages } = await response.json();
      for (const [name, text] of Object.entries(pages)) {
        const seen = document.querySelector(`[data-pages="${name}"]`);
        if (seen && text) seen.textContent = text;
      }
      if (state === shown.dataset.state) continue;
      const fresh = (await load(location.href)).querySelector("[data-state]");
      const focused = shown.contains(document.activeElement);
      shown.replaceWith(fresh);
      if (focused) focusOn(fresh);
      announce(fresh.dataset.state.split(" ").filter((each) => each.endsWith(":answers"))
        .map((each) => each.replace(":", " ")).join(", "));
    } catch {
      // The server may be restarting.
    }
  }
};

follow();
