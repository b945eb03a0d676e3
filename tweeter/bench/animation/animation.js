"use strict";
{
  const {arrivals, late, end, columns, moments} = JSON.parse(document.getElementById("recording").textContent);
  const part = (id) => document.getElementById(id);
  const FRESH = end / 60; // milliseconds for which a mark that has just received the tweet stands out
  const ordered = [...arrivals].sort((a, b) => a - b);
  const shape = (diamond, number) => {
    const x = number % columns * 10 + 1, y = Math.floor(number / columns) * 10 + 1;
    return diamond ? `M${x + 4} ${y}l4 4-4 4-4-4z` : `M${x} ${y}h8v8h-8z`;
  };
  const squares = arrivals.map((_, number) => shape(false, number));
  const shapes = arrivals.map((at, number) => shape(at >= late, number));
  const rows = [...document.querySelectorAll(".events tbody tr")];
  const when = (ms) => ms.toLocaleString("en", {maximumFractionDigits: 0}) + " ms";
  let now = end, frame = 0, before = 0;

  const having = (at) => { // a binary search
    let low = 0, high = ordered.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ordered[middle] <= at) low = middle + 1; else high = middle;
    }
    return low;
  };

  const draw = (at) => {
    now = Math.min(end, Math.max(0, at));
    const paths = {waiting: [], first: [], second: [], fresh: []};
    arrivals.forEach((arrival, number) => {
      if (arrival > now) paths.waiting.push(squares[number]);
      else if (now < end && now - arrival < FRESH) paths.fresh.push(shapes[number]);
      else paths[arrival < late ? "first" : "second"].push(shapes[number]);
    });
    for (const [id, shapes] of Object.entries(paths)) part(id).setAttribute("d", shapes.join(""));
    part("clip").setAttribute("width", 1000 * now / end);
    part("head").setAttribute("transform", `translate(${1000 * now / end})`);
    const reached = moments.filter(([at]) => at <= now).length;
    rows.forEach((row, number) => {
      row.classList.toggle("later", number >= reached);
      row.classList.toggle("now", now < end && number === reached - 1);
    });
    const share = `${having(now).toLocaleString("en")} of ${arrivals.length.toLocaleString("en")} watched timelines have the tweet`;
    part("moment").value = now;
    part("moment").setAttribute("aria-valuetext", `${when(now)}: ${share}`);
    part("status").textContent = `${when(now)}: ${share}. ${reached ? moments[reached - 1][1] + "." : ""}`;
  };

  const pause = () => {
    cancelAnimationFrame(frame);
    frame = 0;
    part("play").textContent = "Play";
  };

  const tick = (time) => {
    draw(now + (time - before) * Number(part("speed").value));
    before = time;
    if (now < end) frame = requestAnimationFrame(tick); else pause();
  };

  part("play").addEventListener("click", () => {
    if (frame) return pause();
    if (now >= end) draw(0);
    part("play").textContent = "Pause";
    before = performance.now();
    frame = requestAnimationFrame(tick);
  });
  part("step").addEventListener("click", () => {
    pause();
    if (now >= end) draw(0);
    else draw((moments.find(([at]) => at > now) || [end])[0]);
  });
  part("moment").addEventListener("input", (event) => {
    pause();
    draw(Number(event.target.value));
  });

  let shown = end; // while the page is printed, which shows the end
  addEventListener("beforeprint", () => {
    pause();
    shown = now;
    draw(end);
  });
  addEventListener("afterprint", () => draw(shown));

  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const prefer = () => {
    if (still.matches) pause();
    part("play").hidden = still.matches;
  };
  still.addEventListener("change", prefer);
  prefer();
  document.querySelector(".controls").hidden = false;
  draw(end);
}
