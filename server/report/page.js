"use strict";
// The page is fetched again every some seconds, and what differs is put in its place:
// what has not changed stays as it is, and so do the focus, the place on the page, and
// what was unfolded. While it is not looked at, or something on it is selected, it rests.
{
  const every = 5000; // milliseconds
  const patience = 30000;
  const mostFailures = 3; // in a row
  const live = document.getElementById("live");
  const button = live.querySelector("button");
  const status = live.querySelector("[role=status]");
  const main = document.querySelector("main");
  let paused = false;
  let busy = false;
  let failures = 0;
  let timer = 0;

  const say = (text) => { if (status.textContent !== text) status.textContent = text; };

  function pause(why) {
    paused = true;
    clearTimeout(timer);
    button.textContent = "Resume";
    say(why);
  }

  function resume() {
    paused = false;
    failures = 0;
    button.textContent = "Pause";
    say("Refreshes itself");
    refresh();
  }

  function isSelecting() {
    const selection = getSelection();
    return !selection.isCollapsed && main.contains(selection.anchorNode);
  }

  async function refresh() {
    clearTimeout(timer);
    if (busy || paused || document.hidden) return;
    busy = true;
    try {
      if (!isSelecting()) await update();
      failures = 0;
    } catch {
      failures++;
    }
    busy = false;
    if (paused) return;
    if (failures >= mostFailures) {
      pause("The registry does not answer: this is what it said last");
      return;
    }
    timer = setTimeout(refresh, every);
  }

  async function update() {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(patience) });
    if (!answer.ok) throw new Error(answer.statusText);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const content = next.querySelector("main");
    if (!content) throw new Error("no page");
    if (next.querySelector("style").textContent !== document.querySelector("style").textContent) location.reload(); // another version
    if (isSelecting() || paused) return;
    const focused = document.activeElement;
    become(main, content);
    document.title = next.title;
    if (focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  // become makes a node like another one of its kind.
  function become(node, next) {
    if (node.isEqualNode(next)) return;
    if (node.nodeType === Node.ELEMENT_NODE) {
      becomeAttributes(node, next);
      becomeChildren(node, next);
    } else {
      node.nodeValue = next.nodeValue;
    }
  }

  function becomeAttributes(node, next) {
    for (const { name, value } of next.attributes) {
      if (name !== "open" && node.getAttribute(name) !== value) node.setAttribute(name, value);
    }
    for (const { name } of [...node.attributes]) {
      if (name !== "open" && !next.hasAttribute(name)) node.removeAttribute(name);
    }
  }

  // keyOf is what a node is known by, if it is not by its place: a row, or a section.
  const keyOf = (node) => node.dataset?.key ?? node.getAttribute?.("aria-labelledby") ?? null;

  function becomeChildren(node, next) {
    const known = new Map();
    for (const child of node.children) {
      if (keyOf(child) !== null) known.set(keyOf(child), child);
    }
    let at = node.firstChild;
    for (const wanted of [...next.childNodes]) {
      const key = keyOf(wanted);
      const same = key !== null ? known.get(key) : at && keyOf(at) === null && at.nodeName === wanted.nodeName ? at : null;
      if (!same) {
        node.insertBefore(document.importNode(wanted, true), at);
        continue;
      }
      known.delete(key);
      if (same === at) at = at.nextSibling;
      else node.insertBefore(same, at);
      become(same, wanted);
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  button.addEventListener("click", () => (paused ? resume() : pause("Paused")));
  document.addEventListener("visibilitychange", refresh);
  live.hidden = false;
  say("Refreshes itself");
  timer = setTimeout(refresh, every);
}
