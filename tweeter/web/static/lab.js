// The lab works without this file. It shows the progress of jobs and the state of backends without reloading the page.

const LOOK_MS = 300;
const PATIENCE = 10; // failed looks in a row
const STATE_MS = 2000;

const announcer = document.body.appendChild(document.createElement("div"));
announcer.className = "sr";
announcer.setAttribute("role", "status");

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

const fetchPage = async (url) => {
  const response = await fetch(url, { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) throw new Error(`${url}: ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
};

// Update the running job until it has finished.

const look = async () => {
  const page = await fetchPage("/lab/progress");
  const fresh = page.querySelector("[data-job]");
  fresh.querySelector("[data-refresh]")?.parentElement.remove();
  document.querySelector("[data-job]").replaceWith(fresh);
  return fresh;
};

const watch = async () => {
  let failures = 0;
  while (document.querySelector("[data-job][data-running]") && failures < PATIENCE) {
    await sleep(LOOK_MS);
    if (document.hidden) continue;
    try {
      const job = await look();
      failures = 0;
      if (!job.matches("[data-running]")) announcer.textContent = job.querySelector("h2").textContent;
    } catch {
      failures += 1;
    }
  }
};

if (document.querySelector("[data-job][data-running]")) {
  document.querySelector("[data-refresh]")?.parentElement.remove();
  watch();
}

// Reload the backends when one becomes available or unavailable.

const follow = async () => {
  for (let shown; (shown = document.querySelector("[data-state]")); await sleep(STATE_MS)) {
    if (document.hidden) continue;
    try {
      const response = await fetch("/lab/state", { headers: { Accept: "application/json" } });
      if (response.redirected) return; // signed out
      if (!response.ok || (await response.json()).state === shown.dataset.state) continue;
      const fresh = (await fetchPage(location.href)).querySelector("[data-state]");
      const focused = shown.contains(document.activeElement);
      shown.replaceWith(fresh);
      if (focused) {
        fresh.tabIndex = -1;
        fresh.focus({ preventScroll: true });
      }
      announcer.textContent = fresh.dataset.state.split(" ").filter((each) => each.endsWith(":answers"))
        .map((each) => each.replace(":", " ")).join(", ");
    } catch {
      // The server may be restarting.
    }
  }
};

follow();
