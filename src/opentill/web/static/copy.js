// A button that copies the text of the element it names, and says so.

import { announce, attach } from "./behaviour.js";

const SAID_MS = 2500;

attach("copy", (button) => {
  const source = document.getElementById(button.dataset.source);
  const label = button.querySelector("[data-label]");
  const usual = label.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent.trim());
    } catch {
      select(source); // no permission, or not a secure context: the older way
      if (!document.execCommand("copy")) return;
    }
    label.textContent = button.dataset.done;
    announce(button.dataset.done);
    setTimeout(() => (label.textContent = usual), SAID_MS);
  });
});

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}
