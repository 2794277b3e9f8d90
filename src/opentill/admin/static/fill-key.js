// Puts the reader's own key into the samples of the page. It stays in the browser.

import { attach } from "../web/behaviour.js";

attach("fill-key", (place) => {
  const field = place.querySelector("input");
  const samples = [...document.querySelectorAll(".sample > pre")].map((pre) => [pre, pre.textContent]);
  field.addEventListener("input", () => {
    const key = field.value.trim() || place.dataset.sampleKey;
    for (const [pre, text] of samples) pre.textContent = text.replaceAll(place.dataset.sampleKey, key);
  });
});
