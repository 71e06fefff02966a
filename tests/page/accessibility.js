// What is wrong with the page for those who do not see it, or not well, or have no mouse:
// a list of sentences. The numbers are those of the Web Content Accessibility Guidelines 2.2.
(() => {
  const faults = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (e) => e.checkVisibility({ visibilityProperty: true });
  const where = (e) => {
    const at = e.closest("section")?.getAttribute("aria-labelledby") ?? e.closest("header, main, footer")?.nodeName ?? "";
    return `${at} <${e.nodeName.toLowerCase()}${e.className ? " ." + e.className : ""}> “${e.textContent.trim().slice(0, 40)}”`;
  };
  const demand = (good, what) => { if (!good) faults.push(what); };

  // 3.1.1, 2.4.2, 1.3.1: language, title, landmarks, headings.
  demand(document.documentElement.lang === "en", "the language is not said");
  demand(document.title.trim() !== "", "there is no title");
  for (const one of ["main", "body > header", "body > footer", "h1"]) {
    demand(all(one).length === 1, `there are ${all(one).length} of ${one}`);
  }
  for (const e of all("section, nav, [role=search]")) {
    demand(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby"), `no name: ${where(e)}`);
  }
  let level = 0;
  for (const h of all("h1, h2, h3, h4, h5, h6")) {
    demand(Number(h.nodeName[1]) <= level + 1, `a level of headings is left out: ${where(h)}`);
    level = Number(h.nodeName[1]);
  }

  // 2.4.1: the first that can be reached leads past the rest.
  const skip = document.querySelector("a[href]");
  demand(document.querySelector(skip.getAttribute("href")) === document.querySelector("main"), "there is no skip link");

  // 4.1.2: what refers to something finds it, and nothing has the id of something else.
  const ids = all("[id]").map((e) => e.id);
  for (const id of new Set(ids)) demand(ids.filter((i) => i === id).length === 1, `id ${id} is there twice`);
  for (const attribute of ["for", "aria-labelledby", "aria-describedby", "list"]) {
    for (const e of all(`[${attribute}]`)) {
      for (const id of e.getAttribute(attribute).split(/\s+/)) {
        demand(document.getElementById(id), `${attribute}=${id} leads nowhere: ${where(e)}`);
      }
    }
  }
  for (const a of all("a[href^='#']")) {
    demand(document.getElementById(a.getAttribute("href").slice(1)), `leads nowhere: ${where(a)}`);
  }

  // 1.3.1, 3.3.2: tables and forms.
  for (const table of all("table")) {
    demand(table.caption?.textContent.trim(), `no caption: ${where(table)}`);
    const columns = table.tHead.rows[0].cells.length;
    for (const row of table.rows) demand(row.cells.length === columns, `not ${columns} cells: ${where(row)}`);
    for (const th of table.querySelectorAll("th")) {
      demand(th.scope === (th.closest("thead") ? "col" : "row"), `no scope: ${where(th)}`);
      demand(th.textContent.trim(), `empty heading: ${where(th)}`);
    }
    for (const row of table.tBodies[0].rows) demand(row.cells[0].nodeName === "TH", `no heading: ${where(row)}`);
  }
  for (const e of all("input, select, textarea")) demand(e.labels.length === 1, `no label: ${where(e)}`);
  for (const e of all("svg, img")) demand(e.getAttribute("aria-hidden") === "true" || e.getAttribute("aria-label"), `no text: ${where(e)}`);
  for (const e of all("time")) demand(!isNaN(Date.parse(e.dateTime)), `no time for machines: ${where(e)}`);

  // 2.4.3, 2.5.8: the order of the focus, and room for a finger.
  for (const e of all("[tabindex]")) demand(e.tabIndex <= 0, `has a place in the order of its own: ${where(e)}`);
  for (const e of all("button, input, select, summary, nav a").filter(shown)) {
    demand(e.getBoundingClientRect().height >= 24, `lower than 24 pixels: ${where(e)}`);
  }

  // 1.4.3: text is told from its background.
  const colour = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => ({
    r: top.r * top.a + below.r * (1 - top.a), g: top.g * top.a + below.g * (1 - top.a), b: top.b * top.a + below.b * (1 - top.a), a: 1,
  });
  const ground = (e) => {
    if (!e) return { r: 255, g: 255, b: 255, a: 1 };
    const own = colour(getComputedStyle(e).backgroundColor);
    return own.a === 1 ? own : over(own, ground(e.parentElement));
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (a, b) => {
    const [dark, bright] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (bright + 0.05) / (dark + 0.05);
  };
  const legible = (e, style, below) => {
    const text = over(colour(style.color), below);
    const ratio = contrast(text, below);
    demand(ratio >= 4.5, `contrast ${ratio.toFixed(2)}: ${where(e)}`);
  };
  const hasText = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
  for (const e of all("body *").filter(shown)) {
    if (hasText(e) || e.matches("input, select, button")) legible(e, getComputedStyle(e), ground(e));
    const sign = getComputedStyle(e, "::before");
    if (sign.content !== "none") legible(e, sign, over(colour(sign.backgroundColor), ground(e)));
  }

  // 1.4.1: marks are told apart by more than their colour.
  const signs = new Map();
  for (const e of all(".mark")) {
    const meaning = e.className + getComputedStyle(e, "::before").content;
    demand(e.textContent.trim(), `a mark without a word: ${where(e)}`);
    signs.set(e.textContent, (signs.get(e.textContent) ?? new Set()).add(meaning));
  }
  for (const [word, meanings] of signs) demand(meanings.size === 1, `${word} is marked in several ways`);
  return faults;
})();
