// A form that asks before it does something that cannot be taken back.

import { attach } from "../web/behaviour.js";

attach("confirm", (form) => {
  form.addEventListener(
    "submit",
    (event) => {
      if (!window.confirm(form.dataset.question)) {
        event.preventDefault();
        event.stopImmediatePropagation();
      }
    },
    true,
  );
});
