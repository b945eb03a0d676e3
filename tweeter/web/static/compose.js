import { announce, plural } from "./page.js";

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
