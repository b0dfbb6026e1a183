// Search and filters. Without this script everything is listed; with it, what is not wanted is hidden.
"use strict";

const element = (id) => document.getElementById(id);

const wordsOf = (text) => text.toLowerCase().split(/\s+/).filter(Boolean);

const holdsAll = (text, words) => words.every((word) => text.includes(word));

const counted = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;

// The count is said when typing pauses: a screen reader would otherwise speak with every letter.
function later(action) {
  let waiting = 0;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(action, 120);
  };
}

function listen(form, show) {
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", later(show));
  form.addEventListener("change", show);
  form.addEventListener("reset", () => setTimeout(show));
  show(); // a page that comes back from the browser's history keeps what was typed
}

const LISTED = { concept: "concept", question: "question", term: "word", reading: "reading" };

function searchNetworks(form) {
  const rows = [...document.querySelectorAll("#networks tbody tr")];
  const texts = new Map(ATLAS.filter((entry) => entry.kind === "network").map((entry) => [entry.key, entry.words]));
  const others = ATLAS.filter((entry) => entry.kind in LISTED);
  const within = (value, limit) => !limit || Number(value) <= Number(limit);

  const wanted = (row, words) => {
    const { name, family, year, task, params, macs } = row.dataset;
    return (
      holdsAll(texts.get(name), words) &&
      (!form.family.value || family === form.family.value) &&
      (!form.task.value || task === form.task.value) &&
      year >= form.since.value &&
      year <= form.until.value &&
      within(params, form.params.value) &&
      within(macs, form.macs.value)
    );
  };

  listen(form, () => {
    const words = wordsOf(form.q.value);
    let networks = 0;
    for (const row of rows) {
      row.hidden = !wanted(row, words);
      networks += row.hidden ? 0 : 1;
    }
    const found = words.length ? others.filter((entry) => holdsAll(entry.words, words)) : [];
    found.sort((a, b) => holdsAll(b.title.toLowerCase(), words) - holdsAll(a.title.toLowerCase(), words));
    const kinds = Object.entries(LISTED)
      .map(([kind, name]) => [found.filter((entry) => entry.kind === kind).length, name])
      .filter(([number]) => number);
    element("count").textContent = [[networks, "network"], ...kinds].map((each) => counted(...each)).join(", ");
    showFound(found.slice(0, 24));
  });
}

function showFound(entries) {
  const items = entries.map((entry) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    const note = document.createElement("span");
    link.href = entry.url;
    link.textContent = entry.title;
    note.className = "note";
    note.textContent = `${LISTED[entry.kind]}: ${entry.note}`;
    item.append(link, note);
    return item;
  });
  document.querySelector("#found ul").replaceChildren(...items);
  element("found").hidden = !items.length;
}

function filterGlossary(form) {
  const rows = [...document.querySelectorAll("#glossary tbody tr")];
  listen(form, () => {
    const words = wordsOf(form.word.value);
    for (const row of rows) row.hidden = !holdsAll(row.textContent.toLowerCase(), words);
    element("count").textContent = counted(rows.filter((row) => !row.hidden).length, "word");
  });
}

if (element("search")) searchNetworks(element("search"));
if (element("filter")) filterGlossary(element("filter"));
