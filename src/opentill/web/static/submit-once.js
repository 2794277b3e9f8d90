// A form is sent once, however often its button is pressed. Coming back to the page makes it usable again.

import { attach } from "./behaviour.js";

attach("submit-once", (form) => {
  let sent = false;
  const mark = (busy) => {
    sent = busy;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-disabled", String(busy));
  };
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();
    else mark(true);
  });
  addEventListener("pageshow", () => mark(false));
});
