// The lab works without this file. With it, what is under way is looked at again and again until it is done.

const LOOK_MS = 300;
const PATIENCE = 10; // failed looks in a row

const announcer = document.body.appendChild(document.createElement("div"));
announcer.className = "sr";
announcer.setAttribute("role", "status");

const look = async () => {
  const response = await fetch("/lab/progress", { headers: { Accept: "text/html" } });
  if (!response.ok || response.redirected) throw new Error(`progress: ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const fresh = page.querySelector("[data-job]");
  fresh.querySelector("[data-refresh]")?.parentElement.remove();
  document.querySelector("[data-job]").replaceWith(fresh);
  return fresh;
};

const watch = async () => {
  let failures = 0;
  while (document.querySelector("[data-job][data-running]") && failures < PATIENCE) {
    await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
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
