// Attaches behaviours to elements that name them in data-behaviour, also to those that appear later.

const CONTENT = "opentill:content";

/** Run `start(element)` once for each element with this behaviour. */
export function attach(name, start) {
  const begun = new WeakSet();
  const look = () => {
    for (const element of document.querySelectorAll(`[data-behaviour~="${name}"]`)) {
      if (begun.has(element)) continue;
      begun.add(element);
      start(element);
    }
  };
  look();
  document.addEventListener(CONTENT, look);
}

/** Tell every behaviour that the page has new content. */
export function contentChanged() {
  document.dispatchEvent(new Event(CONTENT));
}

/** Say something to screen readers without moving the focus. */
export function announce(text) {
  const region = document.querySelector("[data-announcements]");
  if (region && region.textContent !== text) region.textContent = text;
}
